/** The chart of a model that gives probabilities of labels: how they share each step, and which label came. */

import { Chart } from "./chart.js";
import { drawSpans } from "./marks.js";
import { LABEL_COLOURS, faint } from "./palette.js";

/** The strip of labels that came, above the shares of 1: where it begins and ends. */
const STRIP = [1.02, 1.06];

export class LabelChart extends Chart {
  /** As `FanChart`. */
  constructor(root, log, { label }) {
    super(root, { label, share: true });
    this.log = log;
    this.num_rows = 100;
  }

  /** See `Plot`. */
  frame() {
    const { log } = this;
    const stands = log.last ?? log.asItStands;
    if (!stands) return null;
    this._rows = log.rows.slice(-this.num_rows);
    this._steps = this._known(stands);
    const x = this._steps.map((step) => step.x);
    const first = Math.min(x[0] ?? stands.x, log.ahead(stands, -12));
    const last = log.ahead(x.length ? { x: x.at(-1) } : stands, 0.5);
    this._now = log.info.predicts === "ahead" ? log.ahead(stands, 0.5) : last;
    return { x, line: x.map(() => null), from: first, to: last, low: 0, high: log.score.isKnown ? STRIP[1] : 1, isTime: log.hasTimes ?? stands.isTime ?? false };
  }

  /** See `Plot`. */
  under(plot, colours) {
    const { ctx } = plot;
    const height = (share) => plot.valToPos(share, "y", true);
    drawSpans(plot, this._spans(), colours.missing);
    for (const step of this._steps) {
      const [left, right] = this._edges(plot, step);
      let share = 1;
      step.chances.forEach((chance, label) => {
        ctx.fillStyle = shade(label, step.isAhead ? 0.45 : 0.8);
        ctx.fillRect(left, height(share), right - left, height(share - chance) - height(share));
        share -= chance;
      });
      if (Number.isInteger(step.came)) {
        ctx.fillStyle = shade(step.came, 1);
        ctx.fillRect(left, height(STRIP[1]), right - left, height(STRIP[0]) - height(STRIP[1]));
      }
    }
  }

  /** See `Plot`: a line between what came and what is to come. */
  over(plot, colours) {
    const { ctx, bbox } = plot;
    ctx.fillStyle = colours.ink;
    ctx.fillRect(plot.valToPos(this._now, "x", true) - 1, bbox.top, 2, bbox.height);
  }

  /** As of `FanChart`. */
  get shown() {
    return {
      rows: this._rows.length, spans: this._spans().length, steps: this._steps.filter(({ isAhead }) => isAhead).length,
      labels: this._steps.filter(({ came }) => came !== null).length,
    };
  }

  /** See `Plot`. */
  onCursor(index) {
    this.onPoint(index === null ? null : { label: this._steps?.[index] ?? null });
  }

  /** Each step that has probabilities: those of the row before it, or, to come, of the last one. */
  _known(stands) {
    const { info } = this.log;
    const num = info.numColumns;
    const steps = [];
    if (info.predicts !== "ahead") {
      for (const row of this._rows) if (row.forecast) steps.push({ x: row.x, row, chances: [...row.forecast.subarray(0, num)], came: null, isAhead: false });
      return steps;
    }
    this._rows.forEach((row, index) => {
      const before = this._rows[index - 1];
      if (!before?.forecast || row.isUnseen) return;
      const lead = Math.min(row.gap, info.horizon - 1) * num;
      const came = this.log.score.isKnown && Number.isInteger(row.value) ? row.value : null;
      steps.push({ x: row.x, row, chances: [...before.forecast.subarray(lead, lead + num)], came, isAhead: false });
    });
    for (let step = 0; step < (stands.forecast?.length ?? 0) / num; step += 1) {
      steps.push({ x: this.log.ahead(stands, step + 1), step, chances: [...stands.forecast.subarray(step * num, (step + 1) * num)], came: null, isAhead: true });
    }
    return steps;
  }

  _edges(plot, step) {
    const at = (share) => plot.valToPos(this.log.ahead(step, share), "x", true);
    return [Math.round(at(-0.5)), Math.round(at(0.5))];
  }

  _spans() {
    const spans = [];
    this._rows.forEach((row, index) => {
      const before = this._rows[index - 1];
      if (before && (row.gap || row.isUnseen)) spans.push([this.log.ahead(before, 0.5), this.log.ahead(row, -0.5)]);
    });
    return spans;
  }
}

/** The colour of a label. */
export function labelColour(label) {
  return LABEL_COLOURS[label % LABEL_COLOURS.length];
}

function shade(label, share) {
  const colour = labelColour(label);
  const parts = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  return faint(`rgb(${parts.join(" ")})`, share);
}
