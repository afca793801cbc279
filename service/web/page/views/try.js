/** A file, or a series for whoever has none at hand, streamed through a model before one's eyes. */

import { emptyState, h, replace, text } from "../dom.js";
import { modelInfo } from "../model_info.js";
import { PACES, Run } from "../try/run.js";
import { SeriesForm } from "../try/series_form.js";

export const title = "Try it";

const USUAL_PACE = 10;
const MOST_AT_ONCE = 300;

export async function mount(root, app) {
  const models = await app.models();
  if (!models.length) {
    root.append(h("div", { class: "panel" }, emptyState({ title: "No model is served", text: "Series are streamed through a model: train one into the server's repository." })));
    return undefined;
  }
  const model = models.find(({ name }) => name === app.route.args[0]) ?? models[0];
  const view = new TryView(app, models, modelInfo(model));
  root.append(view.root);
  view.prepare();
  return () => view.leave();
}

class TryView {
  constructor(app, models, info) {
    Object.assign(this, { _app: app, _models: models, _info: info, _run: null, _isKept: false });
    this.root = h("div", {});
  }

  /** What is asked before anything is sent. */
  prepare() {
    this._series = null;
    const form = new SeriesForm(this._info, { onChange: (series) => this._choose(series) });
    replace(this.root, h("div", { class: "try" }, form.root, this._settings()));
    form.start();
  }

  /** Whoever leaves takes the session along, unless it was to be kept. */
  async leave() {
    const run = this._run;
    this._run = null;
    run?.leave();
    // One that never began, or that ended meanwhile, is gone as well.
    if (run && !this._isKept) await run.remove().catch(() => {});
  }

  _settings() {
    const model = h("select", { id: "try-model", on: { change: () => this._app.go("try", model.value) } },
      this._models.map(({ name }) => h("option", { value: name, selected: name === this._info.name }, name)));
    this._pace = h("select", { id: "try-pace" }, PACES.map((pace) => h("option", { value: pace, selected: pace === USUAL_PACE }, `${pace} rows a second`)));
    this._atOnce = h("input", { type: "number", id: "try-at-once", min: 0, step: 1, value: 0, "aria-describedby": "try-at-once-help" });
    this._times = h("input", { type: "checkbox", id: "try-times" });
    this._notice = h("p", { class: "notice", hidden: true });
    this._start = h("button", { type: "submit", class: "primary", disabled: true }, "Start");
    const submit = (event) => {
      event.preventDefault();
      this._begin();
    };
    return h("form", { class: "panel stack", on: { submit }, data: { panel: "settings" } }, h("header", {}, h("h2", {}, "Stream")),
      h("div", { class: "field" }, h("label", { for: model.id }, "Model"), model),
      h("div", { class: "field" }, h("label", { for: this._pace.id }, "Pace"), this._pace),
      h("div", { class: "field" }, h("label", { for: this._atOnce.id }, "Rows sent at once, to begin with"), this._atOnce,
        h("p", { class: "soft", id: "try-at-once-help" }, "So that the model has seen some of the series before you look.")),
      h("label", { class: "check" }, this._times, "Send the rows' times"), this._notice, this._start,
      h("p", { class: "soft" }, "Rows go to a new session, which is deleted when you leave this view unless you keep it."));
  }

  _choose(series) {
    this._series = series;
    this._start.disabled = !series;
    if (!series) return;
    this._atOnce.max = series.rows.length;
    this._atOnce.value = Math.min(MOST_AT_ONCE, Math.floor(series.rows.length / 2));
    const fits = this._fits(series);
    this._times.disabled = !series.times_us;
    this._times.checked = fits;
    this._notice.hidden = fits || !series.times_us;
    text(this._notice, `The model's rows come ${this._info.frequency.words}; most of these do not. They are sent without their times, one step each, unless you say otherwise: then steps between them are taken as missing.`);
  }

  /** Whether most rows are one step of the model apart. */
  _fits({ times_us }) {
    if (!times_us) return false;
    const num = times_us.slice(1).filter((time_us, index) => this._info.frequency.between(times_us[index] / 1e6, time_us / 1e6) === 1).length;
    return num * 2 >= times_us.length - 1;
  }

  _begin() {
    const run = new Run(this._app, {
      info: this._info, series: this._series, hasTimes: this._times.checked, rows_per_s: Number(this._pace.value),
      num_at_once: Math.min(Number(this._atOnce.value) || 0, this._series.rows.length), onDone: () => this._done(run),
    });
    this._run = run;
    this._isKept = false;
    this._after = h("div", { class: "toolbar", hidden: true });
    replace(this.root, this._after, run.root);
    run.start();
  }

  /** All was sent, or it was stopped: what becomes of the session. */
  _done(run) {
    if (this._run !== run) return;
    const remove = h("button", { type: "button", class: "danger", on: { click: () => this._remove(run) } }, "Delete the session");
    const keep = h("button", { type: "button", on: { click: () => this._keep(run) } }, "Keep it, and look at it live");
    replace(this._after, h("p", {}, `The session ${run.session} is deleted when you leave.`), remove, keep);
    this._after.hidden = false;
    remove.focus();
  }

  async _remove(run) {
    try {
      await run.remove();
      this._app.notify(`${run.session}: deleted`);
    } catch (error) {
      if (error.code !== "NOT_FOUND") {
        this._app.notify(error.message, "error");
        return;
      }
    }
    this._run = null;
    run.leave();
    this.prepare();
  }

  _keep(run) {
    this._isKept = true;
    this._app.go("live", this._info.name, run.session);
  }
}
