// The HTTP API: requests, what they fail with, server-sent events, and patience with a busy server.

import { toSearch } from "./address.js";

const ROOT = "api/v1/";
const MOST_RETRIES = 5;

/** What the server says is wrong (RFC 9457); `wait` is after how many seconds to ask again, or null. */
export class Problem extends Error {
  constructor({ detail, retry_after: wait = null }) {
    super(detail);
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

/**
 * The closest windows.
 * @param {import("./address.js").Query} query
 * @param {{signal: AbortSignal, onProgress: Function, onWait: Function}} listeners onProgress gets
 *   {stage, done, total}; onWait the seconds until a busy server is asked again
 */
export function find(query, { signal, onProgress, onWait }) {
  const headers = { accept: "text/event-stream" };
  return patiently(signal, onWait, async () => {
    const reply = await request(addressOf("find", toSearch(query)), { headers, signal });
    for await (const { event, data } of readEvents(reply.body)) {
      if (event === "progress") onProgress(data);
      if (event === "answer") return data;
      if (event === "problem") throw new Problem(data);
    }
    throw new Unreachable();
  });
}

/**
 * What a picture becomes.
 * @param {Blob|string} picture the file, or a text of digits
 * @param {Record<string, string>} reading fit, invert, trim, name
 */
export async function postBitmap(picture, reading, { signal }) {
  const address = addressOf("bitmap", new URLSearchParams(reading).toString());
  const headers = { "content-type": picture.type || "application/octet-stream" };
  const reply = await patiently(signal, () => {}, () =>
    request(address, { method: "POST", body: picture, headers, signal }));
  return reply.json();
}

/** The JSON of a resource. */
export async function getJson(name, search = "", signal = undefined) {
  return (await patiently(signal, () => {}, () => request(addressOf(name, search), { signal }))).json();
}

/** What attempt() gives; it is made again when the server says after how long. */
async function patiently(signal, onWait, attempt) {
  for (let tries = 1; ; tries++) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof Problem) || error.wait === null || tries > MOST_RETRIES) throw error;
      onWait(error.wait);
      await sleep(error.wait, signal);
    }
  }
}

async function request(address, options) {
  const reply = await reached(fetch(address, options));
  if (!reply.ok) throw await readProblem(reply);
  return reply;
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
  const seconds = Number.parseInt(reply.headers.get("retry-after"), 10);
  let detail = `The server answers ${reply.status} ${reply.statusText}`;
  try {
    ({ detail } = await reply.json());
  } catch {
    // Not every reply has a body; its status is told.
  }
  return new Problem({ detail, retry_after: seconds >= 0 ? seconds : null });
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
