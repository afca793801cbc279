/** Short messages, and questions that want an answer. */

import { h } from "./dom.js";

const SHOWN_MS = 6000;

/** Shows a message for some seconds; an error stays until it is closed. `kind` is "info" or "error". */
export function notify(words, kind = "info") {
  const toast = h("div", { class: `toast ${kind}` }, h("span", {}, words),
    h("button", { type: "button", class: "quiet", "aria-label": "Close", on: { click: () => toast.remove() } }, "×"));
  document.getElementById("toasts").append(toast);
  if (kind !== "error") setTimeout(() => toast.remove(), SHOWN_MS);
}

/** Asks before something that cannot be undone. Resolves to whether `action` was chosen. */
export function confirm({ title, text, action = "Go on", danger = false }) {
  return new Promise((resolve) => {
    const dialog = h("dialog", { "aria-labelledby": "dialog-title" },
      h("form", { method: "dialog" },
        h("h2", { id: "dialog-title" }, title), text && h("p", {}, text),
        h("div", { class: "actions" },
          h("button", { value: "no" }, "Cancel"),
          h("button", { value: "yes", class: danger ? "danger" : "primary" }, action))));
    dialog.addEventListener("close", () => {
      resolve(dialog.returnValue === "yes");
      dialog.remove();
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
