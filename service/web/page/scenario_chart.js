/** The chart of "what if": what came, what is expected, what somebody supposes, and what would be expected then. */

import { Chart } from "./chart.js";
import { drawFan, extent } from "./fan.js";
import { fanOf, lineOf } from "./fan_chart.js";
import { drawSpans } from "./marks.js";

const NUM_ROWS = 60;
const HANDLE_PX = 6;

export class ScenarioChart extends Chart {
  /**
   * @param {Object} scenario {log, stands, values: number[], supposed: {values: number[], forecast: Float64Array}|null}:
   *   the rows that were seen, the session when it was copied, the target at the next steps, and the forecast after
   *   those that were asked of last.
   * @param {{onSuppose: function(number, number)}} told a step, from 0, and the value it was dragged to.
   */
  constructor(root, scenario, { label, onSuppose }) {
    super(root, { label });
    this._root = root;
    this._scenario = scenario;
    this._onSuppose = onSuppose;
    this._step = null;
    root.addEventListener("pointerdown", (event) => this._grasp(event));
    root.addEventListener("pointermove", (event) => this._drag(event));
    for (const end of ["pointerup", "pointercancel"]) root.addEventListener(end, () => (this._step = null));
  }

  /** See `Plot`. */
  frame() {
    const { log, stands, values, supposed } = this._scenario;
    const rows = log.rows.filter((row) => row.position <= stands.position).slice(-NUM_ROWS);
    const seen = rows.at(-1)?.position === stands.position ? rows.at(-1) : stands;
    // Rows that came after the last one that was seen, and before the copy.
    this._unseen = rows.length && seen === stands ? [[log.ahead(rows.at(-1), 0.5), log.ahead(stands, 0.5)]] : [];
    this._fan = fanOf(log, { ...seen, forecast: stands.forecast });
    const places = values.map((_, step) => log.ahead(stands, step + 1));
    this._handles = places.map((x, step) => ({ x, y: values[step] }));
    this._from = Number.isFinite(seen.value) ? { x: seen.x, y: seen.value } : null;
    this._supposed = supposed && fanOf(log, {
      x: log.ahead(stands, supposed.values.length), value: supposed.values.at(-1), forecast: supposed.forecast,
    });
    const ahead = Array.from({ length: log.info.horizon + values.length }, (_, step) => log.ahead(stands, step + 1));
    const { x, line } = lineOf(rows);
    const spread = [this._fan, this._supposed].filter(Boolean).flatMap(extent);
    const all = [...line.filter((value) => value !== null), ...values.filter(Number.isFinite), ...spread];
    return {
      x: [...x, ...ahead], line: [...line, ...ahead.map(() => null)],
      from: rows[0]?.x ?? log.ahead(stands, -4), to: ahead.at(-1), low: least(all), high: -least(all.map((value) => -value)),
      isTime: stands.time_us !== null,
    };
  }

  /** See `Plot`. */
  under(plot, colours) {
    drawSpans(plot, this._unseen, colours.missing);
    if (this._fan) drawFan(plot, this._fan, { colour: colours.fan, depth: 0.12, hasEdge: true });
    if (this._supposed) drawFan(plot, this._supposed, { colour: colours.fork, depth: 0.12, hasEdge: true });
  }

  /** See `Plot`: the path that is supposed, and what it can be dragged by. */
  over(plot, colours) {
    const { ctx } = plot;
    const points = [this._from, ...this._handles].filter((point) => point && Number.isFinite(point.y))
      .map(({ x, y }) => [plot.valToPos(x, "x", true), plot.valToPos(y, "y", true)]);
    ctx.beginPath();
    points.forEach(([x, y], index) => (index ? ctx.lineTo(x, y) : ctx.moveTo(x, y)));
    ctx.strokeStyle = colours.fork;
    ctx.lineWidth = 2 * devicePixelRatio;
    ctx.stroke();
    for (const [x, y] of points.slice(this._from ? 1 : 0)) {
      ctx.beginPath();
      ctx.arc(x, y, HANDLE_PX * devicePixelRatio, 0, 2 * Math.PI);
      ctx.fillStyle = colours.panel;
      ctx.fill();
      ctx.stroke();
    }
  }

  onCursor() {}

  /** The step under the pointer; only those that could come next. */
  _grasp(event) {
    const { plot } = this.plot;
    if (!plot || event.button !== 0) return;
    const { log, stands, values } = this._scenario;
    const at = plot.posToVal(event.clientX - plot.over.getBoundingClientRect().left, "x");
    const step = Math.round((at - stands.x) / (log.ahead(stands, 1) - stands.x)) - 1;
    if (step < 0 || step >= Math.min(log.info.horizon, values.length + 1)) return;
    this._step = step;
    this._root.setPointerCapture(event.pointerId);
    this._drag(event);
  }

  _drag(event) {
    const { plot } = this.plot;
    if (this._step === null || !plot) return;
    event.preventDefault();
    this._onSuppose(this._step, plot.posToVal(event.clientY - plot.over.getBoundingClientRect().top, "y"));
  }
}

function least(values) {
  return values.reduce((one, other) => (other < one ? other : one), Infinity);
}
