/** The figures beside a stream: the last row, the next one, and how forecasts did since the page was opened. */

import { h, text } from "./dom.js";
import { CoverageFigure, Figure, LabelBars, sinceWords } from "./figures.js";
import { integer, number, percent, time } from "./format.js";
import { intervals, middle } from "./model_info.js";
import { ANOMALY, anomalies } from "./series_log.js";

/** How many intervals' coverage is shown, from the widest on. */
const MAX_COVERAGES = 3;

export class LivePanel {
  constructor(info, log) {
    this._info = info;
    this._log = log;
    this._lastRow = new Figure(`Last row: ${info.features[0]?.name ?? "target"}`, { id: "last" });
    this._rows = new Figure("Rows seen", { id: "rows" });
    this._since = h("p", { class: "more soft", data: { since: "" } });
    this._parts = info.labels.length ? this._labelParts() : this._fanParts();
    const scores = info.scores ? [(this._anomalies = new Figure("Anomalies", { id: "anomalies" })).root] : [];
    this.root = h("aside", { class: "figures", "aria-label": "Figures" },
      this._lastRow.root, ...this._parts.map((part) => part.root), ...scores, this._rows.root, this._since);
  }

  show() {
    const { _info: info, _log: log } = this;
    const { last } = log;
    const value = last ? (info.features[0]?.categories[last.value] ?? number(last.value)) : "–";
    this._lastRow.show(last && !Number.isFinite(last.value) ? "missing" : value, "", last ? place(last) : "none seen yet");
    const stands = last ?? log.asItStands;
    for (const part of this._parts) part.update(stands);
    this._rows.show(integer(log.num_seen), "", [
      log.num_missing && `${integer(log.num_missing)} missing`, log.num_thinned && `${integer(log.num_thinned)} more not shown`,
    ].filter(Boolean).join(", ") || "none missing");
    if (this._anomalies) {
      const found = anomalies(log.rows, ANOMALY);
      const num_rows = found.reduce((sum, { rows }) => sum + rows.length, 0);
      this._anomalies.show(integer(found.length), "", `${num_rows ? `${integer(num_rows)} ${num_rows === 1 ? "row" : "rows"} ` : ""}of tail probability at most ${ANOMALY}; now ${number(last?.tail, 2)}`);
    }
    text(this._since, `Figures count ${sinceWords(log.since_ms)}.`);
  }

  _fanParts() {
    const { _info: info, _log: log } = this;
    const [wide] = intervals(info.levels);
    const next = new Figure("Next step: median", { id: "next" });
    next.update = (stands) => {
      const f = stands?.forecast;
      next.show(f ? number(f[middle(info.levels)]) : "–", "", f && wide ? `${percent(wide.share, 0)} interval ${number(f[wide.low])} to ${number(f[wide.high])}` : "");
    };
    const coverage = new CoverageFigure(intervals(info.levels).slice(0, MAX_COVERAGES));
    coverage.update = () => coverage.judge(log.score);
    const error = new Figure("Mean absolute error, one step ahead", { id: "error" });
    error.update = () => {
      const { score } = log;
      const relative = Number.isFinite(score.relative_error) ? `${number(score.relative_error, 2)} × that of repeating the last value` : "";
      error.show(number(score.mean_error, 3), "", relative);
    };
    return intervals(info.levels).length ? [next, coverage, error] : [next, error];
  }

  _labelParts() {
    const { _info: info, _log: log } = this;
    const bars = new LabelBars(info.labels, info.predicts === "ahead" ? "Next step" : "This row");
    bars.update = (stands) => bars.show(stands?.forecast?.subarray(0, info.labels.length));
    if (!log.score.isKnown) return [bars];
    const right = new Figure("Likeliest label came", { id: "accuracy" });
    right.update = () => right.show(percent(log.score.accuracy), "", `of ${integer(log.score.num)} rows`);
    const loss = new Figure("Log loss", { id: "log-loss" });
    loss.update = () => loss.show(number(log.score.log_loss, 3), "nats", `${number(Math.log(info.labels.length), 3)} is chance`);
    return [bars, right, loss];
  }
}

function place(row) {
  return row.time_us === null ? `row ${integer(row.position)}` : time(row.time_us);
}

