/**
 * Several renderings of the same prompt and seed, playing together: which of them is heard changes at once and at the
 * same place, with no gap and no change of loudness but the music's own. Fires `state`.
 */

import { shapeOf } from "./local_audio.js";
import { matchingGains } from "./loudness.js";

const FADE = 0.008; // seconds: too short to hear, long enough not to click
const AHEAD = 0.05; // seconds between the call and the sound, so that all begin in the same sample

/** The player; `load` first. */
export class SwitchPlayer extends EventTarget {
  #context = null;
  #voices = new Map(); // who → {buffer, gain, node, source}
  #startedAt = 0;
  #offset = 0;

  /**
   * Take renderings: `[{who, url, gainDb}]`, all of one length; gains that nobody told are measured. Throws where one
   * can't be fetched or decoded.
   */
  async load(parts, signal) {
    this.stop();
    const decoder = new OfflineAudioContext(1, 1, 48000);
    const buffers = await Promise.all(
      parts.map(async (part) => {
        const answer = await fetch(part.url, { signal });
        if (!answer.ok) throw new Error(`${part.who} can’t be loaded (${answer.status}); its link may have run out`);
        return decoder.decodeAudioData(await answer.arrayBuffer());
      }),
    );
    const gains = parts.every((part) => Number.isFinite(part.gainDb))
      ? parts.map((part) => part.gainDb)
      : await matchingGains(buffers);
    this.#voices = new Map(parts.map((part, n) => [part.who, { buffer: buffers[n], level: 10 ** (gains[n] / 20) }]));
    this.seconds = Math.min(...buffers.map((buffer) => buffer.duration));
    this.#offset = 0;
    this.heard = parts[0]?.who ?? null;
    this.#changed();
  }

  get who() {
    return [...this.#voices.keys()];
  }

  get isLoaded() {
    return this.#voices.size > 0;
  }

  get isPlaying() {
    return this.#startedAt > 0;
  }

  /** Seconds from the start of what sounds now. */
  get position() {
    if (!this.isPlaying) return this.#offset;
    const late = this.#context.outputLatency || this.#context.baseLatency || 0;
    const since = Math.max(this.#context.currentTime - this.#startedAt - late, 0);
    return (this.#offset + since) % this.seconds;
  }

  /** What a waveform of one of them is drawn from. */
  shape(who, points = 600) {
    const { buffer } = this.#voices.get(who);
    const channels = Array.from({ length: buffer.numberOfChannels }, (_, n) => buffer.getChannelData(n));
    return shapeOf(channels, buffer.sampleRate, 0, this.seconds, points);
  }

  /** Have another one heard, from this moment on. */
  hear(who) {
    if (!this.#voices.has(who)) return;
    this.heard = who;
    if (this.isPlaying) {
      const now = this.#context.currentTime;
      for (const [name, voice] of this.#voices) {
        const wanted = name === who ? voice.level : 0;
        voice.gain.gain.cancelAndHoldAtTime?.(now);
        voice.gain.gain.linearRampToValueAtTime(wanted, now + FADE);
      }
    }
    this.#changed();
  }

  toggle() {
    if (this.isPlaying) this.pause();
    else this.play();
  }

  play() {
    if (!this.isLoaded || this.isPlaying) return;
    this.#context ??= new AudioContext({ latencyHint: "interactive" });
    this.#context.resume();
    const when = this.#context.currentTime + AHEAD;
    for (const [name, voice] of this.#voices) {
      voice.gain = new GainNode(this.#context, { gain: name === this.heard ? voice.level : 0 });
      voice.source = new AudioBufferSourceNode(this.#context, {
        buffer: voice.buffer,
        loop: true,
        loopEnd: this.seconds,
      });
      voice.source.connect(voice.gain).connect(this.#context.destination);
      voice.source.start(when, this.#offset);
    }
    this.#startedAt = when;
    this.#changed();
  }

  pause() {
    const at = this.position;
    this.#silence();
    this.#offset = at;
    this.#changed();
  }

  seek(seconds) {
    const wasPlaying = this.isPlaying;
    this.#silence();
    this.#offset = Math.min(Math.max(seconds, 0), Math.max(this.seconds - 0.01, 0));
    if (wasPlaying) this.play();
    this.#changed();
  }

  /** Stop, and forget what was loaded. */
  stop() {
    this.#silence();
    this.#voices = new Map();
    this.#offset = 0;
  }

  close() {
    this.stop();
    this.#context?.close();
    this.#context = null;
  }

  #silence() {
    this.#startedAt = 0;
    for (const voice of this.#voices.values()) {
      voice.source?.stop();
      voice.source?.disconnect();
      voice.gain?.disconnect();
      voice.source = null;
    }
  }

  #changed() {
    this.dispatchEvent(new Event("state"));
  }
}
