/** What the server counted, each second of the last minutes: what it says now, and how fast it grows. Knows nothing of drawing. */

const KEPT_S = 130;
const RATE_S = 5;
export const RECENT_S = 60;

/**
 * @typedef {Object} Counted values by size.
 * @property {number[]} bounds ascending; a value belongs to the first that is not below it.
 * @property {number[]} counts one more than bounds: the last are above them all.
 * @property {number} sum of the values.
 */

export class History {
  constructor() {
    this._kept = [];
  }

  get latest() {
    return this._kept.at(-1) ?? null;
  }

  /** Takes in a snapshot as the server gives it. What has fallen was counted by another process: it all begins anew. */
  add(snapshot) {
    const { latest } = this;
    if (latest && (snapshot.at_s <= latest.at_s || snapshot.uptime_s < latest.uptime_s)) this._kept = [];
    this._kept.push(snapshot);
    while (this._kept[0].at_s < snapshot.at_s - KEPT_S) this._kept.shift();
  }

  /** How much what `read` finds in a snapshot has grown a second of late; NaN before it is known. */
  rate(read, span_s = RATE_S) {
    const before = this._before(span_s);
    if (!before) return NaN;
    return Math.max(0, read(this.latest) - read(before)) / (this.latest.at_s - before.at_s);
  }

  /** By how much it has grown in the last minute, or since the page was opened. */
  growth(read) {
    const before = this._before(RECENT_S) ?? this.latest;
    return Math.max(0, read(this.latest) - read(before));
  }

  /** Rates from snapshot to snapshot: {at_s, value}. */
  series(read) {
    return this._kept.slice(1).map((snapshot, index) => {
      const before = this._kept[index];
      return { at_s: snapshot.at_s, value: Math.max(0, read(snapshot) - read(before)) / (snapshot.at_s - before.at_s) };
    });
  }

  /** What `read` finds, counted in the last minute alone. @returns {Counted} */
  recent(read) {
    const before = this._before(RECENT_S) ?? this.latest;
    return minus(read(this.latest), read(before));
  }

  /** The newest that is at least so old, else the oldest; null where there is one alone. */
  _before(span_s) {
    if (this._kept.length < 2) return null;
    const { at_s } = this.latest;
    return this._kept.findLast((snapshot) => at_s - snapshot.at_s >= span_s - 0.2) ?? this._kept[0];
  }
}

/** Several counted together. @param {Counted[]} all */
export function together(all) {
  const [first] = all;
  if (!first) return { bounds: [], counts: [0], sum: 0 };
  return {
    bounds: first.bounds, counts: first.counts.map((_, at) => all.reduce((sum, each) => sum + each.counts[at], 0)),
    sum: all.reduce((sum, each) => sum + each.sum, 0),
  };
}

/** How many values were counted. */
export function numOf({ counts }) {
  return counts.reduce((sum, count) => sum + count, 0);
}

/** The least bound that a share of the values are not above; Infinity where they are above the last, NaN without any. */
export function quantile(counted, share) {
  const wanted = numOf(counted) * share;
  if (!wanted) return NaN;
  let passed = 0;
  const at = counted.counts.findIndex((count) => (passed += count) >= wanted);
  return counted.bounds[at] ?? Infinity;
}

function minus(now, before) {
  // A model that came meanwhile was not counted before.
  if (now.counts.length !== before.counts.length) return now;
  return { bounds: now.bounds, counts: now.counts.map((count, at) => Math.max(0, count - before.counts[at])), sum: Math.max(0, now.sum - before.sum) };
}
