/** The next observations, to be typed: a row for each step, a column for each feature that may change. */

import { h, replace } from "./dom.js";

export class StepTable {
  /**
   * @param {Object} info of `modelInfo`.
   * @param {{others: number[]|null, placeOf: function(number): string, onChange: function()}} options `others`: values of
   *   the last row that was seen, for the features beside the target.
   */
  constructor(info, { others, placeOf, onChange }) {
    this._info = info;
    this._others = others;
    this._placeOf = placeOf;
    this._onChange = onChange;
    this._columns = info.features.map((feature, column) => ({ feature, column })).filter(({ feature, column }) => column === 0 || feature.role !== "ROLE_STATIC");
    this._body = h("tbody", {});
    this._steps = [];
    this.root = h("table", { class: "steps" },
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Step"), this._columns.map(({ feature }) => h("th", { scope: "col", class: "number" }, feature.name)))),
      this._body);
  }

  get num_steps() {
    return this._steps.length;
  }

  /** Begins anew with the target's values. */
  set(values) {
    this._steps = [];
    replace(this._body);
    values.forEach((value) => this.add(value));
  }

  /** One step more. */
  add(value) {
    const step = this._steps.length;
    const inputs = this._columns.map(({ feature, column }) => this._input(feature, column, step, value));
    this._steps.push(inputs);
    this._body.append(h("tr", {}, h("th", { scope: "row" }, this._placeOf(step)), inputs.map((input) => h("td", { class: "number" }, input))));
  }

  /** One less. */
  drop() {
    this._steps.pop();
    this._body.lastElementChild?.remove();
  }

  /** Another value of the target. */
  put(step, value) {
    this._steps[step][0].value = value;
  }

  /** The rows as they are typed; NaN where a field is empty, and for what is not asked. */
  rows() {
    return this._steps.map((inputs) => {
      const values = this._info.features.map(() => NaN);
      inputs.forEach((input, index) => {
        const { feature, column } = this._columns[index];
        const typed = input.value === "" ? NaN : Number(input.value);
        values[column] = Number.isFinite(typed) || !feature.required ? typed : 0;
      });
      return { values };
    });
  }

  _input(feature, column, step, value) {
    const label = `${feature.name}, ${this._placeOf(step)}`;
    const on = { input: () => this._onChange() };
    const known = column ? this._others?.[column] : value;
    const shown = Number.isFinite(known) ? known : feature.required ? 0 : "";
    if (!feature.categories.length) return h("input", { type: "number", step: "any", "aria-label": label, value: shown, placeholder: "missing", on });
    const options = [["", "missing"], ...feature.categories.map((name, index) => [index, name])];
    return h("select", { "aria-label": label, on }, options.map(([index, name]) => h("option", { value: index, selected: index === shown }, name)));
  }
}
