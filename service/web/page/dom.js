/** Elements without markup in strings: nothing that a server said is ever parsed as HTML. */

/**
 * An element.
 *
 * @param {string} tag
 * @param {Object} attributes `class`, `on` ({click: ...}), `data` ({name: ...}); true gives an empty attribute, false,
 *   null and undefined none; `value`, `checked`, `selected`, `indeterminate` are set as properties.
 * @param {...(Node|string|number|Array|null|false)} children
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) set(element, name, value);
  element.append(...nodes(children));
  return element;
}

const PROPERTIES = new Set(["value", "checked", "selected", "indeterminate"]);

function set(element, name, value) {
  if (name === "on") {
    for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
  } else if (name === "data") {
    Object.assign(element.dataset, value);
  } else if (PROPERTIES.has(name)) {
    element[name] = value ?? "";
  } else if (value !== false && value !== null && value !== undefined) {
    element.setAttribute(name, value === true ? "" : value);
  }
}

function nodes(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : String(child)));
}

/** Puts `children` in the place of what `node` held. */
export function replace(node, ...children) {
  node.replaceChildren(...nodes(children));
  return node;
}

/** Sets a node's text where it differs, so that a screen reader is not told the same again. */
export function text(node, value) {
  const wanted = String(value);
  if (node.textContent !== wanted) node.textContent = wanted;
}

/** Nothing is here: what would be, and how it comes to be. `action` is a node, or none. */
export function emptyState({ title, text: words, action }) {
  return state("empty", title, words, action);
}

/** Something is being fetched. */
export function loadingState(words = "Loading") {
  return h("div", { class: "state loading", role: "status", "aria-busy": "true" }, h("span", { class: "spinner" }), words);
}

/** It failed: what, and what to do next. `error` is an `ApiError` or any other. */
export function errorState({ title, error, text: words, action }) {
  const told = words ?? error?.message ?? "";
  const node = state("error", title, told, action);
  node.setAttribute("role", "alert");
  if (error?.code) node.append(h("p", { class: "code" }, error.code));
  return node;
}

function state(kind, title, words, action) {
  return h("div", { class: `state ${kind}` }, h("h2", {}, title), words && h("p", {}, words), action);
}
