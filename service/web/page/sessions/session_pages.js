/** A model's sessions, page by page. However many there are, only some pages of them are held. */

export const PAGE_SIZE = 200;
const MAX_PAGES = 10;

/** @typedef {Object} Session as `ListSessions` tells it, in JSON. */

export class SessionPages {
  /** @param {Object} api @param {{model: string, prefix: string, signal: AbortSignal}} options */
  constructor(api, { model, prefix, signal }) {
    this._api = api;
    this._request = { model, prefix, page_size: PAGE_SIZE };
    this._signal = signal;
    /** The token of each page that is known, and how many sessions the ones before it had. */
    this._tokens = [""];
    this._starts = [0];
    this._first = 0;
    /** @type {Session[][]} */
    this._pages = [];
    /** Whether a page is being asked for; no other is meanwhile. */
    this.isAsking = false;
  }

  /** @returns {Session[]} those that are held, as the server lists them. */
  get sessions() {
    return this._pages.flat();
  }

  /** How many sessions come before the first that is held. */
  get num_before() {
    return this._starts[this._first];
  }

  /** Whether sessions follow the last that is held. */
  get hasAfter() {
    return this._first + this._pages.length < this._tokens.length;
  }

  /** Asks for the page after the last that is held; the first of many is let go. Resolves to how many were let go. */
  after() {
    return this._once(async () => {
      if (!this.hasAfter) return 0;
      const number = this._first + this._pages.length;
      this._pages.push(await this._page(number));
      if (this._pages.length <= MAX_PAGES) return 0;
      this._first += 1;
      return this._pages.shift().length;
    });
  }

  /** Asks for the page before the first that is held; the last of many is let go. Resolves to how many came. */
  before() {
    return this._once(async () => {
      if (this._first === 0) return 0;
      const page = await this._page(this._first - 1);
      this._first -= 1;
      this._pages.unshift(page);
      if (this._pages.length > MAX_PAGES) this._pages.pop();
      return page.length;
    });
  }

  /** Puts a session as it stands now in the place of the one of its id; without one it is taken out. */
  change(session_id, session) {
    for (const page of this._pages) {
      const at = page.findIndex((each) => each.session_id === session_id);
      if (at >= 0) page.splice(at, 1, ...(session ? [session] : []));
    }
  }

  async _once(act) {
    if (this.isAsking) return 0;
    this.isAsking = true;
    try {
      return await act();
    } finally {
      this.isAsking = false;
    }
  }

  async _page(number) {
    const request = { ...this._request, page_token: this._tokens[number] };
    const { sessions = [], next_page_token } = await this._api.call("SessionService/ListSessions", request, { signal: this._signal });
    if (next_page_token && number + 1 === this._tokens.length) {
      this._tokens.push(next_page_token);
      this._starts.push(this._starts[number] + sessions.length);
    }
    return sessions;
  }
}
