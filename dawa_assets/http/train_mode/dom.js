/**
 * Building elements. Strings become text and attribute values only: nothing in this page makes markup of a string,
 * and the browser holds it to that (the Content-Security-Policy requires trusted types and allows none).
 */

const SVG = "http://www.w3.org/2000/svg";
const PROPERTIES = new Set(["value", "checked", "disabled", "hidden", "selected", "indeterminate", "open", "inert"]);

/**
 * Return a new element.
 *
 * @param {string} tag its name, with classes after dots: `button.primary`
 * @param {Object} given attributes; `on` has listeners by event, `data` the dataset, `style` custom properties by name;
 *   null and false leave an attribute out
 * @param {...(Node|string|number|null|Array)} children text or nodes; null and false are left out
 */
export function h(tag, given = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  if (classes.length) element.className = classes.join(" ");
  set(element, given);
  add(element, children);
  return element;
}

/** Set attributes of an element, as `h` does. */
export function set(element, given) {
  for (const [name, value] of Object.entries(given)) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) if (listener) element.addEventListener(event, listener);
    } else if (name === "data") {
      Object.assign(element.dataset, value);
    } else if (name === "style") {
      for (const [property, setting] of Object.entries(value)) element.style.setProperty(property, setting);
    } else if (name === "class") {
      if (value) element.classList.add(...value.split(" ").filter(Boolean));
    } else if (PROPERTIES.has(name)) {
      if (value !== undefined) element[name] = value;
    } else if (value === null || value === undefined || value === false) {
      element.removeAttribute(name);
    } else {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  return element;
}

/** Append children, nested lists too; null, undefined and false are left out. */
export function add(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

/** Replace what an element holds. */
export function fill(element, ...children) {
  element.replaceChildren();
  return add(element, children);
}

/**
 * Return a name of somebody's own (a set, an artist, a file): isolated, so that its direction disturbs nothing, and
 * without the marks that make text run backwards, so that it shows what it is.
 */
export function named(text) {
  return h("bdi", { dir: "auto" }, String(text).replace(/[\u202a-\u202e\u2066-\u2069]/g, ""));
}

/** Return an icon by name; decorative, so that what it stands on needs words of its own. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.classList.add("icon");
  for (const d of ICONS[name]) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", d);
    svg.append(path);
  }
  return svg;
}

/** Return a button with an icon and words; `hide` keeps the words for screen readers and the tooltip only. */
export function button(label, { icon: name, kind = "", hide = false, key = null, ...given } = {}) {
  const element = h("button", { type: "button", class: `button ${kind} ${hide ? "bare" : ""}`, ...given });
  if (name) element.append(icon(name));
  element.append(h("span", { class: hide ? "for-readers" : "label" }, label));
  if (hide) element.title = key ? `${label} (${key})` : label;
  else if (key) element.append(h("kbd", { "aria-hidden": "true" }, key));
  if (key) element.setAttribute("aria-keyshortcuts", key.replace("Ctrl ", "Control+"));
  return element;
}

const ICONS = {
  add: ["M12 5v14", "M5 12h14"],
  alert: ["M12 8v5", "M12 16.5v.5", "M10.3 4.2 2.8 17.4a2 2 0 0 0 1.7 3h15a2 2 0 0 0 1.7-3L13.7 4.2a2 2 0 0 0-3.4 0Z"],
  artist: ["M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8Z", "M4.5 20.5a7.5 7.5 0 0 1 15 0"],
  back: ["M15 5l-7 7 7 7"],
  check: ["M5 12.5l4.5 4.5L19 7.5"],
  close: ["M6 6l12 12", "M18 6 6 18"],
  dataset: [
    "M12 8c4.4 0 8-1.3 8-3s-3.6-3-8-3-8 1.3-8 3 3.6 3 8 3Z",
    "M4 5v14c0 1.7 3.6 3 8 3s8-1.3 8-3V5",
    "M4 12c0 1.7 3.6 3 8 3s8-1.3 8-3",
  ],
  download: ["M12 4v11", "M7 11l5 5 5-5", "M5 20h14"],
  exclude: ["M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18Z", "M5.7 5.7l12.6 12.6"],
  forward: ["M9 5l7 7-7 7"],
  hear: [
    "M4 14v-2a8 8 0 0 1 16 0v2",
    "M4 14a2 2 0 0 1 2-2h1v7H6a2 2 0 0 1-2-2v-3Z",
    "M20 14a2 2 0 0 0-2-2h-1v7h1a2 2 0 0 0 2-2v-3Z",
  ],
  history: ["M4 12a8 8 0 1 0 2.6-5.9L4 8.5", "M4 4v4.5h4.5", "M12 8v4.5l3 1.8"],
  keyboard: ["M3 7h18v10H3Z", "M7 10.5v.2M10.5 10.5v.2M14 10.5v.2M17.5 10.5v.2M8 14h8"],
  library: ["M4 5h16v4H4Z", "M4 10.5h10v3H4Z", "M8 15h12v4H8Z"],
  link: ["M10 14a4 4 0 0 0 6 .4l3-3a4 4 0 0 0-5.7-5.7L12 7", "M14 10a4 4 0 0 0-6-.4l-3 3a4 4 0 0 0 5.7 5.7L12 17"],
  loop: ["M17 3l3.5 3.5L17 10", "M20 6.5H7.5a4 4 0 0 0-4 4V12", "M7 21l-3.5-3.5L7 14", "M4 17.5h12.5a4 4 0 0 0 4-4V12"],
  minus: ["M5 12h14"],
  moon: ["M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5Z"],
  offline: [
    "M3 3l18 18",
    "M8.5 16.5a5 5 0 0 1 7 0",
    "M5 13a10 10 0 0 1 5.2-2.8",
    "M19 13a10 10 0 0 0-2-1.5",
    "M2 9.5A15 15 0 0 1 6 7",
    "M22 9.5A15 15 0 0 0 11 5.6",
    "M12 20v.1",
  ],
  pause: ["M8 5v14", "M16 5v14"],
  play: ["M8 5.5v13l10.5-6.5Z"],
  profile: ["M5 3h14v18H5Z", "M9 8h6", "M9 12h6", "M9 16h4"],
  queue: ["M4 6h12", "M4 12h12", "M4 18h8", "M20 12v6.5", "M17 16l3 3 3-3"],
  redo: ["M15 4l4.5 4.5L15 13", "M19.5 8.5H10a5.5 5.5 0 0 0 0 11h3"],
  search: ["M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13Z", "M15.5 15.5 21 21"],
  sign_out: ["M14 4H6v16h8", "M11 12h10", "M17.5 8l4 4-4 4"],
  sparkle: ["M12 3l1.9 5.6L19.5 10.5l-5.6 1.9L12 18l-1.9-5.6L4.5 10.5l5.6-1.9Z", "M19 16v5", "M16.5 18.5h5"],
  sun: [
    "M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8Z",
    "M12 2v2.5M12 19.5V22M2 12h2.5M19.5 12H22M5 5l1.7 1.7M17.3 17.3 19 19M5 19l1.7-1.7M17.3 6.7 19 5",
  ],
  undo: ["M9 4 4.5 8.5 9 13", "M4.5 8.5H14a5.5 5.5 0 0 1 0 11h-3"],
  upload: ["M12 20V9", "M7 13l5-5 5 5", "M5 4h14"],
  wave: ["M3 10v4", "M7 6v12", "M11 9v6", "M15 4v16", "M19 8v8"],
};
