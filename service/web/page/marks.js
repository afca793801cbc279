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

/** A diamond on each row that is an anomaly, and a tick above it, for rows that the line hides. */
export function drawAnomalies(plot, rows, { anomaly, panel }) {
  const { ctx, bbox } = plot;
  const size = 5 * devicePixelRatio;
  for (const row of rows) {
    const x = plot.valToPos(row.x, "x", true);
    ctx.fillStyle = anomaly;
    ctx.fillRect(x - devicePixelRatio, bbox.top, 2 * devicePixelRatio, size * 1.6);
    if (!Number.isFinite(row.value)) continue;
    const y = plot.valToPos(row.value, "y", true);
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
