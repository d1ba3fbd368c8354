/** Playing one file: where it stands to the millisecond, and a section of it again and again. Fires `state`. */

const SOON = 0.3; // seconds before a loop's end at which a timer takes over from the frames

/** A player of one file at a time. What it gives as its position is what is heard. */
export class Player extends EventTarget {
  #timer = 0;

  constructor() {
    super();
    this.audio = new Audio();
    this.audio.preload = "metadata";
    this.loop = null;
    for (const event of ["play", "pause", "ended", "loadedmetadata", "seeked", "error", "waiting", "playing"]) {
      this.audio.addEventListener(event, () => this.#changed());
    }
    this.audio.addEventListener("timeupdate", () => this.#keepInLoop());
  }

  /** Take a file by its address; the length is what its metadata says until the decoded one is known. */
  load(url, seconds = NaN) {
    if (this.url === url) return;
    this.url = url;
    this.known = seconds;
    this.loop = null;
    this.audio.src = url;
  }

  get isPlaying() {
    return !this.audio.paused && !this.audio.ended;
  }

  get duration() {
    return Number.isFinite(this.known) ? this.known : this.audio.duration;
  }

  /** Seconds from the file's start of what sounds now. */
  get position() {
    return Math.min(this.audio.currentTime, this.duration || Infinity);
  }

  get error() {
    return this.audio.error
      ? "This browser can’t play the file; its shape and its facts are right all the same."
      : null;
  }

  async toggle() {
    if (this.isPlaying) return this.pause();
    return this.play();
  }

  async play() {
    if (this.loop && (this.position < this.loop.start || this.position >= this.loop.end - 0.01))
      this.seek(this.loop.start);
    else if (this.audio.ended) this.seek(0);
    await this.audio.play().catch(() => {}); // its error event says why
    this.#keepInLoop();
  }

  pause() {
    this.audio.pause();
  }

  seek(seconds) {
    this.audio.currentTime = Math.min(Math.max(seconds, 0), Math.max((this.duration || 0) - 0.001, 0));
    this.#changed();
  }

  /** Play a section again and again; null plays on. */
  setLoop(loop) {
    this.loop = loop && loop.end - loop.start >= 0.05 ? loop : null;
    if (this.loop && this.isPlaying && (this.position < loop.start || this.position > loop.end)) this.seek(loop.start);
    this.#keepInLoop();
    this.#changed();
  }

  /** Stop, and let go of the file. */
  close() {
    clearTimeout(this.#timer);
    this.audio.pause();
    this.audio.removeAttribute("src");
    this.audio.load();
  }

  /** Step back at the loop's end: by a timer that is set shortly before it, since events come four times a second. */
  #keepInLoop() {
    clearTimeout(this.#timer);
    if (!this.loop || !this.isPlaying) return;
    const left = this.loop.end - this.position;
    if (left <= 0.004) {
      this.seek(this.loop.start);
      this.#timer = setTimeout(() => this.#keepInLoop(), 50);
    } else if (left < SOON) {
      this.#timer = setTimeout(() => this.#keepInLoop(), Math.max(left * 1000 - 2, 1));
    }
  }

  #changed() {
    this.dispatchEvent(new Event("state"));
  }
}
