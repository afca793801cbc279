/** A histogram as a table with bars, and how most of its values were. */

import { bar, stretch } from "../bars.js";
import { h, replace, text } from "../dom.js";
import { integer } from "../format.js";
import { numOf, quantile } from "./history.js";

export class HistogramPanel {
  /** @param {string} title @param {{id: string, words: string, unit: function(number): string}} options `unit` writes a value. */
  constructor(title, { id, words, unit }) {
    this._unit = unit;
    this._summary = h("p", { class: "summary" });
    this._body = h("tbody", {});
    this._rows = [];
    this._none = h("p", { class: "soft" }, "None yet.");
    this._table = h("table", { class: "bar-table" }, h("caption", { class: "visually-hidden" }, title),
      h("thead", { class: "visually-hidden" }, h("tr", {}, ["Up to", "Bar", "Count"].map((head) => h("th", { scope: "col" }, head)))), this._body);
    this.root = h("section", { class: "panel histogram", data: { histogram: id } },
      h("header", {}, h("h2", {}, title), h("span", { class: "soft" }, words)), this._summary, this._none, this._table);
  }

  /** @param {import("./history.js").Counted} counted */
  show(counted) {
    const num = numOf(counted);
    this._none.hidden = num > 0;
    this._table.hidden = this._summary.hidden = num === 0;
    if (!num) return;
    const at = (share) => this._upTo(quantile(counted, share));
    text(this._summary, `Mean ${this._unit(counted.sum / num)} · half up to ${at(0.5)} · 99 % up to ${at(0.99)} · of ${integer(num)}`);
    const first = counted.counts.findIndex((count) => count > 0);
    const last = counted.counts.findLastIndex((count) => count > 0);
    this._make(last - first + 1);
    const most = Math.max(...counted.counts);
    this._rows.forEach(({ name, drawn, value }, index) => {
      const bound = counted.bounds[first + index];
      text(name, bound === undefined ? `above ${this._unit(counted.bounds.at(-1))}` : this._unit(bound));
      stretch(drawn, counted.counts[first + index] / most);
      text(value, integer(counted.counts[first + index]));
    });
  }

  _upTo(value) {
    return value === Infinity ? "more than counted" : this._unit(value);
  }

  _make(num) {
    if (this._rows.length === num) return;
    this._rows = Array.from({ length: num }, () => ({ name: h("th", { scope: "row", class: "number" }), drawn: bar(0), value: h("td", { class: "number" }) }));
    replace(this._body, this._rows.map(({ name, drawn, value }) => h("tr", {}, name, h("td", { class: "own" }, drawn), value)));
  }
}
