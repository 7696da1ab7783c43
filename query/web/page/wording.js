// Numbers and sentences about an answer, as the page words them.

const SYMBOLS = { pi: "π", e: "e", sqrt2: "√2", ln2: "ln 2", phi: "φ" };
const METRICS = {
  l1: "l1, Σ|d−r| of digits",
  l2: "l2, Σ(d−r)² of digits",
  "gray-l1": "gray-l1, Σ|d−r| of greys",
  "gray-l2": "gray-l2, Σ(d−r)² of greys",
  lightness: "lightness, Σ(ΔL*)²",
};
const FITS = { pad: "Pad with white", crop: "Crop", stretch: "Stretch" };
const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹";
const LARGE = new Intl.NumberFormat("en", { maximumFractionDigits: 6 });

/** How a constant is written in a sentence. */
export const symbolOf = (constant) => SYMBOLS[constant] ?? constant;

/** What a metric is called in the list of metrics. */
export const metricLabel = (metric) => METRICS[metric] ?? metric;

/** What a way to fit is called in the list of them. */
export const fitLabel = (fit) => FITS[fit] ?? fit;

/** A whole number or a distance for people: "981,165,566", "144,772.5". */
export const formatNumber = (value) => LARGE.format(value);

/** An E-value to two figures for people: "1.2e-5", "0.064", "3.4", "21", "1,234". */
export function formatExpected(value) {
  if (value >= 999_999.5) return value.toExponential(1);
  if (value >= 99.5) return LARGE.format(Math.round(value));
  return String(Number(value.toPrecision(2)));
}

/** A duration for people: "4 ms", "1.3 s", "2 min 5 s". */
export function formatSeconds(seconds) {
  if (seconds < 0.9995) return `${(seconds * 1000).toFixed(seconds < 0.0095 ? 1 : 0)} ms`;
  if (seconds < 119.5) return `${seconds.toFixed(seconds < 9.95 ? 1 : 0)} s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

/** Ten to the power of an exponent: "10⁸⁴", "6.3 × 10⁶⁹". */
export function formatPower(exponent) {
  let whole = Math.floor(exponent);
  let mantissa = (10 ** (exponent - whole)).toFixed(1);
  if (mantissa === "10.0") [mantissa, whole] = ["1.0", whole + 1];
  const power = `10${String(whole).replace(/\d/g, (digit) => SUPERSCRIPTS[digit])}`;
  return mantissa === "1.0" ? power : `${mantissa} × ${power}`;
}

/** What the matches are out of: "The 10 closest of 999,999,917 windows of π." */
export function howMany(answer, pixels) {
  const count = answer.matches.length;
  const windows = `${formatNumber(answer.digits - pixels + 1)} windows of ${symbolOf(answer.constant)}`;
  if (count === 0) return `No match among ${windows}.`;
  return `The ${count > 1 ? `${formatNumber(count)} ` : ""}closest of ${windows}.`;
}

/** What is searched: "the first 1,000,000,000 decimals", "the decimals 250,001 to 1,000,000". */
export function whereFrom(info) {
  if (info.first_offset === 1) return `the first ${formatNumber(info.digits)} decimals`;
  const last = info.first_offset + info.digits - 1;
  return `the decimals ${formatNumber(info.first_offset)} to ${formatNumber(last)}`;
}

/** How an answer was got, what it may lack, and how long it took. */
export function howGot(answer) {
  const seconds = formatSeconds(answer.seconds);
  if (answer.certified) {
    const done = answer.mode === "scan" ? "compared" : "accounted for";
    return `Certified: every window was ${done}. ${seconds}.`;
  }
  const source = answer.mode === "scan" ? "a scan" : `the ${answer.mode}`;
  const count = answer.matches.length;
  const many = count === 10 ? "ten" : formatNumber(count);
  const gaps = (answer.uncovered ?? []).map(([first, last]) => `${formatNumber(first)} to ${formatNumber(last)}`);
  const not = gaps.length ? `Not covered: offsets ${gaps.slice(0, 3).join(", ")}${gaps.length > 3 ? ", …" : ""}. ` : "";
  return `${not}From ${source}: expected to lack ${formatExpected(answer.expected_missed)} of the ${many}. ${seconds}.`;
}

/** What an exact scan says about the answer that it was asked to verify. */
export function howVerified(before, after) {
  const found = new Set(before.matches.map((match) => match.offset));
  const lacking = after.matches.filter((match) => !found.has(match.offset));
  const count = after.matches.length;
  if (lacking.length === 0) return count === 1 ? "It is the same match." : `They are the same ${formatNumber(count)}.`;
  const ranks = lacking.slice(0, 5).map((match) => match.rank).join(", ");
  const more = lacking.length > 5 ? ", …" : "";
  return `${formatNumber(lacking.length)} of the ${formatNumber(count)} had been lacking: rank ${ranks}${more}.`;
}

/** The digits of a picture in rows. */
export function inRows(digits, width) {
  const rows = [];
  for (let start = 0; start < digits.length; start += width) rows.push(digits.slice(start, start + width));
  return rows;
}
