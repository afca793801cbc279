/** What would be expected if the next observations were these: asked of a copy, which is ended on leaving. */

import { errorState, h, loadingState, replace, text } from "../dom.js";
import { Figure } from "../figures.js";
import { Fork } from "../fork.js";
import { integer, number, shortTime } from "../format.js";
import { legend } from "../legend.js";
import { middle } from "../model_info.js";
import { ScenarioChart } from "../scenario_chart.js";
import { StepTable } from "../step_table.js";
import { infoOf, logOf } from "./live.js";

export const title = "What if";

const TYPED_MS = 120;

export async function mount(root, app) {
  const [name, session] = app.route.args;
  const model = (await app.models()).find((each) => each.name === name);
  const back = h("a", { class: "button", href: name && session ? `#live/${encodeURIComponent(name)}/${encodeURIComponent(session)}` : "#live" }, "Back to live");
  if (!model || !session) return fail(root, "No session was chosen", undefined, back);
  const info = infoOf(model, session);
  if (info.labels.length) return fail(root, `${name} gives probabilities of labels`, undefined, back);
  const loading = root.appendChild(h("div", { class: "panel" }, loadingState("Copying the session")));
  let fork;
  try {
    fork = await Fork.open(app.api, info, session);
  } catch (error) {
    loading.remove();
    return fail(root, "The session could not be copied", error, back);
  }
  loading.remove();
  const view = new WhatIf(app, info, session, fork);
  root.append(view.root);
  await view.start();
  return () => view.stop();
}

function fail(root, words, error, action) {
  root.append(h("div", { class: "panel" }, errorState({ title: words, error, text: error ? undefined : "Choose one in the live view.", action })));
  return undefined;
}

class WhatIf {
  constructor(app, info, session, fork) {
    this._app = app;
    this._info = info;
    this._fork = fork;
    const { standing } = fork;
    const log = logOf(info, session);
    const isTime = standing.time_us !== null;
    log.hasTimes ??= isTime;
    this._stands = { ...standing, x: isTime ? standing.time_us / 1e6 : standing.position, value: NaN };
    this._scenario = { log, stands: this._stands, values: [], supposed: null };
    this._table = new StepTable(info, {
      others: log.last?.values ?? null, placeOf: (step) => this._placeOf(step), onChange: () => this._changed(),
    });
    this._place = h("div", { class: "chart whatif", data: { chart: "whatif" } });
    this._chart = new ScenarioChart(this._place, this._scenario, {
      label: `${session}: the original's forecast and that of the copy. The table beside it takes the same values.`,
      onSuppose: (step, value) => this._suppose(step, value),
    });
    this._chart.plot.onDrawn = () => (this._place.dataset.steps = this._scenario.values.length);
    this._next = new Figure("Median of the step after, what if", { id: "next-effect" });
    this._effect = new Figure("Median of the last step, what if", { id: "effect" });
    this._status = h("p", { class: "readout", role: "status" });
    this.root = this._layout(session);
  }

  async start() {
    try {
      await this._chart.start();
    } catch (error) {
      replace(this._place.parentElement, errorState({ title: "Charts cannot be drawn", error }));
    }
    this._startOver();
  }

  /** Ends the copies; the original was never anything but read. */
  stop() {
    clearTimeout(this._timer);
    this._chart.destroy();
    this._fork.close();
  }

  _startOver() {
    const { levels } = this._info;
    // At the upper edge of what is expected: a change that is seen at once.
    const value = this._stands.forecast?.[levels.length - 1] ?? this._scenario.log.last?.value ?? 0;
    this._table.set([rounded(Number.isFinite(value) ? value : 0)]);
    this._changed();
  }

  _suppose(step, value) {
    if (!Number.isFinite(value)) return;
    if (step >= this._table.num_steps) this._table.add(rounded(value));
    else this._table.put(step, rounded(value));
    this._changed();
  }

