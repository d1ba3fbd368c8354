/** The list of artists: whom to work on, and how far each is. */

import { empty } from "./dialogs.js";
import { fill, h, icon, named } from "./dom.js";
import { count } from "./format.js";
import { keys } from "./keys.js";
import { to } from "./router.js";
import { BADGES } from "./steps.js";

const SEARCH_FROM = 7;

/** Show the artists that the caller may see. */
export function showArtists(main, artists, signal) {
  if (!artists.length) {
    return fill(
      main,
      empty("artist", "No artist yet", [
        "Run `make demo` for an example artist, or put your own music in:",
        h("code", {}, 'dawa upload --artist "Your Name" ~/Music/Sets'),
      ]),
    );
  }
  const list = h("ul.artists", {}, artists.map(card));
  const none = h("p.none", { hidden: true, role: "status" }, "No artist is called so.");
  const search = h("input", { type: "search", placeholder: "Search artists", "aria-label": "Search artists" });
  search.addEventListener("input", () => {
    const wanted = search.value.trim().toLocaleLowerCase();
    let left = 0;
    for (const entry of list.children) {
      entry.hidden = !entry.dataset.name.includes(wanted);
      left += !entry.hidden;
    }
    none.hidden = left > 0;
  });
  fill(
    main,
    h(
      "header.view",
      {},
      h("h1", {}, "Artists"),
      h("p.lead", {}, "Choose whose music to work on."),
      artists.length >= SEARCH_FROM ? h("div.search", {}, icon("search"), search) : null,
    ),
    list,
    none,
  );
  keys("Artists", [{ key: "/", does: "Search", run: () => search.focus() }], signal);
}

function card(artist) {
  const total = Object.entries(artist.badges).reduce((sum, [badge, n]) => sum + (badge === "excluded" ? 0 : n), 0);
  const done = artist.badges.ready + artist.badges.exported;
  const facts = [
    count(artist.liveSets, "Live Set"),
    total ? `${done} of ${count(total, "pair")} ready` : null,
    artist.uploadsWaiting ? `${count(artist.uploadsWaiting, "file")} waiting` : null,
    artist.hasProfile ? null : "no profile yet",
  ].filter(Boolean);
  return h(
    "li",
    { data: { name: artist.name.toLocaleLowerCase() } },
    h(
      "a.artist-card",
      { href: to(artist.slug, "library") },
      h("span.initial", { "aria-hidden": "true", style: { "--hue": hueOf(artist.slug) } }, [...artist.name][0] ?? "?"),
      h("span.words", {}, h("strong", {}, named(artist.name)), h("span", {}, facts.join(" · "))),
      h(
        "span.stack",
        { "aria-hidden": "true" },
        Object.keys(BADGES).map((badge) =>
          artist.badges[badge] ? h("span", { data: { badge }, style: { "flex-grow": artist.badges[badge] } }) : null,
        ),
      ),
      icon("forward"),
    ),
  );
}

function hueOf(text) {
  let sum = 7;
  for (const letter of text) sum = (sum * 31 + letter.codePointAt(0)) % 360;
  return sum;
}
