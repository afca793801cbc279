/** The rows of one session as they were seen, and how its forecasts did against them. Knows nothing of drawing. */

import { intervals, middle } from "./model_info.js";

const CAPACITY = 3000;
/** Rows whose arrival gives the rate. */
const RATE_MS = 5000;

/**
 * A row as it was seen.
 *
 * @typedef {Object} SeenRow
 * @property {number} position rows that the session had consumed after it.
 * @property {number|null} time_us
 * @property {number} x its place on the axis: seconds since 1970 where rows have times, else the position.
 * @property {number} value the target; NaN where missing.
 * @property {Float64Array|null} forecast made after it, steps by columns.
 * @property {number} tail the tail probability of its anomaly score; NaN without one.
 * @property {number} gap steps missing before it.
 * @property {boolean} isUnseen rows before it were not seen: the page was not connected.
 */

export class SeriesLog {
  /** @param {Object} info of `modelInfo`. */
  constructor(info) {
    this.info = info;
    this.since_ms = Date.now();
    this.clear();
  }

  /** Forgets everything, as when a session begins anew. */
  clear() {
    this.rows = [];
    this.num_seen = 0;
    this.num_thinned = 0;
    this.num_missing = 0;
    this.hasTimes = null;
    this.score = this.info.labels.length ? new LabelScore(this.info) : new FanScore(this.info);
    this.asItStands = null;
    this._arrivals = [];
  }

  get last() {
    return this.rows.at(-1) ?? null;
  }

  /** Takes a row in; returns it. `row` is what `watchRows` tells. */
  add(row, now_ms = performance.now()) {
    const before = this.last;
    if (before && row.position <= before.position) this.clear();
    const hasTimes = row.time_us !== null;
    if (this.hasTimes !== null && hasTimes !== this.hasTimes) this.rows = [];
    this.hasTimes = hasTimes;
    const seen = { ...row, x: hasTimes ? row.time_us / 1e6 : row.position, value: row.values[0] ?? NaN, gap: 0, isUnseen: false };
    if (this.last) this._follow(seen, this.last);
    if (!Number.isFinite(seen.value)) this.num_missing += 1;
    this.num_missing += seen.gap;
    this.num_seen += 1;
    this.num_thinned += row.num_skipped;
    this._arrive(now_ms, row.num_skipped);
    this.rows.push(seen);
    if (this.rows.length > CAPACITY * 1.2) this.rows.splice(0, this.rows.length - CAPACITY);
    this.asItStands = null;
    return seen;
  }

  /** Rows a second of late: shown, and of the session. */
  rates(now_ms = performance.now()) {
    this._arrivals = this._arrivals.filter(({ at_ms }) => now_ms - at_ms < RATE_MS);
    if (this._arrivals.length < 2) return { shown: 0, all: 0 };
    const span_s = Math.max(now_ms - this._arrivals[0].at_ms, 500) / 1000;
    const skipped = this._arrivals.reduce((sum, { skipped }) => sum + skipped, 0);
    return { shown: this._arrivals.length / span_s, all: (this._arrivals.length + skipped) / span_s };
  }

  /** The place of the k-th step after a row. */
  ahead(row, k) {
    return this.hasTimes ? this.info.frequency.after(row.x, k) : row.x + k;
  }

  _follow(seen, before) {
    const steps = this.hasTimes ? this.info.frequency.between(before.x, seen.x) : seen.position - before.position + seen.num_missing_steps;
    seen.isUnseen = seen.position - before.position > 1 + seen.num_skipped;
    // Where rows in between were taken and not shown, what is missing among them is not known.
    if (!seen.isUnseen && !seen.num_skipped) seen.gap = seen.num_missing_steps;
    if (!seen.isUnseen) this.score.judge(before, seen, Math.max(1, steps));
  }

  _arrive(at_ms, skipped) {
    this._arrivals.push({ at_ms, skipped });
    if (this._arrivals.length > 2000) this._arrivals.splice(0, 1000);
  }
}

