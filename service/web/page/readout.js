/** The row or the step under the cursor, in words. */

import { h, replace } from "./dom.js";
import { integer, number, percent, time } from "./format.js";
import { intervals, middle } from "./model_info.js";

/** @returns {{root: Element, show: function(Object|null)}} `show` takes what a chart's `onPoint` gives. */
export function readout(info, log) {
  const root = h("p", { class: "readout", role: "status" });
  let shown = null;
  const show = (point) => {
    const parts = point ? words(point, info, log) : [["", "Point at the chart, or use its arrow keys, to read a row."]];
    const key = JSON.stringify(parts);
    if (key === shown) return;
    shown = key;
    replace(root, parts.map(([name, value]) => h("span", {}, name && `${name} `, name ? h("b", {}, value) : value)));
  };
  show(null);
  return { root, show };
}

function words(point, info, log) {
  if (point.row) return rowWords(point.row, info, log);
  if (point.label !== undefined) return point.label ? labelWords(point.label, info, log) : [["", ""]];
  const { step, fan } = point;
  const at = step * info.levels.length;
  const [wide] = intervals(info.levels);
  return [
    [`${integer(step + 1)} ${step ? "steps" : "step"} ahead`, log.hasTimes ? time(Math.round(fan.x[step] * 1e6)) : `row ${integer(fan.x[step])}`],
    ["median", number(fan.values[at + middle(info.levels)])],
    ...(wide ? [[`${percent(wide.share, 0)} interval`, `${number(fan.values[at + wide.low])} to ${number(fan.values[at + wide.high])}`]] : []),
  ];
}

function rowWords(row, info, log) {
  const parts = [[row.time_us === null ? "row" : "", row.time_us === null ? integer(row.position) : time(row.time_us)]];
  info.features.forEach((feature, column) => parts.push([feature.name, valueWords(feature, row.values[column])]));
  const before = log.rows[log.rows.indexOf(row) - 1];
  if (before?.forecast && !row.isUnseen && !row.gap && !row.num_skipped) {
    parts.push(["expected", number(before.forecast[middle(info.levels)])]);
  }
  if (Number.isFinite(row.tail)) parts.push(["tail probability", number(row.tail, 2)]);
  return parts;
}

function labelWords(step, info, log) {
  const place = log.hasTimes ? time(Math.round(step.x * 1e6)) : `row ${integer(step.x)}`;
  const chances = step.chances.map((chance, label) => [info.labels[label], percent(chance)]);
  return [["", place], ...chances, ...(Number.isInteger(step.came) ? [["came", info.labels[step.came]]] : [])];
}

function valueWords(feature, value) {
  if (!Number.isFinite(value)) return "missing";
  return feature.categories[value] ?? number(value);
}