  _add() {
    const step = this._table.num_steps;
    const columns = this._info.levels.length;
    const expected = this._stands.forecast?.[step * columns + middle(this._info.levels)];
    this._table.add(rounded(Number.isFinite(expected) ? expected : this._scenario.values.at(-1) ?? 0));
    this._changed();
  }

  _changed() {
    this._scenario.values = this._table.rows().map(({ values }) => values[0]);
    this._remove.disabled = this._table.num_steps < 2;
    this._more.disabled = this._table.num_steps >= this._info.horizon;
    this._chart.request();
    this._place.dataset.pending = "yes";
    clearTimeout(this._timer);
    this._timer = setTimeout(() => this._ask(), TYPED_MS);
  }

  async _ask() {
    const rows = this._table.rows().map(({ values }, step) => ({ values, time_us: this._timeOf(step) }));
    const number = (this._asked = (this._asked ?? 0) + 1);
    try {
      const supposed = await this._fork.evaluate(rows);
      if (number !== this._asked || !supposed) return;
      this._scenario.supposed = { values: rows.map(({ values }) => values[0]), forecast: supposed };
      Object.assign(this._place.dataset, { answers: number, pending: "no" });
      this._chart.request();
      this._tell(rows.length);
    } catch (error) {
      if (number === this._asked) text(this._status, error.message);
    }
  }

  /** What becomes of the first and of the last step of which both speak. */
  _tell(num_steps) {
    this._compare(this._next, num_steps, num_steps);
    this._compare(this._effect, num_steps, this._info.horizon - 1);
    text(this._status, "");
  }

  _compare(figure, num_steps, step) {
    const { levels, horizon } = this._info;
    const column = middle(levels);
    if (step < num_steps || step >= horizon) {
      figure.show("–", "", "The copy's forecast begins where the original's ends.");
      return;
    }
    const ours = this._scenario.supposed.forecast[(step - num_steps) * levels.length + column];
    const original = this._stands.forecast?.[step * levels.length + column];
    const change = ours - original;
    const words = Number.isFinite(change) ? `; original ${number(original)}, ${change >= 0 ? "+" : "−"}${number(Math.abs(change), 3)}` : "";
    figure.show(number(ours), "", `${this._placeOf(step)}${words}`);
  }

  _timeOf(step) {
    const { stands } = this._scenario;
    return stands.time_us === null ? null : Math.round(this._info.frequency.after(stands.x, step + 1) * 1e6);
  }

  _placeOf(step) {
    const time_us = this._timeOf(step);
    return time_us === null ? `row ${integer(this._stands.position + step + 1)}` : shortTime(time_us);
  }

  _layout(session) {
    const button = (words, act) => h("button", { type: "button", on: { click: act } }, words);
    this._more = button("Add a step", () => this._add());
    this._remove = button("Remove the last", () => {
      this._table.drop();
      this._changed();
    });
    const live = `#live/${encodeURIComponent(this._info.name)}/${encodeURIComponent(session)}`;
    return h("div", { class: "live" },
      h("section", { class: "panel chart-panel", "aria-label": "Chart" },
        h("div", { class: "chart-title" }, h("h2", {}, `What if: ${session}`),
          h("span", { class: "soft" }, `a copy, as it stood after row ${integer(this._stands.position)}; the original is not touched`),
          h("span", { class: "chips" }, h("a", { class: "button", href: live }, "Back to live"))),
        this._place,
        h("p", { class: "handle-note" }, "Drag the circles, or click right of them to add a step."),
        this._status, legend(this._info, { hasGhosts: false, hasFork: true })),
      h("aside", { class: "figures", "aria-label": "The next observations" },
        h("section", { class: "panel wide figure" }, h("h2", {}, "If the next observations were"),
          h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": "Next observations" }, this._table.root),
          h("div", { class: "toolbar step-tools" }, this._more, this._remove, button("Start over", () => this._startOver()))),
        this._next.root, this._effect.root));
  }
}

/** As many digits as one would type. */
function rounded(value) {
  return Number(value.toPrecision(4));
}
