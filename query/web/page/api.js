// The HTTP API: requests, what they fail with, server-sent events, and patience with a busy server.

import { toSearch } from "./address.js";

const ROOT = "api/v1/";
const MOST_RETRIES = 5;

/** What the server says is wrong (RFC 9457); `wait` is after how many seconds to ask again, or null. */
export class Problem extends Error {
  constructor(status, detail, wait = null) {
    super(detail);
    this.status = status;
    this.wait = wait;
  }
}

/** No answer came: the server has ended, or the network is down. */
export class Unreachable extends Error {
  constructor() {
    super("The server does not answer. Is pilogo serve still running?");
  }
}

/**
 * The address of a resource of the API.
 * @param {string} name as in "sheet"
 * @param {string} search its parameters, encoded
 */
export const addressOf = (name, search = "") => `${ROOT}${name}${search && `?${search}`}`;

/** What is searched, and within which bounds; with the default of each parameter of a search. */
export async function fetchInfo() {
  const [info, document] = await Promise.all([getJson("info"), getJson("openapi.json")]);
  const parameters = document.paths["/api/v1/find"].get.parameters;
  const defaults = Object.fromEntries(parameters.map(({ name, schema }) => [name, schema.default]));
  return { ...info, defaults };
}

/**
 * The closest windows.
 * @param {import("./address.js").Query} query
 * @param {{signal: AbortSignal, onProgress: Function, onWait: Function}} listeners onProgress gets
 *   {stage, done, total}; onWait the seconds until a busy server is asked again
 */
export async function find(query, { signal, onProgress, onWait }) {
  const headers = { accept: "text/event-stream" };
  const reply = await request(addressOf("find", toSearch(query)), { headers, signal }, onWait);
  for await (const { event, data } of readEvents(reply.body)) {
    if (event === "progress") onProgress(data);
    if (event === "answer") return data;
    if (event === "problem") throw new Problem(data.status, data.detail);
  }
  throw new Unreachable();
}

/**
 * What a picture becomes.
 * @param {Blob|string} picture the file, or a text of digits
 * @param {Record<string, string>} reading fit, invert, trim, name
 */
export async function postBitmap(picture, reading, { signal }) {
  const address = addressOf("bitmap", new URLSearchParams(reading).toString());
  const headers = { "content-type": picture.type || "application/octet-stream" };
  const reply = await request(address, { method: "POST", body: picture, headers, signal });
  return reply.json();
}

/** The JSON of a resource. */
export async function getJson(name, search = "", signal = undefined) {
  return (await request(addressOf(name, search), { signal })).json();
}

async function request(address, options, onWait = () => {}) {
  for (let tries = 1; ; tries++) {
    const reply = await reached(fetch(address, options));
    if (reply.ok) return reply;
    const problem = await readProblem(reply);
    if (problem.wait === null || tries > MOST_RETRIES) throw problem;
    onWait(problem.wait);
    await sleep(problem.wait, options.signal);
  }
}

/** The promise's value; what a browser throws where nobody answers becomes Unreachable. */
async function reached(promise) {
  try {
    return await promise;
  } catch (error) {
    throw error instanceof TypeError ? new Unreachable() : error;
  }
}

async function readProblem(reply) {
  const wait = Number.parseInt(reply.headers.get("retry-after"), 10);
  let detail = `The server answers ${reply.status} ${reply.statusText}`;
  try {
    ({ detail } = await reply.json());
  } catch {
    // Not every reply has a body; its status is told.
  }
  return new Problem(reply.status, detail, reply.status === 503 && wait >= 0 ? wait : null);
}

function sleep(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

async function* readEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reached(reader.read());
    if (done) return;
    const blocks = (text + value).split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const fields = new Map(block.split("\n").map((line) => line.split(/: (.*)/s, 2)));
      yield { event: fields.get("event"), data: JSON.parse(fields.get("data")) };
    }
  }
}
