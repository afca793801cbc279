/** A session as its rows arrive: what came, what is expected, what was expected, and how good that was. */

import { emptyState, errorState, h, loadingState, replace, text } from "../dom.js";
import { FanChart } from "../fan_chart.js";
import { integer } from "../format.js";
import { LabelChart } from "../label_chart.js";
import { legend } from "../legend.js";
import { LivePanel } from "../live_panel.js";
import { modelInfo } from "../model_info.js";
import { Pacer } from "../pacer.js";
import { readout } from "../readout.js";
import { SeriesLog } from "../series_log.js";
import { sessionFields, sessionList } from "../sessions_picker.js";
import { asItStands, watchRows } from "../watch.js";

export const title = "Live";

const WINDOWS = [100, 300, 1000];
const FIGURES_MS = 200;
const ENDED = { SESSION_EVENT_RESET: "was reset", SESSION_EVENT_DELETED: "was deleted", SESSION_EVENT_EXPIRED: "expired" };
/** What was seen of each session while the page is open: a view that is left and entered again goes on. */
const logs = new Map();
/** The levels of sessions that are on another version than new ones begin with. */
const levelsOf = new Map();

/** The rows of a session that were seen so far. */
export function logOf(info, session) {
  const key = keyOf(info, session);
  if (logs.get(key)?.info.levels.join() !== info.levels.join()) logs.set(key, new SeriesLog(info));
  return logs.get(key);
}

/** What is known of the model, at the levels of the version that a session is on. */
export function infoOf(model, session) {
  const info = modelInfo(model);
  const levels = levelsOf.get(keyOf(info, session));
  return levels ? { ...info, levels, numColumns: levels.length } : info;
}

function keyOf(info, session) {
  return JSON.stringify([info.name, session]);
}

export async function mount(root, app) {
  const models = await app.models();
  const [name, session] = app.route.args;
  if (!models.length) {
    root.append(noModels());
    return undefined;
  }
  const model = models.find((each) => each.name === name) ?? models[0];
  const toolbar = h("div", { class: "toolbar" }, sessionFields(app, {
    models, model: model.name, session: session ?? "", onChoose: (chosen, id) => (id ? app.go("live", chosen, id) : app.go("live", chosen)),
  }));
  root.append(toolbar);
  if (name && model.name !== name) {
    root.append(h("div", { class: "panel" }, errorState({ title: `No model ${name} is served`, text: "Choose one above." })));
    return undefined;
  }
  if (!session) return choose(root, app, model.name);
  const live = new LiveView(app, infoOf(model, session), session);
  toolbar.append(...live.controls);
  root.append(live.root);
  live.start();
  return () => live.stop();
}

async function choose(root, app, model) {
  const panel = root.appendChild(h("div", { class: "panel" }, loadingState("Looking for sessions")));
  const list = await sessionList(app, model);
  const command = `statecast stream --server ADDRESS --model ${model} --data FILE.csv`;
  replace(panel, list
    ? h("div", { class: "state" }, h("h2", {}, "Choose a session to watch"), h("p", {}, "Those that a row came to last:"), list)
    : emptyState({
      title: "No sessions yet", text: `A session begins with its first row. Send some to ${model}, or let the page stream a file:`,
      action: h("div", { class: "stack centred" }, h("pre", { tabindex: "0" }, h("code", {}, command)), h("p", {}, h("a", { class: "button primary", href: "#try" }, "Try it"))),
    }));
  return undefined;
}

function noModels() {
  return h("div", { class: "panel" }, emptyState({
    title: "No model is served", text: "Train one into the server's repository; it is found there by itself.",
    action: h("pre", { tabindex: "0" }, h("code", {}, "statecast train --data FILE.csv --freq h --horizon 24 --output REPOSITORY/NAME")),
  }));
}

class LiveView {
  constructor(app, info, session) {
    this._app = app;
    this._info = info;
    this._session = session;
    this._log = logOf(info, session);
    this._ended = new AbortController();
    this._isPaused = false;
    this._pacer = new Pacer((row, at_ms) => this._row(row, at_ms));
    this._place = h("div", { class: "chart", data: { chart: "live" } });
    this._note = h("p", { class: "chart-note" });
    this._status = h("span", { class: "chip", data: { status: "" } }, "Connecting");
    this._thinned = h("span", { class: "chip warn", data: { thinned: "" }, hidden: true });
    this._readout = readout(info, this._log);
    this._panel = new LivePanel(info, this._log);
    const Chart = info.labels.length ? LabelChart : FanChart;
    this._chart = new Chart(this._place, this._log, {
      label: `${session}: ${info.labels.length ? "probabilities of labels" : "observations and forecast"}. The arrow keys read single rows.`,
    });
    this._chart.onPoint = (point) => this._readout.show(point);
    this._chart.plot.onDrawn = () => this._drawn();
    this.controls = this._controls();
    this.root = this._layout();
  }

  async start() {
    try {
      await this._chart.start();
      this._place.append(this._note);
    } catch (error) {
      replace(this._place.parentElement, errorState({ title: "Charts cannot be drawn", error }));
      return;
    }
    this._timer = setInterval(() => this._figures(), FIGURES_MS);
    this._figures();
    const watching = this._watch();
    await this._stand();
    await watching;
  }

