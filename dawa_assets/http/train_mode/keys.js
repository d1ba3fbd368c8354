/** Keys: every view registers its own with what they do; `?` lists those that work now. */

import { dialog } from "./dialogs.js";
import { h } from "./dom.js";

const TYPING =
  "input:not([type=checkbox]):not([type=radio]):not([type=range]):not([type=button]), textarea, select, [contenteditable]";
const groups = new Map();

/**
 * Have keys do something while a group stands.
 *
 * @param {string} title of the group, as `?` shows it
 * @param {Array<{key: string, does: string, run: Function, typing?: boolean, hidden?: boolean}>} keys `key` as in
 *   `keyOf`; `typing` lets it through while somebody writes (chords only)
 * @param {AbortSignal} signal takes the group away
 */
export function keys(title, list, signal) {
  groups.set(title, list);
  signal?.addEventListener("abort", () => groups.get(title) === list && groups.delete(title));
}

/** Return what was pressed: `k`, `Shift K`, `Ctrl Enter` (Ctrl stands for ⌘ too), `?`, `ArrowLeft`. */
export function keyOf(event) {
  const plain = event.key === " " ? "Space" : event.key;
  const name = plain.length === 1 ? plain.toLowerCase() : plain;
  const parts = [];
  if (event.ctrlKey || event.metaKey) parts.push("Ctrl");
  if (event.altKey) parts.push("Alt");
  if (event.shiftKey && (plain.length > 1 || /[a-z]/i.test(plain))) parts.push("Shift");
  return [...parts, name].join(" ");
}

/** Listen; once for the page. */
export function listenToKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing) return;
    const inDialog = document.querySelector("dialog[open]");
    if (inDialog) return;
    const pressed = keyOf(event);
    const typing = event.target instanceof Element && event.target.matches(TYPING);
    const onControl =
      event.target instanceof Element && event.target.matches("button, a, summary, input, [role=slider]");
    for (const list of [...groups.values()].reverse()) {
      for (const entry of list) {
        if (entry.key !== pressed || (typing && !entry.typing)) continue;
        if (onControl && (pressed === "Space" || pressed === "Enter")) continue; // it is the control's own
        if (event.target.matches?.("[role=slider]") && pressed.startsWith("Arrow")) continue;
        event.preventDefault();
        entry.run(event);
        return;
      }
    }
  });
}

/** Show what keys do now. */
export function showKeys() {
  const tables = [...groups].reverse().map(([title, list]) => {
    const rows = list
      .filter((each) => !each.hidden)
      .map((each) =>
        h(
          "tr",
          {},
          h(
            "th",
            { scope: "row" },
            shown(each.key).map((part) => h("kbd", {}, part)),
          ),
          h("td", {}, each.does),
        ),
      );
    return rows.length ? h("section", {}, h("h3", {}, title), h("table.keys", {}, h("tbody", {}, rows))) : null;
  });
  return dialog("Keys", [h("div.columns", {}, tables)], { wide: true });
}

const isMac = /Mac|iPhone|iPad/.test(navigator.platform);

function shown(key) {
  const names = {
    ArrowLeft: "←",
    ArrowRight: "→",
    ArrowUp: "↑",
    ArrowDown: "↓",
    Ctrl: isMac ? "⌘" : "Ctrl",
    Escape: "Esc",
  };
  return key.split(" ").map((part) => names[part] ?? (part.length === 1 ? part.toUpperCase() : part));
}
