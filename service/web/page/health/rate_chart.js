/** Rows a second over the last two minutes. */

import { Chart } from "../chart.js";
import { number } from "../format.js";
import { faint } from "../palette.js";

const SHOWN_S = 120;

export class RateChart extends Chart {
  constructor(root) {
    super(root, { label: "Rows a second over the last two minutes. The arrow keys read single seconds." });
    this._points = [];
  }

  /** @param {{at_s: number, value: number}[]} points */
  show(points) {
    this._points = points;
    this.request();
  }

  /** See `Plot`. */
  frame() {
    const last = this._points.at(-1)?.at_s;
    if (last === undefined) return null;
    const high = Math.max(1, ...this._points.map(({ value }) => value));
    return { x: this._points.map(({ at_s }) => at_s), line: this._points.map(({ value }) => value), from: last - SHOWN_S, to: last, low: 0, high, isTime: true };
  }

  /** See `Plot`: the place below the line. */
  under(plot, colours) {
    const { ctx } = plot;
    const floor = plot.valToPos(0, "y", true);
    const places = this._points.map(({ at_s, value }) => [plot.valToPos(at_s, "x", true), plot.valToPos(value, "y", true)]);
    ctx.beginPath();
    ctx.moveTo(places[0][0], floor);
    for (const [x, y] of places) ctx.lineTo(x, y);
    ctx.lineTo(places.at(-1)[0], floor);
    ctx.fillStyle = faint(colours.fan, 0.16);
    ctx.fill();
  }

  /** See `Plot`. */
  over() {}

  /** See `Plot`. */
  onCursor(index) {
    const point = index === null ? null : this._points[index];
    this.onPoint(point ? `${new Date(point.at_s * 1000).toISOString().slice(11, 19)} UTC: ${number(point.value, 3)} rows/s` : "");
  }
}
