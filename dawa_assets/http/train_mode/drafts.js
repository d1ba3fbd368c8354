/** Texts that are written and not saved: kept in this browser with every pause, there again after a reload or a crash. */

const key = (artist, subject) => `dawa.draft.${artist.id}.${subject}`;

/** Return a draft: `{text, base, at}`; `base` is the saved text that it began from. Null where there is none. */
export function draftOf(artist, subject) {
  try {
    const found = JSON.parse(localStorage.getItem(key(artist, subject)) ?? "null");
    return typeof found?.text === "string" && typeof found.base === "string" ? found : null;
  } catch {
    return null;
  }
}

/** Keep a draft. */
export function keepDraft(artist, subject, text, base) {
  try {
    localStorage.setItem(key(artist, subject), JSON.stringify({ text, base, at: new Date().toISOString() }));
  } catch {
    // the browser's store is full or closed: the text is still in its field
  }
}

/** Forget a draft: it was saved, or somebody let it go. */
export function dropDraft(artist, subject) {
  localStorage.removeItem(key(artist, subject));
}
