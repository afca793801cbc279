/** Colours of the style sheet, as a canvas takes them. */

const NAMES = ["ink", "grid", "label", "fan", "ghost", "fork", "anomaly", "missing"];

/** @returns {Object<string, string>} by name, as `rgb(...)`: the theme that is shown has been applied. */
export function palette() {
  const probe = document.body.appendChild(document.createElement("i"));
  const found = {};
  for (const name of NAMES) {
    probe.style.color = `var(--chart-${name})`;
    found[name] = getComputedStyle(probe).color;
  }
  probe.style.color = "var(--panel)";
  found.panel = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

/** Eight colours that differ to colour-blind eyes too (Okabe and Ito 2008), for labels. */
export const LABEL_COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#8c8c8c"];

/** With so much of the colour, 0 to 1. */
export function faint(colour, share) {
  const [r, g, b] = colour.match(/[\d.]+/g);
  return `rgb(${r} ${g} ${b} / ${share})`;
}
