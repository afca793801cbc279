/** A chart of one line over rows, to which others add what they draw: axes, sizes, colours, the cursor and its keys. */

import { loadCharts } from "./chart_library.js";
import { number, tickTimes } from "./format.js";
import { palette } from "./palette.js";
import { theme } from "./theme.js";

const FONT = "12px Inter, system-ui, sans-serif";

/**
 * Draws at most once a frame, and only where `request` was called.
 *
 * What it draws comes from `source`:
 *   frame() -> {x: number[], line: (number|null)[], from: number, to: number, low: number, high: number, isTime: boolean}
 *     or null where there is nothing yet; called once a drawing, before the others;
 *   under(plot, colours), over(plot, colours): on the canvas, below and above the line;
 *   onCursor(index|null): the cursor stands at a point of `x`.
 */
export class Plot {
  constructor(root, source, { label, share = false } = {}) {
    this._root = root;
    this._source = source;
    this._share = share;
    this._plot = null;
    this._frame = 0;
    this._isTime = null;
    this._range = null;
    this.onDrawn = () => {};
    root.tabIndex = 0;
    root.setAttribute("role", "group");
    root.setAttribute("aria-roledescription", "chart");
    root.setAttribute("aria-label", label);
    root.addEventListener("keydown", (event) => this._key(event));
    this._sizes = new ResizeObserver(() => this._resize());
    this._recolour = () => this._rebuild();
  }

  /** Rejects with `NoCharts` where the library is missing. */
  async start() {
    this._uPlot = await loadCharts();
    this._colours = palette();
    this._sizes.observe(this._root);
    theme.addEventListener("change", this._recolour);
    this.request();
    return this;
  }

  destroy() {
    cancelAnimationFrame(this._frame);
    this._sizes.disconnect();
    theme.removeEventListener("change", this._recolour);
    this._plot?.destroy();
    this._plot = null;
    this._uPlot = null;
  }

  /** Something changed: it is drawn with the next frame. */
  request() {
    if (!this._frame && this._uPlot) {
      this._frame = requestAnimationFrame(() => {
        this._frame = 0;
        this._draw();
      });
    }
  }

  /** uPlot itself, for whoever turns places into values; null before the first drawing. */
  get plot() {
    return this._plot;
  }

  _draw() {
    const frame = this._source.frame();
    if (!frame || !this._root.clientWidth) return;
    if (!this._plot || this._isTime !== frame.isTime) this._build(frame);
    const [low, high] = this._steady(frame.low, frame.high);
    this._plot.batch(() => {
      this._plot.setData([frame.x, frame.line], false);
      this._plot.setScale("x", { min: frame.from, max: frame.to });
      this._plot.setScale("y", { min: low, max: high });
    });
    this.onDrawn();
  }

  /** The range of the axis: it follows what is shown, and does not tremble with every row. */
  _steady(low, high) {
    if (this._share) return [low, high];
    const size = high - low || Math.abs(high) * 0.1 || 1;
    const now = this._range;
    if (!now || low < now[0] || high > now[1] || size < 0.5 * (now[1] - now[0])) {
      this._range = [low - 0.08 * size, high + 0.08 * size];
    }
    return this._range;
  }

  _build({ isTime }) {
    this._plot?.destroy();
    this._isTime = isTime;
    const colours = this._colours;
    const axis = { stroke: colours.label, font: FONT, grid: { stroke: colours.grid, width: 1 }, ticks: { show: false } };
    const numbers = (_plot, splits) => splits.map((value) => number(value, 4));
    const shares = (_plot, splits) => splits.map((value) => (value <= 1 ? `${Math.round(value * 100)} %` : ""));
    this._plot = new this._uPlot({
      width: this._root.clientWidth,
      height: this._root.clientHeight,
      legend: { show: false },
      padding: [8, 24, 0, 0],
      // Ticks at whole hours and days of UTC, as the rows' times are told elsewhere.
      tzDate: (time_s) => this._uPlot.tzDate(new Date(time_s * 1000), "Etc/UTC"),
      cursor: { y: false, drag: { setScale: false, x: false, y: false }, points: { show: false } },
      scales: { x: { time: isTime, auto: false }, y: { auto: false } },
      axes: [
        { ...axis, size: isTime ? 44 : 30, space: 70, values: isTime ? (_plot, splits) => tickTimes(splits) : numbers },
        { ...axis, values: this._share ? shares : numbers, space: 44, size: (plot, texts) => Math.max(40, ...(texts ?? []).map((text) => 14 + 7 * text.length)) },
      ],
      series: [{}, { stroke: colours.ink, width: 1.8, spanGaps: false, points: { size: 4, fill: colours.ink, stroke: colours.ink } }],
      hooks: {
        drawAxes: [(plot) => clipped(plot, () => this._source.under?.(plot, colours))],
        draw: [(plot) => clipped(plot, () => this._source.over?.(plot, colours))],
        setCursor: [(plot) => this._source.onCursor?.(plot.cursor.left >= 0 ? plot.cursor.idx : null)],
      },
    }, [[0], [null]], this._root);
  }

  _resize() {
    const { clientWidth: width, clientHeight: height } = this._root;
    if (this._plot && width) this._plot.setSize({ width, height });
    this.request();
  }

  _rebuild() {
    this._colours = palette();
    this._isTime = null;
    this.request();
  }

  _key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    const plot = this._plot;
    if (step === undefined || !plot || event.target !== this._root) return;
    event.preventDefault();
    const places = plot.data[0];
    const now = plot.cursor.left >= 0 && plot.cursor.idx !== null ? plot.cursor.idx : places.length;
    const index = Math.min(places.length - 1, Math.max(0, now + step));
    plot.setCursor({ left: plot.valToPos(places[index], "x"), top: 0 });
  }
}

function clipped(plot, draw) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  draw();
  ctx.restore();
}
