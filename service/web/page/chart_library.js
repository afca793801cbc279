/** Loads uPlot, which the server has of a package of its own. */

let loading = null;

/** Thrown where the server has no charts to give. */
export class NoCharts extends Error {
  constructor() {
    super("The library that draws them is not installed on the server: pip install 'statecast-server[page]'");
    this.name = "NoCharts";
  }
}

/** @returns {Promise<Function>} uPlot; loaded once a page. */
export function loadCharts() {
  loading ??= load().catch((error) => {
    loading = null;
    throw error;
  });
  return loading;
}

async function load() {
  const at = (name) => new URL(`vendor/${name}`, import.meta.url).href;
  const style = Object.assign(document.createElement("link"), { rel: "stylesheet", href: at("uPlot.css") });
  const script = Object.assign(document.createElement("script"), { src: at("uPlot.js") });
  await Promise.all([style, script].map((element) => new Promise((resolve, reject) => {
    element.onload = resolve;
    element.onerror = () => reject(new NoCharts());
    document.head.append(element);
  })));
  if (!window.uPlot) throw new NoCharts();
  return window.uPlot;
}
