/** Drawing a waveform's picture: ruler with bars, band of sections, the shape, borders of segments, the loop. */

import { clock } from "./format.js";

export const RULER = 20; // CSS pixels: above it are the bars,
export const SECTIONS = 40; // down to here the sections
const FOOT = 8; // the band of the segments' borders
const APART = 44; // pixels that a bar's number needs

/** Return the bar with its fraction at a time, from 1; null before bar 1. */
export function beatAt(grid, seconds) {
  const at = seconds - grid.offsetSeconds;
  const { bars } = grid;
  if (!bars.length || at < bars[0]) return null;
  let low = 0;
  let high = bars.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (bars[middle] <= at + 1e-9) low = middle;
    else high = middle - 1;
  }
  const length = (bars[low + 1] ?? bars[low] + (bars[low] - (bars[low - 1] ?? 0) || 2)) - bars[low];
  return low + 1 + Math.min((at - bars[low]) / length, 0.999);
}

/** Draw all of it; `wave` has `view`, `data`, `grid`, `sections`, `locators`, `segments`, `loop`, `seconds`. */
export function drawPicture(canvas, wave) {
  const context = canvas.getContext("2d");
  const scale = devicePixelRatio;
  const style = getComputedStyle(canvas.parentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const { width, height } = canvas;
  const { from, to } = wave.view;
  const x = (seconds) => ((seconds - from) / (to - from)) * width;
  context.clearRect(0, 0, width, height);
  const draft = { context, scale, colour, width, height, x, from, to };
  drawLoop(draft, wave.loop);
  drawBars(draft, wave);
  drawSections(draft, wave.sections);
  drawShape(draft, wave.data);
  drawSegments(draft, wave.segments);
  drawLoopEdges(draft, wave.loop);
}

function drawLoop({ context, scale, colour, height, x }, loop) {
  if (!loop) return;
  context.fillStyle = colour("loop");
  context.fillRect(x(loop.start), RULER * scale, x(loop.end) - x(loop.start), height - RULER * scale);
}

function drawLoopEdges({ context, scale, colour, height, x }, loop) {
  if (!loop) return;
  context.fillStyle = colour("loop-edge");
  for (const edge of [loop.start, loop.end])
    context.fillRect(Math.round(x(edge)) - scale / 2, 0, Math.max(1, scale), height);
  context.fillRect(x(loop.start), 0, x(loop.end) - x(loop.start), 3 * scale);
}

function drawBars({ context, scale, colour, width, height, x, from, to }, { grid, seconds }) {
  context.font = `${11 * scale}px ${"ui-sans-serif, system-ui, sans-serif"}`;
  context.textBaseline = "middle";
  const label = (text, at) => {
    context.fillStyle = colour("wave-text");
    context.fillText(text, at + 4 * scale, (RULER / 2) * scale);
  };
  if (!grid?.bars.length) {
    const step = niceSeconds(((to - from) / width) * APART * scale * 1.5);
    for (let at = Math.ceil(from / step) * step; at < Math.min(to, seconds); at += step) {
      context.fillStyle = colour("wave-grid");
      context.fillRect(Math.round(x(at)), 0, 1, height);
      label(clock(at), x(at));
    }
    return;
  }
  const { bars, offsetSeconds: offset } = grid;
  const each = bars.length > 1 ? (bars.at(-1) - bars[0]) / (bars.length - 1) : 2;
  const step = 2 ** Math.max(0, Math.ceil(Math.log2((APART * scale) / ((each / (to - from)) * width))));
  bars.forEach((bar, n) => {
    const at = bar + offset;
    if (n % step || at < from - each * step || at > to) return;
    const isStrong = n % (step * 4) === 0;
    context.fillStyle = colour(isStrong ? "wave-grid-strong" : "wave-grid");
    context.fillRect(Math.round(x(at)), isStrong ? 0 : RULER * scale * 0.5, Math.max(1, scale * 0.75), height);
    label(String(n + 1), x(at));
  });
}

function niceSeconds(least) {
  return [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600].find((each) => each >= least) ?? 7200;
}

function drawSections({ context, scale, colour, width, x }, sections) {
  const top = RULER * scale;
  const height = (SECTIONS - RULER - 2) * scale;
  context.font = `600 ${11 * scale}px ${"ui-sans-serif, system-ui, sans-serif"}`;
  sections.forEach((section, n) => {
    const [left, right] = [Math.max(x(section.startSeconds), 0), Math.min(x(section.endSeconds), width)];
    if (right <= left) return;
    context.fillStyle = colour(n % 2 ? "section-odd" : "section");
    context.beginPath();
    context.roundRect(left + scale, top, Math.max(right - left - 2 * scale, scale), height, 4 * scale);
    context.fill();
    context.save();
    context.clip();
    context.fillStyle = colour("section-text");
    context.fillText(section.name, left + 7 * scale, top + height / 2);
    context.restore();
  });
}

/** Peaks as the outer shape, the loudness inside of it brighter. */
function drawShape({ context, scale, colour, width, height, from, to }, data) {
  if (!data) return;
  const top = (SECTIONS + 2) * scale;
  const bottom = height - FOOT * scale;
  const middle = (top + bottom) / 2;
  const half = (bottom - top) / 2;
  const points = data.high.length;
  const at = (n) => ((data.from + ((data.to - data.from) * n) / points - from) / (to - from)) * width;
  const trace = (upper, lower) => {
    context.beginPath();
    for (let n = 0; n < points; n++)
      context.lineTo(at(n + 0.5), middle - Math.max((upper[n] / 127) * half, scale * 0.5));
    for (let n = points - 1; n >= 0; n--)
      context.lineTo(at(n + 0.5), middle - Math.min((lower[n] / 127) * half, -scale * 0.5));
    context.closePath();
    context.fill();
  };
  context.save();
  context.beginPath();
  context.rect(0, top, width, bottom - top);
  context.clip();
  context.fillStyle = colour("wave");
  trace(data.high, data.low);
  if (data.rms) {
    context.fillStyle = colour("wave-rms");
    trace(
      data.rms,
      data.rms.map((value) => -value),
    );
  }
  context.restore();
}

function drawSegments({ context, scale, colour, height, x }, segments) {
  const top = height - (FOOT - 2) * scale;
  segments.forEach((segment, n) => {
    context.fillStyle = colour(n % 2 ? "segment-odd" : "segment");
    context.fillRect(
      x(segment.start) + scale * 0.5,
      top,
      Math.max(x(segment.end) - x(segment.start) - scale, scale),
      4 * scale,
    );
  });
}
