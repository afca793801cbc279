/** What all charts of the page have alike: a `Plot` draws each, and asks it what. */

import { Plot } from "./plot.js";

export class Chart {
  /** @param {Object} options see `Plot`. */
  constructor(root, options) {
    this.onPoint = () => {};
    this.plot = new Plot(root, this, options);
  }

  /** See `Plot`. */
  start() {
    return this.plot.start();
  }

  /** See `Plot`. */
  request() {
    this.plot.request();
  }

  destroy() {
    this.plot.destroy();
  }
}