  stop() {
    this._ended.abort();
    clearInterval(this._timer);
    this._pacer.stop();
    this._chart.destroy();
  }

  async _watch() {
    const { signal } = this._ended;
    try {
      await watchRows(this._app.api, {
        model: this._info.name, session: this._session, signal,
        onOpen: () => this._say("Waiting for rows", "good"),
        onRow: (row) => this._pacer.put(row),
        onEnding: (event) => this._ending(event),
        onVersion: (version, levels) => this._version(version, levels),
      });
      if (!signal.aborted) this._say("The server ended the stream", "bad");
    } catch (error) {
      if (!signal.aborted) this._say(error.code === "UNAVAILABLE" ? "Disconnected" : error.message, "bad");
    }
  }

  /** The forecast as it stands, until a row brings another. */
  async _stand() {
    try {
      const standing = await asItStands(this._app.api, this._info, this._session, { signal: this._ended.signal });
      if (this._log.last) return;
      const isTime = standing.time_us !== null;
      this._log.hasTimes = isTime;
      this._log.asItStands = { ...standing, x: isTime ? standing.time_us / 1e6 : standing.position, value: NaN, isTime };
      this._chart.request();
    } catch (error) {
      if (error.name === "AbortError" || error.code === "UNAVAILABLE") return;
      if (error.code !== "NOT_FOUND") this._app.notify(error.message, "error");
      text(this._note, error.code === "NOT_FOUND" ? "There is no such session yet. It begins with its first row." : "");
    }
  }

  _row(row, at_ms) {
    this._log.add(row, at_ms);
    if (!this._isPaused) this._chart.request();
  }

  _ending(event) {
    this._pacer.flush();
    this._log.clear();
    this._app.notify(`${this._session} ${ENDED[event]}; its next row is its first.`);
    this._chart.request();
  }

  /** The session's version may forecast at other levels than the one that is served: the view begins anew with them. */
  _version(version, levels) {
    this._pacer.flush();
    const isOurs = levels.length === this._info.levels.length && levels.every((level, at) => level === this._info.levels[at]);
    if (isOurs || this._info.labels.length) return;
    levelsOf.set(keyOf(this._info, this._session), levels);
    this._app.notify(`${this._session} is on version ${version} of the model.`);
    this._app.again();
  }

  _drawn() {
    const { last } = this._log;
    if (last) text(this._note, "");
    // For tests: what the canvas shows now, and since when.
    Object.assign(this._place.dataset, {
      ...this._chart.shown, position: last?.position ?? this._log.asItStands?.position ?? 0, drawnAtMs: Date.now(),
    });
  }

  _figures() {
    this._panel.show();
    const { shown, all } = this._log.rates();
    if (shown) this._say(`Live · ${all < 10 ? all.toFixed(1) : integer(all)} rows/s`, "good");
    else if (this._status.textContent.startsWith("Live")) this._say("Waiting for rows", "good");
    const isThinned = all > shown * 1.02 && shown > 0;
    this._thinned.hidden = !isThinned;
    if (isThinned) text(this._thinned, `Thinned: ${integer(shown)} of ${integer(all)} rows/s are shown`);
    if (!this._log.last && !this._note.textContent) text(this._note, "Waiting for the next row");
  }

  _say(words, kind) {
    this._status.className = `chip ${kind}`;
    text(this._status, words);
  }

  _controls() {
    const windows = WINDOWS.map((num) => h("button", {
      type: "button", "aria-pressed": String(num === this._chart.num_rows),
      on: { click: (event) => this._window(num, event.currentTarget) },
    }, integer(num)));
    const pause = h("button", { type: "button", "aria-pressed": "false", on: { click: () => this._pause(pause) } }, "Pause");
    return [
      h("div", { class: "field", role: "group", "aria-label": "Rows shown" }, h("span", { class: "label" }, "Rows shown"), h("div", { class: "choice" }, windows)),
      pause,
      this._info.labels.length ? null
        : h("a", { class: "button push", href: `#whatif/${encodeURIComponent(this._info.name)}/${encodeURIComponent(this._session)}` }, "What if"),
    ].filter(Boolean);
  }

  _window(num, button) {
    this._chart.num_rows = num;
    for (const each of button.parentElement.children) each.setAttribute("aria-pressed", String(each === button));
    this._chart.request();
  }

  _pause(button) {
    this._isPaused = !this._isPaused;
    button.setAttribute("aria-pressed", String(this._isPaused));
    text(button, this._isPaused ? "Go on" : "Pause");
    if (!this._isPaused) this._chart.request();
  }

  _layout() {
    const { name, version, frequency, horizon, calibrated } = this._info;
    const facts = [`${name} version ${version}`, frequency.words, `${integer(horizon)} ${horizon === 1 ? "step" : "steps"} ahead`, calibrated && "calibrated"];
    return h("div", { class: "live" },
      h("section", { class: "panel chart-panel", "aria-label": "Chart" },
        h("div", { class: "chart-title" }, h("h2", {}, this._session), h("span", { class: "soft" }, facts.filter(Boolean).join(" · ")),
          h("span", { class: "chips" }, this._thinned, this._status)),
        this._place, this._readout.root, legend(this._info, { hasCome: this._log.score.isKnown ?? false })),
      this._panel.root);
  }
}
