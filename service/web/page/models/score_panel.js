/** How a model did in its backtest beside the baselines: bars by score, the figures that only the model has, and all of it in numbers. */

import { bar } from "../bars.js";
import { h, replace } from "../dom.js";
import { Figure } from "../figures.js";
import { number, percent } from "../format.js";
import { intervals } from "../model_info.js";
import { METRICS, byForecaster, ranked } from "./scores.js";

/** @param {Object} info of `modelInfo`. */
export function scorePanel(info) {
  const { backtest = {} } = info.manifest;
  const forecasters = byForecaster(backtest);
  const offered = Object.keys(METRICS).filter((metric) => Number.isFinite(backtest[metric]));
  const header = h("header", {}, h("h2", {}, "Backtest"), h("span", { class: "soft" }, "on rows that were held back from training"));
  if (!offered.length) {
    return h("section", { class: "panel", data: { panel: "scores" } }, header, h("p", { class: "soft" }, "This version was published without scores."));
  }
  const place = h("div", { class: "stack" });
  const choice = h("div", { class: "choice wrap", role: "group", "aria-label": "Score" }, offered.map((metric) =>
    h("button", { type: "button", data: { metric }, on: { click: () => show(metric) } }, METRICS[metric].title)));
  const show = (metric) => {
    for (const button of choice.children) button.setAttribute("aria-pressed", String(button.dataset.metric === metric));
    replace(place, h("p", { class: "soft" }, METRICS[metric].words), barTable(info, forecasters, metric));
  };
  show(offered[0]);
  return h("section", { class: "panel stack", data: { panel: "scores" } },
    header, h("div", {}, choice), place, h("details", {}, h("summary", {}, "All scores"), allScores(forecasters)));
}

/** The figures that no baseline has: coverage, and how near the served graph is to what was trained. */
export function ownFigures(info) {
  const { backtest = {}, parity_error } = info.manifest;
  const [wide] = intervals(info.levels);
  const figures = [];
  if (Number.isFinite(backtest.coverage) && wide) {
    const figure = new Figure(`Coverage of the ${percent(wide.share, 0)} interval`, { id: "coverage" });
    figure.show(percent(backtest.coverage), "", `in the backtest; ${percent(wide.share, 0)} is expected`);
    figures.push(figure);
  }
  if (Number.isFinite(backtest.msis)) {
    const figure = new Figure("Mean scaled interval score", { id: "msis" });
    figure.show(number(backtest.msis), "", "in the backtest; the lower the better");
    figures.push(figure);
  }
  const parity = new Figure("Parity error", { id: "parity" });
  parity.show(number(parity_error, 2), "", "largest scaled difference between the trained network and the graph that is served");
  return h("div", { class: "score-figures" }, [...figures, parity].map(({ root }) => root));
}

function barTable(info, forecasters, metric) {
  const rows = ranked(forecasters, metric);
  const most = Math.max(...rows.map(({ scores }) => Math.abs(scores[metric])));
  const own = rows.find(({ isModel }) => isModel).scores[metric];
  const row = ({ name, isModel, scores }) => {
    const value = scores[metric];
    return h("tr", {}, h("th", { scope: "row", class: isModel ? "own" : "" }, isModel ? info.name : name),
      h("td", { class: isModel ? "own" : "" }, bar(Math.abs(value) / most)),
      h("td", { class: "number" }, number(value)), h("td", { class: "number soft not-phone" }, isModel ? "" : `${number(value / own, 3)} × the model's`));
  };
  const heads = ["Forecaster", "Bar", METRICS[metric].title].map((title) => h("th", { scope: "col" }, title));
  return h("table", { class: "bar-table", data: { metric } },
    h("caption", { class: "visually-hidden" }, `${METRICS[metric].title} of ${info.name} and the baselines, the best first`),
    h("thead", { class: "visually-hidden" }, h("tr", {}, heads, h("th", { scope: "col", class: "not-phone" }, "Over the model's"))),
    h("tbody", {}, rows.map(row)));
}

function allScores(forecasters) {
  const names = [...new Set(forecasters.flatMap(({ scores }) => Object.keys(scores)))];
  const title = (name) => METRICS[name]?.title ?? (name === "msis" ? "MSIS" : name.replaceAll("_", " "));
  return h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": "All scores" }, h("table", {},
    h("caption", { class: "visually-hidden" }, "All scores"),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Forecaster"), names.map((name) => h("th", { scope: "col", class: "number" }, title(name))))),
    h("tbody", {}, forecasters.map((one) => h("tr", {}, h("th", { scope: "row" }, one.name),
      names.map((name) => h("td", { class: "number" }, number(one.scores[name]))))))));
}
