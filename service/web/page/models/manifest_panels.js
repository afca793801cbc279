/** A manifest in words and tables; as JSON for who wants it. */

import { h } from "../dom.js";
import { bytes, integer, number, percent, time } from "../format.js";

const ROLES = { ROLE_PAST: "observed with each row", ROLE_FUTURE: "known ahead", ROLE_STATIC: "the same for a whole series" };
const UPGRADES = { pin: "stay on the version before until they end", carry: "take their state along", replay: "have their recent rows run again" };
const OF_WHAT = { ahead: "rows to come", row: "the row at hand", series: "the series as a whole" };

/** @param {Object} info of `modelInfo`. */
export function manifestPanels(info) {
  return [
    h("div", { class: "split" },
      panel("Forecast", facts(forecastFacts(info))),
      panel("Training", facts(trainingFacts(info.manifest)))),
    h("div", { class: "split" }, panel("A row", featureTable(info)), panel("State", stateTable(info.manifest))),
    info.manifest.transition_matrix?.length ? panel("Markov chain", chain(info)) : null,
    panel("Manifest", h("details", {}, h("summary", {}, "As JSON"), h("pre", { class: "json", tabindex: "0" }, JSON.stringify(info.manifest, null, 2)))),
  ];
}

function forecastFacts(info) {
  const { manifest } = info;
  return [
    ["Task", `${info.task} of ${OF_WHAT[info.predicts] ?? info.predicts}`],
    ["Horizon", `${steps(info.horizon)}${manifest.look_ahead ? `, behind the newest row by ${manifest.look_ahead}` : ""}`],
    info.labels.length ? ["Labels", info.labels.join(", ")] : ["Quantile levels", info.levels.map((level) => `${number(level * 100)} %`).join(", ")],
    ["Frequency", `${info.frequency.words} (${info.frequency.text})`],
    ["Season", info.season > 1 ? steps(info.season) : "none"],
    ["Network", [info.cell.toUpperCase(), manifest.head && `${manifest.head} head`, manifest.decoder && `${manifest.decoder} decoder`].filter(Boolean).join(", ")],
    manifest.members > 1 && ["Members", `${integer(manifest.members)}, whose forecasts are averaged`],
    ["Calibrated", info.calibrated ? "by each session's own errors, while it streams" : "no"],
    ["Anomaly scores", info.scores ? "yes" : "no"],
    ["Reads the time", manifest.reads_time ? "yes" : "no"],
    ["Anew from recent rows", manifest.max_stream ? `every ${integer(manifest.max_stream)} rows` : "never"],
  ].filter(Boolean);
}

function trainingFacts({ training = {}, started_from: from, upgrade, opset, digest }) {
  const at = (text) => (text ? time(Date.parse(text) * 1000) : "–");
  return [
    ["Series", integer(training.num_series)],
    ["Rows", `${integer(training.num_rows)}, of which ${integer(training.num_missing)} had no target`],
    ["From", at(training.first_time)],
    ["To", at(training.last_time)],
    ["Refit", training.refit ? "yes: with the rows of the backtest too, once its scores were taken" : "no: the rows of the backtest were not learnt from"],
    ["Began from", from ? `${from.version ? `version ${from.version}, ` : ""}${from.digest.slice(0, 19)}…` : "nothing"],
    ["When it is served", `live sessions ${UPGRADES[upgrade] ?? upgrade}`],
    ["ONNX opset", integer(opset)],
    ["Digest", h("span", { class: "mono" }, digest)],
  ];
}

function featureTable({ features }) {
  const row = ({ name, role, required, categories }, index) => h("tr", {},
    h("th", { scope: "row" }, name, " ", index === 0 && h("span", { class: "chip" }, "target")),
    h("td", {}, ROLES[role] ?? ROLES.ROLE_PAST), h("td", {}, required ? "required" : "may be missing"),
    h("td", {}, categories.length > 8 ? `${integer(categories.length)} categories` : categories.join(", ") || "a quantity"));
  return table("Features of a row", ["Feature", "What is known of it", "Value", "Kind"], features.map(row));
}

function stateTable({ states = [] }) {
  const size = ({ shape, dtype }) => shape.reduce((product, each) => product * each, dtype === "float32" ? 4 : 8);
  const total = states.reduce((sum, state) => sum + size(state), 0);
  const row = (state) => h("tr", {}, h("th", { scope: "row", class: "mono" }, state.name), h("td", { class: "mono" }, state.shape.join(" × ")),
    h("td", { class: "mono" }, state.dtype), h("td", { class: "number" }, bytes(size(state))));
  return [h("p", { class: "soft" }, `${bytes(total)} for each session`), table("State tensors", ["Tensor", "Shape", "Type", "Size"], states.map(row), 3)];
}

function chain({ manifest, labels }) {
  const names = labels.length ? labels : manifest.transition_matrix.map((_, bin) => `bin ${bin + 1}`);
  const head = h("tr", {}, h("th", { scope: "col" }, "from, to"), names.map((name) => h("th", { scope: "col" }, name)));
  const rows = manifest.transition_matrix.map((shares, from) => h("tr", {}, h("th", { scope: "row" }, names[from]),
    shares.map((share) => h("td", {}, percent(share, 0)))));
  return h("details", {}, h("summary", {}, "How likely each follows each: a baseline's"),
    h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": "Transitions" },
      h("table", { class: "matrix" }, h("caption", { class: "visually-hidden" }, "The probability of each after each"), h("thead", {}, head), h("tbody", {}, rows))));
}

function steps(num) {
  return `${integer(num)} ${num === 1 ? "step" : "steps"}`;
}

function panel(title, ...content) {
  return h("section", { class: "panel" }, h("header", {}, h("h2", {}, title)), content);
}

function facts(pairs) {
  return h("dl", { class: "facts" }, pairs.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

function table(caption, titles, rows, numberAt) {
  const heads = titles.map((title, at) => h("th", { scope: "col", class: at === numberAt ? "number" : "" }, title));
  return h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": caption },
    h("table", { class: "fold" }, h("caption", { class: "visually-hidden" }, caption), h("thead", {}, h("tr", {}, heads)), h("tbody", {}, rows)));
}
