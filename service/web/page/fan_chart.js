/** The chart of a regression's stream: the line that came, the fan that is expected, ghosts of what was expected. */

import { Chart } from "./chart.js";
import { drawFan, extent } from "./fan.js";
import { drawAnomalies, drawSpans } from "./marks.js";
import { ANOMALY, anomalies } from "./series_log.js";

const MAX_GHOSTS = 12;

export class FanChart extends Chart {
  /** @param {import("./series_log.js").SeriesLog} log drawn as it is whenever `request` was called. */
  constructor(root, log, { label }) {
    super(root, { label });
    this.log = log;
    this.num_rows = 100;
    this._rows = [];
  }

  /** See `Plot`. */
  frame() {
    const { log } = this;
    const stands = log.last ?? log.asItStands;
    if (!stands) return null;
    this._rows = log.rows.slice(-this.num_rows);
    this._fan = fanOf(log, stands);
    this._ghosts = this._pickGhosts();
    this._anomalies = anomalies(this._rows, ANOMALY);
    const { x, line, points } = lineOf(this._rows);
    this._fan?.x.forEach((place, step) => {
      points.push({ step });
      x.push(place);
      line.push(null);
    });
    this._points = points;
    const steps = Math.max(12, Math.round(log.info.horizon / 2));
    const first = Math.min(this._rows[0]?.x ?? stands.x, log.ahead(stands, -steps));
    const [low, high] = this._extent(line);
    return { x, line, from: first, to: this._fan?.x.at(-1) ?? stands.x, low, high, isTime: log.hasTimes ?? stands.isTime ?? false };
  }

  /** See `Plot`. */
  under(plot, colours) {
    drawSpans(plot, this._spans(), colours.missing);
    for (const ghost of this._ghosts) drawFan(plot, ghost, { colour: colours.ghost, depth: 0.1, isGhost: true });
    if (this._fan) drawFan(plot, this._fan, { colour: colours.fan });
  }

  /** See `Plot`. */
  over(plot, colours) {
    drawAnomalies(plot, this._anomalies, colours);
  }

  /** How many of each thing were drawn last. */
  get shown() {
    const odd = this._anomalies.reduce((sum, { rows }) => sum + rows.length, 0);
    return {
      rows: this._rows.length, spans: this._spans().length, ghosts: this._ghosts.length, steps: this._fan?.x.length ?? 0,
      anomalies: this._anomalies.length, odd,
    };
  }

  /** See `Plot`: the row or the step under the cursor, or none. */
  onCursor(index) {
    const point = index === null ? null : this._points?.[index];
    this.onPoint(point?.row ? { row: point.row } : point ? { step: point.step, fan: this._fan } : null);
  }

  _spans() {
    const spans = [];
    this._rows.forEach((row, index) => {
      const before = this._rows[index - 1];
      if (before && (row.gap || row.isUnseen)) spans.push([this.log.ahead(before, 0.5), this.log.ahead(row, -0.5)]);
      if (!Number.isFinite(row.value)) spans.push([this.log.ahead(row, -0.5), this.log.ahead(row, 0.5)]);
    });
    return spans;
  }

  /** Forecasts of rows that lie as far apart as makes some of them, always of the same rows while they move. */
  _pickGhosts() {
    const { horizon } = this.log.info;
    const apart = Math.max(1, Math.ceil(horizon / 2), Math.ceil(this._rows.length / MAX_GHOSTS));
    const every = apart <= 2 ? apart : niceAbove(apart);
    const picked = [];
    let mark = null;
    for (const row of this._rows.slice(0, -1)) {
      const number = Math.floor(row.position / every);
      const ghost = mark !== null && number !== mark ? fanOf(this.log, row) : null;
      if (ghost) picked.push(until(ghost, this._rows.at(-1).x));
      mark = number;
    }
    return picked;
  }

  _extent(line) {
    let [low, high] = this._fan ? extent(this._fan) : [Infinity, -Infinity];
    for (const value of line) {
      if (value === null) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
    return Number.isFinite(low) && Number.isFinite(high) ? [low, high] : [0, 1];
  }
}

/** A line through rows, which breaks where one is missing or was not seen; `points` has the row at each place. */
export function lineOf(rows) {
  const [x, line, points] = [[], [], []];
  for (const row of rows) {
    if (x.length && (row.gap || row.isUnseen)) {
      points.push(null);
      line.push(null);
      x.push((x.at(-1) + row.x) / 2);
    }
    points.push({ row });
    x.push(row.x);
    line.push(Number.isFinite(row.value) ? row.value : null);
  }
  return { x, line, points };
}

/** The fan of a row's forecast; null where it has none. */
export function fanOf(log, row) {
  if (!row.forecast || !Number.isFinite(row.forecast[0])) return null;
  const x = Array.from({ length: row.forecast.length / log.info.levels.length }, (_, step) => log.ahead(row, step + 1));
  const from = Number.isFinite(row.value) ? { x: row.x, y: row.value } : null;
  return { x, values: row.forecast, levels: log.info.levels, from };
}

/** The steps of a fan that have passed. */
function until(fan, last) {
  const x = fan.x.filter((place) => place <= last);
  return { ...fan, x, values: fan.values.subarray(0, x.length * fan.levels.length) };
}

function niceAbove(least) {
  return [3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64, 96, 128, 192, 256].find((nice) => nice >= least) ?? least;
}
