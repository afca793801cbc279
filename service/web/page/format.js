/** Numbers, times and sizes as people read them. Whatever is not a number is a dash. */

const NONE = "–";
const formats = new Map();

function format(options) {
  const key = JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new Intl.NumberFormat("en", options));
  return formats.get(key);
}

/** With so many significant digits; very large and very small ones in scientific notation. */
export function number(value, digits = 4) {
  if (!Number.isFinite(value)) return NONE;
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e9 || size < 1e-4)) {
    return format({ notation: "scientific", maximumSignificantDigits: digits }).format(value);
  }
  return format({ maximumSignificantDigits: Math.max(digits, Math.ceil(Math.log10(size + 1))) }).format(value);
}

/** A count; `1,234,567`. Takes the strings in which 64-bit numbers come. */
export function integer(value) {
  const found = Number(value);
  return Number.isFinite(found) ? format({ maximumFractionDigits: 0 }).format(found) : NONE;
}

/** A share of 1 as `81.3 %`. */
export function percent(share, digits = 1) {
  return Number.isFinite(share) ? `${format({ minimumFractionDigits: digits, maximumFractionDigits: digits }).format(share * 100)} %` : NONE;
}

/** `3.4 MB`, in powers of 1000. */
export function bytes(value) {
  let size = Number(value);
  if (!Number.isFinite(size)) return NONE;
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (size < 1000) return `${number(size, 3)} ${unit}`;
    size /= 1000;
  }
  return `${number(size, 3)} TB`;
}

const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"], [1e-3, "ms"], [1e-6, "µs"]];

/** So many seconds as `2.5 min`, `340 µs`. */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return NONE;
  if (seconds === 0) return "0 s";
  const [size, unit] = UNITS.find(([size]) => Math.abs(seconds) >= size) ?? UNITS.at(-1);
  return `${number(seconds / size, 3)} ${unit}`;
}

/** How long ago a time in microseconds since 1970 was: `4 min ago`. */
export function age(time_us, now_ms = Date.now()) {
  const at = Number(time_us);
  if (!at) return NONE;
  const seconds = Math.max(0, now_ms / 1000 - at / 1e6);
  if (seconds < 1) return "just now";
  const [size, unit] = UNITS.find(([size]) => seconds >= size);
  return `${Math.floor(seconds / size)} ${unit} ago`;
}

const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

/** A time in microseconds since 1970, in UTC, as `1 May 13:00`; the date alone at midnight. */
export function shortTime(time_us) {
  const at = new Date(Number(time_us) / 1000);
  if (Number.isNaN(at.getTime())) return NONE;
  const clock = at.toISOString().slice(11, at.getUTCSeconds() ? 19 : 16);
  return `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]}${clock === "00:00" ? "" : ` ${clock}`}`;
}

/** Times of an axis in seconds since 1970, in UTC: each by its clock, and where a day begins with the date below. */
export function tickTimes(times_s) {
  const days = times_s.every((time_s) => time_s % 86_400 === 0);
  let before = null;
  return times_s.map((time_s) => {
    const at = new Date(time_s * 1000);
    const day = at.toISOString().slice(0, 10);
    const date = `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]}`;
    const [isNewDay, isNewYear] = [before?.slice(0, 10) !== day, before?.slice(0, 4) !== day.slice(0, 4)];
    before = day;
    if (days) return isNewYear ? `${date}\n${day.slice(0, 4)}` : date;
    const clock = at.toISOString().slice(11, at.getUTCMilliseconds() ? 23 : at.getUTCSeconds() ? 19 : 16);
    return isNewDay ? `${clock}\n${date}${isNewYear ? ` ${day.slice(0, 4)}` : ""}` : clock;
  });
}

/** A time in microseconds since 1970 as `2024-05-01 13:00 UTC`, with seconds where there are any. */
export function time(time_us) {
  if (time_us === undefined || time_us === null || time_us === "") return NONE;
  const at = new Date(Number(time_us) / 1000);
  if (Number.isNaN(at.getTime())) return NONE;
  const iso = at.toISOString().replace("T", " ");
  const seconds = iso.slice(17, 23);
  return `${iso.slice(0, 16)}${seconds === "00.000" ? "" : `:${seconds.replace(/\.?0+$/, "")}`} UTC`;
}
