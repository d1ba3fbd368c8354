/** The project library: every Live Set with its timeline and badge; search, filter, sort; one chosen, or many queued. */

import { library, refreshLibrary } from "./artist_state.js";
import { isLeft } from "./api.js";
import { pairBounce, showBounces } from "./bounces.js";
import { empty, loading, note, say, trouble } from "./dialogs.js";
import { button, fill, h, icon } from "./dom.js";
import { onDrop, pickFiles } from "./drop.js";
import { count } from "./format.js";
import { keys } from "./keys.js";
import { endQueue, onQueue, queueOf, startQueue } from "./queue.js";
import { go } from "./router.js";
import { addressOf, makeCard, updateCard } from "./set_card.js";
import { BADGES } from "./steps.js";
import { sendToInbox, sendToSet } from "./upload_tray.js";

const SORTS = {
  new: ["Newest first", (a, b) => b.takenInAt.localeCompare(a.takenInAt)],
  name: ["Name", (a, b) => NAMES.compare(a.name, b.name)],
  badge: ["What needs you", (a, b) => ORDER.indexOf(a.badge) - ORDER.indexOf(b.badge) || NAMES.compare(a.name, b.name)],
  tempo: ["Tempo", (a, b) => (a.tempo ?? 0) - (b.tempo ?? 0)],
};
const ORDER = Object.keys(BADGES);
const NAMES = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
const kept = new Map(); // what somebody searched, filtered and chose, by artist: there again when they come back

/** Show an artist's library. */
export async function showLibrary(main, artist, _rest, signal) {
  const state = kept.get(artist.id) ?? {
    search: "",
    badge: "",
    sort: localStorage.getItem("dawa.sort") ?? "new",
    chosen: new Set(),
  };
  kept.set(artist.id, state);
  if (!library.value) {
    loading(main, 9, "Loading the library");
    try {
      await refreshLibrary();
    } catch (error) {
      if (isLeft(error) || signal.aborted) return;
      return fill(
        main,
        trouble(error, () => showLibrary(main, artist, _rest, signal)),
      );
    }
    if (signal.aborted) return;
  } else {
    refreshLibrary().catch(() => {});
  }
  new LibraryView(main, artist, state, signal);
}

class LibraryView {
  #cards = new Map();
  #focused = null;
  #last = null; // the card that was ticked last: Shift ticks all between

