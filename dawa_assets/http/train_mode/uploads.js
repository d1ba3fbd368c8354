/**
 * Sending files: in parts that each say where they belong, so that a cut line or a reload loses nothing that arrived.
 *
 * Files go to this server, or by a signed link straight to the project's storage (one PUT, or TUS), as the server says
 * for each.
 */

import { ApiError, at, get, isLeft, pause, post, putBytes, remove } from "./api.js";

const LONGEST_PAUSE = 20; // seconds between tries while the line is down
const TUS = "1.0.0";

/** One upload: some files on their way, until the server has them whole and it is closed. Fires `change`. */
export class Upload extends EventTarget {
  #stop = new AbortController();

  /**
   * @param {Object} artist
   * @param {"inbox"|"pair"} purpose
   * @param {Array<{path: string, file: File}>} given
   */
  constructor(artist, purpose, given) {
    super();
    Object.assign(this, { artist, purpose, id: null, state: "starting", error: null, isWaiting: false });
    this.files = given.map(({ path, file }) => ({
      path,
      file,
      size: file.size,
      received: 0,
      state: "open",
      reason: null,
      number: null,
      link: null,
    }));
  }

  /** Bytes of all files that are taken, and how many arrived. */
  get size() {
    return this.#taken.reduce((sum, file) => sum + file.size, 0);
  }

  get received() {
    return this.#taken.reduce((sum, file) => sum + Math.min(file.received, file.size), 0);
  }

  get refused() {
    return this.files.filter((file) => file.state === "refused");
  }

  get isActive() {
    return this.state === "starting" || this.state === "sending";
  }

  get #taken() {
    return this.files.filter((file) => file.state !== "refused");
  }

  /** Send everything; an inbox upload is closed at the end. Never throws: `state` and `error` say what became of it. */
  async run() {
    try {
      this.#become("starting");
      if (this.id === null) await this.#open();
      this.#become("sending");
      for (const file of this.files) if (file.state === "open") await this.#sendUntilWhole(file);
      if (!this.#taken.length) return this.#become("refused");
      if (this.purpose === "inbox") {
        const url = `${this.#url}/complete`;
        await this.#patiently(() => post(url, {}, { signal: this.#stop.signal }));
      }
      this.#become("complete");
    } catch (error) {
      if (isLeft(error)) return;
      this.error = error.message;
      this.#become("failed");
    }
  }

  /** Go on after a failure. */
  again() {
    if (this.state !== "failed") return;
    this.error = null;
    this.#stop = new AbortController();
    this.run();
  }

  /** Stop, and have the server forget what arrived. */
  async cancel() {
    this.#stop.abort();
    this.#become("cancelled");
    if (this.id !== null) await remove(this.#url).catch(() => {});
  }

  get #url() {
    return at(this.artist)(`uploads/${this.id}`);
  }

  #become(state) {
    this.state = state;
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }

  /** Begin it at the server, or find the one that a reload left open. */
  async #open() {
    const { signal } = this.#stop;
    const left = await this.#patiently(() => get(at(this.artist)("uploads"), { signal }));
    const answer =
      left.uploads.find((upload) => this.#isSame(upload)) ??
      (await this.#patiently(() =>
        post(
          at(this.artist)("uploads"),
          { purpose: this.purpose, files: this.files.map(({ path, size }) => ({ path, size })) },
          { signal },
        ),
      ));
    this.id = answer.id;
    this.#take(answer);
  }

  #isSame(upload) {
    const names = (files) =>
      files
        .map((file) => `${file.size} ${file.path}`)
        .sort()
        .join("\n");
    return upload.purpose === this.purpose && upload.state === "open" && names(upload.files) === names(this.files);
  }

  /** Take over what the server knows of the files. */
  #take(answer) {
    for (const known of answer.files) {
      const file = this.files.find(
        (each) =>
          each.number === known.file || (each.number === null && each.path === known.path && each.size === known.size),
      );
      if (file)
        Object.assign(file, {
          number: known.file,
          received: known.received,
          state: known.state,
          reason: known.reason,
          link: known.link ?? file.link,
        });
    }
    this.#changed();
  }

  async #sendUntilWhole(file) {
    let isFirst = true;
    await this.#patiently(async () => {
      if (!isFirst) this.#take(await get(this.#url, { signal: this.#stop.signal }));
      isFirst = false;
      if (file.state !== "open") return;
      if (file.link?.kind === "tus") await sendByTus(this, file, this.#stop.signal, () => this.#changed());
      else if (file.link?.kind === "put") await sendByPut(file, this.#stop.signal, () => this.#changed());
      else await this.#sendParts(file);
    });
  }

  async #sendParts(file) {
    const part = (await import("./session.js")).session().partBytes;
    while (file.state === "open") {
      const start = file.received;
      const blob = file.file.slice(start, start + part);
      const onProgress = (sent) => ((file.received = start + Math.min(sent, blob.size)), this.#changed());
      const options = { signal: this.#stop.signal, onProgress };
      const answer = await putBytes(`${this.#url}/files/${file.number}?offset=${start}`, blob, options);
      this.#take({ files: [answer] });
      if (file.state === "open" && file.received <= start)
        throw new ApiError(409, "the server took no part of the file");
    }
  }

  /** Do it, again and again while the line is down or the server is busy; other errors leave. */
  async #patiently(work) {
    for (let seconds = 1, conflicts = 0; ; seconds = Math.min(seconds * 2, LONGEST_PAUSE)) {
      try {
        const answer = await work();
        this.isWaiting = false;
        return answer;
      } catch (error) {
        const isConflict = error.status === 409 && ++conflicts < 5;
        if (!(error instanceof ApiError) || !(isConflict || [0, 408, 502, 503].includes(error.status))) throw error;
        this.isWaiting = error.status === 0;
        this.#changed();
        await pause((error.again || (isConflict ? 0.2 : seconds)) * 1000, this.#stop.signal);
      }
    }
  }
}

