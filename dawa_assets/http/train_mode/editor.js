/**
 * Writing a prompt: the text with its rules checked while typing, the model's takes, and every text that it ever had.
 *
 * The editor changes texts in its field only; what is saved, and when, is the workbench's (`workbench.js`).
 */

import { at, isLeft, post } from "./api.js";
import { confirm, note, say } from "./dialogs.js";
import { button, fill, h, icon } from "./dom.js";
import { draftOf, dropDraft, keepDraft } from "./drafts.js";
import { ago, dollars, moment } from "./format.js";

const PAUSE = 150; // milliseconds after the last letter
const RULES = {
  "plain-text": "Plain text, no markup",
  "clean-characters": "No control characters",
  "one-paragraph": "One paragraph",
  length: "15 to 700 characters",
  "one-or-two-sentences": "One or two sentences",
  "ends-with-bpm": "Ends with its BPM line",
  "no-go-zones": "Nothing the profile forbids",
  "no-names": "No names",
  "no-links": "No links",
  "only-the-description": "Only the description",
};

/** The editor of one item's text. Fires `change` when its text, or whether it is unsaved, changes. */
export class Editor extends EventTarget {
  #timer = 0;
  #asked = 0;

  /**
   * @param {Object} given `artist`; `subject`: what drafts are kept under; `parseId`; `item` (null: none yet); `signal`;
   *   `onRestore(text)`, `onRegenerate()`: what history and takes ask the workbench for
   */
  constructor(given) {
    super();
    Object.assign(this, given);
    this.base = this.item?.text ?? "";
    const draft = draftOf(this.artist, this.subject);
    this.field = h("textarea", {
      id: "prompt",
      rows: 7,
      dir: "auto",
      spellcheck: "true",
      maxlength: 20000,
      "aria-describedby": "rules prompt-hint",
      placeholder:
        "One or two sentences that a listener would agree with, then the BPM. “Generate prompt” writes a first one.",
    });
    this.field.value = draft && draft.text !== this.base ? draft.text : this.base;
    this.field.addEventListener("input", () => this.#typed());
    this.rules = h("div.rules", { id: "rules", role: "status" });
    this.bar = h("div.row.writing");
    this.draftLine = h("div.draft-line", { hidden: true });
    this.provenance = h("p.hint", { id: "prompt-hint" });
    this.history = h("details.history", { hidden: true });
    this.element = h(
      "section.editor",
      { "aria-labelledby": "prompt-title" },
      h("header", {}, h("h2", { id: "prompt-title" }, h("label", { for: "prompt" }, "Prompt")), this.provenance),
      this.draftLine,
      this.field,
      this.bar,
      this.rules,
      this.history,
    );
    this.#drawBar();
    this.#drawProvenance();
    if (draft && draft.text !== this.base) this.#drawDraft(draft);
    this.#check();
    this.signal.addEventListener("abort", () => {
      clearTimeout(this.#timer);
      if (this.isDirty) keepDraft(this.artist, this.subject, this.text, this.base);
    });
  }

  get text() {
    return this.field.value.replace(/\r\n?/g, "\n");
  }

  get isDirty() {
    return this.text.trim() !== this.base.trim();
  }

  /** Put a text into the field; the browser's own undo takes it back. */
  write(text) {
    this.field.focus();
    this.field.select();
    const isDone = text ? document.execCommand("insertText", false, text) : document.execCommand("delete");
    if (!isDone || this.text !== text) {
      this.field.value = text;
      this.#typed();
    }
    this.field.setSelectionRange(text.length, text.length);
  }

  /** Take what the server has by now; a text that somebody is writing stays. */
  take(item) {
    const wasDirty = this.isDirty;
    this.item = item;
    this.base = item?.text ?? "";
    if (!wasDirty) this.field.value = this.base;
    if (!this.isDirty) this.#forgetDraft();
    this.#drawBar();
    this.#drawProvenance();
    this.#check();
    this.dispatchEvent(new Event("change"));
  }

  /** The text is saved. */
  saved(item) {
    this.base = this.text;
    this.#forgetDraft();
    this.take(item);
  }

  /** Have the model write: a first text, or another take of one that it wrote. */
  async generate() {
    if (this.isWriting) return;
    const isTake = Boolean(this.item?.text) && this.base.trim() === this.text.trim();
    if (
      !isTake &&
      this.text.trim() &&
      this.isDirty &&
      !(await confirm(
        "Write over your text?",
        "The model’s text takes its place in the field. Undo brings yours back.",
        "Generate",
      ))
    )
      return;
    this.isWriting = true;
    this.#drawBar();
    say("The prompt is being written");
    try {
      if (isTake) return await this.onRegenerate();
      const answer = await post(
        "/api/train",
        { artistId: this.artist.id, parseId: this.parseId },
        { signal: this.signal },
      );
      this.write(answer.prompt);
      this.provenance.textContent = `Written by ${answer.model}, ${answer.version} · not saved yet`;
      say("The prompt is written");
    } catch (error) {
      if (!isLeft(error)) note(error.message, { kind: "error" });
    } finally {
      this.isWriting = false;
      if (!this.signal.aborted) this.#drawBar();
    }
  }

  undo() {
    this.field.focus();
    document.execCommand("undo");
  }

  redo() {
    this.field.focus();
    document.execCommand("redo");
  }

  /** Show every text that the item had, the latest first. */
  drawHistory(texts) {
    this.history.hidden = !texts.length;
    const list = [...texts].reverse();
    fill(
      this.history,
      h("summary", {}, icon("history"), h("span", {}, `Takes and history (${texts.length})`)),
      h(
        "ol",
        { reversed: true },
        list.map((each) => this.#historyLine(each)),
      ),
    );
  }

  #historyLine(entry) {
    const who =
      entry.origin === "person"
        ? entry.author || "a person"
        : [entry.model, entry.systemPromptVersion, entry.take ? `take ${entry.take + 1}` : null]
            .filter(Boolean)
            .join(" · ");
    const mine = entry.origin === "person" ? "artist" : "sparkle";
    return h(
      "li",
      { class: entry.inUse ? "in-use" : null },
      h("p", { dir: "auto" }, entry.text),
      h(
        "div.row",
        {},
        icon(mine),
        h("span.who", { dir: "auto" }, who),
        h("time", { datetime: entry.createdAt, title: moment(entry.createdAt) }, ago(entry.createdAt)),
        entry.costUsd ? h("span", {}, dollars(entry.costUsd)) : null,
        entry.inUse
          ? h("span.badge", { data: { badge: "ready" } }, "In use")
          : button("Restore", {
              icon: "undo",
              kind: "quiet",
              "aria-label": `Restore the text of ${moment(entry.createdAt)}`,
              on: { click: () => this.onRestore(entry.text) },
            }),
      ),
    );
  }

  #typed() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (this.isDirty) keepDraft(this.artist, this.subject, this.text, this.base);
      else dropDraft(this.artist, this.subject);
      this.#check();
    }, PAUSE);
    this.draftLine.hidden = true;
    this.#drawBar();
    this.dispatchEvent(new Event("change"));
  }

  #forgetDraft() {
    clearTimeout(this.#timer);
    dropDraft(this.artist, this.subject);
    this.draftLine.hidden = true;
  }

  #drawDraft(draft) {
    const isBehind = draft.base.trim() !== this.base.trim();
    const words = isBehind
      ? `Your draft of ${ago(draft.at)}; the saved text was changed since.`
      : `Your draft of ${ago(draft.at)}, not saved yet.`;
    this.draftLine.hidden = false;
    fill(
      this.draftLine,
      icon("history"),
      h("span", {}, words),
      button(this.base ? "Back to the saved text" : "Discard it", {
        kind: "quiet",
        on: { click: () => (this.write(this.base), this.#forgetDraft()) },
      }),
    );
  }

  #drawBar() {
    const hasText = Boolean(this.item?.text) && !this.isDirty;
    const label = this.isWriting ? "Writing …" : hasText ? "Another take" : "Generate prompt";
    const hadFocus = this.bar.contains(document.activeElement) && document.activeElement.dataset.does;
    const can = Boolean(this.parseId) || Boolean(this.item);
    fill(
      this.bar,
      button(label, {
        icon: "sparkle",
        kind: this.text.trim() ? "" : "primary",
        key: "g",
        data: { does: "generate" },
        disabled: this.isWriting || !can,
        on: { click: () => this.generate() },
      }),
      button("Undo", { icon: "undo", hide: true, data: { does: "undo" }, on: { click: () => this.undo() } }),
      button("Redo", { icon: "redo", hide: true, data: { does: "redo" }, on: { click: () => this.redo() } }),
      h("span.grow"),
      h(
        "span.size",
        { "aria-hidden": "true" },
        this.isDirty ? "not saved ·" : "",
        h("span", {}, ` ${this.text.trim().length} / 700`),
      ),
    );
    if (hadFocus) this.bar.querySelector(`[data-does=${hadFocus}]`)?.focus();
  }

  #drawProvenance() {
    const { item } = this;
    const by = !item?.text
      ? "No text yet"
      : item.textBy === "person"
        ? "Written by a person: no model replaces it"
        : `Written by ${[item.model, item.systemPromptVersion].filter(Boolean).join(", ") || "a model"}`;
    this.provenance.textContent = item?.isRegenerating
      ? `${by} · a new take is asked for`
      : [by, item?.textAt ? ago(item.textAt) : null].filter(Boolean).join(" · ");
  }

  async #check() {
    const text = this.text;
    const asked = ++this.#asked;
    if (!text.trim()) return fill(this.rules, h("p.hint", {}, "Rules are checked while you write."));
    try {
      const body = { text, ...(this.parseId ? { parseId: this.parseId } : this.item ? { itemId: this.item.id } : {}) };
      const answer = await post(at(this.artist)("check-text"), body, { signal: this.signal });
      if (asked === this.#asked) this.#drawRules(answer);
    } catch (error) {
      if (!isLeft(error) && asked === this.#asked) fill(this.rules, h("p.hint", {}, "The rules can’t be checked now."));
    }
  }

  #drawRules({ rules, refusal, bpmLine }) {
    const broken = rules.filter((rule) => !rule.kept);
    const canAdd = broken.some((rule) => rule.name === "ends-with-bpm") && bpmLine;
    const mend = () => this.write(`${this.text.replace(/\s*\bBPM:.*$/is, "").trimEnd()}\n${bpmLine}`);
    const kept = rules.filter((rule) => rule.kept);
    const line = (rule) =>
      h(
        "li",
        { class: rule.kept ? "kept" : "broken" },
        icon(rule.kept ? "check" : "close"),
        h("span", {}, RULES[rule.name] ?? rule.name, rule.kept ? null : h("em", { dir: "auto" }, `: ${rule.reason}`)),
        rule.name === "ends-with-bpm" && canAdd
          ? button(`Add ${bpmLine}`, { kind: "quiet", on: { click: mend } })
          : null,
      );
    const isOpen = this.rules.querySelector("details")?.open ?? false;
    fill(
      this.rules,
      h(
        "p.sum",
        { class: broken.length ? "some" : "none" },
        icon(broken.length ? "alert" : "check"),
        refusal
          ? h("strong", { dir: "auto" }, `Can’t be saved: ${refusal}`)
          : broken.length
            ? `${broken.length} of ${rules.length} rules broken`
            : "Rules kept",
      ),
      broken.length ? h("ul", {}, broken.map(line)) : null,
      h(
        "details.kept-list",
        { open: isOpen },
        h(
          "summary",
          {},
          icon("forward"),
          h("span", {}, broken.length ? `${kept.length} kept` : `All ${kept.length} rules`),
        ),
        h("ul", {}, kept.map(line)),
      ),
    );
    this.refusal = refusal;
    this.dispatchEvent(new Event("change"));
  }
}
