/** What stands beside a line: rows that are missing, rows that were not seen, rows that surprise. */

/** Shades what is between rows: `missing` in grey, `unseen` in stripes. Each span is [from, to] in values of x. */
export function drawSpans(plot, spans, colour) {
  const { ctx, bbox } = plot;
  ctx.fillStyle = colour;
  for (const [from, to] of spans) {
    const left = plot.valToPos(from, "x", true);
    ctx.fillRect(left, bbox.top, Math.max(plot.valToPos(to, "x", true) - left, 2), bbox.height);
  }
}

/** A diamond on the row at the heart of each anomaly, and a strip along the top for all the rows that it made odd. */
export function drawAnomalies(plot, runs, { anomaly, panel }) {
  const { ctx, bbox } = plot;
  const size = 6 * devicePixelRatio;
  for (const { rows, peak } of runs) {
    const left = plot.valToPos(rows[0].x, "x", true);
    const right = plot.valToPos(rows.at(-1).x, "x", true);
    ctx.fillStyle = anomaly;
    ctx.fillRect(left - devicePixelRatio, bbox.top, Math.max(right - left, 0) + 2 * devicePixelRatio, size * 0.8);
    if (!Number.isFinite(peak.value)) continue;
    const x = plot.valToPos(peak.x, "x", true);
    const y = plot.valToPos(peak.value, "y", true);
    ctx.beginPath();
    ctx.moveTo(x, y - size);
    ctx.lineTo(x + size, y);
    ctx.lineTo(x, y + size);
    ctx.lineTo(x - size, y);
    ctx.closePath();
    ctx.fill();
    ctx.strokeStyle = panel;
    ctx.lineWidth = 1.5 * devicePixelRatio;
    ctx.stroke();
  }
}