/** Ask Storage something; a line that is cut, or trouble of Storage's own, may be tried again. */
async function askStorage(target, options) {
  const answer = await fetch(target, { ...options, referrerPolicy: "no-referrer" }).catch((error) => {
    if (isLeft(error)) throw error;
    throw new ApiError(0, "the connection was cut");
  });
  if (answer.ok) return answer;
  // Storage says most errors as 400, with the real status in the body.
  const said = await answer.json().catch(() => ({}));
  const status = Number(said.statusCode) || answer.status;
  throw new ApiError(status >= 500 ? 503 : status, `Storage answered ${status}`);
}

/** Send a small file straight to Storage. One that is there already came by an earlier try whose answer was lost. */
async function sendByPut(file, signal, changed) {
  const { url, headers } = file.link;
  await askStorage(url, { method: "PUT", headers, body: file.file, signal }).catch((error) => {
    if (error.status !== 409) throw error;
  });
  Object.assign(file, { received: file.size, state: "whole" });
  changed();
}

/** Send a file straight to Storage by the protocol of tus.io, from where the last try ended. */
async function sendByTus(upload, file, signal, changed) {
  const { url, headers, metadata, chunkBytes } = file.link;
  const common = { ...headers, "Tus-Resumable": TUS };
  const ask = (method, target, more = {}, body) =>
    askStorage(target, { method, headers: { ...common, ...more }, body, signal });
  if (!file.location) {
    const made = await ask("POST", url, { "Upload-Length": String(file.size), "Upload-Metadata": metadata });
    const place = new URL(made.headers.get("Location"), url).pathname.split("/").at(-1);
    file.location = `${url}/${place}`; // of its address that alone is its own: proxies leave another host's in it
  }
  file.received = Number((await ask("HEAD", file.location)).headers.get("Upload-Offset")) || 0;
  while (file.received < file.size) {
    changed();
    const blob = file.file.slice(file.received, file.received + chunkBytes);
    const more = { "Upload-Offset": String(file.received), "Content-Type": "application/offset+octet-stream" };
    const answer = await ask("PATCH", file.location, more, blob);
    const offset = Number(answer.headers.get("Upload-Offset"));
    file.received = Number.isFinite(offset) && offset > file.received ? offset : file.received + blob.size;
  }
  file.state = "whole";
  changed();
}
