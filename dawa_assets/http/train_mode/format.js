/** How figures, times and sizes are written, in the browser's own language where that matters. */

const RELATIVE = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const CALENDAR = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeZone: "UTC" });
const MOMENT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** Return a position in audio: `3:07`, `1:02:09`, with tenths where asked for. */
export function clock(seconds, { tenths = false } = {}) {
  if (!Number.isFinite(seconds)) return "–:––";
  const whole = tenths ? Math.floor(seconds * 10) / 10 : Math.floor(seconds + 1e-6);
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  const rest = tenths ? (whole % 60).toFixed(1).padStart(4, "0") : String(Math.floor(whole % 60)).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

/** Return a length of time that somebody has to wait: `8 s`, `4 min`, `1 h 20 min`. */
export function wait(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Return a size: `820 kB`, `4.2 MB`. */
export function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  const units = ["kB", "MB", "GB", "TB"];
  const step = Math.min(Math.floor(Math.log10(bytes) / 3), units.length);
  const value = bytes / 1000 ** step;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[step - 1]}`;
}

/** Return a `<time>`'s words: near ones as "3 hours ago", far ones as a date. */
export function ago(iso, now = Date.now()) {
  const seconds = (now - Date.parse(iso)) / 1000;
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 60) return "just now";
  if (seconds < 3600) return RELATIVE.format(-Math.round(seconds / 60), "minute");
  if (seconds < 86400) return RELATIVE.format(-Math.round(seconds / 3600), "hour");
  if (seconds < 7 * 86400) return RELATIVE.format(-Math.round(seconds / 86400), "day");
  return DAY.format(new Date(iso));
}

/** Return a date with its time. */
export function moment(iso) {
  const date = new Date(iso);
  return Number.isNaN(date.getTime()) ? "" : MOMENT.format(date);
}

/** Return a day of the calendar that comes without a time: the same one wherever it is read. */
export function day(iso) {
  const date = new Date(`${iso}T00:00:00Z`);
  return Number.isNaN(date.getTime()) ? iso : CALENDAR.format(date);
}

/** Return a number with at most so many decimals and none that say nothing. */
export function figure(value, decimals = 2) {
  return Number.isFinite(value) ? String(Number(value.toFixed(decimals))).replace("-", "−") : "–";
}

/** Return a sum of money in dollars, small ones with their cents' parts. */
export function dollars(value) {
  if (!value) return "no cost";
  return value < 0.01 ? `$${value.toPrecision(1)}` : `$${value.toFixed(2)}`;
}

/** Return a count with its noun: `1 set`, `4 sets`. */
export function count(number, one, many = `${one}s`) {
  return `${number.toLocaleString()} ${number === 1 ? one : many}`;
}
