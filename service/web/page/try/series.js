/** From a table of texts to series of a model's rows: which column is what, and each value as a number. */

import { FileError } from "./csv.js";

const IDS = ["unique_id", "series", "series_id", "id"];
const TIMES = ["ds", "time", "timestamp", "date", "datetime"];
const TARGETS = ["y", "value", "target"];
const MISSING = /^(|nan|na|null|none)$/i;
const TIME = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6})\d*)?)?)?\s*(Z|[+-]\d\d:?\d\d)?$/;

/**
 * @typedef {Object} Series
 * @property {string} id
 * @property {number[]|null} times_us of each row; null where the file has none.
 * @property {number[][]} rows a value for each of the model's features; NaN where missing.
 */

/**
 * Which column is what, as far as names tell.
 *
 * @returns {{id: string, time: string, features: string[]}} names of columns; empty where there is none.
 */
export function guess({ columns }, info) {
  const named = (names) => columns.find((column) => names.includes(column.toLowerCase())) ?? "";
  const [id, time] = [named(IDS), named(TIMES)];
  const rest = columns.filter((column) => column !== id && column !== time);
  const features = info.features.map(({ name }) => (rest.includes(name) ? name : ""));
  if (!features[0]) {
    const free = rest.filter((column) => !features.includes(column));
    features[0] = free.find((column) => TARGETS.includes(column.toLowerCase())) ?? free[0] ?? "";
  }
  return { id, time, features };
}

/**
 * @param {import("./csv.js").Table} table
 * @param {{id: string, time: string, features: string[]}} columns as `guess` gives them.
 * @returns {Series[]} in the order of the file. Throws `FileError`.
 */
export function seriesOf(table, columns, info) {
  info.features.forEach(({ name, required }, index) => {
    if (index === 0 && !columns.features[0]) throw new FileError(`Choose the column of ${name}, which is what is forecast`);
    if (required && !columns.features[index]) throw new FileError(`Choose a column for ${name}: the model wants a value in each row`);
  });
  const at = (name) => (name ? table.columns.indexOf(name) : -1);
  const [idAt, timeAt, featuresAt] = [at(columns.id), at(columns.time), columns.features.map(at)];
  // Numbers count rows; they are no times.
  const hasTimes = timeAt >= 0 && table.rows.some(({ cells }) => !/^\d+$/.test(cells[timeAt]));
  const found = new Map();
  for (const { line, cells } of table.rows) {
    const id = idAt < 0 ? "" : cells[idAt];
    if (!found.has(id)) found.set(id, { id, times_us: hasTimes ? [] : null, rows: [] });
    const series = found.get(id);
    if (hasTimes) series.times_us.push(timeOf(cells[timeAt], series.times_us.at(-1), { line, column: columns.time }));
    series.rows.push(featuresAt.map((column, index) => (column < 0 ? NaN : valueOf(cells[column], info.features[index], { line, column: table.columns[column] }))));
  }
  return [...found.values()];
}

/** Microseconds since 1970; a time without a zone is UTC. */
function timeOf(text, before, place) {
  const match = TIME.exec(text);
  const [year, month, day, hour = 0, minute = 0, second = 0] = match?.slice(1, 7).map((part) => part && Number(part)) ?? [];
  const ms = match ? Date.UTC(year, month - 1, day, hour, minute, second) : NaN;
  if (!match || new Date(ms).getUTCDate() !== day || hour > 23 || minute > 59) {
    throw new FileError(`found ${shown(text)}: expected a time such as 2024-01-31 or 2024-01-31 13:00`, place);
  }
  const time_us = ms * 1000 + Number((match[7] ?? "").padEnd(6, "0")) - zone_us(match[8]);
  if (time_us <= before) throw new FileError(`found ${shown(text)}, which is not after the row before: expected times that increase`, place);
  return time_us;
}

function zone_us(zone) {
  if (!zone || zone === "Z") return 0;
  const [hours, minutes] = [Number(zone.slice(1, 3)), Number(zone.slice(-2))];
  return (zone[0] === "-" ? -1 : 1) * (hours * 60 + minutes) * 60_000_000;
}

function valueOf(text, feature, place) {
  if (MISSING.test(text)) {
    if (feature.required) throw new FileError(`found no value of ${feature.name}: the model wants one in each row`, place);
    return NaN;
  }
  if (feature.categories.length) return categoryOf(text, feature, place);
  const value = Number(text);
  if (!Number.isFinite(value)) {
    const hint = /^-?\d+,\d+$/.test(text) ? ", with a point and not a comma" : "";
    throw new FileError(`found ${shown(text)}: expected a number${hint}`, place);
  }
  return value;
}

function categoryOf(text, { name, categories }, place) {
  const named = categories.indexOf(text);
  const index = named >= 0 ? named : Number(text);
  if (Number.isInteger(index) && index >= 0 && index < categories.length) return index;
  const some = categories.slice(0, 6).join(", ");
  throw new FileError(`found ${shown(text)}: expected a category of ${name}: ${some}${categories.length > 6 ? " and others" : ""}`, place);
}

function shown(text) {
  return `“${text.length > 40 ? `${text.slice(0, 40)}…` : text}”`;
}
