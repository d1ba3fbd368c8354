/** The frame around every view: where one is, what runs, who is here, light or dark. */

import { progress } from "./artist_state.js";
import { ask } from "./dialogs.js";
import { button, fill, h, icon, named } from "./dom.js";
import { wait } from "./format.js";
import { keys, showKeys } from "./keys.js";
import { go, to } from "./router.js";
import { author, authorIsKnown, setAuthor, whoIsHere } from "./session.js";
import { STEPS } from "./steps.js";

const THEME = "dawa.theme";
const NAVIGATION = [
  ["library", "Library", "library"],
  ["dataset", "Dataset", "dataset"],
  ["hear", "Hear", "hear"],
  ["profile", "Profile", "profile"],
];
const rail = document.getElementById("rail");
let drawn = "";
let life = new AbortController();

/** Draw the frame for an artist and a view; `leave` signs out. */
export function drawShell(artist, view, leave, { bare = false } = {}) {
  document.title = artist ? `${artist.name} · Train Mode` : "Train Mode";
  document.body.classList.toggle("bare", bare);
  const shape = `${artist?.id} ${bare} ${whoIsHere()}`;
  if (shape !== drawn) {
    drawn = shape;
    life.abort();
    life = new AbortController();
    fill(rail, header(artist), bare ? null : [artist ? navigation(artist) : null, foot(artist, leave)]);
    keys("Everywhere", everywhere(artist), life.signal);
  }
  const active = { set: "library", item: "library" }[view] ?? view;
  for (const link of rail.querySelectorAll("nav a")) {
    if (link.dataset.view === active) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function header(artist) {
  const brand = h(
    "a.brand",
    { href: to() },
    h("img", { src: "/train-mode/icon.svg", alt: "", width: 28, height: 28 }),
    h("span", {}, "Train Mode"),
  );
  if (!artist) return h("header", {}, brand);
  const change = h(
    "a.artist-now",
    { href: to(), title: "Choose another artist" },
    icon("artist"),
    h("span", {}, named(artist.name)),
    h("span.for-readers", {}, "– choose another artist"),
  );
  return h("header", {}, brand, change);
}

function navigation(artist) {
  return h(
    "nav",
    { "aria-label": "Views" },
    NAVIGATION.map(([view, words, name]) =>
      h("a", { href: to(artist.slug, view), data: { view } }, icon(name), h("span", {}, words)),
    ),
  );
}

function foot(artist, leave) {
  const state = h("a.running", { href: artist ? to(artist.slug, "dataset") : "#", hidden: true });
  if (artist) progress.watch((now) => now && drawRunning(state, now), life.signal);
  const here = whoIsHere();
  const theme = button("Light or dark", { icon: "sun", hide: true, on: { click: nextTheme } });
  return h(
    "aside.foot",
    { "aria-label": "State" },
    h(
      "p.connection",
      { id: "connection", role: "status", hidden: true },
      icon("offline"),
      h("span", {}, "Server can’t be reached"),
    ),
    state,
    h(
      "div.row",
      {},
      theme,
      button("Keys", { icon: "keyboard", hide: true, key: "?", on: { click: showKeys } }),
      authorIsKnown() ? null : button("Your name", { icon: "artist", hide: true, on: { click: askName } }),
      here ? button(`Sign out (${here})`, { icon: "sign_out", hide: true, on: { click: leave } }) : null,
    ),
  );
}

function drawRunning(state, now) {
  const [first] = now.running;
  state.hidden = !first;
  if (!first) return;
  const share = first.total ? first.done / first.total : null;
  state.setAttribute("aria-label", `Running: ${STEPS[first.step]?.running ?? first.step}`);
  fill(
    state,
    h("span.pulse", { "aria-hidden": "true" }),
    h(
      "span.what",
      {},
      STEPS[first.step]?.running ?? first.step,
      now.running.length > 1 ? ` +${now.running.length - 1}` : "",
    ),
    h(
      "span.left",
      {},
      first.secondsLeft ? `${wait(first.secondsLeft)} left` : share === null ? "" : `${Math.round(share * 100)} %`,
    ),
    share === null ? null : h("span.bar", { style: { "--share": share } }),
  );
}

/** Say whether the server answers. */
export function setConnection(isThere) {
  const place = document.getElementById("connection");
  if (place) place.hidden = isThere;
  document.body.classList.toggle("offline", !isThere);
}

function everywhere(artist) {
  const views = artist
    ? NAVIGATION.map(([view, words], n) => ({
        key: `Alt ${n + 1}`,
        does: words,
        run: () => go(artist.slug, view),
        typing: true,
      }))
    : [];
  return [
    ...views,
    { key: "Alt 0", does: "All artists", run: () => go(), typing: true },
    { key: "?", does: "These keys", run: showKeys },
    { key: "Alt t", does: "Light or dark", run: nextTheme, typing: true },
  ];
}

async function askName() {
  const lines = ["Texts, choices and exclusions of yours are stored with this name. It stays in this browser."];
  const given = await ask("Your name", "Name", "Keep it", { value: author(), lines, longest: 100 });
  if (given !== null) setAuthor(given);
}

/** Set light or dark as it was chosen; else the system decides. */
export function applyTheme() {
  const theme = localStorage.getItem(THEME);
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  dispatchEvent(new Event("themechange"));
}

function nextTheme() {
  const isDark =
    getComputedStyle(document.documentElement).colorScheme.trim() === "dark" ||
    (!localStorage.getItem(THEME) && matchMedia("(prefers-color-scheme: dark)").matches);
  localStorage.setItem(THEME, isDark ? "light" : "dark");
  applyTheme();
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => dispatchEvent(new Event("themechange")));
