/** One Live Set in the library: made once, brought up to date when its entry changes. */

import { fill, h, icon, named, set } from "./dom.js";
import { ago, clock, figure, moment } from "./format.js";
import { to } from "./router.js";
import { BADGES } from "./steps.js";

/** Return a badge's mark. */
export function badgeOf(badge) {
  return h("span.badge", { data: { badge } }, BADGES[badge] ?? badge);
}

/** Return a set's facts in one line: tempo, key, metre, length. */
export function factsLine(entry) {
  return [
    entry.tempo ? `${figure(entry.tempo)} BPM` : null,
    entry.musicalKey,
    entry.timeSignature,
    entry.lengthBars ? `${figure(entry.lengthBars, 0)} bars` : null,
    entry.audioSeconds ? clock(entry.audioSeconds) : null,
  ]
    .filter(Boolean)
    .join(" · ");
}

/** Return the project's name where it says more than the set's own; "" else. */
export function projectOf({ name, projectName }) {
  return !projectName || [name, `${name} Project`].includes(projectName) ? "" : projectName;
}

/** Return the address of an entry's own view. */
export function addressOf(artist, entry) {
  return entry.liveSetId ? to(artist.slug, "set", entry.parseId) : to(artist.slug, "item", entry.itemId);
}

/**
 * Return a set's card.
 *
 * @param {Object} artist
 * @param {Object} entry of the library
 * @param {function(Object, boolean, MouseEvent)} choose called when it is ticked or not
 */
export function makeCard(artist, entry, choose) {
  const tick = h("input", {
    type: "checkbox",
    tabindex: -1,
    on: { click: (event) => choose(card.entry, tick.checked, event) },
  });
  const picture = h("img.timeline", { alt: "", loading: "lazy", decoding: "async", width: 660, height: 262 });
  picture.addEventListener("error", () => (picture.hidden = true));
  const link = h("a.name", {});
  const parts = {
    tick,
    picture,
    link,
    project: h("span.project"),
    facts: h("span.facts"),
    when: h("time"),
    badge: h("span"),
    reason: h("span.reason"),
  };
  const element = h(
    "li.set",
    {},
    h("div.shot", {}, picture, h("span.no-shot", { "aria-hidden": "true" }, icon("wave"))),
    h("label.tick", {}, tick, h("span.for-readers")),
    h("div.words", {}, h("h2", {}, link), parts.project, parts.facts, parts.reason),
    h("div.end", {}, parts.badge, parts.when),
  );
  const card = { element, parts, entry: null };
  updateCard(card, artist, entry);
  return card;
}

/** Bring a card up to date; nothing is touched where nothing changed. */
export function updateCard(card, artist, entry) {
  const before = card.entry;
  card.entry = entry;
  if (before && JSON.stringify({ ...before, timelineUrl: "" }) === JSON.stringify({ ...entry, timelineUrl: "" }))
    return;
  const { parts, element } = card;
  element.id = `set-${entry.key}`;
  element.dataset.badge = entry.badge;
  set(parts.link, { href: addressOf(artist, entry) });
  fill(parts.link, named(entry.name));
  parts.tick.nextSibling.textContent = `Choose ${entry.name}`;
  parts.tick.disabled = !entry.liveSetId;
  fill(parts.project, projectOf(entry) ? named(projectOf(entry)) : null);
  parts.facts.textContent = factsLine(entry);
  set(parts.when, { datetime: entry.takenInAt, title: moment(entry.takenInAt) });
  parts.when.textContent = ago(entry.takenInAt);
  fill(parts.badge, badgeOf(entry.badge));
  parts.reason.textContent = entry.reason ?? "";
  parts.reason.hidden = !entry.reason;
  if (entry.timelineUrl && (!before || (before.timelineUrl ?? "").split("?")[0] !== entry.timelineUrl.split("?")[0])) {
    parts.picture.hidden = false;
    parts.picture.src = entry.timelineUrl;
  }
  parts.picture.hidden = !entry.timelineUrl;
  card.text = [entry.name, entry.projectName, entry.alsFilename, entry.musicalKey, entry.tempo, entry.reason]
    .filter(Boolean)
    .join(" ")
    .toLocaleLowerCase();
}
