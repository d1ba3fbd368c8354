/** What the page knows of the artist that is worked on: their progress as it changes, and their library. */

import { at, get } from "./api.js";
import { follow, Watched } from "./progress.js";

/** The artist; null where none is chosen. */
export const artistNow = new Watched();
/** Their progress, as `GET …/progress` answers. */
export const progress = new Watched();
/** Their library, as `GET …/live-sets` answers; null until it was loaded. */
export const library = new Watched();

let following = null;
let version = null;

/** Work on an artist: follow what happens to them. The same one again changes nothing. */
export function useArtist(artist) {
  if (artistNow.value?.id === artist.id) return;
  forgetArtist();
  artistNow.value = artist;
  following = new AbortController();
  follow(
    artist,
    (state) => {
      const isNews = version !== null && version !== state.version;
      version = state.version;
      progress.value = state;
      if (isNews && library.value) refreshLibrary().catch(() => {});
    },
    following.signal,
  );
}

/** Work on nobody. */
export function forgetArtist() {
  following?.abort();
  following = null;
  version = null;
  artistNow.value = null;
  progress.value = null;
  library.value = null;
}

/** Load the library anew, for everybody who watches it. */
export async function refreshLibrary() {
  const artist = artistNow.value;
  const loaded = await get(at(artist)("live-sets"), { signal: following?.signal });
  if (artistNow.value === artist) library.value = loaded;
  return loaded;
}

/** Return the entry of a set in the library, where it was loaded. */
export function entryOf(parseId) {
  return library.value?.entries.find((entry) => entry.parseId === parseId) ?? null;
}

/** Call a listener when lists would show something else than they did; not for the state that stands now. */
export function onNews(listener, signal) {
  let seen = progress.value?.version ?? null;
  progress.watch((state) => {
    if (!state) return;
    const isNews = seen !== null && state.version !== seen;
    seen = state.version;
    if (isNews) listener(state);
  }, signal);
}
