// A query as the address bar holds it, and back again with what is wrong in it.

/**
 * @typedef {object} Query what is asked; names and meaning as in the API
 * @property {string} bitmap
 * @property {string} metric
 * @property {number} top
 * @property {boolean} exact
 * @property {number} missed
 * @property {boolean} distinct
 * @property {string} logo
 */

const NAMES = ["bitmap", "metric", "top", "exact", "missed", "distinct", "logo"];
const LONGEST_NAME = 200;

/**
 * The query as parameters of an address, all of them.
 * @param {Query} query
 */
export function toSearch(query) {
  return new URLSearchParams(NAMES.filter((name) => query[name] !== "").map((name) => [name, query[name]])).toString();
}

/**
 * Where this page shows the query, with one match pointed at if an offset is given.
 * @param {Query} query
 */
export function linkTo(query, offset = null) {
  const link = new URL(location.pathname, location.origin);
  link.search = toSearch(query);
  if (offset !== null) link.hash = `match=${offset}`;
  return link.href;
}

/** The offset that the address points at, or null. */
export function readPointer(hash) {
  const found = /^#match=(\d+)$/.exec(hash);
  return found ? Number(found[1]) : null;
}

/**
 * The query of an address; what cannot be used is complained of, and the default stands for it.
 * @param {string} search
 * @returns {{query: Query, given: boolean, complaints: string[]}} given: whether it has a bitmap
 */
export function readAddress(search, info) {
  const readers = readersFor(info);
  const parameters = new URLSearchParams(search);
  const query = { bitmap: "0".repeat(info.width * info.height), exact: false, distinct: false, logo: "" };
  for (const name of ["metric", "top", "missed"]) query[name] = info.defaults[name];
  const complaints = [];
  let given = false;
  for (const name of new Set(parameters.keys())) {
    const [text, ...others] = parameters.getAll(name);
    if (!NAMES.includes(name)) {
      complaints.push(`${quote(name)} is no parameter here; ${NAMES.join(", ")} are.`);
    } else if (others.length > 0) {
      complaints.push(`${name} is given ${others.length + 1} times.`);
    } else {
      const [value, wanted] = readers[name](text);
      if (value === null) complaints.push(`${name} is ${quote(text)}; ${wanted}.`);
      else query[name] = value;
      given ||= name === "bitmap" && value !== null;
    }
  }
  return { query, given, complaints };
}

/** For each parameter a function of its text: [value, or null where it is wrong; what is wanted]. */
function readersFor(info) {
  const pixels = info.width * info.height;
  const flag = (text) => [{ true: true, false: false }[text] ?? null, "it must be true or false"];
  const number = (text, good, wanted) => {
    const value = text.trim() === "" ? Number.NaN : Number(text);
    return [good(value) ? value : null, wanted];
  };
  return {
    bitmap: (text) => [/^\d+$/.test(text) && text.length === pixels ? text : null, `${pixels} digits are needed`],
    metric: (text) => [info.metrics.includes(text) ? text : null, `choose one of ${info.metrics.join(", ")}`],
    top: (text) =>
      number(
        text,
        (value) => Number.isInteger(value) && value >= 1 && value <= info.most_matches,
        `a whole number from 1 to ${info.most_matches} is needed`,
      ),
    missed: (text) => number(text, (value) => value > 0 && value < Infinity, "a number above 0 is needed"),
    exact: flag,
    distinct: flag,
    logo: (text) => [text.length <= LONGEST_NAME ? text : null, `at most ${LONGEST_NAME} characters are allowed`],
  };
}

const quote = (text) => `“${text.length > 40 ? `${text.slice(0, 40)}…` : text}”`;
