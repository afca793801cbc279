/** A copy of a session as it stands, of which "what if" is asked. The original is read once, when it is copied. */

import { asItStands, columns } from "./watch.js";

const MAX_ID_BYTES = 256;

export class Fork {
  /** Copies the session. Rejects with `ApiError`. */
  static async open(api, info, session) {
    const fork = new Fork(api, info, session);
    await fork._copy(session, fork._base);
    try {
      fork.standing = await asItStands(api, info, fork._base);
    } catch (error) {
      await fork.close();
      throw error;
    }
    return fork;
  }

  constructor(api, info, session) {
    const suffix = `~what-if-${crypto.getRandomValues(new Uint32Array(1))[0].toString(16).padStart(8, "0")}`;
    this._api = api;
    this._info = info;
    this._base = `${shortened(session, MAX_ID_BYTES - suffix.length - 2)}${suffix}`;
    this._tried = `${this._base}.1`;
    /** Those of our copies that are on the server. */
    this._copies = new Set();
    this._last = Promise.resolve();
    this._isClosed = false;
    /** As `asItStands` tells of the original when it was copied. */
    this.standing = null;
  }

  /**
   * The forecast if these rows came next. Calls follow one another; each has a copy of the copy.
   *
   * @param {{values: number[], time_us: number|null}[]} rows at least one.
   * @returns {Promise<Float64Array|null>} null where the fork was closed meanwhile.
   */
  evaluate(rows) {
    const asked = this._last.then(() => (this._isClosed ? null : this._evaluate(rows)));
    this._last = asked.catch(() => {});
    return asked;
  }

  /** Ends our copies, also while the page is being left. */
  async close() {
    this._isClosed = true;
    await this._last;
    await Promise.all([...this._copies].map((id) => this._end(id).catch(() => {})));
  }

  async _evaluate(rows) {
    if (this._copies.has(this._tried)) await this._end(this._tried);
    await this._copy(this._base, this._tried);
    try {
      const answer = await this._api.call("ForecastService/Forecast", {
        model: this._info.name, session_id: this._tried, rows: rows.map(inJson), position: String(this.standing.position), reply: "REPLY_LAST",
      });
      return columns(answer.forecasts?.[0]);
    } finally {
      await this._end(this._tried);
    }
  }

  async _copy(from, to) {
    const request = { model: this._info.name, session_id: from, new_session_id: to };
    await this._api.call("SessionService/ForkSession", request, { keepalive: true });
    this._copies.add(to);
  }

  async _end(id) {
    this._copies.delete(id);
    await this._api.call("SessionService/DeleteSession", { model: this._info.name, session_id: id }, { keepalive: true });
  }
}

function inJson({ values, time_us }) {
  const row = { values: values.map((value) => (Number.isFinite(value) ? value : "NaN")) };
  return time_us === null ? row : { ...row, time_us: String(time_us) };
}

/** Whole characters of an id, as many as fit. */
function shortened(id, max_bytes) {
  const characters = [...id];
  const encoder = new TextEncoder();
  while (encoder.encode(characters.join("")).length > max_bytes) characters.pop();
  return characters.join("");
}
