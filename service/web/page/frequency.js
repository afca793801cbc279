/** Steps between rows, as pandas writes them: `h`, `15min`, `W-SAT`, `MS`. Times are seconds since 1970, UTC. */

const SECONDS = { ns: 1e-9, us: 1e-6, ms: 1e-3, s: 1, min: 60, h: 3600, d: 86_400, w: 604_800 };
const MONTHS = { MS: 1, ME: 1, M: 1, BMS: 1, BME: 1, QS: 3, QE: 3, Q: 3, YS: 12, YE: 12, Y: 12, A: 12, AS: 12 };
const WORDS = { h: "hourly", d: "daily", w: "weekly", min: "every minute", s: "every second", MS: "monthly", ME: "monthly", QS: "quarterly", QE: "quarterly", YS: "yearly", YE: "yearly" };

export class Frequency {
  constructor(text) {
    const [, count, unit] = /^(\d*)([A-Za-z]+)/.exec(text ?? "") ?? [null, "", ""];
    this.text = text ?? "";
    this._count = Number(count || 1);
    this._months = MONTHS[unit] ?? 0;
    this._unit = this._months ? unit : unit.toLowerCase();
    // Working days, and whatever else there is, are taken for days.
    this._seconds = SECONDS[this._unit] ?? 86_400;
  }

  /** The time so many steps after another. */
  after(time_s, steps) {
    const num = steps * this._count;
    if (!this._months) return time_s + num * this._seconds;
    const at = new Date(time_s * 1000);
    const isLast = new Date(at.getTime() + 86_400_000).getUTCMonth() !== at.getUTCMonth();
    const month = at.getUTCMonth() + num * this._months;
    const days = new Date(Date.UTC(at.getUTCFullYear(), month + 1, 0)).getUTCDate();
    const day = isLast ? days : Math.min(at.getUTCDate(), days);
    return (Date.UTC(at.getUTCFullYear(), month, day) + (at.getTime() % 86_400_000)) / 1000;
  }

  /** How many steps lie between two times, to the nearest. */
  between(from_s, to_s) {
    const days = (this._months * 30.44 * 86_400 || this._seconds) * this._count;
    return Math.round((to_s - from_s) / days);
  }

  /** As one would say it: `hourly`, `every 15 min`. */
  get words() {
    const word = WORDS[this._unit];
    return this._count === 1 && word ? word : `every ${this.text}`;
  }
}
