/** The figures beside a chart. Each is made once and told what to say. */

import { h, text } from "./dom.js";
import { duration, integer, percent } from "./format.js";
import { labelColour } from "./label_chart.js";

const SVG = "http://www.w3.org/2000/svg";

/** A heading, a value with its unit, and a line more. */
export class Figure {
  constructor(heading, { id, isWide = false } = {}) {
    this._value = h("span", {});
    this._unit = h("span", { class: "unit" });
    this.more = h("p", { class: "more" });
    this.root = h("section", { class: `panel figure${isWide ? " wide" : ""}`, data: { figure: id } },
      h("h2", {}, heading), h("p", { class: "value" }, this._value, " ", this._unit), this.more);
  }

  show(value, unit = "", more = "") {
    text(this._value, value);
    text(this._unit, unit);
    text(this.more, more);
  }
}

/** How much of what came lay inside each interval, against how much should have: a bar with a mark at the goal. */
export class CoverageFigure extends Figure {
  /** @param {{share: number}[]} intervals the widest first. */
  constructor(intervals) {
    super("Coverage, one step ahead", { id: "coverage" });
    this._meters = intervals.map(({ share }) => {
      const level = shape("rect", { class: "level", x: 0, y: 3, width: 0, height: 8, rx: 2 });
      const value = h("dd", { class: "number", data: { coverage: share } }, "–");
      const at = `${share * 100}%`;
      const chart = shape("svg", { class: "meter", "aria-hidden": "true" },
        shape("rect", { class: "track", x: 0, y: 3, width: "100%", height: 8, rx: 2 }), level,
        shape("line", { class: "goal", x1: at, x2: at, y1: 0, y2: 14 }));
      return { level, value, chart, share };
    });
    this.more.before(h("dl", { class: "meters" }, this._meters.map(({ value, chart, share }) =>
      [h("dt", {}, `${percent(share, 0)} interval`), value, h("dd", { class: "bar-of", "aria-hidden": "true" }, chart)])));
    this.root.querySelector(".value").remove();
  }

  /** @param {FanScore} score as `series_log.js` keeps it. */
  judge({ intervals, num, longest_lead }) {
    this._meters.forEach(({ level, value }, index) => {
      const share = num ? intervals[index].num_inside / num : NaN;
      text(value, percent(share, num < 100 ? 0 : 1));
      level.setAttribute("width", num ? `${share * 100}%` : "0");
    });
    const ahead = longest_lead > 1 ? `; up to ${longest_lead} steps ahead, where rows are missing` : "";
    this.show("", "", num ? `of ${integer(num)} rows${ahead}` : "no row judged yet");
  }
}

/** The probability of each label at the next step. */
export class LabelBars {
  constructor(labels, heading) {
    this._parts = labels.map((label, index) => {
      const bar = shape("rect", { height: 12, rx: 2, width: 0, fill: labelColour(index) });
      return { label, bar, value: h("dd", { class: "number" }, "–") };
    });
    this.root = h("section", { class: "panel figure wide", data: { figure: "labels" } }, h("h2", {}, heading),
      h("dl", { class: "bars" }, this._parts.map(({ label, bar, value }) =>
        [h("dt", {}, label), h("dd", { "aria-hidden": "true" }, shape("svg", {}, bar)), value])));
  }

  show(chances) {
    this._parts.forEach(({ bar, value }, index) => {
      const chance = chances?.[index];
      text(value, percent(chance));
      bar.setAttribute("width", Number.isFinite(chance) ? `${chance * 100}%` : "0");
    });
  }
}

/** How long, and since when, figures count. */
export function sinceWords(since_ms) {
  return `since the page was opened, ${duration(Math.max(1, Math.round((Date.now() - since_ms) / 1000)))} ago`;
}

function shape(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
