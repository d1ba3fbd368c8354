/**
 * A set's audio: the place to drop its bounce, the upload on its way, and the waveform to listen by. Fires `change`.
 *
 * Before a bounce is saved it is decoded in this browser; afterwards shape and loudness are the server's.
 */

import { get, isLeft } from "./api.js";
import { drawLoudness, dropZone, linesOfItem } from "./audio_parts.js";
import { say } from "./dialogs.js";
import { button, fill, h, icon, named } from "./dom.js";
import { pickFiles } from "./drop.js";
import { clock, size } from "./format.js";
import { decodeLocally } from "./local_audio.js";
import { Player } from "./player.js";
import { session } from "./session.js";
import { forgetPair, isAudio, leftOver, pairOf, sendToSet } from "./upload_tray.js";
import { beatAt } from "./waveform_picture.js";
import { Waveform, waveformToCome } from "./waveform.js";

const STEP = 5; // seconds that an arrow goes where there are no bars

/** The panel of one set. */
export class AudioPanel extends EventTarget {
  #local = null; // the file that is not saved yet: {file, url}
  #reloaded = false;
  #frame = 0;

  /** @param {Object} given `artist`; `entry`, `detail`: of the set, or null; `item`, or null; `signal`; `reload()` */
  constructor(given) {
    super();
    Object.assign(this, given);
    this.player = new Player();
    this.place = h("div.audio-place");
    this.clock = h("output.clock", { "aria-label": "Position" });
    this.playButton = button("Play", {
      icon: "play",
      kind: "round primary",
      hide: true,
      key: "Space",
      on: { click: () => this.player.toggle() },
    });
    this.loopButton = button("Loop the section", {
      icon: "loop",
      hide: true,
      key: "l",
      "aria-pressed": "false",
      on: { click: () => this.toggleLoop() },
    });
    this.loudness = h("dl.loudness");
    this.transport = h(
      "div.transport",
      { hidden: true },
      this.playButton,
      this.clock,
      this.loopButton,
      button("Closer", { icon: "add", hide: true, key: "+", on: { click: () => this.wave?.zoom(0.5) } }),
      button("Farther", { icon: "minus", hide: true, key: "-", on: { click: () => this.wave?.zoom(2) } }),
      h("span.grow"),
      this.loudness,
    );
    this.findings = h("ul.findings", { hidden: true });
    this.status = h("div.sending");
    this.element = h(
      "section.audio-panel",
      { "aria-label": "Audio" },
      this.place,
      this.transport,
      this.findings,
      this.status,
      this.player.audio,
    );
    this.player.addEventListener("state", () => this.#drawTransport());
    this.signal.addEventListener("abort", () => {
      this.wave?.close();
      this.player.close();
      this.#letGo();
    });
    this.upload = this.entry ? pairOf(this.artist, this.entry.parseId) : null;
    if (this.upload) this.#followUpload(this.upload);
    else if (this.entry) this.#lookForLeftOver();
    this.draw();
  }

  /** What there is to save: `none`, `sending`, `arrived` (whole, not saved), `saved`, `refused`, `failed`. */
  get state() {
    const upload = this.upload;
    if (!upload || upload.state === "cancelled") return this.item?.audio ? "saved" : "none";
    return { complete: "arrived", refused: "refused", failed: "failed", cut: "failed" }[upload.state] ?? "sending";
  }

  /** Take a file as the set's bounce; it begins to go up at once. */
  attach(file) {
    if (!this.entry) return;
    if (!isAudio(file.name)) {
      this.#letGo();
      this.upload = Object.assign(new EventTarget(), {
        state: "refused",
        refused: [{ path: file.name, reason: `is no audio that can be read; bounce it as wav, flac or mp3` }],
        name: file.name,
      });
      this.draw();
      return this.#changed();
    }
    this.player.pause();
    this.#letGo();
    this.#local = { file, url: URL.createObjectURL(file) };
    this.#followUpload(sendToSet(this.artist, this.entry, file));
    this.draw();
    this.#changed();
  }

  async pick() {
    const [picked] = await pickFiles({ accept: session().audioSuffixes.join(",") });
    if (picked) this.attach(picked.file);
  }

  /** The pair is saved: its audio is the item's from now on. */
  saved() {
    if (this.entry) forgetPair(this.artist, this.entry.parseId);
    this.upload = null;
  }

  /** Show what the item has by now. */
  take(item, detail = this.detail) {
    const isSame = this.item?.audio?.sha256 === item?.audio?.sha256 && !this.upload;
    Object.assign(this, { item, detail });
    if (!isSame || !this.wave) return this.draw();
    if (!this.player.url) this.#loadItem();
    return this.wave.setMarks({ segments: item?.segments ?? [] });
  }

  draw() {
    this.wave?.close();
    this.wave = null;
    const name = this.state;
    this.transport.hidden = true;
    this.#drawFindings();
    this.#drawStatus();
    if (name === "saved") return this.#showItem();
    if (name === "refused" || ((name === "none" || !this.#local) && name !== "saved"))
      return fill(this.place, dropZone({ entry: this.entry, upload: this.upload, pick: () => this.pick() }));
    return this.#showLocal();
  }

  seekBy(seconds) {
    this.player.seek(this.player.position + seconds);
    this.wave?.follow(this.player.isPlaying);
  }

  /** One bar back or on; some seconds where there are no bars. */
  step(direction) {
    const bars = this.detail?.grid?.bars ?? [];
    const offset = this.detail?.grid?.offsetSeconds ?? 0;
    const now = this.player.position;
    const next =
      direction > 0 ? bars.find((bar) => bar + offset > now + 0.02) : bars.findLast((bar) => bar + offset < now - 0.3);
    this.seekBy(next === undefined ? direction * STEP : next + offset - now);
  }

  /** To the section before or after. */
  jump(direction) {
    const starts = (this.detail?.sections ?? []).map((section) => section.startSeconds);
    const now = this.player.position;
    const next =
      direction > 0 ? starts.find((start) => start > now + 0.02) : starts.findLast((start) => start < now - 0.5);
    if (next !== undefined) this.seekBy(next - now);
  }

  /** Loop the section under the playhead, or stop it. */
  toggleLoop(loop) {
    const now = this.player.position;
    const section = (this.detail?.sections ?? []).find((each) => now >= each.startSeconds && now < each.endSeconds);
    const wanted =
      loop !== undefined
        ? loop
        : this.player.loop
          ? null
          : section
            ? { start: section.startSeconds, end: section.endSeconds, name: section.name }
            : null;
    const isOff =
      wanted &&
      this.player.loop &&
      Math.abs(wanted.start - this.player.loop.start) < 0.001 &&
      Math.abs(wanted.end - this.player.loop.end) < 0.001;
    this.player.setLoop(isOff ? null : wanted);
    this.wave?.setLoop(this.player.loop);
    say(this.player.loop ? `Loop ${wanted.name ?? `${clock(wanted.start)} to ${clock(wanted.end)}`}` : "Loop off");
  }

  /** Loop from the playhead on, or up to it; the other end stays where it is. */
  loopHere(isStart) {
    const now = this.player.position;
    const { start = 0, end = this.player.duration } = this.player.loop ?? {};
    if (isStart) this.toggleLoop({ start: now, end: end > now ? end : this.player.duration });
    else this.toggleLoop({ start: start < now ? start : 0, end: now });
  }

  async #showItem() {
    const { audio } = this.item;
    const ask = (query) => get(audio.waveformUrl, { signal: this.signal, query });
    const shape = async (from, to, points) => {
      const data = await ask({ from, to, points });
      drawLoudness(this.loudness, data.loudness, data);
      return data;
    };
    if (!audio.seconds) fill(this.place, waveformToCome());
    try {
      audio.seconds ||= (await ask({ points: 1 })).seconds; // nobody has decoded it yet
    } catch (error) {
      return isLeft(error) || fill(this.place, h("p.problem", { role: "alert", dir: "auto" }, error.message));
    }
    if (this.signal.aborted || this.item?.audio !== audio || this.state !== "saved") return;
    this.#loadItem();
    this.#showWave(audio.seconds, shape);
  }

  /** Play the item's copy, in which places are exact; its file itself where there is none. */
  #loadItem() {
    const { audio } = this.item;
    this.player.load(audio.listenUrl ?? audio.url, audio.seconds);
  }

  async #showLocal() {
    fill(this.place, waveformToCome());
    const { file, url } = this.#local;
    const decoded = await decodeLocally(file);
    if (this.signal.aborted || this.#local?.file !== file) return;
    drawLoudness(this.loudness, null);
    if (!decoded)
      return fill(
        this.place,
        h(
          "div.drop-zone.plain",
          {},
          icon("wave"),
          h("p", {}, named(file.name)),
          h("p.hint", {}, "Its waveform shows once it is saved."),
        ),
      );
    if (decoded.exact) this.#local.exactUrl = URL.createObjectURL(decoded.exact);
    this.player.load(this.#local.exactUrl ?? url, decoded.seconds);
    this.#showWave(decoded.seconds, decoded.shape);
  }

  #showWave(seconds, shape) {
    const { grid = null, sections = [], locators = [] } = this.detail ?? {};
    const wave = new Waveform({
      seconds,
      shape,
      grid,
      sections,
      locators,
      segments: this.#local && this.upload ? [] : (this.item?.segments ?? []),
      position: () => this.player.position,
    });
    this.wave = wave;
    wave.addEventListener("seek", (event) => {
      this.player.seek(event.detail);
      wave.follow(this.player.isPlaying);
    });
    wave.addEventListener("loop", (event) => this.toggleLoop(event.detail));
    wave.addEventListener("shape", () => (coming.hidden = true));
    wave.addEventListener("trouble", (event) => {
      coming.hidden = false;
      fill(coming, h("p", {}, event.error.message), button("Try again", { on: { click: () => wave.refresh() } }));
    });
    const coming = h("div.coming", { role: "status" }, "Reading the audio …");
    wave.element.append(coming);
    fill(this.place, wave.element);
    this.transport.hidden = false;
    this.#drawTransport();
  }

  #drawStatus() {
    const { upload } = this;
    const name = this.state;
    if (name === "none" || name === "refused") return fill(this.status);
    const replace = this.entry
      ? button("Another bounce", { icon: "upload", kind: "quiet", on: { click: () => this.pick() } })
      : null;
    if (name === "saved") {
      const { audio } = this.item;
      const facts = [audio.format, clock(audio.seconds)].filter(Boolean).join(" · ");
      return fill(
        this.status,
        h("span.hint", {}, facts),
        h("a.button.quiet", { href: audio.url, download: "" }, icon("download"), h("span.label", {}, "Original")),
        replace,
      );
    }
    const share = upload.size ? upload.received / upload.size : 0;
    const words = {
      arrived: "arrived – not saved yet",
      sending: upload.isWaiting
        ? "the line is down – it goes on by itself"
        : `${size(upload.received)} of ${size(upload.size)}`,
      failed:
        upload.state === "cut"
          ? `stopped at ${Math.floor(share * 100)} % – choose the same file to go on`
          : upload.error,
    }[name];
    const cancel = button("Cancel the upload", { icon: "close", kind: "quiet", on: { click: () => this.#cancel() } });
    const again =
      name !== "failed"
        ? null
        : upload.state === "cut"
          ? button("Choose the file", { icon: "upload", kind: "primary", on: { click: () => this.pick() } })
          : button("Try again", { kind: "primary", on: { click: () => upload.again() } });
    return fill(
      this.status,
      h("strong", {}, named(upload.name)),
      name === "arrived" ? icon("check") : h("progress", { max: 1, value: share, "aria-label": "Upload" }),
      h("span.hint", { role: "status", dir: "auto" }, words),
      again,
      name === "arrived"
        ? button("Remove", { icon: "close", kind: "quiet", on: { click: () => this.#cancel() } })
        : cancel,
    );
  }

  #followUpload(upload) {
    this.upload = upload;
    this.#local ??= upload.files?.[0]?.file
      ? { file: upload.files[0].file, url: URL.createObjectURL(upload.files[0].file) }
      : null;
    let last = this.state;
    upload.addEventListener("change", () => {
      if (this.upload !== upload || this.signal.aborted) return;
      const now = this.state;
      if (now === "refused") {
        this.#letGo();
        this.draw();
      } else {
        this.#drawStatus();
      }
      if (now !== last) {
        if (now === "arrived") say("The bounce has arrived");
        this.#changed();
      }
      last = now;
    });
  }

  /** What a reload left: a bounce that arrived and was not saved, or one that was cut. */
  async #lookForLeftOver() {
    const upload = await leftOver(this.artist, this.entry).catch(() => null);
    if (!upload || this.upload || this.signal.aborted) return;
    this.#followUpload(upload);
    this.draw();
    this.#changed();
  }

  async #cancel() {
    const { upload } = this;
    this.upload = null;
    this.#letGo();
    this.draw();
    this.#changed();
    await upload.cancel();
    if (this.entry) forgetPair(this.artist, this.entry.parseId);
  }

  #letGo() {
    for (const url of [this.#local?.url, this.#local?.exactUrl]) if (url) URL.revokeObjectURL(url);
    this.#local = null;
  }

  #drawTransport() {
    const { player, wave } = this;
    const name = player.isPlaying ? "pause" : "play";
    if (this.playButton.dataset.shows !== name) {
      this.playButton.dataset.shows = name;
      this.playButton.firstChild.replaceWith(icon(name));
      this.playButton.lastChild.textContent = player.isPlaying ? "Pause" : "Play";
    }
    this.loopButton.setAttribute("aria-pressed", String(Boolean(player.loop)));
    wave?.follow(player.isPlaying);
    this.#tick();
    if (player.error && this.item?.audio && !this.#local && !this.#reloaded) {
      const { url, seconds } = this.item.audio;
      if (player.url?.endsWith("decoded=true")) return player.load(url, seconds); // there is no copy
      this.#reloaded = true; // its link may have run out
      this.player.url = null;
      this.reload();
    } else if (player.error) {
      this.clock.textContent = player.error;
    }
  }

  #tick() {
    const { player, detail } = this;
    const now = player.position;
    const bar = detail?.grid?.bars.length ? beatAt(detail.grid, now) : null;
    this.clock.textContent = `${clock(now, { tenths: true })} / ${clock(player.duration)}${bar ? ` · bar ${Math.floor(bar)}` : ""}`;
    cancelAnimationFrame(this.#frame);
    if (player.isPlaying) this.#frame = requestAnimationFrame(() => !this.signal.aborted && this.#tick());
  }

  #drawFindings() {
    const lines = this.state === "saved" ? linesOfItem(this.item) : [];
    this.findings.hidden = !lines.length;
    fill(
      this.findings,
      lines.map((line) => h("li", {}, icon("alert"), h("span", { dir: "auto" }, line))),
    );
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
