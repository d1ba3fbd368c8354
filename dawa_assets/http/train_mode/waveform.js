/**
 * A waveform with what the set knows over it: bars, sections, the borders of segments, a loop and the playhead.
 *
 * Two canvases: the picture, drawn when something changes, and the playhead over it, drawn with every frame while it
 * plays. Shapes come from the server at the resolution of what is shown.
 */

import { fill, h, set } from "./dom.js";
import { clock } from "./format.js";
import { beatAt, drawPicture, RULER, SECTIONS } from "./waveform_picture.js";

const MOST_POINTS = 4000;
const CLOSEST = 2; // seconds across the view at most zoom

/** The waveform of one file. Fires `seek` with seconds, and `loop` with `{start, end}` or null. */
export class Waveform extends EventTarget {
  #asked = 0;
  #timer = 0;
  #frame = 0;

  /**
   * @param {Object} given `seconds` of the file; `shape(from, to, points)` resolves to `{low, high, rms}`; `grid`,
   *   `sections`, `locators`, `segments` as the server gives them; `position()` the seconds that sound now
   */
  constructor({ seconds, shape, grid = null, sections = [], locators = [], segments = [], position }) {
    super();
    Object.assign(this, { seconds, grid, sections, locators, segments, position, loop: null, data: null });
    this.load = shape;
    this.view = { from: 0, to: seconds };
    this.picture = h("canvas", { "aria-hidden": "true" });
    this.line = h("canvas", { "aria-hidden": "true" });
    this.slider = h(
      "div.waveform",
      {
        role: "slider",
        tabindex: 0,
        "aria-label": "Position in the audio",
        "aria-valuemin": 0,
        "aria-valuemax": Math.round(seconds),
        "aria-valuenow": 0,
        "aria-valuetext": "0:00",
      },
      this.picture,
      this.line,
    );
    this.scroll = h("input.scroll", {
      type: "range",
      min: 0,
      max: 1000,
      value: 0,
      hidden: true,
      "aria-label": "Part of the audio that is shown",
    });
    this.element = h("div.waveform-box", {}, this.slider, this.scroll);
    this.#listen();
    this.observer = new ResizeObserver(() => this.#resized());
    this.observer.observe(this.slider);
    this.onTheme = () => this.draw();
    addEventListener("themechange", this.onTheme);
  }

  /** Draw the playhead where it is; every frame while `isPlaying`. */
  follow(isPlaying) {
    cancelAnimationFrame(this.#frame);
    const step = () => {
      this.#drawLine();
      if (isPlaying) {
        this.#keepInView();
        this.#frame = requestAnimationFrame(step);
      }
    };
    step();
    const now = this.position();
    set(this.slider, { "aria-valuenow": Math.round(now), "aria-valuetext": this.#inWords(now) });
  }

  /** Show `factor` times as much (below 1: closer), around the playhead or a place. */
  zoom(factor, around = this.position()) {
    const span = this.view.to - this.view.from;
    const wanted = Math.min(Math.max(span * factor, Math.min(CLOSEST, this.seconds)), this.seconds);
    const share = around >= this.view.from && around <= this.view.to ? (around - this.view.from) / span : 0.5;
    this.show(around - wanted * share, wanted);
  }

  /** Show so many seconds from a place on. */
  show(from, span) {
    const start = Math.min(Math.max(from, 0), this.seconds - span);
    this.view = { from: start, to: start + span };
    const isWhole = span >= this.seconds - 1e-6;
    this.scroll.hidden = isWhole;
    if (!isWhole) this.scroll.value = String(Math.round((start / (this.seconds - span)) * 1000));
    this.draw();
    this.#drawLine();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.refresh(), 120);
  }

  setLoop(loop) {
    this.loop = loop;
    this.draw();
  }

  /** Take another grid, other sections or borders. */
  setMarks(marks) {
    Object.assign(this, marks);
    this.draw();
  }

  /** Load the shape of what is shown; an answer that comes too late is left alone. */
  async refresh() {
    const asked = ++this.#asked;
    const { from, to } = this.view;
    const points = Math.min(MOST_POINTS, Math.max(200, Math.round(this.slider.clientWidth * devicePixelRatio)));
    try {
      const data = await this.load(from, to, points);
      if (asked !== this.#asked) return;
      this.data = { ...data, from: data.from ?? from, to: data.to ?? to };
      this.draw();
      this.dispatchEvent(new Event("shape"));
    } catch (error) {
      if (error.name !== "AbortError") this.dispatchEvent(Object.assign(new Event("trouble"), { error }));
    }
  }

  draw() {
    if (this.picture.width) drawPicture(this.picture, this);
  }

  close() {
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#timer);
    this.#asked++;
    this.observer.disconnect();
    removeEventListener("themechange", this.onTheme);
  }

  #resized() {
    const { clientWidth: width, clientHeight: height } = this.slider;
    if (!width) return;
    for (const canvas of [this.picture, this.line]) {
      canvas.width = Math.round(width * devicePixelRatio);
      canvas.height = Math.round(height * devicePixelRatio);
    }
    this.draw();
    this.#drawLine();
    this.refresh();
  }

  #drawLine() {
    const { width, height } = this.line;
    const context = this.line.getContext("2d");
    context.clearRect(0, 0, width, height);
    const { from, to } = this.view;
    const x = ((this.position() - from) / (to - from)) * width;
    if (x < -1 || x > width + 1) return;
    context.fillStyle = getComputedStyle(this.slider).getPropertyValue("--playhead").trim();
    const scale = devicePixelRatio;
    context.fillRect(Math.round(x - scale / 2), RULER * scale, Math.max(1, Math.round(1.5 * scale)), height);
    context.beginPath();
    context.moveTo(x - 5 * scale, RULER * scale - 6 * scale);
    context.lineTo(x + 5 * scale, RULER * scale - 6 * scale);
    context.lineTo(x, RULER * scale + 2 * scale);
    context.fill();
  }

  /** Turn the page when the playhead leaves it. */
  #keepInView() {
    const { from, to } = this.view;
    const now = this.position();
    if (to - from >= this.seconds - 1e-6 || this.isHeld || (now >= from && now <= to)) return;
    this.show(now - (to - from) * 0.05, to - from);
  }

  #inWords(seconds) {
    const bar = this.grid ? beatAt(this.grid, seconds) : null;
    const section = this.sections.find((each) => seconds >= each.startSeconds && seconds < each.endSeconds);
    return [clock(seconds), bar ? `bar ${Math.floor(bar)}` : null, section?.name].filter(Boolean).join(", ");
  }

  #secondsAt(event) {
    const box = this.slider.getBoundingClientRect();
    const share = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
    return this.view.from + share * (this.view.to - this.view.from);
  }

