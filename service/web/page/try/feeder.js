/** Sends a series to a session of its own, at a pace. Each request says its position, so none counts twice. */

import { columns } from "../watch.js";

const TICK_MS = 100;
const MOST_ROWS = 200;
const BUSY_MS = 300;

export class Feeder {
  /**
   * @param {Object} api
   * @param {{info: Object, session: string, series: import("./series.js").Series, hasTimes: boolean, rows_per_s: number, onRow: function(Object)}} options
   *   `onRow` is told each row as `SeriesLog.add` takes it, once the server has it.
   */
  constructor(api, { info, session, series, hasTimes, rows_per_s, onRow }) {
    Object.assign(this, { _api: api, _info: info, _session: session, _series: series, _hasTimes: hasTimes, _onRow: onRow });
    this.rows_per_s = rows_per_s;
    this.isPaused = false;
    this.num_sent = 0;
    this._ended = new AbortController();
  }

  get num_rows() {
    return this._series.rows.length;
  }

  /** Ends what is under way; the session stays. */
  stop() {
    this._ended.abort();
  }

  /** Sends the first rows at once, of which only the last are told. */
  async catchUp(num, num_told) {
    const { signal } = this._ended;
    while (this.num_sent < num - num_told && !signal.aborted) await this._send(Math.min(MOST_ROWS, num - num_told - this.num_sent), "REPLY_NONE");
    while (this.num_sent < num && !signal.aborted) await this._send(Math.min(MOST_ROWS, num - this.num_sent), "REPLY_EACH");
  }

  /** Sends the rest at the pace that is set at each moment. Resolves when all is sent, or `stop` was called. */
  async run() {
    let due = 0;
    let before_ms = performance.now();
    while (this.num_sent < this.num_rows && !this._ended.signal.aborted) {
      const now_ms = performance.now();
      // A page that slept does not make up for it.
      if (!this.isPaused) due += (Math.min(now_ms - before_ms, 1000) / 1000) * this.rows_per_s;
      before_ms = now_ms;
      const num = Math.min(Math.floor(due), MOST_ROWS, this.num_rows - this.num_sent);
      if (num > 0) {
        due -= num;
        await this._send(num, "REPLY_EACH");
      }
      await this._pause(Math.max(TICK_MS, Math.min(1000, 1000 / this.rows_per_s)));
    }
  }

  async _send(num, reply) {
    const { signal } = this._ended;
    const first = this.num_sent;
    const request = {
      model: this._info.name, session_id: this._session, position: String(first), reply, rows: Array.from({ length: num }, (_, row) => this._row(first + row)),
      score_anomalies: this._info.scores && reply !== "REPLY_NONE",
    };
    for (;;) {
      try {
        const answer = await this._api.call("ForecastService/Forecast", request, { signal });
        this.num_sent = first + num;
        if (reply !== "REPLY_NONE") this._tell(first, num, answer);
        return;
      } catch (error) {
        if (signal.aborted) return;
        if (error.code !== "RESOURCE_EXHAUSTED") throw error;
        await this._pause(BUSY_MS);
      }
    }
  }

  _tell(first, num, { forecasts = [], anomaly_scores: scores = [] }) {
    const made = new Map(forecasts.map((forecast) => [Number(forecast.position), forecast]));
    for (let row = 0; row < num; row += 1) {
      const position = first + row + 1;
      this._onRow({
        position, values: this._series.rows[position - 1], time_us: this._hasTimes ? this._series.times_us[position - 1] : null,
        forecast: columns(made.get(position)), quantile: Number(scores[row]?.quantile_position ?? NaN), tail: Number(scores[row]?.tail_probability ?? NaN), num_skipped: 0,
      });
    }
  }

  /** Its values; then, of each feature that is known ahead, those at the steps to come. */
  _row(at) {
    const { features, horizon } = this._info;
    const { rows, times_us } = this._series;
    const ahead = features.flatMap(({ role }, index) =>
      (role === "ROLE_FUTURE" ? Array.from({ length: horizon }, (_, step) => rows[at + 1 + step]?.[index] ?? NaN) : []));
    const values = [...rows[at], ...ahead].map((value) => (Number.isFinite(value) ? value : "NaN"));
    return this._hasTimes ? { values, time_us: String(times_us[at]) } : { values };
  }

  _pause(ms) {
    return new Promise((resolve) => {
      const { signal } = this._ended;
      const go = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", go);
        resolve();
      };
      const timer = setTimeout(go, ms);
      signal.addEventListener("abort", go);
    });
  }
}
