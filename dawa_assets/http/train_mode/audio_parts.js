/** Parts of a set's audio panel: the place to drop its bounce, its loudness, and what is to be looked at. */

import { button, fill, h, icon, named } from "./dom.js";
import { figure } from "./format.js";
import { session } from "./session.js";

const COMMON = [".wav", ".mp3", ".flac", ".aiff", ".m4a", ".ogg"]; // of those that are taken, what people have

/** Return the place to drop a set's bounce; with why the last one was refused. */
export function dropZone({ entry, upload, pick }) {
  const [refused] = upload?.refused ?? [];
  if (!entry) return h("div.drop-zone.plain", {}, icon("wave"), h("p", {}, "This pair has no audio."));
  const taken = session().audioSuffixes;
  const suffixes = COMMON.filter((suffix) => taken.includes(suffix)).map((suffix) => suffix.slice(1));
  return h(
    "div.drop-zone",
    { class: refused ? "refused" : null, on: { click: (event) => event.target.closest("button") || pick() } },
    icon(refused ? "alert" : "upload"),
    refused
      ? h(
          "p.problem",
          { role: "alert" },
          h("strong", {}, named(refused.path)),
          " ",
          h("span", { dir: "auto" }, refused.reason),
        )
      : null,
    h("p.lead", {}, refused ? "Drop another bounce" : "Drop the bounce of this set anywhere"),
    h("p.hint", {}, `${suffixes.join(", ")} …`),
    button("Choose a file", { kind: "primary", key: "u", on: { click: () => pick() } }),
  );
}

/** Fill a place with a file's loudness and peak; with nothing where they are not known. */
export function drawLoudness(place, loudness, data) {
  if (!loudness) return fill(place);
  const line = (name, value, unit, mark = null) =>
    h("div", { class: mark }, h("dt", {}, name), h("dd", {}, value === null ? "–" : `${figure(value, 1)} ${unit}`));
  const { integratedLufs, rangeLu, truePeakDbtp } = loudness;
  return fill(
    place,
    line("Loudness", integratedLufs, "LUFS"),
    line("Range", rangeLu, "LU"),
    line("True peak", truePeakDbtp, "dBTP", truePeakDbtp !== null && truePeakDbtp > 0 ? "over" : null),
    h(
      "div.wide-only",
      {},
      h("dt", {}, "Format"),
      h(
        "dd",
        {},
        `${figure(data.sampleRate / 1000, 1)} kHz ${data.channels === 1 ? "mono" : data.channels === 2 ? "stereo" : `${data.channels} ch`}`,
      ),
    ),
  );
}

/** Return what a person should look at: a bounce of another arrangement or tempo, and what was found of its sound. */
export function linesOfItem({ alignment, findings, quality, supersededBy }) {
  const reasons = alignment?.reasons ?? [];
  const better = alignment?.bestSave && !alignment.bestSave.isOwn ? alignment.bestSave.name : null;
  const instead = better ? `It fits “${better}”: pair it with that one` : "Pair it with another one";
  const open = (quality ?? []).filter((found) => found.standing !== "accepted" && !findings?.includes(found.sentence));
  return [
    ...(alignment?.answer === "not this arrangement"
      ? [`This bounce does not fit its Live Set: ${reasons[0]}. ${instead}, or leave it out.`]
      : reasons.filter((reason) => reason.startsWith("rendered at"))),
    ...(findings ?? []),
    ...open.map((found) => `${found.standing === "blocks" ? "Not used: " : ""}${found.sentence}; ${found.wayOut}.`),
    ...(supersededBy ? [`The same audio is used by “${supersededBy}”, in place of this one.`] : []),
  ];
}
