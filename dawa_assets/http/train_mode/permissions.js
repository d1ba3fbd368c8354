/**
 * What is permitted of an artist's music, or of one item of it: a tick each with who permits it and until when, put on
 * record and taken back. The server has the state; what is on record is asked for anew after every change.
 */

import { onNews } from "./artist_state.js";
import { at, get, isLeft, post } from "./api.js";
import { ask, note } from "./dialogs.js";
import { button, fill, h, icon, named, set } from "./dom.js";
import { count, day } from "./format.js";
import { keys } from "./keys.js";
import { permissionList } from "./permission_list.js";
import { to } from "./router.js";
import { author } from "./session.js";

const PURPOSES = [
  ["train", "Permitted to train", "training"],
  ["publish", "Permitted to publish", "publishing"],
  ["generate", "Permitted to generate", "generating"],
];
const FIELDS = { "--by": "Who permits it", "--until": "Last day", "--evidence": "Evidence" };
const MOST_NAMED = 3;
let numbers = 0;

/** The panel. Nothing is shown until the server said what is on record, nor where it asks for no permissions. */
export class PermissionPanel {
  #asked = 0;
  #isBusy = false;

  /** @param {Object} given `artist`; `item`: `{id}` or null, for the whole artist; `signal`; `changed()` */
  constructor({ artist, item, signal, isOfItem = false, changed = () => {} }) {
    Object.assign(this, { artist, item, signal, isOfItem, changed, found: null, wanted: new Set() });
    const id = `permissions-${++numbers}`;
    this.state = h("p.hint", { id: `${id}-state` });
    this.rows = new Map(PURPOSES.map(([purpose, label]) => [purpose, this.#row(`${id}-${purpose}`, purpose, label)]));
    this.problem = h("p.problem", { id: `${id}-problem`, role: "alert", dir: "auto" });
    this.form = this.#form(id);
    this.record = h("div");
    this.element = h(
      "section.permissions",
      { "aria-labelledby": `${id}-title`, hidden: true },
      h("h2", { id: `${id}-title` }, "Permissions"),
      this.state,
      h(
        "fieldset",
        { "aria-describedby": `${id}-state` },
        h("legend.for-readers", {}, isOfItem ? "What is permitted with it" : "What is permitted with all of it"),
        [...this.rows.values()].map((row) => row.element),
      ),
      this.form,
      this.problem,
      this.record,
    );
    onNews(() => this.load(), signal);
    document.addEventListener("visibilitychange", () => document.hidden || this.load(), { signal });
    this.load();
  }

  /** Be about this item from now on, and look what the server has of it. */
  take(item) {
    if (item?.id !== this.item?.id) this.wanted.clear();
    this.item = item;
    return this.load();
  }

  /** Ask for what is on record. What somebody has ticked and typed stays. */
  async load() {
    const { item, signal } = this;
    const asked = ++this.#asked;
    if (this.isOfItem && !item) return void (this.element.hidden = true);
    try {
      const query = item ? { itemId: item.id } : undefined;
      const found = await get(at(this.artist)("permissions"), { signal, query });
      if (asked !== this.#asked) return;
      if (!this.found && found.mode !== "off") this.#listenToKeys();
      this.found = found;
    } catch (error) {
      if (isLeft(error) || asked !== this.#asked) return;
      this.element.hidden = false;
      this.#refuse(error);
    }
    this.#draw();
  }

  #listenToKeys() {
    const first = () => this.element.querySelector("input:not(:disabled), a")?.focus();
    keys("Permissions", [{ key: "r", does: "To the permissions", run: first }], this.signal);
  }

  // --- what stands there ---

  #row(id, purpose, label) {
    const box = h("input", { type: "checkbox", id, "aria-describedby": `${id}-who`, disabled: true });
    box.addEventListener("change", () => this.#ticked(purpose, box));
    const words = h("p.hint", { id: `${id}-who` });
    return { box, words, element: h("div.permission", {}, box, h("label", { for: id }, label), words) };
  }

  #form(id) {
    const field = (name, label, hint, given) => {
      const own = `${id}-${name}`;
      this[name] = h("input", { id: own, autocomplete: "off", "aria-describedby": `${id}-problem`, ...given });
      const more = hint ? h("span.hint", {}, hint) : null;
      return h("div.field", {}, h("label", { for: own }, label, more), this[name]);
    };
    this.saves = button("Put on record", { kind: "primary", icon: "check" });
    this.saves.type = "submit";
    return h(
      "form.grant",
      {
        hidden: true,
        novalidate: true,
        "aria-label": "A permission to put on record",
        on: { submit: (event) => (event.preventDefault(), this.#grant()) },
      },
      h(
        "div.fields",
        {},
        field("who", "Who permits it", null, { type: "text", maxlength: 500, dir: "auto", "aria-required": "true" }),
        field("until", "Last day", " (empty: for good)", { type: "date", max: "9999-12-31" }),
        field("evidence", "Evidence", " (a contract, a letter …)", { type: "text", maxlength: 500, dir: "auto" }),
      ),
      h("div.row", {}, this.saves, button("Cancel", { kind: "quiet", on: { click: () => this.#cancel() } })),
    );
  }

  /** The permissions in force that are about all that this panel is about, or about more. */
  #covering(purpose) {
    return (this.found?.permissions ?? []).filter(
      (each) =>
        each.state === "permitted" && each.purposes.includes(purpose) && (this.isOfItem || !(each.itemId || each.song)),
    );
  }

  /** Those of them that are this panel's to take back. */
  #own(purpose) {
    return this.#covering(purpose).filter((each) => !this.isOfItem || each.itemId === this.item.id);
  }

  #draw() {
    const { found } = this;
    if (!found) return;
    this.element.hidden = found.mode === "off";
    for (const [purpose, { box, words }] of this.rows) {
      const covering = this.#covering(purpose);
      if (covering.length) this.wanted.delete(purpose);
      box.checked = covering.length > 0 || this.wanted.has(purpose);
      box.disabled = covering.length > 0 && !this.#own(purpose).length;
      const isWanted = this.wanted.has(purpose) && "not on record yet: say below who permits it";
      fill(words, covering.length ? this.#whoAndUntil(covering, box.disabled) : isWanted || this.#whyNot(purpose));
    }
    const isLeftOut = found.mode === "required" && found.notPermitted.length > 0;
    fill(this.state, isLeftOut ? icon("exclude") : null, this.#standing());
    this.form.hidden = !this.wanted.size;
    this.saves.disabled = this.#isBusy;
    this.saves.querySelector(".label").textContent = this.#isBusy ? "Putting on record …" : "Put on record";
    if (!this.isOfItem) this.#drawRecord();
  }

  #drawRecord() {
    const state = JSON.stringify(this.found.permissions);
    if (state === this.drawn) return; // whoever is in it stays there
    this.drawn = state;
    const isOpen = this.record.querySelector("details")?.open ?? false;
    fill(this.record, permissionList(this.found.permissions, isOpen, (each) => this.#revoke([each])));
  }

  #whoAndUntil(covering, isWider) {
    const lines = covering.map((each, n) => [
      n ? h("br") : null,
      "by ",
      named(each.grantedBy),
      each.validUntil ? `, until ${day(each.validUntil)}` : ", for good",
      each.evidence ? [" · ", named(each.evidence)] : null,
      this.isOfItem && each.song ? [" · for the song ", named(each.song)] : null,
    ]);
    if (!isWider) return lines;
    return [lines, " · ", h("a", { href: to(this.artist.slug, "profile") }, "change it at the artist")];
  }

  #whyNot(purpose) {
    const all = this.found.permissions.filter((each) => each.purposes.includes(purpose));
    const last = all.findLast((each) => this.isOfItem || !(each.itemId || each.song));
    const parts = all.filter((each) => each.state === "permitted").length; // of the whole artist: of less than that
    const alone = parts ? `for ${count(parts, "song or item", "songs or items")} alone` : null;
    if (!last) return alone ?? "nobody permitted it";
    return ["by ", named(last.grantedBy), whatBecameOf(last), alone ? ` · ${alone}` : null];
  }

  /** What follows from what is on record. */
  #standing() {
    const { mode, notPermitted } = this.found;
    const isRequired = mode === "required";
    if (this.isOfItem) {
      if (!notPermitted.length) return "It may be trained on.";
      const [{ reason }] = notPermitted;
      return isRequired
        ? `It is left out of datasets and trainings: ${reason}.`
        : `Not permitted to train on: ${reason}. It is used all the same, since permissions are not required here.`;
    }
    const follows = isRequired
      ? "What nobody permits is left out of datasets and trainings, not published, and not rendered with."
      : "Nothing stops for want of a permission here: the pipeline only says so.";
    if (!notPermitted.length)
      return this.#covering("train").length ? `All of it may be trained on. ${follows}` : follows;
    const some = notPermitted
      .slice(0, MOST_NAMED)
      .map(({ item, reason }, n) => [n ? "; " : null, named(item), `: ${reason}`]);
    const more = notPermitted.length > MOST_NAMED ? `; and ${notPermitted.length - MOST_NAMED} more` : "";
    const what = isRequired ? "left out" : "not permitted to train on";
    return [`${follows} ${count(notPermitted.length, "item is", "items are")} ${what} (`, some, more, ")."];
  }

  // --- changes ---

  #ticked(purpose, box) {
    this.#refuse(null);
    if (this.#isBusy) return this.#draw();
    if (box.checked) this.wanted.add(purpose);
    else if (!this.wanted.delete(purpose)) this.#revoke(this.#own(purpose), box);
    return this.#draw();
  }

  #cancel() {
    const [first] = this.wanted;
    this.wanted.clear();
    this.#refuse(null);
    this.#draw();
    this.rows.get(first)?.box.focus();
  }

  async #grant() {
    if (!this.who.value.trim()) return this.#refuse(new Error("Write who permits it first."), this.who);
    if (this.until.validity.badInput)
      return this.#refuse(new Error("Last day: is no day; choose one, or empty the field."), this.until);
    const purposes = PURPOSES.map(([purpose]) => purpose).filter((purpose) => this.wanted.has(purpose));
    const body = {
      purposes,
      grantedBy: this.who.value,
      validUntil: this.until.value || null,
      evidence: this.evidence.value,
      itemId: this.item?.id ?? null,
      author: author(),
    };
    return this.#change(async () => {
      const answer = await post(at(this.artist)("permissions"), body);
      for (const field of [this.who, this.until, this.evidence]) field.value = "";
      const undo = () => this.#takeBack(answer.id);
      if (answer.changed) note(`The permission is on record.${followed(answer)}`, { undo });
      else note("The same permission was on record already.");
      return this.rows.get(purposes[0]).box;
    });
  }

  /** Ask why, and take permissions back. */
  async #revoke(permissions) {
    if (this.#isBusy) return;
    const lines = permissions.map((each) => {
      const what = PURPOSES.filter(([purpose]) => each.purposes.includes(purpose)).map(([, , does]) => does);
      const ends = `: ${what.join(", ")}. It ends at once for all of that, and stays on record.`;
      return h("p", {}, "By ", named(each.grantedBy), ends);
    });
    const isRequired = this.found.mode === "required";
    if (isRequired) lines.push(h("p", {}, "What nobody permits then is left out, taken down and refused."));
    const reason = await ask("Revoke the permission?", "Why", "Revoke", { lines, kind: "danger", longest: 500 });
    if (reason === null || this.signal.aborted) return;
    const before = document.activeElement;
    await this.#change(async () => {
      const answers = [];
      for (const { id } of permissions)
        answers.push(await post(at(this.artist)(`permissions/${id}/revoke`), { reason, author: author() }));
      const news = answers.filter((each) => each.changed);
      note(news.length ? `Revoked.${news.map(followed).join("")}` : "It was revoked already.");
      return before;
    });
  }

