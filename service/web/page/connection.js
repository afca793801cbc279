/** Whether the server can be reached, found out by every call and, where none is made, by asking. */

const CONNECTED_MS = 5000;
const FIRST_MS = 300;
const LONGEST_MS = 4000;
const ANSWER_MS = 4000;

/** `state` is "connecting", "connected" or "disconnected"; the event `change` tells that it changed. */
export class Connection extends EventTarget {
  /** @param {URL} probe an address that a living server answers without being told who asks. */
  constructor(probe) {
    super();
    this.state = "connecting";
    this.lost_at_ms = null;
    this._probe = probe;
    this._wait_ms = FIRST_MS;
    this._timer = null;
    for (const event of ["online", "offline"]) addEventListener(event, () => this.ask());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.ask());
  }

  /** A call was answered. */
  answered() {
    this._wait_ms = FIRST_MS;
    this._become("connected");
    this._askIn(CONNECTED_MS);
  }

  /** A call was not answered. */
  lost() {
    if (this.state !== "disconnected") this.lost_at_ms = Date.now();
    this._become("disconnected");
    this._askIn(this._wait_ms);
    this._wait_ms = Math.min(this._wait_ms * 1.6, LONGEST_MS);
  }

  /** Asks now. */
  async ask() {
    clearTimeout(this._timer);
    try {
      const answer = await fetch(this._probe, { cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS) });
      if (answer.ok) this.answered();
      else this.lost();
    } catch {
      this.lost();
    }
  }

  _askIn(wait_ms) {
    clearTimeout(this._timer);
    this._timer = setTimeout(() => this.ask(), wait_ms);
  }

  _become(state) {
    if (state === this.state) return;
    const before = this.state;
    this.state = state;
    this.dispatchEvent(new CustomEvent("change", { detail: { before } }));
  }
}
