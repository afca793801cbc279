/** Where the rows come from: a demonstration, or a file whose columns are said what they are. */

import { h, replace, text } from "../dom.js";
import { integer, number, time } from "../format.js";
import { FileError, readTable } from "./csv.js";
import { demonstration, demonstrations } from "./demonstration.js";
import { guess, seriesOf } from "./series.js";

const MOST_BYTES = 20_000_000;
const NUM_SHOWN = 5;

export class SeriesForm {
  /** @param {Object} info of `modelInfo`. @param {{onChange: function(import("./series.js").Series|null)}} options */
  constructor(info, { onChange }) {
    Object.assign(this, { _info: info, _onChange: onChange, _table: null, _columns: null });
    this._demonstrations = demonstrations(info);
    this._which = h("select", { id: "try-demonstration", on: { change: () => this._demonstrate() } },
      this._demonstrations.map(({ name, title }) => h("option", { value: name }, title)));
    this._file = h("input", { type: "file", id: "try-file", accept: ".csv,.tsv,.txt,text/csv", "aria-describedby": "try-file-help", on: { change: () => this._read(this._file.files[0]) } });
    this._wrong = h("p", { class: "field-error", role: "alert", data: { wrong: "" } });
    this._mapping = h("div", { class: "mapping" });
    this._preview = h("div", { class: "stack" });
    this._place = h("div", { class: "stack" });
    const sources = [["demonstration", "A demonstration"], ["file", "A file of yours"]].map(([name, words], index) => h("button", {
      type: "button", "aria-pressed": String(index === 0), data: { source: name }, on: { click: () => this._choose(name) },
    }, words));
    this._sources = h("div", { class: "choice", role: "group", "aria-label": "Where the series comes from" }, sources);
    this.root = h("section", { class: "panel stack", data: { panel: "series" } }, h("header", {}, h("h2", {}, "Series")), h("div", {}, this._sources), this._place, this._wrong, this._preview);
  }

  start() {
    return this._choose("demonstration");
  }

  async _choose(source) {
    for (const button of this._sources.children) button.setAttribute("aria-pressed", String(button.dataset.source === source));
    this._source = source;
    this._tell("");
    if (source === "demonstration") {
      const words = h("p", { class: "soft" });
      this._words = words;
      replace(this._place, this._demonstrations.length > 1 && h("div", { class: "field" }, h("label", { for: this._which.id }, "Series"), this._which), words);
      await this._demonstrate();
      return;
    }
    replace(this._place, this._drop(), this._mapping);
    if (this._table) this._map();
    else this._show(null);
  }

  async _demonstrate() {
    const { name, words } = this._demonstrations.find((each) => each.name === (this._which.value || this._demonstrations[0].name));
    text(this._words, words);
    try {
      const series = await demonstration(name, this._info);
      if (this._source === "demonstration") this._show(series);
    } catch (error) {
      this._tell(error.message);
      this._show(null);
    }
  }

  async _read(file) {
    this._tell("");
    this._table = null;
    replace(this._mapping);
    if (!file) return;
    try {
      if (file.size > MOST_BYTES) throw new FileError(`The file has ${integer(file.size / 1e6)} MB: expected at most ${MOST_BYTES / 1e6}`);
      this._table = readTable(await file.text());
      this._columns = guess(this._table, this._info);
      this._drawMapping();
      this._map();
    } catch (error) {
      this._tell(error.message);
      this._show(null);
    }
  }

  /** Reads the table by the columns that are chosen. */
  _map() {
    try {
      this._all = seriesOf(this._table, this._columns, this._info);
      this._tell("");
      this._show(this._all.find(({ id }) => id === this._chosen) ?? this._all[0]);
    } catch (error) {
      if (!(error instanceof FileError)) throw error;
      this._tell(error.message);
      this._show(null);
    }
  }

  _drawMapping() {
    const { features } = this._info;
    const { columns } = this._columns && this._table;
    const field = (id, words, value, none, set) => {
      const choice = h("select", { id, on: { change: () => { set(choice.value); this._map(); } } },
        h("option", { value: "" }, none), columns.map((column) => h("option", { value: column, selected: column === value }, column)));
      return h("div", { class: "field" }, h("label", { for: id }, words), choice);
    };
    replace(this._mapping,
      field("try-column-id", "Which series", this._columns.id, "one series", (name) => (this._columns.id = name)),
      field("try-column-time", "Time", this._columns.time, "none", (name) => (this._columns.time = name)),
      features.map(({ name, required }, index) => field(`try-column-${index}`, index ? name : `${name}, the target`, this._columns.features[index],
        index === 0 || required ? "choose" : "missing", (column) => (this._columns.features[index] = column))));
  }

  _show(series) {
    this._chosen = series?.id;
    replace(this._preview, series && [this._choice(), this._summary(series), previewTable(series, this._info)]);
    this._onChange(series);
  }

  _choice() {
    if (this._source !== "file" || this._all.length < 2) return null;
    const choice = h("select", { id: "try-series", on: { change: () => this._show(this._all.find(({ id }) => id === choice.value)) } },
      this._all.map(({ id }) => h("option", { value: id, selected: id === this._chosen }, id)));
    return h("div", { class: "field" }, h("label", { for: choice.id }, `One of ${integer(this._all.length)} series`), choice);
  }

  _summary({ rows, times_us }) {
    const num_missing = rows.filter(([target]) => !Number.isFinite(target)).length;
    const span = times_us ? `, ${time(times_us[0])} to ${time(times_us.at(-1))}` : ", without times";
    return h("p", { data: { summary: "" } }, `${integer(rows.length)} rows${span}${num_missing ? `; ${integer(num_missing)} without a target` : ""}.`);
  }

  _drop() {
    const place = h("div", { class: "drop" }, h("label", { for: this._file.id }, "CSV file"), this._file,
      h("p", { class: "soft", id: "try-file-help" }, "Columns unique_id, ds, y, or a column of values alone. Times without a zone are UTC. It is read in this browser; rows go to the server as they are streamed."));
    const over = (isOver) => (event) => {
      event.preventDefault();
      place.classList.toggle("over", isOver);
    };
    place.addEventListener("dragover", over(true));
    place.addEventListener("dragleave", over(false));
    place.addEventListener("drop", (event) => {
      over(false)(event);
      this._read(event.dataTransfer.files[0]);
    });
    return place;
  }

  _tell(words) {
    text(this._wrong, words);
  }
}

function previewTable({ rows, times_us }, { features }) {
  const shown = (value, { categories }) => (Number.isFinite(value) ? (categories[value] ?? number(value, 6)) : "missing");
  const body = rows.slice(0, NUM_SHOWN).map((row, at) => h("tr", {}, h("th", { scope: "row" }, times_us ? time(times_us[at]) : integer(at + 1)),
    row.map((value, index) => h("td", { class: "number" }, shown(value, features[index])))));
  return h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": "First rows" }, h("table", { class: "preview" },
    h("caption", { class: "visually-hidden" }, "The first rows"),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, times_us ? "Time" : "Row"), features.map(({ name }) => h("th", { scope: "col", class: "number" }, name)))), h("tbody", {}, body)));
}
