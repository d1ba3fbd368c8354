/** Requests to the server: JSON in and out, one kind of error, signing in anew where a token has run out. */

import { credentials, refresh } from "./session.js";

const TRIES = 3;

/** What went wrong, in one line for a person. */
export class ApiError extends Error {
  /** @param {number} status 0 where the server can't be reached */
  constructor(status, message, again = 0) {
    super(message);
    this.status = status;
    this.again = again; // seconds after which it may be asked again; 0: it was not said
    this.isOffline = status === 0;
  }
}

const listeners = { signedOut: () => {}, reached: () => {}, lost: () => {} };

/** Have somebody told: `signedOut()`, `reached()` after any answer, `lost()` when the server can't be reached. */
export function tellOf(given) {
  Object.assign(listeners, given);
}

/** Return an artist's routes: `at(artist)("items")`. */
export const at = (artist) => (path) => `/api/artists/${artist.id}/${path}`;

/** Get JSON; a server that is busy or away is asked again twice. */
export async function get(path, { signal, query } = {}) {
  const search = query ? `?${new URLSearchParams(query)}` : "";
  for (let left = TRIES - 1; ; left--) {
    try {
      return await send("GET", path + search, { signal });
    } catch (error) {
      if (!left || !(error instanceof ApiError) || ![0, 502, 503].includes(error.status)) throw error;
      await pause(Math.min(error.again || TRIES - left, 5) * 1000, signal);
    }
  }
}

/** Post JSON. What is asked twice is done once: every route of this server holds to that. */
export const post = (path, json = {}, options = {}) => send("POST", path, { json, ...options });
/** Put JSON. */
export const put = (path, json, options = {}) => send("PUT", path, { json, ...options });
/** Delete. */
export const remove = (path, options = {}) => send("DELETE", path, options);

/** Return the raw answer of a request that is read piece by piece. */
export async function open(path, { signal, headers = {} } = {}) {
  return answerTo("GET", path, { signal, headers });
}

async function send(method, path, { json, bytes, signal } = {}) {
  const headers = { Accept: "application/json" };
  let body;
  if (json !== undefined) {
    headers["Content-Type"] = "application/json";
    body = JSON.stringify(json);
  } else if (bytes !== undefined) {
    headers["Content-Type"] = "application/octet-stream";
    body = bytes;
  }
  const answer = await answerTo(method, path, { headers, body, signal });
  return answer.status === 204 ? null : answer.json();
}

async function answerTo(method, path, { headers, body, signal }, isSecond = false) {
  let answer;
  try {
    answer = await fetch(path, { method, headers: { ...headers, ...credentials() }, body, signal, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    listeners.lost();
    throw new ApiError(0, "The server can't be reached. What you wrote is kept in this browser.");
  }
  listeners.reached();
  if (answer.ok) return answer;
  if (answer.status === 401 && !isSecond && (await refresh())) {
    return answerTo(method, path, { headers, body, signal }, true);
  }
  if (answer.status === 401) listeners.signedOut();
  throw await errorOf(answer);
}

async function errorOf(answer) {
  const said = await answer.json().catch(() => null);
  const message = typeof said?.error === "string" ? said.error : `The server answered ${answer.status}.`;
  return new ApiError(answer.status, message, Number(answer.headers.get("Retry-After")) || 0);
}

/** Send raw bytes with their progress, which `fetch` can't tell; answers as `put`. */
export function putBytes(path, blob, { signal, onProgress = () => {} } = {}, isSecond = false) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", path);
    for (const [name, value] of Object.entries(credentials())) request.setRequestHeader(name, value);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.responseType = "json";
    request.upload.onprogress = (event) => onProgress(event.loaded);
    request.onerror = () => {
      listeners.lost();
      reject(new ApiError(0, "the connection was cut"));
    };
    request.onabort = () => reject(new DOMException("cancelled", "AbortError"));
    request.onload = async () => {
      listeners.reached();
      if (request.status < 300) return resolve(request.response);
      if (request.status === 401 && !isSecond && (await refresh())) {
        return putBytes(path, blob, { signal, onProgress }, true).then(resolve, reject);
      }
      if (request.status === 401) listeners.signedOut();
      const message = request.response?.error ?? `The server answered ${request.status}.`;
      return reject(new ApiError(request.status, message, Number(request.getResponseHeader("Retry-After")) || 0));
    };
    signal?.addEventListener("abort", () => request.abort(), { once: true });
    request.send(blob);
  });
}

/** Wait; ends at once with the signal's abort. */
export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        reject(new DOMException("left", "AbortError"));
      },
      { once: true },
    );
  });
}

/** Whether an error only says that somebody left. */
export const isLeft = (error) => error?.name === "AbortError";