  constructor(main, artist, state, signal) {
    Object.assign(this, { artist, state, signal });
    this.list = h("ul.sets", {
      class: localStorage.getItem("dawa.layout") === "list" ? "as-list" : null,
      "aria-label": "Live Sets",
    });
    this.none = h("div", { hidden: true });
    this.filters = h("div.filters", { role: "group", "aria-label": "Filter by badge" });
    this.bar = h("div.choice-bar", { hidden: true, role: "region", "aria-label": "What is chosen" });
    this.queueLine = h("div.queue-line", { hidden: true });
    const bounces = h("div");
    fill(main, this.#header(), this.queueLine, bounces, this.filters, this.list, this.none, this.bar);
    showBounces(bounces, artist, signal);
    library.watch((loaded) => loaded && this.#draw(loaded), signal);
    onQueue(() => this.#drawQueue(), signal);
    this.#drawQueue();
    this.#drawBar();
    keys("Library", this.#keys(), signal);
    onDrop({
      signal,
      words: (event) =>
        this.#setAt(event) ? "Drop it as the bounce of this set" : "Drop bounces, sets or a whole folder",
      mark: (event) => this.#setAt(event)?.element ?? null,
      drop: (files, event) => this.#dropped(files, this.#setAt(event)),
      bounce: (id, event) => {
        const card = this.#setAt(event);
        if (card?.entry.liveSetId) pairBounce(artist, id, card.entry);
        else note("Drop it onto a set.");
      },
    });
  }

  #header() {
    const { state } = this;
    this.search = h("input", {
      type: "search",
      value: state.search,
      placeholder: "Search name, key, tempo …",
      "aria-label": "Search Live Sets",
    });
    this.search.addEventListener("input", () => ((state.search = this.search.value), this.#filter()));
    const sort = h(
      "select",
      { "aria-label": "Sort" },
      Object.entries(SORTS).map(([name, [words]]) =>
        h("option", { value: name, selected: name === state.sort }, words),
      ),
    );
    sort.addEventListener("change", () => {
      state.sort = sort.value;
      localStorage.setItem("dawa.sort", sort.value);
      this.#order();
    });
    const add = button("Add music", { icon: "upload", kind: "primary", key: "a", on: { click: () => this.#pick() } });
    const folder = button("Add a folder", { icon: "add", on: { click: () => this.#pick(true) } });
    this.heading = h("h1", {}, "Live Sets");
    return h(
      "header.view",
      {},
      this.heading,
      h("div.row.tools", {}, h("div.search", {}, icon("search"), this.search), sort, this.#layoutSwitch(), folder, add),
    );
  }

  #layoutSwitch() {
    const isList = this.list.classList.contains("as-list");
    const choose = (name) => (event) => {
      this.list.classList.toggle("as-list", name === "list");
      localStorage.setItem("dawa.layout", name);
      for (const each of event.currentTarget.parentElement.children)
        each.setAttribute("aria-pressed", String(each === event.currentTarget));
    };
    return h(
      "div.segmented.layout",
      { role: "group", "aria-label": "Layout" },
      h("button", { type: "button", "aria-pressed": String(!isList), on: { click: choose("grid") } }, "Pictures"),
      h("button", { type: "button", "aria-pressed": String(isList), on: { click: choose("list") } }, "List"),
    );
  }

  #draw(loaded) {
    const seen = new Set();
    for (const entry of loaded.entries) {
      seen.add(entry.key);
      const card = this.#cards.get(entry.key);
      if (card) updateCard(card, this.artist, entry);
      else
        this.#cards.set(
          entry.key,
          makeCard(this.artist, entry, (...given) => this.#choose(...given)),
        );
    }
    for (const [key, card] of this.#cards) {
      if (seen.has(key)) continue;
      card.element.remove();
      this.#cards.delete(key);
      this.state.chosen.delete(key);
    }
    for (const card of this.#cards.values()) card.parts.tick.checked = this.state.chosen.has(card.entry.key);
    this.#drawFilters(loaded);
    this.#order();
  }

  #drawFilters(loaded) {
    const counts = Object.fromEntries(ORDER.map((badge) => [badge, 0]));
    for (const entry of loaded.entries) counts[entry.badge]++;
    const chip = (badge, words, number) =>
      h(
        "button.chip",
        {
          type: "button",
          data: badge ? { badge } : {},
          "aria-pressed": String(this.state.badge === badge),
          disabled: !number && badge !== "" && this.state.badge !== badge,
          on: {
            click: () => (
              (this.state.badge = this.state.badge === badge ? "" : badge),
              this.#drawFilters(loaded),
              this.#filter()
            ),
          },
        },
        words,
        h("span.number", {}, number),
      );
    const hadFocus = [...this.filters.children].indexOf(document.activeElement);
    fill(
      this.filters,
      chip("", "All", loaded.entries.length),
      ORDER.map((badge) => chip(badge, BADGES[badge], counts[badge])),
    );
    if (hadFocus >= 0) this.filters.children[hadFocus].focus();
  }

  #order() {
    const compare = (SORTS[this.state.sort] ?? SORTS.new)[1];
    const cards = [...this.#cards.values()].sort((a, b) => compare(a.entry, b.entry));
    const isInOrder = cards.every((card, n) => this.list.children[n] === card.element);
    if (!isInOrder || cards.length !== this.list.children.length) {
      const had = this.list.contains(document.activeElement) ? document.activeElement : null;
      this.list.replaceChildren(...cards.map((card) => card.element));
      had?.focus({ preventScroll: true }); // what is taken out and put in again has lost it, and keys go nowhere
    }
    this.#filter();
  }

  #filter() {
    const wanted = this.state.search.trim().toLocaleLowerCase().split(/\s+/).filter(Boolean);
    let left = 0;
    for (const card of this.#cards.values()) {
      const isShown =
        (!this.state.badge || card.entry.badge === this.state.badge) &&
        wanted.every((word) => card.text.includes(word));
      card.element.hidden = !isShown;
      left += isShown;
    }
    this.none.hidden = left > 0;
    if (!left) this.#drawNone();
    clearTimeout(this.telling);
    if (wanted.length) this.telling = setTimeout(() => say(`${count(left, "set")} found`), 400);
  }

  #drawNone() {
    if (!this.#cards.size) {
      const add = button("Add music", { icon: "upload", kind: "primary", on: { click: () => this.#pick() } });
      return fill(
        this.none,
        empty(
          "library",
          "No Live Set yet",
          [
            "Drop Ableton Live Sets and their bounces here, or a whole folder of projects. Files of one project find each other by name and folder.",
          ],
          add,
        ),
      );
    }
    const all = button("Show all", { on: { click: () => this.#clear() } });
    return fill(
      this.none,
      empty(
        "search",
        "Nothing fits",
        [
          `No set ${this.state.badge ? `is “${BADGES[this.state.badge]}”` : ""}${this.state.search ? ` has “${this.state.search}”` : ""}.`,
        ],
        all,
      ),
    );
  }

  #clear() {
    Object.assign(this.state, { search: "", badge: "" });
    this.search.value = "";
    this.#draw(library.value);
  }

  #choose(entry, isChosen, event) {
    const shown = [...this.list.children].filter((element) => !element.hidden);
    const card = this.#cards.get(entry.key);
    const range =
      event?.shiftKey && this.#last && !this.#last.element.hidden
        ? shown.slice(
            ...[shown.indexOf(this.#last.element), shown.indexOf(card.element)]
              .sort((a, b) => a - b)
              .map((n, i) => n + i),
          )
        : [card.element];
    for (const each of this.#cards.values()) {
      if (!range.includes(each.element) || each.parts.tick.disabled) continue;
      each.parts.tick.checked = isChosen;
      if (isChosen) this.state.chosen.add(each.entry.key);
      else this.state.chosen.delete(each.entry.key);
    }
    this.#last = card;
    this.#drawBar();
  }

  #drawBar() {
    const { chosen } = this.state;
    this.bar.hidden = !chosen.size;
    this.list.classList.toggle("choosing", chosen.size > 0);
    fill(
      this.bar,
      h("strong", { role: "status" }, `${count(chosen.size, "set")} chosen`),
      button("None", { on: { click: () => this.#chooseNone() } }),
      button("All shown", { on: { click: () => this.#chooseShown() } }),
      button("Work through them", {
        icon: "queue",
        kind: "primary",
        key: "q",
        on: { click: () => this.#startQueue() },
      }),
    );
  }

  #chooseNone() {
    this.state.chosen.clear();
    for (const card of this.#cards.values()) card.parts.tick.checked = false;
    this.#drawBar();
  }

  #chooseShown() {
    for (const card of this.#cards.values()) {
      if (card.element.hidden || card.parts.tick.disabled) continue;
      card.parts.tick.checked = true;
      this.state.chosen.add(card.entry.key);
    }
    this.#drawBar();
  }

  #startQueue() {
    const sets = [...this.list.children]
      .map((element) => this.#cards.get(element.id.slice(4)).entry)
      .filter((entry) => this.state.chosen.has(entry.key))
      .map((entry) => entry.parseId);
    if (!sets.length) return note("Choose sets first: tick their boxes, or press x on one.");
    startQueue(this.artist, sets);
    this.#chooseNone();
    go(this.artist.slug, "set", sets[0]);
  }

  #drawQueue() {
    const { sets, done } = queueOf(this.artist);
    const next = sets.find((each) => !done.includes(each)) ?? sets.at(-1);
    this.queueLine.hidden = !sets.length;
    if (!sets.length) return;
    fill(
      this.queueLine,
      icon("queue"),
      h("span", {}, `Queue: ${done.length} of ${sets.length} done`),
      h("span.bar", { "aria-hidden": "true", style: { "--share": done.length / sets.length } }),
      button(done.length < sets.length ? "Go on" : "Look again", {
        kind: "quiet",
        on: { click: () => go(this.artist.slug, "set", next) },
      }),
      button("End the queue", { icon: "close", hide: true, on: { click: () => endQueue(this.artist) } }),
    );
  }

  async #pick(isFolder = false) {
    const files = await pickFiles({ folder: isFolder, multiple: true });
    if (files.length) sendToInbox(this.artist, files);
  }

  #dropped(files, card) {
    if (card?.entry.liveSetId && files.length === 1) {
      sendToSet(this.artist, card.entry, files[0].file);
      location.hash = addressOf(this.artist, card.entry);
    } else {
      sendToInbox(this.artist, files);
    }
  }

  #setAt(event) {
    const element = event?.target instanceof Element ? event.target.closest("li.set") : null;
    return element ? this.#cards.get(element.id.slice(4)) : null;
  }

  #keys() {
    const move = (step) => () => {
      const links = [...this.list.children]
        .filter((element) => !element.hidden)
        .map((element) => element.querySelector("a.name"));
      const here = links.indexOf(document.activeElement);
      const next = links[Math.min(Math.max(here < 0 ? 0 : here + step, 0), links.length - 1)];
      next?.focus();
      next?.closest("li").scrollIntoView({ block: "nearest" });
    };
    const here = () => this.#cards.get(document.activeElement?.closest("li.set")?.id.slice(4));
    const tick = () => {
      const card = here();
      if (card && !card.parts.tick.disabled) this.#choose(card.entry, !card.parts.tick.checked);
    };
    return [
      { key: "/", does: "Search", run: () => this.search.select() },
      { key: "j", does: "Next set", run: move(1) },
      { key: "k", does: "Set before", run: move(-1) },
      { key: "Enter", does: "Open the set", run: () => document.activeElement?.click?.(), hidden: false },
      { key: "x", does: "Choose it, or not", run: tick },
      { key: "Ctrl a", does: "Choose all that are shown", run: () => this.#chooseShown() },
      { key: "Escape", does: "Choose none", run: () => this.#chooseNone() },
      { key: "q", does: "Work through what is chosen", run: () => this.#startQueue() },
      { key: "a", does: "Add music", run: () => this.#pick() },
    ];
  }
}
