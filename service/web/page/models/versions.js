/** The versions of a model that are loaded, and how another comes to be served. */

import { h } from "../dom.js";
import { formDialog } from "../form_dialog.js";
import { integer } from "../format.js";

const POLICIES = [
  ["UPGRADE_POLICY_UNSPECIFIED", "As its manifest says", "What whoever trained it thought right."],
  ["UPGRADE_POLICY_PIN", "Pin", "Live sessions stay on their version until they end; it stays loaded for them."],
  ["UPGRADE_POLICY_CARRY", "Carry", "Live sessions take their state along. Both versions must have the same state tensors."],
  ["UPGRADE_POLICY_REPLAY", "Replay", "The new version runs over each session's recent rows."],
];

/** @param {Object} model in JSON. @param {{isOperator: boolean, onChange: function()}} options */
export function versionsPanel(app, model, { isOperator, onChange }) {
  const load = h("button", { type: "button", on: { click: () => loadVersion(app, model, onChange) } }, "Load a version");
  const row = ({ version, digest, num_sessions }) => {
    const isServed = version === model.version;
    const unload = isOperator && !isServed && h("button", { type: "button", on: { click: () => unloadVersion(app, model, version, num_sessions, onChange) } },
      "Unload", h("span", { class: "visually-hidden" }, ` version ${version}`));
    return h("tr", { data: { version } }, h("th", { scope: "row" }, integer(version)),
      h("td", {}, isServed ? h("span", { class: "chip good" }, "New sessions begin here") : h("span", { class: "chip" }, "Kept for its sessions")),
      isOperator && h("td", { class: "number" }, integer(num_sessions)),
      h("td", { class: "mono not-phone", title: digest }, `${digest.slice(0, 19)}…`), h("td", { class: "number" }, unload));
  };
  const head = h("tr", {}, h("th", { scope: "col" }, "Version"), h("th", { scope: "col" }, "Use"),
    isOperator && h("th", { scope: "col", class: "number" }, "Sessions in memory"),
    h("th", { scope: "col", class: "not-phone" }, "Digest"), h("th", { scope: "col" }, h("span", { class: "visually-hidden" }, "Unload")));
  return h("section", { class: "panel", data: { panel: "versions" } },
    h("header", {}, h("h2", {}, "Versions loaded"), isOperator && h("span", { class: "actions" }, load)),
    h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": "Versions loaded" },
      h("table", {}, h("caption", { class: "visually-hidden" }, `Versions of ${model.name} that are loaded`), h("thead", {}, head),
        h("tbody", {}, (model.versions ?? []).map(row)))),
    !isOperator && h("p", { class: "soft" }, "Loading and unloading are offered to callers with the role operate."));
}

function loadVersion(app, model, onChange) {
  const version = h("input", { type: "number", id: "load-version", min: 1, step: 1, placeholder: "newest" });
  const radios = POLICIES.map(([value]) => h("input", { type: "radio", name: "policy", value, checked: value === POLICIES[0][0] }));
  const options = POLICIES.map(([, title, words], at) => h("label", { class: "option" }, radios[at], title, h("span", { class: "soft" }, words)));
  formDialog({
    title: `Load a version of ${model.name}`, action: "Load",
    fields: [
      h("div", { class: "field" }, h("label", { for: version.id }, "Version; empty for the newest of the repository"), version),
      h("fieldset", {}, h("legend", {}, "Live sessions"), options),
    ],
    onSubmit: async () => {
      const policy = radios.find((radio) => radio.checked).value;
      const answer = await app.api.call("ModelService/LoadModel", { model: model.name, version: version.value || "0", policy });
      app.notify(`${model.name}: version ${integer(answer.model.version)} is served`);
      onChange();
    },
  });
}

async function unloadVersion(app, model, version, num_sessions, onChange) {
  const onIt = Number(num_sessions) ? ` ${integer(num_sessions)} sessions in memory are on it; the server refuses while any is.` : "";
  const question = { title: `Unload version ${version} of ${model.name}?`, text: `It leaves memory, and can be loaded again.${onIt}`, action: "Unload", danger: true };
  if (!(await app.confirm(question))) return;
  try {
    await app.api.call("ModelService/UnloadModel", { model: model.name, version });
    app.notify(`${model.name}: version ${integer(version)} was unloaded`);
    onChange();
  } catch (error) {
    app.notify(error.message, "error");
  }
}