/** The tail probability at which a row is part of an anomaly; docs/calibration.md says why. */
export const ANOMALY = 1e-4;
/** Rows that are told apart as one anomaly: the score is of about so many rows, and dips in between. */
const RUN = 10;

/**
 * Runs of rows whose tail probability is as low, one for each thing that happened.
 *
 * @returns {{rows: SeenRow[], peak: SeenRow}[]} `peak`: the row that lies farthest out in what was expected.
 */
export function anomalies(rows, threshold) {
  const runs = [];
  for (const row of rows) {
    if (!(row.tail <= threshold)) continue;
    const run = runs.at(-1);
    if (run && row.position - run.rows.at(-1).position <= RUN) run.rows.push(row);
    else runs.push({ rows: [row] });
  }
  for (const run of runs) run.peak = run.rows.reduce((one, other) => (farOut(other) > farOut(one) ? other : one));
  return runs;
}

function farOut({ quantile }) {
  return Number.isFinite(quantile) ? Math.abs(quantile - 0.5) : -1;
}

/** How quantiles did: each row against the forecast that was made after the row before it. */
export class FanScore {
  constructor({ levels, horizon }) {
    this.intervals = intervals(levels).map((interval) => ({ ...interval, num_inside: 0 }));
    this._levels = levels.length;
    this._middle = middle(levels);
    this._horizon = horizon;
    this.num = 0;
    this.longest_lead = 1;
    this._error = 0;
    this._naive = 0;
    this._num_naive = 0;
    this._modelled = 0;
  }

  /** Compares `seen` with what was expected `lead` steps after `before`. */
  judge(before, seen, lead) {
    if (!before.forecast || !Number.isFinite(seen.value) || lead > this._horizon) return;
    const at = (lead - 1) * this._levels;
    const expected = before.forecast[at + this._middle];
    if (!Number.isFinite(expected)) return;
    this.num += 1;
    this.longest_lead = Math.max(this.longest_lead, lead);
    const error = Math.abs(seen.value - expected);
    this._error += error;
    for (const interval of this.intervals) {
      const isInside = seen.value >= before.forecast[at + interval.low] && seen.value <= before.forecast[at + interval.high];
      if (isInside) interval.num_inside += 1;
    }
    if (Number.isFinite(before.value)) {
      this._num_naive += 1;
      this._naive += Math.abs(seen.value - before.value);
      this._modelled += error;
    }
  }

  /** Mean absolute error of the median, in the unit of the target. */
  get mean_error() {
    return this.num ? this._error / this.num : NaN;
  }

  /** The error over that of repeating the last value, on the same rows. */
  get relative_error() {
    return this._num_naive && this._naive > 0 ? this._modelled / this._naive : NaN;
  }
}

/** How probabilities did, where a row tells which label came. */
export class LabelScore {
  constructor({ labels, features, predicts, horizon }) {
    const known = features[0]?.categories ?? [];
    /** Whether a row's first value is the label that was forecast. */
    this.isKnown = predicts === "ahead" && known.length === labels.length && known.every((name, index) => name === labels[index]);
    this._num_labels = labels.length;
    this._horizon = horizon;
    this.num = 0;
    this.num_right = 0;
    this._loss = 0;
  }

  /** As `FanScore.judge`. */
  judge(before, seen, lead) {
    if (!this.isKnown || !before.forecast || !Number.isInteger(seen.value) || lead > this._horizon) return;
    const columns = before.forecast.slice((lead - 1) * this._num_labels, lead * this._num_labels);
    const chance = columns[seen.value];
    if (!Number.isFinite(chance)) return;
    this.num += 1;
    if (columns.every((other) => other <= chance)) this.num_right += 1;
    this._loss -= Math.log(Math.max(chance, 1e-9));
  }

  /** The share of rows whose likeliest label came. */
  get accuracy() {
    return this.num ? this.num_right / this.num : NaN;
  }

  /** Mean of minus the logarithm of what the label that came had been given, in nats. */
  get log_loss() {
    return this.num ? this._loss / this.num : NaN;
  }
}
