/** A table of which only the rows in sight are in the document. */

import { h, replace } from "../dom.js";
import { age, integer, time } from "../format.js";

/** As the style sheet has it: every row is as high as this. */
const ROW_PX = 38;
const MARGIN_ROWS = 12;
const AGES_MS = 5000;

const PLACES = { SESSION_PLACE_MEMORY: ["Memory", "good"], SESSION_PLACE_STORE: ["Store", ""] };

/** @type {Object[]} `value` is what is compared; none where the server's own order is that. */
const COLUMNS = [
  { name: "id", title: "Session" },
  { name: "position", title: "Rows", kind: "number", value: (session) => Number(session.position) },
  { name: "time", title: "Time of the last row", kind: "not-narrow", value: (session) => Number(session.last_time_us ?? -Infinity) },
  { name: "used", title: "Last used", value: (session) => Number(session.used_at_us) },
  { name: "place", title: "Place", kind: "not-phone", value: (session) => session.place },
  { name: "version", title: "Version", kind: "number not-phone", value: (session) => Number(session.model_version) },
];

export class SessionTable {
  /**
   * @param {{caption: string, hrefOf: function(Object): string, onOpen: function(Object), onSort: function(), onEnd: function(number)}} options
   *   `onEnd` is told that the rows come to their end, 1, or to their beginning, -1.
   */
  constructor({ caption, hrefOf, onOpen, onSort, onEnd }) {
    Object.assign(this, { _hrefOf: hrefOf, _onOpen: onOpen, _onSort: onSort, _onEnd: onEnd });
    this.sort = { name: "id", isDescending: false };
    this._sessions = [];
    this._drawn = new Map();
    this._headings = COLUMNS.map((column) => this._heading(column));
    [this._above, this._below] = [1, 2].map(() => h("tr", { class: "spacer", "aria-hidden": "true" }));
    this._body = h("tbody", {}, this._above, this._below);
    this._table = h("table", { class: "sessions" }, h("caption", { class: "visually-hidden" }, caption),
      h("thead", {}, h("tr", {}, this._headings, h("th", { scope: "col" }, h("span", { class: "visually-hidden" }, "Details")))), this._body);
    this.root = h("div", { class: "table-window", role: "region", "aria-label": caption, tabindex: "0", on: { scroll: () => this._draw() } }, this._table);
    this._timer = setInterval(() => this._age(), AGES_MS);
    this._sizes = new ResizeObserver(() => this._draw());
    this._sizes.observe(this.root);
    this._mark();
  }

  destroy() {
    clearInterval(this._timer);
    this._sizes.disconnect();
  }

  /** Whether rows stand as the server lists them. */
  get isListed() {
    return this.sort.name === "id" && !this.sort.isDescending;
  }

  /**
   * @param {Object[]} sessions as the server lists them.
   * @param {number} num_before how many there are before the first.
   * @param {boolean} isWhole whether none follow the last.
   * @param {number} moved by how many rows what is in sight has moved down.
   */
  show(sessions, { num_before, isWhole, moved = 0 }) {
    this._num_before = num_before;
    this._sessions = this._sorted(sessions);
    this._table.setAttribute("aria-rowcount", isWhole ? num_before + sessions.length + 1 : -1);
    if (moved && this.isListed) {
      this._stretch(0, sessions.length);
      this.root.scrollTop += moved * ROW_PX;
    }
    this._draw();
  }

  /** Back to the first row. */
  toTop() {
    this.root.scrollTop = 0;
  }

  _sorted(sessions) {
    const { name, isDescending } = this.sort;
    const { value } = COLUMNS.find((column) => column.name === name);
    const sorted = [...sessions];
    if (value) sorted.sort((one, other) => (value(one) < value(other) ? -1 : value(one) > value(other) ? 1 : 0));
    return isDescending ? sorted.reverse() : sorted;
  }

  _draw() {
    const { scrollTop, clientHeight } = this.root;
    const num = this._sessions.length;
    const from = Math.max(0, Math.floor(scrollTop / ROW_PX) - MARGIN_ROWS);
    const to = Math.min(num, Math.ceil((scrollTop + clientHeight) / ROW_PX) + MARGIN_ROWS);
    const wanted = this._sessions.slice(from, to);
    const stay = new Set(wanted);
    for (const [session, row] of this._drawn) {
      if (stay.has(session)) continue;
      row.remove();
      this._drawn.delete(session);
    }
    // Rows that are there stay where they are: the one that has the focus keeps it.
    let last = this._above;
    wanted.forEach((session, index) => {
      const row = this._drawn.get(session) ?? this._row(session);
      row.setAttribute("aria-rowindex", this._num_before + from + index + 2);
      if (last.nextSibling !== row) last.after(row);
      last = row;
    });
    this._stretch(from, num - to);
    if (this.isListed && num) {
      if (to === num) this._onEnd(1);
      if (from === 0) this._onEnd(-1);
    }
  }

  _stretch(above, below) {
    this._above.style.height = `${above * ROW_PX}px`;
    this._below.style.height = `${Math.max(0, below) * ROW_PX}px`;
  }

  _row(session) {
    const { session_id } = session;
    const [place, kind] = PLACES[session.place] ?? ["Not known", ""];
    const open = h("button", { type: "button", class: "quiet", "aria-label": `Details of ${session_id}`, on: { click: () => this._onOpen(session) } }, "⋯");
    const row = h("tr", { data: { session: session_id } },
      h("th", { scope: "row" }, h("a", { class: "mono", href: this._hrefOf(session), title: session_id }, session_id)),
      h("td", { class: "number" }, integer(session.position)),
      h("td", { class: "not-narrow" }, time(session.last_time_us)),
      h("td", { data: { age: session.used_at_us }, title: time(session.used_at_us) }, age(session.used_at_us)),
      h("td", { class: "not-phone" }, h("span", { class: `chip ${kind}` }, place)),
      h("td", { class: "number not-phone" }, integer(session.model_version)),
      h("td", {}, open));
    this._drawn.set(session, row);
    return row;
  }

  _age() {
    for (const cell of this._body.querySelectorAll("[data-age]")) cell.textContent = age(cell.dataset.age);
  }

  _heading({ name, title, kind = "" }) {
    const sign = h("span", { "aria-hidden": "true", class: "sort-sign" });
    const button = h("button", { type: "button", class: "quiet", on: { click: () => this._sortBy(name) } }, title, sign);
    return h("th", { scope: "col", class: kind, data: { column: name } }, button);
  }

  _sortBy(name) {
    const isSame = this.sort.name === name;
    // What is told of a session is looked for where it is most; ids are read from their beginning.
    this.sort = { name, isDescending: isSame ? !this.sort.isDescending : name !== "id" };
    this._mark();
    this._onSort();
    this.toTop();
  }

  _mark() {
    for (const heading of this._headings) {
      const isIt = heading.dataset.column === this.sort.name;
      if (isIt) heading.setAttribute("aria-sort", this.sort.isDescending ? "descending" : "ascending");
      else heading.removeAttribute("aria-sort");
      replace(heading.querySelector(".sort-sign"), isIt ? (this.sort.isDescending ? "▼" : "▲") : "");
    }
  }
}
