/** Dialogs that hold more than a question: the browser keeps the focus in them and gives it back. */

import { h, text } from "./dom.js";

let count = 0;

/**
 * Shows `content` until the dialog is closed.
 *
 * @returns {HTMLDialogElement}
 */
export function openDialog({ title, content, kind = "" }) {
  const id = `dialog-${(count += 1)}`;
  const close = h("button", { type: "button", class: "quiet", "aria-label": "Close", on: { click: () => dialog.close() } }, "×");
  const dialog = h("dialog", { class: kind, "aria-labelledby": id },
    h("header", { class: "dialog-title" }, h("h2", { id }, title), close), content);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  // The first thing to do, and not the way out.
  content.querySelector("a, button, input, select")?.focus();
  return dialog;
}

/**
 * A form in a dialog. Where `onSubmit` rejects, what it says is shown and the form stays.
 *
 * @returns {HTMLDialogElement} gone once `onSubmit` was done.
 */
export function formDialog({ title, fields, action, danger = false, onSubmit }) {
  const wrong = h("p", { class: "field-error", role: "alert" });
  const send = h("button", { type: "submit", class: danger ? "danger" : "primary" }, action);
  const cancel = h("button", { type: "button", on: { click: () => dialog.close() } }, "Cancel");
  const submit = async (event) => {
    event.preventDefault();
    send.disabled = true;
    text(wrong, "");
    try {
      await onSubmit();
      dialog.close();
    } catch (error) {
      text(wrong, error.message);
    } finally {
      send.disabled = false;
    }
  };
  const form = h("form", { on: { submit } }, fields, wrong, h("div", { class: "actions" }, cancel, send));
  const dialog = openDialog({ title, content: form });
  return dialog;
}
