/** The lanes that one switches between: a button for each with its shape, and one playhead over all of them. */

import { button, fill, h, icon } from "./dom.js";
import { clock } from "./format.js";

const POINTS = 500;

/** Return lanes for a loaded player; `names` has what to call each, `isBlind` hides everything that tells them apart. */
export function makeLanes(player, { order, names, isBlind, signal }) {
  const lanes = order.map((who, n) => lane(player, who, names[who], n + 1, isBlind));
  const play = button("Play", {
    icon: "play",
    kind: "round primary",
    hide: true,
    key: "Space",
    on: { click: () => player.toggle() },
  });
  const time = h("output.clock", { "aria-label": "Position" });
  const seek = h("input.seek", {
    type: "range",
    min: 0,
    max: 1000,
    value: 0,
    "aria-label": "Position in the rendering",
  });
  seek.addEventListener("input", () => player.seek((Number(seek.value) / 1000) * player.seconds));
  const element = h(
    "div.lanes",
    { class: isBlind ? "blind" : null },
    h(
      "div.transport",
      {},
      play,
      time,
      seek,
      h("p.hint", {}, order.map((_, n) => n + 1).join(", "), " switch at the same place"),
    ),
    lanes.map((each) => each.element),
  );
  let frame = 0;
  const follow = () => {
    cancelAnimationFrame(frame);
    const share = player.isLoaded ? player.position / player.seconds : 0;
    element.style.setProperty("--at", share);
    time.textContent = `${clock(player.position, { tenths: true })} / ${clock(player.seconds)}`;
    if (document.activeElement !== seek) seek.value = String(Math.round(share * 1000));
    if (player.isPlaying && !signal.aborted) frame = requestAnimationFrame(follow);
  };
  const draw = () => {
    if (play.dataset.shows !== String(player.isPlaying)) {
      play.dataset.shows = String(player.isPlaying);
      play.firstChild.replaceWith(icon(player.isPlaying ? "pause" : "play"));
      play.lastChild.textContent = player.isPlaying ? "Pause" : "Play";
    }
    for (const each of lanes) each.element.setAttribute("aria-pressed", String(player.heard === each.who));
    follow();
  };
  const redraw = () => lanes.forEach((each) => each.draw());
  player.addEventListener("state", draw, { signal });
  addEventListener("themechange", redraw, { signal });
  const observer = new ResizeObserver(redraw);
  observer.observe(element);
  signal.addEventListener("abort", () => (observer.disconnect(), cancelAnimationFrame(frame)));
  draw();
  return element;
}

function lane(player, who, name, number, isBlind) {
  const canvas = h("canvas", { "aria-hidden": "true" });
  const element = h(
    "button.lane",
    {
      type: "button",
      "aria-pressed": "false",
      "aria-keyshortcuts": String(number),
      data: isBlind ? {} : { who },
      on: {
        click: () => {
          player.hear(who);
          if (!player.isPlaying) player.play();
        },
      },
    },
    h("kbd", { "aria-hidden": "true" }, number),
    h("span.who", {}, name),
    h("span.shape", {}, canvas, h("span.playhead", { "aria-hidden": "true" })),
  );
  const shape = isBlind ? null : player.shape(who, POINTS);
  const draw = () => {
    const { clientWidth: width, clientHeight: height } = canvas.parentElement;
    if (!width || !shape) return;
    canvas.width = width * devicePixelRatio;
    canvas.height = height * devicePixelRatio;
    const context = canvas.getContext("2d");
    context.fillStyle = getComputedStyle(element).getPropertyValue("--wave").trim();
    const each = canvas.width / POINTS;
    const half = canvas.height / 2;
    for (let n = 0; n < POINTS; n++) {
      const top = (shape.high[n] / 127) * half;
      const bottom = (shape.low[n] / 127) * half;
      context.fillRect(n * each, half - top, Math.max(each * 0.7, 1), Math.max(top - bottom, 1));
    }
  };
  return { who, element, draw };
}

/** Fill a place with a rendering's state while it is made. */
export function drawRendering(place, rendering, names) {
  fill(
    place,
    h(
      "div.rendering",
      { role: "status" },
      rendering.parts.map((part) =>
        h(
          "div.row",
          {},
          h("strong", {}, names[part.who] ?? part.who),
          part.state === "failed"
            ? h("span.problem", { dir: "auto" }, part.error)
            : h("progress", {
                "aria-label": `Rendering ${names[part.who] ?? part.who}`,
                max: 1,
                value: part.state === "done" ? 1 : undefined,
              }),
          h("span.hint", {}, part.state),
        ),
      ),
    ),
  );
}
