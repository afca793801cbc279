/** A series on its way through a model, drawn as the live view draws it. */

import { errorState, h, replace, text } from "../dom.js";
import { FanChart } from "../fan_chart.js";
import { integer } from "../format.js";
import { LabelChart } from "../label_chart.js";
import { legend } from "../legend.js";
import { LivePanel } from "../live_panel.js";
import { readout } from "../readout.js";
import { SeriesLog } from "../series_log.js";
import { Feeder } from "./feeder.js";

export const PACES = [2, 10, 50];
const FIGURES_MS = 200;
/** Of the rows that are sent at once, so many are drawn. */
const NUM_TOLD = 100;

export class Run {
  /** @param {{info: Object, series: Object, hasTimes: boolean, rows_per_s: number, num_at_once: number, onDone: function()}} options */
  constructor(app, { info, series, hasTimes, rows_per_s, num_at_once, onDone }) {
    Object.assign(this, { _app: app, _info: info, _num_at_once: num_at_once, _onDone: onDone });
    // The server lets every caller end sessions whose ids are of this form: see session_rights.py.
    this.session = `try-${crypto.getRandomValues(new Uint32Array(1))[0].toString(16).padStart(8, "0")}`;
    this._log = new SeriesLog(info);
    this._feeder = new Feeder(app.api, { info, session: this.session, series, hasTimes, rows_per_s, onRow: (row) => this._row(row) });
    this._place = h("div", { class: "chart", data: { chart: "try" } });
    this._progress = h("progress", { max: this._feeder.num_rows, value: 0, "aria-label": "Rows sent" });
    this._status = h("span", { class: "chip", data: { status: "" } }, "Starting");
    this._words = h("p", { class: "soft", data: { sent: "" } });
    this._panel = new LivePanel(info, this._log);
    this._readout = readout(info, this._log);
    const Chart = info.labels.length ? LabelChart : FanChart;
    this._chart = new Chart(this._place, this._log, { label: `${this.session}: what came and what is expected. The arrow keys read single rows.` });
    this._chart.onPoint = (point) => this._readout.show(point);
    this._chart.plot.onDrawn = () => Object.assign(this._place.dataset, { rows: this._log.rows.length });
    this._controls = this._makeControls();
    this.root = this._layout();
  }

  async start() {
    this._timer = setInterval(() => this._figures(), FIGURES_MS);
    this._chart.start().catch((error) => replace(this._place, errorState({ title: "Charts cannot be drawn", error })));
    try {
      const num = this._num_at_once;
      await this._feeder.catchUp(num, Math.min(num, NUM_TOLD));
      this._say("Streaming", "good");
      await this._feeder.run();
      this._end(this._feeder.num_sent < this._feeder.num_rows ? ["Stopped", ""] : ["All rows are sent", "good"]);
    } catch (error) {
      this._app.notify(error.message, "error");
      this._end([error.code === "UNAVAILABLE" ? "Disconnected" : "The server refused a row", "bad"]);
    }
  }

  /** Ends what is under way; the session stays as it is, until `remove`. */
  leave() {
    this._feeder.stop();
    clearInterval(this._timer);
    this._chart.destroy();
  }

  /** Deletes the session, also while the page is being left. */
  remove() {
    return this._app.api.call("SessionService/DeleteSession", { model: this._info.name, session_id: this.session }, { keepalive: true });
  }

  _row(row) {
    this._log.add(row);
    this._chart.request();
  }

  _figures() {
    this._panel.show();
    this._progress.value = this._feeder.num_sent;
    text(this._words, `${integer(this._feeder.num_sent)} of ${integer(this._feeder.num_rows)} rows sent`);
  }

  _say(words, kind) {
    this._status.className = `chip ${kind}`;
    text(this._status, words);
  }

  _end([words, kind]) {
    this._say(words, kind);
    this._figures();
    clearInterval(this._timer);
    this._controls.hidden = true;
    this._onDone();
  }

  _makeControls() {
    const paces = PACES.map((pace) => h("button", {
      type: "button", "aria-pressed": String(pace === this._feeder.rows_per_s),
      on: { click: (event) => {
        this._feeder.rows_per_s = pace;
        for (const each of event.currentTarget.parentElement.children) each.setAttribute("aria-pressed", String(each === event.currentTarget));
      } },
    }, `${pace}`));
    const pause = h("button", { type: "button", "aria-pressed": "false", on: { click: () => {
      this._feeder.isPaused = !this._feeder.isPaused;
      pause.setAttribute("aria-pressed", String(this._feeder.isPaused));
      text(pause, this._feeder.isPaused ? "Go on" : "Pause");
      this._say(this._feeder.isPaused ? "Paused" : "Streaming", this._feeder.isPaused ? "warn" : "good");
    } } }, "Pause");
    return h("div", { class: "toolbar flat" },
      h("div", { class: "field", role: "group", "aria-label": "Rows a second" }, h("span", { class: "label" }, "Rows a second"), h("div", { class: "choice" }, paces)),
      pause, h("button", { type: "button", on: { click: () => this._feeder.stop() } }, "Stop"));
  }

  _layout() {
    return h("div", { class: "live" },
      h("section", { class: "panel chart-panel", "aria-label": "Chart" },
        h("div", { class: "chart-title" }, h("h2", { class: "mono", data: { session: "" } }, this.session),
          h("span", { class: "soft" }, `${this._info.name} version ${this._info.version}`), h("span", { class: "chips" }, this._status)),
        this._controls, this._progress, this._words, this._place, this._readout.root, legend(this._info)),
      this._panel.root);
  }
}
