/** Files from outside: dropped anywhere, folders walked to the ground, or picked by a dialog of the browser. */

import { h } from "./dom.js";

export const BOUNCE = "application/x-dawa-bounce"; // a waiting bounce that is dragged onto a set
const IGNORED = new Set([".DS_Store", "Thumbs.db", "desktop.ini"]);
const MOST_FILES = 5000;

/**
 * Let files be dropped anywhere on the page while a view stands.
 *
 * @param {Object} given `words(event)`: what the drop would do; `mark(event)`: the element that would take it, if it is
 *   one of several; `drop(files, event)`: called with `[{path, file}]`; `bounce(id, event)`: with a waiting bounce's id
 */
export function onDrop({ signal, words, mark = () => null, drop, bounce = null }) {
  const veil = h("div.drop-veil", { hidden: true }, h("p"));
  document.body.append(veil);
  signal.addEventListener("abort", () => veil.remove());
  let marked = null;
  const takes = (event) => {
    const types = event.dataTransfer?.types ?? [];
    return types.includes("Files") || (bounce && types.includes(BOUNCE));
  };
  const show = (element, text) => {
    if (marked !== element) marked?.classList.remove("drop-here");
    marked = element;
    element?.classList.add("drop-here");
    veil.hidden = text === null;
    if (text !== null) veil.firstChild.textContent = text;
  };
  const options = { signal };
  addEventListener(
    "dragover",
    (event) => {
      if (!takes(event)) return;
      event.preventDefault();
      event.dataTransfer.dropEffect = "copy";
      show(mark(event), words(event));
    },
    options,
  );
  addEventListener("dragleave", (event) => event.relatedTarget === null && show(null, null), options);
  addEventListener("dragend", () => show(null, null), options);
  addEventListener(
    "drop",
    async (event) => {
      if (!takes(event)) return;
      event.preventDefault();
      show(null, null);
      const id = event.dataTransfer.getData(BOUNCE);
      if (id && bounce) return bounce(id, event);
      const files = await filesOf(event.dataTransfer);
      if (files.length) drop(files, event);
    },
    options,
  );
}

/** Return what was dropped, folders with all that is in them, as `[{path, file}]`. */
async function filesOf(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files].map((file) => ({ path: file.name, file }));
  const found = [];
  const left = entries.map((entry) => [entry, entry.name]);
  while (left.length && found.length < MOST_FILES) {
    const [entry, path] = left.shift();
    if (entry.isDirectory) {
      const reader = entry.createReader();
      for (;;) {
        const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)).catch(() => []);
        if (!some.length) break;
        left.push(...some.map((each) => [each, `${path}/${each.name}`]));
      }
    } else if (!isHidden(entry.name)) {
      const file = await new Promise((resolve, reject) => entry.file(resolve, reject)).catch(() => null);
      if (file) found.push({ path, file });
    }
  }
  return found;
}

/** Let somebody choose files, or a folder; `[{path, file}]`, empty where they left. */
export function pickFiles({ folder = false, multiple = false, accept = "" } = {}) {
  return new Promise((resolve) => {
    const input = h("input", {
      type: "file",
      multiple: multiple || folder,
      accept: folder ? null : accept,
      hidden: true,
      webkitdirectory: folder,
    });
    input.addEventListener("change", () => {
      resolve(
        [...input.files]
          .filter((file) => !isHidden(file.name))
          .map((file) => ({ path: file.webkitRelativePath || file.name, file })),
      );
      input.remove();
    });
    input.addEventListener("cancel", () => (resolve([]), input.remove()));
    document.body.append(input);
    input.click();
  });
}

const isHidden = (name) => IGNORED.has(name) || name.startsWith("._");
