/** How the server does: what it counts, once a second while somebody looks. */

import { emptyState, errorState, h, loadingState, replace, text } from "../dom.js";
import { Figure } from "../figures.js";
import { bytes, duration, integer, number } from "../format.js";
import { History, RECENT_S, together } from "../health/history.js";
import { HistogramPanel } from "../health/histogram_panel.js";
import { RateChart } from "../health/rate_chart.js";
import { ErrorTable, ModelTable, numFailed } from "../health/tables.js";

export const title = "Health";

const ASKED_MS = 1000;
const POINT = "Point at the chart, or use its arrow keys, to read a second.";
const HISTOGRAMS = [
  ["batch_rows", "Rows of a batch", { words: "rows that one run of the model took", unit: (value) => integer(value) }],
  ["queue_seconds", "Queue", { words: "how long the first rows of a batch waited", unit: duration }],
  ["step_seconds", "Step", { words: "how long a batch ran", unit: duration }],
  ["store_seconds", "Store", { words: "how long a durable store took over a batch", unit: duration }],
];

export async function mount(root, app) {
  const { role } = await app.api.caller();
  if (role !== "operate") {
    root.append(h("div", { class: "panel" }, emptyState({
      title: "The server's health is told to operators", text: "These numbers are of all tenants together. Sign in with a token of the role operate.",
    })));
    return undefined;
  }
  const view = new HealthView(app);
  root.append(view.root);
  view.start();
  return () => view.stop();
}

class HealthView {
  constructor(app) {
    this._app = app;
    this._ended = new AbortController();
    this._history = new History();
    this._isRecent = true;
    this._shownOnce = false;
    this._figures = Object.fromEntries([
      ["rows", "Rows a second"], ["calls", "Calls a second"], ["errors", "Calls that failed"], ["sessions", "Sessions in memory"],
      ["waiting", "Rows that wait"], ["lag", "Store lag: rows not in saved states"], ["memory", "Memory"], ["uptime", "Up for"],
    ].map(([id, heading]) => [id, new Figure(heading, { id })]));
    this._histograms = HISTOGRAMS.map(([field, heading, options]) => [field, new HistogramPanel(heading, { id: field, ...options })]);
    this._models = new ModelTable();
    this._errors = new ErrorTable();
    this._point = h("p", { class: "readout", role: "status" }, POINT);
    this._place = h("div", { class: "chart short" });
    this._chart = new RateChart(this._place);
    this._chart.onPoint = (words) => text(this._point, words || POINT);
    this._content = this._layout();
    this.root = h("div", {}, loadingState("Asking the server"));
    this._seen = () => this._ask();
  }

  start() {
    document.addEventListener("visibilitychange", this._seen);
    this._ask();
  }

  stop() {
    this._ended.abort();
    clearTimeout(this._timer);
    document.removeEventListener("visibilitychange", this._seen);
    this._chart.destroy();
  }

  /** Asks, and a second later again, unless nobody can see it. */
  async _ask() {
    clearTimeout(this._timer);
    const { signal } = this._ended;
    if (document.visibilityState === "hidden" || signal.aborted || this._isAsking) return;
    this._isAsking = true;
    try {
      this._history.add(await this._app.api.health({ signal }));
      this._show();
    } catch (error) {
      if (signal.aborted) return;
      if (!this._shownOnce || error.code !== "UNAVAILABLE") {
        this._fail(error);
        return;
      }
    } finally {
      this._isAsking = false;
    }
    this._timer = setTimeout(() => this._ask(), ASKED_MS);
  }

  _fail(error) {
    const again = h("button", { type: "button", on: { click: () => this._ask() } }, "Try again");
    this._shownOnce = false;
    replace(this.root, h("div", { class: "panel" }, errorState({ title: "The server's health could not be asked", error, action: again })));
  }

  _show() {
    if (!this._shownOnce) {
      this._shownOnce = true;
      replace(this.root, this._content);
      this._started ??= this._chart.start().catch((error) => replace(this._place, errorState({ title: "Charts cannot be drawn", error })));
    }
    const { _history: history, _figures: figures } = this;
    const { latest } = history;
    const sum = (read) => latest.models.reduce((all, each) => all + read(each), 0);
    const applied = (snapshot) => snapshot.models.reduce((all, { rows_applied }) => all + rows_applied, 0);
    const calls = (snapshot) => snapshot.requests.reduce((all, { ended }) => all + sumOf(ended), 0);
    figures.rows.show(number(history.rate(applied), 3), "rows/s", `${integer(applied(latest))} since the start`);
    figures.calls.show(number(history.rate(calls), 3), "calls/s", `${integer(calls(latest))} ended; ${integer(latest.requests.reduce((all, { open }) => all + open, 0))} under way`);
    figures.errors.show(integer(history.growth(numFailed)), "", `in the last minute; ${integer(numFailed(latest))} since the start`);
    figures.sessions.show(integer(sum(({ sessions }) => sessions.memory)), "", `and ${integer(sum(({ sessions }) => sessions.store))} in the store alone`);
    figures.waiting.show(integer(sum(({ rows_waiting }) => rows_waiting)), "", `for a batch; ${integer(sum(({ rows_refused }) => rows_refused))} were refused since the start`);
    figures.lag.show(integer(sum(({ journal_rows }) => journal_rows)), "", "in the journal; a restart steps them again");
    figures.memory.show(...bytes(latest.memory_bytes).split(" "), "of the process, resident");
    figures.uptime.show(...duration(latest.uptime_s).split(" "), Object.entries(latest.versions).map(([name, version]) => `${name} ${version}`).join(", "));
    this._chart.show(history.series(applied));
    this._models.show(history);
    this._errors.show(history);
    this._showHistograms();
  }

  _showHistograms() {
    for (const [field, panel] of this._histograms) {
      const read = (snapshot) => together(snapshot.models.map((each) => each[field]));
      panel.show(this._isRecent ? this._history.recent(read) : read(this._history.latest));
    }
  }

  _layout() {
    const spans = [[true, `Last ${RECENT_S} s`], [false, "Since the start"]].map(([isRecent, words]) => h("button", {
      type: "button", "aria-pressed": String(isRecent === this._isRecent),
      on: { click: (event) => this._span(isRecent, event.currentTarget) },
    }, words));
    return h("div", { class: "stack" },
      h("div", { class: "score-figures health-figures" }, Object.values(this._figures).map(({ root }) => root)),
      h("section", { class: "panel chart-panel" }, h("div", { class: "chart-title" }, h("h2", {}, "Rows a second")), this._place, this._point),
      h("div", { class: "toolbar flat" }, h("h2", {}, "Batches"), h("div", { class: "choice", role: "group", "aria-label": "Batches of" }, spans)),
      h("div", { class: "split wide" }, this._histograms.map(([, { root }]) => root)),
      this._models.root, this._errors.root);
  }

  _span(isRecent, button) {
    this._isRecent = isRecent;
    for (const each of button.parentElement.children) each.setAttribute("aria-pressed", String(each === button));
    this._showHistograms();
  }
}

function sumOf(numbers) {
  return Object.values(numbers).reduce((sum, each) => sum + each, 0);
}
