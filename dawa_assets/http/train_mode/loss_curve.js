/** A training's loss over its steps: what it saw, and what was held out. */

import { h } from "./dom.js";
import { figure } from "./format.js";

const SIZE = { width: 600, height: 150, left: 4, right: 4, top: 8, bottom: 18 };

/** Return a figure of the curve, with its words for screen readers. */
export function lossCurve(curve, signal) {
  const canvas = h("canvas", { "aria-hidden": "true", width: SIZE.width, height: SIZE.height });
  const lines = [
    ["loss", "Training"],
    ["validationLoss", "Held out"],
  ].filter(([name]) => curve.some((point) => Number.isFinite(point[name])));
  const ends = lines.map(([name, words]) => {
    const known = curve.filter((point) => Number.isFinite(point[name]));
    return `${words}: ${figure(known[0][name], 3)} to ${figure(known.at(-1)[name], 3)}`;
  });
  const draw = () =>
    drawCurve(
      canvas,
      curve,
      lines.map(([name]) => name),
    );
  addEventListener("themechange", draw, { signal });
  const observer = new ResizeObserver(draw);
  observer.observe(canvas);
  signal.addEventListener("abort", () => observer.disconnect());
  return h(
    "figure.curve",
    {},
    canvas,
    h(
      "figcaption",
      {},
      ends.map((each, n) => h("span", { data: { line: n } }, each)),
      h("span", {}, `${curve.at(-1).step} steps`),
    ),
  );
}

function drawCurve(canvas, curve, names) {
  const scale = devicePixelRatio;
  if (!canvas.clientWidth) return;
  canvas.width = canvas.clientWidth * scale;
  canvas.height = SIZE.height * scale;
  const context = canvas.getContext("2d");
  const style = getComputedStyle(canvas);
  const values = curve.flatMap((point) => names.map((name) => point[name]).filter(Number.isFinite));
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const last = curve.at(-1).step || 1;
  const x = (step) => (SIZE.left + (step / last) * (canvas.clientWidth - SIZE.left - SIZE.right)) * scale;
  const y = (value) =>
    (SIZE.top + (1 - (value - least) / (most - least || 1)) * (SIZE.height - SIZE.top - SIZE.bottom)) * scale;
  context.lineJoin = "round";
  names.forEach((name, n) => {
    context.strokeStyle = style.getPropertyValue(n ? "--line-1" : "--line-0").trim();
    context.lineWidth = (n ? 2.5 : 1.5) * scale;
    context.beginPath();
    for (const point of curve) if (Number.isFinite(point[name])) context.lineTo(x(point.step), y(point[name]));
    context.stroke();
  });
}
