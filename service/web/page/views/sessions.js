/** The sessions of a model, as many as there are: looked for, looked at, moved and ended. */

import { emptyState, errorState, h, loadingState, replace, text } from "../dom.js";
import { integer } from "../format.js";
import { importSession, showSession } from "../sessions/session_actions.js";
import { SessionPages } from "../sessions/session_pages.js";
import { SessionTable } from "../sessions/session_table.js";

export const title = "Sessions";

const TYPED_MS = 200;

export async function mount(root, app) {
  const [models, { tenant, role, operates }] = await Promise.all([app.models(), app.api.caller()]);
  if (!models.length) {
    root.append(h("div", { class: "panel" }, emptyState({ title: "No model is served", text: "Sessions belong to models." })));
    return undefined;
  }
  const [name = models[0].name, prefix = ""] = app.route.args;
  // Counts are the server's: where there are tenants, a list is of one's own and the count is not.
  const view = new SessionsView(app, models, { name, prefix, isOperator: operates, isCounted: role === "operate" && !tenant });
  root.append(view.root);
  view.search();
  return () => view.stop();
}

class SessionsView {
  constructor(app, models, { name, prefix, isOperator, isCounted }) {
    Object.assign(this, { _app: app, _models: models, _isOperator: isOperator, _isCounted: isCounted });
    /** How many sessions the model has, once the server has said so. */
    this._total = null;
    this._model = h("select", { id: "sessions-model", on: { change: () => app.go("sessions", this._model.value) } },
      models.map((model) => h("option", { value: model.name, selected: model.name === name }, model.name)));
    this._prefix = h("input", {
      id: "sessions-prefix", type: "search", value: prefix, size: 28, autocomplete: "off", spellcheck: "false", placeholder: "any", on: { input: () => this._typed() },
    });
    this._table = new SessionTable({
      caption: `Sessions of ${this._model.value}`,
      hrefOf: ({ model, session_id }) => `#live/${encodeURIComponent(model)}/${encodeURIComponent(session_id)}`,
      onOpen: (session) => this._open(session),
      onSort: () => this._show(),
      onEnd: (end) => this._reach(end),
    });
    this._status = h("p", { class: "soft", role: "status", data: { status: "" } });
    this._more = h("button", { type: "button", on: { click: () => this._after() } }, "Load more");
    this._first = h("button", { type: "button", hidden: true, on: { click: () => this.search() } }, "Back to the first");
    this._place = h("div", {}, loadingState("Looking for sessions"));
    this._foot = h("div", { class: "table-foot", hidden: true }, this._status, h("span", { class: "actions" }, this._first, this._more));
    this.root = h("div", {}, this._toolbar(), h("div", { class: "panel flush" }, this._place, this._foot));
  }

  stop() {
    clearTimeout(this._timer);
    this._ended?.abort();
    this._table.destroy();
  }

  /** Begins anew, with the first page. */
  async search() {
    this._ended?.abort();
    const ended = (this._ended = new AbortController());
    this._pages = new SessionPages(this._app.api, { model: this._model.value, prefix: this._prefix.value, signal: ended.signal });
    this._failed = null;
    this._count(ended.signal);
    await this._ask(() => this._pages.after());
    if (ended.signal.aborted) return;
    this._table.toTop();
    if (this._failed) this._fail();
    else if (!this._pages.sessions.length) this._tellNone();
    else if (!this._table.root.isConnected) replace(this._place, this._table.root);
    this._show();
  }

  /** Asks how many there are; the list does not wait for it, and does without it. */
  async _count(signal) {
    if (!this._isCounted) return;
    try {
      const { models } = await this._app.api.health({ signal });
      const { memory, store } = models.find(({ name }) => name === this._model.value).sessions;
      this._total = memory + store;
    } catch {
      this._total = null;
    }
    if (!signal.aborted && this._pages.sessions.length) this._show();
  }

  _typed() {
    clearTimeout(this._timer);
    this._timer = setTimeout(() => {
      this._app.keep(...[this._model.value, this._prefix.value].filter(Boolean));
      this.search();
    }, TYPED_MS);
  }

  /** The table has come to where it ends: 1 at its last row, -1 at its first. */
  _reach(end) {
    if (this._failed || this._pages.isAsking) return;
    if (end > 0 && this._pages.hasAfter) this._after();
    else if (end < 0 && this._pages.num_before) this._ask(() => this._pages.before()).then((num) => this._show(num));
  }

  async _after() {
    this._failed = null;
    const num = await this._ask(() => this._pages.after());
    this._show(-num);
  }

  async _ask(act) {
    const { signal } = this._ended;
    try {
      return await act();
    } catch (error) {
      if (!signal.aborted) this._failed = error;
      return 0;
    }
  }

  _show(moved = 0) {
    const { sessions, num_before, hasAfter } = this._pages;
    this._foot.hidden = !sessions.length;
    this._more.hidden = !hasAfter;
    this._first.hidden = !num_before;
    text(this._status, this._failed ? `More could not be loaded: ${this._failed.message}` : this._words(sessions.length, num_before, hasAfter));
    this._table.show(sessions, { num_before, isWhole: !hasAfter, moved });
  }

  _words(num, num_before, hasAfter) {
    const isWhole = !num_before && !hasAfter;
    const inAll = this._total > num && !this._prefix.value ? `; there are ${integer(this._total)}` : "";
    const loaded = isWhole ? `${integer(num)} ${num === 1 ? "session" : "sessions"}` : `Sessions ${integer(num_before + 1)} to ${integer(num_before + num)} are loaded${hasAfter ? ", more follow" : ", which are the last"}${inAll}`;
    return this._table.isListed || isWhole ? loaded : `${loaded}. Sorted are these alone: the server lists by id.`;
  }

  _fail() {
    const again = h("button", { type: "button", on: { click: () => this.search() } }, "Try again");
    replace(this._place, errorState({ title: "Sessions could not be listed", error: this._failed, action: again }));
  }

  _tellNone() {
    const [model, prefix] = [this._model.value, this._prefix.value];
    replace(this._place, prefix
      ? emptyState({ title: `No session of ${model} begins with “${prefix}”`, text: "Ids are compared letter by letter, capitals too." })
      : emptyState({
        title: `${model} has no sessions`, text: "A session begins with its first row.",
        action: h("a", { class: "button primary", href: `#try/${encodeURIComponent(model)}` }, "Try it"),
      }));
  }

  _open(session) {
    showSession(this._app, session, {
      mayOperate: this._isOperator,
      onChange: (id, changed) => {
        this._pages.change(id, changed);
        if (this._pages.sessions.length) this._show();
        else this.search();
      },
    });
  }

  _toolbar() {
    const reload = h("button", { type: "button", on: { click: () => this.search() } }, "Reload");
    const bring = h("button", { type: "button", on: { click: () => importSession(this._app, this._model.value, () => this.search()) } }, "Import");
    return h("div", { class: "toolbar", role: "search" },
      h("div", { class: "field" }, h("label", { for: this._model.id }, "Model"), this._model),
      h("div", { class: "field wide" }, h("label", { for: this._prefix.id }, "Id begins with"), this._prefix),
      h("span", { class: "actions push" }, reload, this._isOperator && bring));
  }
}
