/**
 * What runs for an artist, as it changes: server-sent events read by `fetch` (which can say who asks), polling where
 * the stream is cut.
 */

import { at, get, isLeft, open, pause } from "./api.js";

const POLL_SECONDS = 3;
const STREAM_AGAIN_SECONDS = 30;

/**
 * Follow an artist's progress until the signal aborts.
 *
 * @param {Object} artist
 * @param {function(Object)} onProgress called with every state that differs from the one before
 * @param {AbortSignal} signal
 */
export async function follow(artist, onProgress, signal) {
  let last = "";
  const told = (text) => {
    if (text !== last) onProgress(JSON.parse((last = text)));
  };
  while (!signal.aborted) {
    try {
      await stream(at(artist)("events"), told, signal);
    } catch (error) {
      if (isLeft(error) || signal.aborted || error.status === 401 || error.status === 404) return;
    }
    const end = Date.now() + STREAM_AGAIN_SECONDS * 1000;
    while (!signal.aborted && Date.now() < end) {
      try {
        told(JSON.stringify(await get(at(artist)("progress"), { signal })));
        await pause(POLL_SECONDS * 1000, signal);
      } catch (error) {
        if (isLeft(error) || error.status === 401 || error.status === 404) return;
        await pause(POLL_SECONDS * 1000, signal).catch(() => {});
      }
    }
  }
}

async function stream(path, told, signal) {
  const answer = await open(path, { signal, headers: { Accept: "text/event-stream" } });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value.replaceAll("\r\n", "\n");
    const events = rest.split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const lines = event.split("\n").filter((line) => line.startsWith("data:"));
      if (lines.length) told(lines.map((line) => line.slice(5).trimStart()).join("\n"));
    }
  }
}

/** A value with listeners that end by signals. */
export class Watched {
  #value;
  #listeners = new Set();

  constructor(value = null) {
    this.#value = value;
  }

  get value() {
    return this.#value;
  }

  set value(value) {
    this.#value = value;
    for (const listener of [...this.#listeners]) listener(value);
  }

  /** Call a listener now (where there is a value) and whenever it changes. */
  watch(listener, signal) {
    if (signal?.aborted) return;
    this.#listeners.add(listener);
    signal?.addEventListener("abort", () => this.#listeners.delete(listener));
    if (this.#value !== null) listener(this.#value);
  }
}
