/** Bars in tables. Their widths are attributes of SVG: the page's policy lets no markup set a style. */

const SVG = "http://www.w3.org/2000/svg";

/** A bar over a share of the place there is, 0 to 1. */
export function bar(share) {
  const rect = document.createElementNS(SVG, "rect");
  for (const [name, value] of Object.entries({ y: 2, height: 12, rx: 2 })) rect.setAttribute(name, value);
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("aria-hidden", "true");
  svg.append(rect);
  stretch(svg, share);
  return svg;
}

/** Gives a bar another length. */
export function stretch(svg, share) {
  svg.firstElementChild.setAttribute("width", `${Number.isFinite(share) ? Math.min(1, Math.max(0, share)) * 100 : 0}%`);
}
