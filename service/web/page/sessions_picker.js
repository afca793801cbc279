/** Which model and which of its sessions: two fields, and a list where nothing was chosen. */

import { h, replace } from "./dom.js";
import { age, integer } from "./format.js";

const NUM_OFFERED = 50;
const TYPED_MS = 150;
let count = 0;

/**
 * @param {Object} app as views get it.
 * @param {{models: Object[], model: string, session: string, onChoose: function(string, string)}} options
 * @returns {Node[]} the two fields.
 */
export function sessionFields(app, { models, model, session, onChoose }) {
  const id = `picker-${(count += 1)}`;
  const options = models.map(({ name }) => h("option", { value: name, selected: name === model }, name));
  const choose = h("select", { id: `${id}-model`, on: { change: () => onChoose(choose.value, "") } }, options);
  const offered = h("datalist", { id: `${id}-offered` });
  const typed = h("input", {
    id: `${id}-session`, list: offered.id, value: session, autocomplete: "off", spellcheck: "false",
    placeholder: "id, or its beginning",
  });
  const offer = later(TYPED_MS, async () => {
    try {
      const answer = await app.api.call("SessionService/ListSessions", { model: choose.value, prefix: typed.value, page_size: NUM_OFFERED });
      replace(offered, (answer.sessions ?? []).map((each) => h("option", { value: each.session_id })));
    } catch {
      replace(offered);
    }
  });
  typed.addEventListener("focus", offer);
  typed.addEventListener("input", offer);
  typed.addEventListener("change", () => typed.value && typed.value !== session && onChoose(choose.value, typed.value));
  return [
    h("div", { class: "field" }, h("label", { for: choose.id }, "Model"), choose),
    h("div", { class: "field wide" }, h("label", { for: typed.id }, "Session"), typed, offered),
  ];
}

/** Sessions of a model to begin with, the ones that a row came to last first. Null where there are none. */
export async function sessionList(app, model, view = "live") {
  const answer = await app.api.call("SessionService/ListSessions", { model, page_size: 200 });
  const sessions = (answer.sessions ?? []).sort((one, other) => Number(other.used_at_us ?? 0) - Number(one.used_at_us ?? 0));
  if (!sessions.length) return null;
  return h("ul", { class: "pick" }, sessions.slice(0, 8).map((session) => h("li", {},
    h("a", { href: `#${view}/${encodeURIComponent(model)}/${encodeURIComponent(session.session_id)}` },
      h("span", { class: "mono" }, session.session_id),
      h("span", { class: "soft" }, `${integer(session.position ?? 0)} rows · ${age(session.used_at_us)}`)))));
}

function later(wait_ms, act) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(act, wait_ms);
  };
}
