/** Numbers by model, and calls that failed. */

import { h, replace } from "../dom.js";
import { integer, number } from "../format.js";

/** Statuses that end a call as it was meant to. */
const FINE = new Set(["OK", "CANCELLED"]);

export class ModelTable {
  constructor() {
    this._body = h("tbody", {});
    const titles = ["Model", "Version", "Rows/s", "Rows", "Refused", "Late", "Waiting", "In memory", "In the store", "To be saved"];
    this.root = panel("By model", "models", h("table", {}, h("caption", { class: "visually-hidden" }, "Numbers of each model"),
      h("thead", {}, h("tr", {}, titles.map((title, at) => h("th", { scope: "col", class: at ? "number" : "" }, title)))), this._body));
  }

  show(history) {
    replace(this._body, history.latest.models.map((each) => {
      const of = (snapshot) => snapshot.models.find(({ name }) => name === each.name)?.rows_applied ?? 0;
      const cells = [
        integer(each.model_version), number(history.rate(of), 3), integer(each.rows_applied), integer(each.rows_refused), integer(each.rows_late),
        integer(each.rows_waiting), integer(each.sessions.memory), integer(each.sessions.store), integer(each.journal_rows),
      ];
      return h("tr", { data: { model: each.name } }, h("th", { scope: "row" }, h("a", { href: `#models/${encodeURIComponent(each.name)}` }, each.name)),
        cells.map((cell) => h("td", { class: "number" }, cell)));
    }));
  }
}

export class ErrorTable {
  constructor() {
    this._place = h("div", {});
    this.root = panel("Calls that failed", "errors", this._place);
  }

  show(history) {
    const failed = failures(history.latest).sort((one, other) => other.count - one.count);
    if (!failed.length) {
      replace(this._place, h("p", { class: "soft" }, "None since the server was started."));
      return;
    }
    const row = ({ method, status, count }) => {
      const of = (snapshot) => snapshot.requests.find((each) => each.method === method)?.ended[status] ?? 0;
      return h("tr", { data: { status } }, h("th", { scope: "row" }, h("span", { class: "chip bad" }, status)), h("td", {}, method),
        h("td", { class: "number" }, integer(history.growth(of))), h("td", { class: "number" }, integer(count)));
    };
    const titles = ["Status", "Call", "Last minute", "Since the start"];
    replace(this._place, h("table", {}, h("caption", { class: "visually-hidden" }, "Calls that failed, by status"),
      h("thead", {}, h("tr", {}, titles.map((title, at) => h("th", { scope: "col", class: at > 1 ? "number" : "" }, title)))), h("tbody", {}, failed.map(row))));
  }
}

/** How many calls failed. */
export function numFailed(snapshot) {
  return failures(snapshot).reduce((sum, { count }) => sum + count, 0);
}

function failures({ requests }) {
  return requests.flatMap(({ method, ended }) =>
    Object.entries(ended).filter(([status]) => !FINE.has(status)).map(([status, count]) => ({ method, status, count })));
}

function panel(title, id, content) {
  return h("section", { class: "panel", data: { panel: id } }, h("header", {}, h("h2", {}, title)),
    h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": title }, content));
}
