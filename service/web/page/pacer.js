/** Rows come several in a message, ten messages a second: they are shown one after the other, as they were taken. */

/** More than come in a tenth of a second are shown faster, so that nothing waits for longer. */
const MOST_WAITING = 6;

export class Pacer {
  /** @param {function(Object, number)} onRow is given each row, in order, and when it came. */
  constructor(onRow) {
    this._onRow = onRow;
    this._waiting = [];
    this._frame = 0;
  }

  /** A row has come. The first after a lull is shown at once, those behind it one a frame. */
  put(row) {
    const came = { row, at_ms: performance.now() };
    if (!this._frame && !this._waiting.length) {
      this._onRow(row, came.at_ms);
      this._next();
      return;
    }
    this._waiting.push(came);
    // There are no frames where nobody looks.
    if (document.hidden) this.flush();
  }

  /** Shows all that wait. */
  flush() {
    this._show(this._waiting.length);
  }

  /** Shows all that wait, and no more comes. */
  stop() {
    cancelAnimationFrame(this._frame);
    this.flush();
  }

  _next() {
    this._frame = requestAnimationFrame(() => {
      this._frame = 0;
      if (!this._waiting.length) return;
      this._show(Math.ceil(this._waiting.length / MOST_WAITING));
      this._next();
    });
  }

  _show(num) {
    for (const { row, at_ms } of this._waiting.splice(0, num)) this._onRow(row, at_ms);
  }
}
