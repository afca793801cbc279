/** Series for whoever has none at hand. */

import { readTable } from "./csv.js";
import { guess, seriesOf } from "./series.js";

const CO2 = new URL("../series/mauna-loa-co2.csv", import.meta.url);
const NUM_MADE = 1200;
const BEGIN_S = Date.UTC(2023, 0, 1) / 1000;

/** @returns {{name: string, title: string, words: string}[]} the one that suits the model first. */
export function demonstrations(info) {
  const made = { name: "made", title: "A made-up series", words: `Made up, with the model's own step and ${info.season > 1 ? `a season of ${info.season} steps` : "no season"}.` };
  if (info.labels.length || info.features[0].categories.length || info.features.slice(1).some(({ required }) => required)) return [made];
  const co2 = { name: "co2", title: "CO₂ at Mauna Loa", words: "Carbon dioxide in the air at Mauna Loa, weekly, 1958 to 2001, in ppm. It has gaps." };
  return /^W/.test(info.frequency.text) ? [co2, made] : [made, co2];
}

/** @returns {Promise<import("./series.js").Series>} */
export async function demonstration(name, info, { signal } = {}) {
  if (name === "made") return made(info);
  const answer = await fetch(CO2, { signal });
  if (!answer.ok) throw new Error(`The demonstration series could not be loaded: ${answer.status}`);
  const table = readTable(await answer.text());
  const columns = { ...guess(table, info), features: info.features.map((_, index) => (index ? "" : "y")) };
  return seriesOf(table, columns, info)[0];
}

/** A level that drifts, a season, and noise; the same each time. */
function made(info) {
  const random = randomly(7);
  const season = info.season > 1 ? info.season : 24;
  let level = 100;
  let symbol = 0;
  const rows = Array.from({ length: NUM_MADE }, (_, row) => {
    level += 0.3 * (random() - 0.48);
    if (random() < 0.35) symbol += 1;
    return info.features.map(({ categories, role }, index) => {
      if (categories.length) return (role === "ROLE_STATIC" ? 0 : symbol + index) % categories.length;
      if (role === "ROLE_STATIC") return 1;
      const turn = (2 * Math.PI * row) / season;
      return index ? Math.cos(turn + index) : level + 10 * Math.sin(turn) + 4 * Math.sin(2 * turn) + 3 * (random() - 0.5);
    });
  });
  return { id: "made-up", times_us: rows.map((_, row) => Math.round(info.frequency.after(BEGIN_S, row)) * 1e6), rows };
}

/** Numbers from 0 to 1 that come in the same order each time (mulberry32). */
function randomly(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