  /** Undo what was put on record a moment ago. */
  #takeBack(id) {
    const reason = "taken back right after it was put on record";
    return this.#change(async () => {
      const answer = await post(at(this.artist)(`permissions/${id}/revoke`), { reason, author: author() });
      note(answer.changed ? `The permission is taken back.${followed(answer)}` : "It was revoked already.");
      return null;
    });
  }

  /** Make one change at a time; what the server refuses is said here, and what it has by then is shown. */
  async #change(work) {
    if (this.#isBusy) return;
    this.#isBusy = true;
    this.#refuse(null);
    this.#draw();
    let place = null;
    try {
      place = await work();
    } catch (error) {
      if (!isLeft(error)) this.#refuse(error);
    } finally {
      this.#isBusy = false;
    }
    if (this.signal.aborted) return;
    await this.load();
    this.changed();
    if (place && !place.isConnected) place = this.record.querySelector("summary"); // its line has no button any more
    if (place && !place.disabled) place.focus();
  }

  #refuse(error, field = null) {
    const message = error?.message.replace(/^--\w+/, (option) => FIELDS[option] ?? option) ?? "";
    this.problem.textContent = message;
    for (const each of [this.who, this.until]) set(each, { "aria-invalid": each === field ? "true" : null });
    field?.focus();
  }
}

function whatBecameOf({ state, validFrom, validUntil, revocation }) {
  if (state === "not yet") return `, from ${day(validFrom)}`;
  if (state === "ran out") return `, ran out on ${day(validUntil)}`;
  return [", revoked", revocation ? [": ", named(revocation)] : null];
}

function followed({ leftOut, takenIn, takenDown }) {
  const parts = [
    leftOut ? `${count(leftOut, "item is", "items are")} left out.` : null,
    takenIn ? `${count(takenIn, "item is", "items are")} taken in again.` : null,
    takenDown.length ? `Taken down: ${takenDown.join(", ")}.` : null,
  ];
  return parts.map((part) => (part ? ` ${part}` : "")).join("");
}
