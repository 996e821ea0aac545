/** Values for people: pure, no DOM. */

const ZONE_CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const ZONE_DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const NUMBER = new Intl.NumberFormat("en-GB");

/** Milliseconds of an RFC 3339 instant or of a number of milliseconds; null for neither. */
export function millis(instant) {
  if (typeof instant === "number") return instant;
  if (typeof instant !== "string") return null;
  const ms = Date.parse(instant);
  return Number.isNaN(ms) ? null : ms;
}

/** `12:04:07`, of another day `3 May 12:04:07`. */
export function clock(instant, now = Date.now()) {
  const ms = millis(instant);
  if (ms === null) return "";
  const at = new Date(ms);
  const sameDay = at.toDateString() === new Date(now).toDateString();
  return sameDay ? ZONE_CLOCK.format(at) : `${ZONE_DAY.format(at)} ${ZONE_CLOCK.format(at)}`;
}

/** The instant in full, in the time zone of the reader, to the millisecond. */
export function fullInstant(instant) {
  const ms = millis(instant);
  if (ms === null) return "";
  const at = new Date(ms);
  return `${at.toLocaleDateString(undefined, { dateStyle: "medium" })} ${ZONE_CLOCK.format(at)}.${String(at.getMilliseconds()).padStart(3, "0")}`;
}

/** `850 ms`, `4.2 s`, `3 min 5 s`, `2 h 4 min`, `3 d 2 h`. */
export function duration(ms) {
  if (ms === null || ms === undefined || Number.isNaN(ms)) return "";
  if (ms < 0) ms = 0;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 9_950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return two(minutes, "min", seconds % 60, "s");
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return two(hours, "h", minutes % 60, "min");
  return two(Math.floor(hours / 24), "d", hours % 24, "h");
}

function two(large, unit, small, smallUnit) {
  return small ? `${large} ${unit} ${small} ${smallUnit}` : `${large} ${unit}`;
}

/** `just now`, `4 min ago`, `in 2 h`. */
export function ago(instant, now = Date.now()) {
  const ms = millis(instant);
  if (ms === null) return "";
  const gap = now - ms;
  const size = Math.abs(gap);
  if (size < 5_000) return "just now";
  const words = coarse(size);
  return gap > 0 ? `${words} ago` : `in ${words}`;
}

function coarse(ms) {
  for (const [unit, length] of [["d", 86_400_000], ["h", 3_600_000], ["min", 60_000]]) {
    if (ms >= length * 0.95) return `${Math.max(1, Math.round(ms / length))} ${unit}`;
  }
  return `${Math.floor(ms / 1000)} s`;
}

/** `10,000`. */
export function count(number) {
  return NUMBER.format(number);
}

/** `1 step`, `2 steps`. */
export function plural(number, word, many = `${word}s`) {
  return `${count(number)} ${number === 1 ? word : many}`;
}

/** `812 B`, `3.1 KiB`, `2.0 MiB`. */
export function bytes(size) {
  if (size < 1024) return `${size} B`;
  if (size < 1024 * 1024) return `${(size / 1024).toFixed(1)} KiB`;
  return `${(size / 1024 / 1024).toFixed(1)} MiB`;
}

/** A value in one line, cut where it is long. */
export function brief(value, limit = 120) {
  const text = typeof value === "string" ? value : JSON.stringify(value) ?? "";
  return text.length <= limit ? text : `${text.slice(0, limit - 1)}…`;
}
