/** What the marks of a chart mean. */

import { h } from "./dom.js";
import { percent } from "./format.js";
import { labelColour } from "./label_chart.js";
import { intervals } from "./model_info.js";

const SVG = "http://www.w3.org/2000/svg";

/** @param {Object} info of `modelInfo`. @param {Object} more which marks there are besides. */
export function legend(info, { hasGhosts = true, hasFork = false, hasCome = false } = {}) {
  const entries = info.labels.length ? [...labelEntries(info), hasCome && h("li", {}, "Strip at the top: the label that came")].filter(Boolean) : fanEntries(info, hasGhosts, hasFork);
  if (info.scores && hasGhosts) entries.push(entry("anomaly", "Anomaly"));
  if (hasGhosts) entries.push(entry("missing", "Missing, or not seen"));
  return h("ul", { class: "legend", "aria-label": "Legend" }, entries);
}

function fanEntries(info, hasGhosts, hasFork) {
  const bands = intervals(info.levels);
  return [
    entry("observed", "Observed"),
    entry("median", hasFork ? "Original: median" : "Median expected"),
    ...bands.map(({ share }, depth) => entry(`band depth-${Math.min(depth, 2)}`, `${percent(share, 0)} interval`)),
    hasFork && entry("fork-median", "What if: median"),
    hasFork && entry("fork-band", "What if: intervals"),
    hasGhosts && entry("ghost", "Expected before"),
  ].filter(Boolean);
}

function labelEntries(info) {
  return info.labels.map((label, index) => {
    const swatch = document.createElementNS(SVG, "svg");
    for (const [name, value] of Object.entries({ width: 10, height: 10, "aria-hidden": "true" })) swatch.setAttribute(name, value);
    const square = swatch.appendChild(document.createElementNS(SVG, "rect"));
    for (const [name, value] of Object.entries({ width: 10, height: 10, rx: 2, fill: labelColour(index) })) square.setAttribute(name, value);
    return h("li", {}, swatch, label);
  });
}

function entry(kind, words) {
  return h("li", {}, h("span", { class: `swatch ${kind}` }), words);
}
