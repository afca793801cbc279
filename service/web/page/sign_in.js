/** Asks for the caller's token. It is kept for this tab alone, and sent with calls to this server. */

import { h, replace, text } from "./dom.js";

/** Puts the form into `root`; `onDone` is called once a token was taken. */
export function signIn(root, api, onDone) {
  const field = h("input", { type: "password", id: "token", autocomplete: "off", spellcheck: "false", required: true, "aria-describedby": "token-help token-error" });
  const wrong = h("p", { id: "token-error", class: "field-error", role: "alert" });
  const button = h("button", { type: "submit", class: "primary" }, "Sign in");
  const submit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    text(wrong, "");
    api.token.set(field.value.trim());
    try {
      await api.call("ModelService/ListModels");
      onDone();
    } catch (error) {
      if (error.code === "UNAUTHENTICATED") {
        api.token.set("");
        text(wrong, "The server does not know this token.");
      } else {
        text(wrong, error.message);
      }
      field.focus();
    } finally {
      button.disabled = false;
    }
  };
  const form = h("form", { class: "panel sign-in", on: { submit } },
    h("h1", {}, "Sign in"),
    h("p", { id: "token-help" }, "This server wants a token: the one that your programs send. It is kept until this tab is closed."),
    h("label", { for: "token" }, "Token"), field, wrong, button);
  replace(root, form);
  field.focus();
}
