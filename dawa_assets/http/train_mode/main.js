/** The page: who may see it, which artist and which view stands, and what happens when any of that changes. */

import { get, tellOf } from "./api.js";
import { showArtists } from "./artists.js";
import { forgetArtist, useArtist } from "./artist_state.js";
import { trouble } from "./dialogs.js";
import { fill } from "./dom.js";
import { listenToKeys } from "./keys.js";
import { again, go, startRouter } from "./router.js";
import { forget, loadSession, needsSignIn } from "./session.js";
import { applyTheme, drawShell, setConnection } from "./shell.js";
import { showSignIn } from "./sign_in.js";
import { startUploads } from "./upload_tray.js";

const VIEWS = {
  library: () => import("./library.js").then((module) => module.showLibrary),
  set: () => import("./workbench.js").then((module) => module.showWorkbench),
  item: () => import("./workbench.js").then((module) => module.showItem),
  dataset: () => import("./dataset.js").then((module) => module.showDataset),
  hear: () => import("./hear.js").then((module) => module.showHear),
  profile: () => import("./profile.js").then((module) => module.showProfile),
};
const main = document.getElementById("main");

let artists = null;
let current = new AbortController();

async function show(parts) {
  current.abort();
  current = new AbortController();
  const { signal } = current;
  const isNewPlace = parts.join("/") !== show.last;
  show.last = parts.join("/");
  try {
    if (needsSignIn()) return signInFirst(signal);
    artists ??= (await get("/api/artists", { signal })).artists;
    const [slug, view = "library", ...rest] = parts;
    if (slug === undefined) {
      artists = (await get("/api/artists", { signal })).artists;
      if (artists.length === 1 && !show.chose) {
        show.chose = true;
        return go(artists[0].slug, "library");
      }
      forgetArtist();
      drawShell(null, null, leave);
      showArtists(main, artists, signal);
    } else {
      show.chose = true;
      const artist = await artistCalled(slug, signal);
      if (!artist) return nobody(slug);
      useArtist(artist);
      drawShell(artist, view, leave);
      const load = VIEWS[view];
      if (!load) return go(artist.slug, "library");
      const mount = await load();
      if (signal.aborted) return;
      await mount(main, artist, rest, signal);
    }
    if (isNewPlace && !signal.aborted) {
      scrollTo(0, 0);
      if (document.activeElement === document.body || !document.contains(document.activeElement))
        main.focus({ preventScroll: true });
    }
  } catch (error) {
    if (error.name === "AbortError" || signal.aborted) return;
    if (error.status === 401) return signInFirst(signal);
    fill(main, trouble(error, again));
  }
}

/** The artist of an address; asked for anew where it is not among those that were listed. */
async function artistCalled(slug, signal) {
  const find = () => artists.find((artist) => artist.slug === slug || artist.id === slug);
  if (!find()) artists = (await get("/api/artists", { signal })).artists;
  return find();
}

function nobody(slug) {
  forgetArtist();
  drawShell(null, null, leave);
  const error = new Error(`There is no artist “${slug}” that you may see.`);
  fill(
    main,
    trouble(error, () => go()),
  );
  main.querySelector("h2").textContent = "Not here";
  main.querySelector("button .label").textContent = "All artists";
}

function signInFirst(signal, reason = "") {
  artists = null;
  forgetArtist();
  drawShell(null, null, leave, { bare: true });
  showSignIn(main, { signal, reason, done: again });
}

/** Sign out. */
function leave() {
  forget();
  show.chose = false;
  go();
  again();
}

tellOf({
  signedOut: () => {
    current.abort();
    current = new AbortController();
    forget();
    signInFirst(
      current.signal,
      "Your sign-in has run out, or was wrong. Sign in to go on; drafts and the queue are kept.",
    );
  },
  reached: () => setConnection(true),
  lost: () => setConnection(false),
});

async function start() {
  applyTheme();
  listenToKeys();
  try {
    await loadSession();
  } catch {
    const error = Object.assign(new Error("Is `dawa serve` running?"), { isOffline: true });
    return fill(
      main,
      trouble(error, () => location.reload()),
    );
  }
  startUploads();
  startRouter(show);
}

start();
