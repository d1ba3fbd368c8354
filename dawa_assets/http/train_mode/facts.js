/** What a prompt comes from, beside it: what the set shows, and what the profile says of the artist's style. */

import { fill, h, icon, named } from "./dom.js";
import { count, figure } from "./format.js";
import { to } from "./router.js";

const MOST_TRACKS = 60;

/** Return the panel for a set's detail, as `GET …/live-sets/{parseId}` answers. */
export function factsPanel(artist, { entry, facts, style, context, sections }) {
  const picture = entry.timelineUrl
    ? h("img.timeline", {
        src: entry.timelineUrl,
        alt: timelineWords(facts, sections),
        loading: "lazy",
        width: 1650,
        height: 654,
      })
    : null;
  picture?.addEventListener("error", () => picture.closest("figure").remove());
  const top = [
    ["Tempo", facts.tempo ? `${figure(facts.tempo)} BPM` : null],
    ["Key", facts.musicalKey],
    ["Metre", facts.timeSignature],
    ["Length", facts.lengthBars ? `${figure(facts.lengthBars, 0)} bars` : null],
    ["Form", sections.map((section) => section.name).join(" – ") || null],
    ["Genres in the set", facts.genreIndicators?.join(", ") || null],
    ["Live", facts.liveVersion],
  ].filter(([, value]) => value);
  return h(
    "section.facts-panel",
    { "aria-labelledby": "facts-title" },
    h("header", {}, h("h2", { id: "facts-title" }, "What it comes from")),
    picture
      ? h(
          "figure",
          {},
          h(
            "a",
            { href: entry.timelineUrl, target: "_blank", rel: "noopener", title: "The timeline at its full size" },
            picture,
          ),
        )
      : null,
    h("h3", {}, "The set"),
    h(
      "dl.facts",
      {},
      top.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, named(value)))),
    ),
    tracks(facts),
    plugins(facts),
    h("h3", {}, "The artist’s style", h("a.edit", { href: to(artist.slug, "profile") }, "Edit the profile")),
    styleList(style),
    h(
      "details",
      {},
      h("summary", {}, icon("forward"), h("span", {}, "What the model is sent")),
      h("pre", { dir: "auto", tabindex: 0 }, JSON.stringify(context, null, 2)),
    ),
  );
}

function timelineWords(facts, sections) {
  return `Timeline of the set: ${count(facts.tracks?.length ?? 0, "track")} over ${figure(facts.lengthBars ?? 0, 0)} bars${sections.length ? `, with ${sections.map((each) => each.name).join(", ")}` : ""}.`;
}

function tracks(facts) {
  const list = facts.tracks ?? [];
  if (!list.length) return null;
  const rows = list
    .slice(0, MOST_TRACKS)
    .map((track) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, named(track.name)),
        h("td", {}, track.type),
        h("td", {}, track.group ? named(track.group) : ""),
        h("td.number", {}, track.clips),
        h("td", {}, named((track.plugins ?? []).join(", "))),
      ),
    );
  return h(
    "details",
    {},
    h("summary", {}, icon("forward"), h("span", {}, count(list.length, "track"))),
    h(
      "div.scroller",
      { tabindex: 0, role: "region", "aria-label": "Tracks" },
      h(
        "table",
        {},
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            ["Track", "Type", "Group", "Clips", "Plugins"].map((name) => h("th", { scope: "col" }, name)),
          ),
        ),
        h("tbody", {}, rows),
      ),
    ),
    list.length > MOST_TRACKS ? h("p.hint", {}, `and ${list.length - MOST_TRACKS} more`) : null,
  );
}

function plugins(facts) {
  const names = Object.entries(facts.plugins ?? {});
  if (!names.length) return null;
  return h(
    "details",
    {},
    h("summary", {}, icon("forward"), h("span", {}, count(names.length, "plugin"))),
    h(
      "ul.chips",
      {},
      names.map(([name, number]) => h("li", {}, named(name), number > 1 ? h("span.number", {}, `×${number}`) : null)),
    ),
  );
}

function styleList(style) {
  const parts = Object.entries(style ?? {});
  if (!parts.length) return h("p.hint", {}, "No profile yet: prompts are written from the set alone.");
  return h(
    "dl.facts.style",
    {},
    parts.map(([name, value]) => h("div", {}, h("dt", {}, inWords(name)), h("dd", {}, shown(value)))),
  );
}

function shown(value) {
  if (Array.isArray(value))
    return value.every((each) => typeof each !== "object")
      ? h(
          "ul.chips",
          {},
          value.map((each) => h("li", {}, named(String(each)))),
        )
      : value.map(shown);
  if (value && typeof value === "object")
    return h(
      "dl.facts",
      {},
      Object.entries(value).map(([name, each]) => h("div", {}, h("dt", {}, inWords(name)), h("dd", {}, shown(each)))),
    );
  return named(String(value));
}

/** Return a field's name as words: `keep_foreground` → "Keep foreground", `core_bpm_range` → "Core BPM range". */
export function inWords(name) {
  const words = String(name)
    .replaceAll("_", " ")
    .replace(/\b(bpm|daw|id|uuid)(s?)\b/gi, (_, short, many) => short.toUpperCase() + many);
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** Fill a place with what is said where a pair belongs to no known set. */
export function noFacts(place) {
  fill(
    place,
    h("p.hint", {}, "This pair was saved without a Live Set that is known here: there are no facts to write from."),
  );
}
