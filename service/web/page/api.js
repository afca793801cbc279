/** The gRPC API as the page calls it: JSON to the address of each method, the caller's token with every call. */

import { Connection } from "./connection.js";

const BASE = new URL("../", import.meta.url);
const TOKEN = "statecast.token";
const CALL_MS = 30_000;
/** The server sends something every 10 s: a stream that is silent for longer is one that broke unseen. */
const SILENCE_MS = 25_000;
const BROKE = "the connection to the server broke";

/** A call failed; `code` is the gRPC status code's name. */
export class ApiError extends Error {
  constructor(code, message) {
    super(message);
    this.name = "ApiError";
    this.code = code;
  }
}

export const connection = new Connection(new URL("livez", BASE));

/** Tells of the event `unauthenticated`: the server wants another token. */
export const access = new EventTarget();

export const token = {
  get: () => sessionStorage.getItem(TOKEN) ?? "",
  set: (value) => (value ? sessionStorage.setItem(TOKEN, value) : sessionStorage.removeItem(TOKEN)),
};

/**
 * Calls a method that answers once.
 *
 * @param {string} method such as "SessionService/ListSessions".
 * @param {Object} request in the proto's own field names.
 * @param {{signal?: AbortSignal, keepalive?: boolean}} options `keepalive`: also while the page is being left.
 * @returns {Promise<Object>} the response; rejects with `ApiError`, or AbortError where `signal` said so.
 */
export function call(method, request = {}, options = {}) {
  return post(`api/statecast.v1.${method}`, request, options);
}

/** Who the caller is, {tenant, role, operates}: `operates`, whether calls that change what is served are theirs; as `call`. */
export function caller(options = {}) {
  return post("api/caller", {}, options);
}

/** The numbers that the server counts; as `call`. */
export function health(options = {}) {
  return post("api/health", {}, options);
}

async function post(path, request, { signal, keepalive }) {
  const limit = AbortSignal.timeout(CALL_MS);
  const answer = await send(path, request, { signal, limit, keepalive });
  return reached(answer.json(), signal, BROKE);
}

/**
 * Calls a method that answers with many messages, each given to `onMessage`; ends when the server ends it.
 *
 * @returns {Promise<void>} rejects as `call` does.
 */
export async function stream(method, request, { signal, onMessage, onOpen }) {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), SILENCE_MS);
  try {
    const answer = await send(`api/statecast.v1.${method}`, request, { signal, limit: silence.signal });
    onOpen?.();
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reached(reader.read(), signal, BROKE);
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE_MS);
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      for (const event of events) deliver(event, onMessage);
    }
  } finally {
    clearTimeout(timer);
  }
}

function deliver(event, onMessage) {
  let kind = "message";
  let data = "";
  for (const line of event.split("\n")) {
    if (line.startsWith("event:")) kind = line.slice(6).trim();
    else if (line.startsWith("data:")) data += line.slice(5).trimStart();
  }
  if (!data) return;
  const content = JSON.parse(data);
  if (kind === "error") throw new ApiError(content.code, content.message);
  onMessage(content);
}

/** The answer to a POST, once it is known to be one; `signal` is the caller's, `limit` ends it as well. */
async function send(path, request, { signal, limit, keepalive = false }) {
  const headers = { "Content-Type": "application/json" };
  if (token.get()) headers.Authorization = `Bearer ${token.get()}`;
  const sent = fetch(new URL(path, BASE), {
    method: "POST", headers, body: JSON.stringify(request), signal: signal ? AbortSignal.any([signal, limit]) : limit,
    keepalive, cache: "no-store", credentials: "omit",
  });
  const answer = await reached(sent, signal, "the server cannot be reached");
  connection.answered();
  if (answer.ok) return answer;
  const { code = "UNKNOWN", message = answer.statusText } = await answer.json().catch(() => ({}));
  if (code === "UNAUTHENTICATED") access.dispatchEvent(new Event("unauthenticated"));
  throw new ApiError(code, message);
}

/** What a request or its answer becomes; `words` for a connection that is lost. Where `signal` ended it, AbortError. */
async function reached(step, signal, words) {
  try {
    return await step;
  } catch (error) {
    if (signal?.aborted) throw error;
    if (error.name === "TimeoutError") throw new ApiError("DEADLINE_EXCEEDED", "the server did not answer in time");
    connection.lost();
    throw new ApiError("UNAVAILABLE", words);
  }
}
