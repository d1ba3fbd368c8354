/** Dialogs and passing notes: questions with an answer, and lines that say what happened (read aloud too). */

import { add, button, fill, h, icon } from "./dom.js";

let numbers = 0;

/**
 * Show a modal dialog until it is closed; the browser keeps the focus inside and gives it back.
 *
 * @param {string} title
 * @param {Array} content nodes
 * @param {Object} options `actions`: buttons `{label, value, kind, check}` (`check` may keep it open by false);
 *   `wide`: for lists
 * @returns {Promise<string>} the value of the button, or "" where it was dismissed
 */
export function dialog(title, content, { actions = [], wide = false } = {}) {
  return new Promise((resolve) => {
    const id = `dialog-${++numbers}`;
    const element = h("dialog", { class: wide ? "wide" : null, "aria-labelledby": id });
    const form = h("form", {
      method: "dialog",
      novalidate: true,
      on: {
        submit: (event) => {
          event.preventDefault();
          const chosen = event.submitter?.value ?? actions.at(-1)?.value ?? "";
          const action = actions.find((each) => each.value === chosen);
          if (action?.check && action.check() === false) return;
          element.close(chosen);
        },
      },
    });
    const close = button("Close", { icon: "close", hide: true, on: { click: () => element.close("") } });
    add(form, [h("header", {}, h("h2", { id }, title), close), h("div.content", {}, content)]);
    if (actions.length) {
      const row = actions.map(({ label, value, kind = "" }) =>
        h(
          "button",
          {
            type: value ? "submit" : "button", // Enter in a field does what is asked about, and never leaves it
            class: `button ${kind}`,
            value,
            on: { click: value ? null : () => element.close("") },
          },
          h("span.label", {}, label),
        ),
      );
      form.append(h("footer", {}, row));
    }
    element.append(form);
    element.addEventListener("close", () => {
      element.remove();
      resolve(element.returnValue);
    });
    element.addEventListener("click", (event) => {
      if (event.target === element) element.close(""); // beside it
    });
    document.body.append(element);
    element.showModal();
    const first = form.querySelector("[autofocus], .content input, .content textarea, .content select");
    (first ?? form.querySelector("footer button:last-child") ?? close).focus();
  });
}

/** Ask a yes-or-no question; true where it was answered by the action. */
export async function confirm(title, lines, action, { kind = "primary" } = {}) {
  const content = [lines].flat().map((line) => (line instanceof Node ? line : h("p", {}, line)));
  const answer = await dialog(title, content, {
    actions: [
      { label: "Cancel", value: "" },
      { label: action, value: "yes", kind },
    ],
  });
  return answer === "yes";
}

/** Ask for a line of text, a reason for instance; null where it was dismissed. */
export async function ask(title, label, action, { lines = [], value = "", longest = 300, kind = "primary" } = {}) {
  const id = `ask-${++numbers}`;
  const input = h("input", {
    id,
    type: "text",
    maxlength: longest,
    value,
    autocomplete: "off",
    "aria-describedby": `${id}-p`,
  });
  const problem = h("p.problem", { id: `${id}-p`, role: "alert" });
  const check = () => {
    if (input.value.trim()) return true;
    problem.textContent = "Write a few words first.";
    input.focus();
    return false;
  };
  const content = [
    [lines].flat().map((line) => (line instanceof Node ? line : h("p", {}, line))),
    h("label.field", { for: id }, h("span", {}, label), input),
    problem,
  ];
  const answer = await dialog(title, content, {
    actions: [
      { label: "Cancel", value: "" },
      { label: action, value: "yes", kind, check },
    ],
  });
  return answer === "yes" ? input.value.trim() : null;
}

/** Show a line for some seconds, spoken by screen readers; `undo` offers to take it back. Errors stay until closed. */
export function note(text, { kind = "info", undo = null, action = "Undo" } = {}) {
  const place = document.getElementById(kind === "error" ? "errors" : "notes");
  const line = h(
    "div.note",
    { class: kind },
    icon(kind === "error" ? "alert" : "check"),
    h("span", { dir: "auto" }, text),
  );
  const gone = () => line.remove();
  if (undo) line.append(button(action, { kind: "quiet", on: { click: () => (gone(), undo()) } }));
  line.append(button("Dismiss", { icon: "close", hide: true, on: { click: gone } }));
  for (const old of [...place.children].slice(0, -2)) old.remove();
  place.append(line);
  if (kind !== "error") setTimeout(gone, undo ? 12000 : 6000);
  return gone;
}

/** Say something to screen readers alone. */
export function say(text) {
  const place = document.getElementById("said");
  place.textContent = "";
  requestAnimationFrame(() => (place.textContent = text));
}

/** Return a panel that says why something can't be shown, with a way to try again. */
export function trouble(error, again) {
  const retry = again ? button("Try again", { kind: "primary", on: { click: again } }) : null;
  return h(
    "div.empty.trouble",
    { role: "alert" },
    icon(error.isOffline ? "offline" : "alert"),
    h("h2", {}, error.isOffline ? "The server can't be reached" : "This could not be loaded"),
    h("p", { dir: "auto" }, error.message),
    retry,
  );
}

/** Return a panel for what there is nothing of yet: what it is, and what to do. */
export function empty(name, title, lines, ...actions) {
  return h(
    "div.empty",
    {},
    icon(name),
    h("h2", {}, title),
    [lines].flat().map((line) => h("p", {}, line)),
    h("div.row", {}, actions),
  );
}

/** Fill a place while something loads: soft shapes where it will stand, and a word for screen readers. */
export function loading(place, shapes = 6, what = "Loading") {
  fill(
    place,
    h("p.for-readers", { role: "status" }, `${what} …`),
    h(
      "div.shapes",
      { "aria-hidden": "true" },
      Array.from({ length: shapes }, () => h("div.shape")),
    ),
  );
}
