/** The models that are served: what each is, how it did, which versions are loaded. */

import { emptyState, errorState, h, replace } from "../dom.js";
import { integer } from "../format.js";
import { manifestPanels } from "../models/manifest_panels.js";
import { ownFigures, scorePanel } from "../models/score_panel.js";
import { versionsPanel } from "../models/versions.js";
import { modelInfo } from "../model_info.js";

export const title = "Models";

export async function mount(root, app) {
  const { operates } = await app.api.caller();
  const draw = async () => {
    const models = await app.models({ fresh: true });
    if (!models.length) {
      replace(root, h("div", { class: "panel" }, emptyState({
        title: "No model is served", text: "Train one into the server's repository; it is found there by itself.",
        action: h("pre", { tabindex: "0" }, h("code", {}, "statecast train --data FILE.csv --freq h --horizon 24 --output REPOSITORY/NAME")),
      })));
      return;
    }
    const [name = models[0].name] = app.route.args;
    const model = models.find((each) => each.name === name);
    replace(root, h("div", { class: "models" }, modelList(models, name, operates),
      model ? detail(app, model, { isOperator: operates, onChange: draw }) : h("div", { class: "panel" }, errorState({ title: `No model ${name} is served`, text: "Choose one of the list." }))));
  };
  await draw();
  return undefined;
}

function modelList(models, chosen, isOperator) {
  const entry = (model) => {
    const num = (model.versions ?? []).reduce((sum, { num_sessions }) => sum + Number(num_sessions ?? 0), 0);
    return h("a", { href: `#models/${encodeURIComponent(model.name)}`, "aria-current": model.name === chosen ? "true" : null },
      h("b", {}, model.name),
      h("span", { class: "soft" }, `version ${integer(model.version)}${isOperator ? `, ${integer(num)} ${num === 1 ? "session" : "sessions"}` : ""}`));
  };
  return h("nav", { class: "model-list", "aria-label": "Models" }, models.map(entry));
}

function detail(app, model, options) {
  const info = modelInfo(model);
  const chips = [`version ${integer(info.version)}`, info.task, info.calibrated && "calibrated", info.scores && "scores anomalies", info.manifest.training?.refit && "refit"];
  const target = info.features[0]?.name;
  const sentence = info.labels.length
    ? `Gives the probabilities of ${integer(info.labels.length)} labels, ${info.frequency.words}.`
    : `Forecasts ${target}, ${info.frequency.words}, ${integer(info.horizon)} ${info.horizon === 1 ? "step" : "steps"} ahead, at ${integer(info.levels.length)} quantile levels.`;
  const link = (view, words) => h("a", { class: "button", href: `#${view}/${encodeURIComponent(model.name)}` }, words);
  return h("div", { class: "stack" },
    h("section", { class: "panel", data: { panel: "model" } },
      h("header", {}, h("h2", { class: "model-name" }, info.name), h("span", { class: "chips" }, chips.filter(Boolean).map((words) => h("span", { class: "chip" }, words))),
        h("span", { class: "actions" }, link("sessions", "Sessions"), link("try", "Try it"))),
      h("p", {}, sentence)),
    versionsPanel(app, model, options), scorePanel(info), ownFigures(info), manifestPanels(info));
}