  #snapped(seconds) {
    if (!this.grid?.bars.length) return seconds;
    const wide = ((this.view.to - this.view.from) / this.slider.clientWidth) * 12;
    const near = this.grid.bars
      .map((bar) => bar + this.grid.offsetSeconds)
      .reduce((best, bar) => (Math.abs(bar - seconds) < Math.abs(best - seconds) ? bar : best), Infinity);
    return Math.abs(near - seconds) <= wide ? near : seconds;
  }

  #listen() {
    let start = null;
    const fire = (type, detail) => this.dispatchEvent(new CustomEvent(type, { detail }));
    this.slider.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      const y = event.clientY - this.slider.getBoundingClientRect().top;
      const seconds = this.#secondsAt(event);
      if (y < SECTIONS && y >= RULER) {
        const section = this.sections.find((each) => seconds >= each.startSeconds && seconds < each.endSeconds);
        if (section) return fire("loop", { start: section.startSeconds, end: section.endSeconds, name: section.name });
      }
      start = { seconds, isLoop: y < RULER || event.shiftKey, x: event.clientX };
      this.slider.setPointerCapture(event.pointerId);
      if (!start.isLoop) fire("seek", seconds);
    });
    this.slider.addEventListener("pointermove", (event) => {
      if (!start) return;
      const seconds = this.#secondsAt(event);
      if (!start.isLoop) return fire("seek", seconds);
      if (Math.abs(event.clientX - start.x) > 4) {
        const [a, b] = [this.#snapped(start.seconds), this.#snapped(seconds)].sort((one, other) => one - other);
        this.setLoop({ start: a, end: b });
      }
    });
    const end = (event) => {
      if (start?.isLoop) {
        if (Math.abs(event.clientX - start.x) > 4) fire("loop", this.loop);
        else fire("loop", null);
      }
      start = null;
    };
    this.slider.addEventListener("pointerup", end);
    this.slider.addEventListener("pointercancel", () => (start = null));
    this.slider.addEventListener(
      "wheel",
      (event) => {
        if (event.ctrlKey || event.metaKey) {
          event.preventDefault();
          this.zoom(event.deltaY > 0 ? 1.25 : 0.8, this.#secondsAt(event));
        } else if (Math.abs(event.deltaX) > Math.abs(event.deltaY) && this.view.to - this.view.from < this.seconds) {
          event.preventDefault();
          const span = this.view.to - this.view.from;
          this.show(this.view.from + (event.deltaX / this.slider.clientWidth) * span, span);
        }
      },
      { passive: false },
    );
    this.scroll.addEventListener("input", () => {
      const span = this.view.to - this.view.from;
      this.isHeld = true; // somebody looks elsewhere: the playhead does not pull them back
      this.show((Number(this.scroll.value) / 1000) * (this.seconds - span), span);
    });
    this.slider.addEventListener("pointerdown", () => (this.isHeld = false));
  }
}

/** Return a waveform's place while its shape is made: an hour takes the server some seconds the first time. */
export function waveformToCome() {
  return fill(h("div.waveform-box.to-come", { role: "status" }), h("div.shape"), h("p", {}, "Reading the audio …"));
}
