/** Draws a forecast's quantiles as bands that open from the row after which it was made. */

import { intervals, middle } from "./model_info.js";
import { faint } from "./palette.js";

/**
 * @typedef {Object} Fan
 * @property {number[]} x the place of each step.
 * @property {Float64Array} values steps by levels.
 * @property {number[]} levels
 * @property {{x: number, y: number}|null} from the row it opens from.
 */

/**
 * @param {Object} plot uPlot.
 * @param {Fan} fan
 * @param {{colour: string, depth?: number, isGhost?: boolean, hasEdge?: boolean}} style `depth`: how much colour a band has,
 *   0 to 1; `hasEdge`: the widest band has a line around it, where two fans lie on each other.
 */
export function drawFan(plot, fan, { colour, depth = 0.2, isGhost = false, hasEdge = false }) {
  const { ctx, pxRatio = devicePixelRatio } = plot;
  const num = fan.levels.length;
  const from = fan.from && Number.isFinite(fan.from.y) ? fan.from : null;
  const places = fan.x.map((x) => plot.valToPos(x, "x", true));
  const height = (step, column) => plot.valToPos(fan.values[step * num + column], "y", true);
  const start = from && [plot.valToPos(from.x, "x", true), plot.valToPos(from.y, "y", true)];
  const line = (column) => {
    const points = places.map((place, step) => [place, height(step, column)]);
    return start ? [start, ...points] : points;
  };
  const bands = intervals(fan.levels);
  for (const { low, high } of isGhost ? bands.slice(0, 1) : bands) {
    trace(ctx, [...line(high), ...line(low).reverse()]);
    ctx.fillStyle = faint(colour, depth);
    ctx.fill();
    if (!hasEdge || low) continue;
    ctx.strokeStyle = faint(colour, 0.6);
    ctx.lineWidth = pxRatio;
    ctx.stroke();
  }
  trace(ctx, line(middle(fan.levels)));
  ctx.strokeStyle = isGhost ? faint(colour, 0.55) : colour;
  ctx.lineWidth = (isGhost ? 1 : 2) * pxRatio;
  ctx.setLineDash(isGhost ? [4 * pxRatio, 3 * pxRatio] : []);
  ctx.stroke();
  ctx.setLineDash([]);
}

/** The least and greatest value of a fan. */
export function extent(fan) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of fan.values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

function trace(ctx, points) {
  ctx.beginPath();
  points.forEach(([x, y], index) => (index ? ctx.lineTo(x, y) : ctx.moveTo(x, y)));
}
