/** One Live Set and its pair: hear it, write its prompt, save it, and on to the next in the queue. */

import { library, onNews, refreshLibrary } from "./artist_state.js";
import { at, get, isLeft, post, put } from "./api.js";
import { AudioPanel } from "./audio_panel.js";
import { benchKeys, drawHeader, drawOthers } from "./bench_frame.js";
import { pairBounce } from "./bounces.js";
import { ask, confirm, dialog, loading, note, trouble } from "./dialogs.js";
import { button, fill, h, icon } from "./dom.js";
import { onDrop } from "./drop.js";
import { Editor } from "./editor.js";
import { factsPanel, noFacts } from "./facts.js";
import { keys } from "./keys.js";
import { PermissionPanel } from "./permissions.js";
import { markDone, nextInQueue, onQueue, queueOf } from "./queue.js";
import { go, guard, to } from "./router.js";
import { author } from "./session.js";
import { sendToInbox } from "./upload_tray.js";

/** Show a set by its parse id; a second part of the address names one of several pairs of it. */
export function showWorkbench(main, artist, [parseId, itemId], signal) {
  return open(main, artist, { parseId, itemId }, signal);
}

/** Show a pair that belongs to no known set. */
export function showItem(main, artist, [itemId], signal) {
  return open(main, artist, { itemId }, signal);
}

async function open(main, artist, place, signal) {
  loading(main, 4, "Loading the set");
  try {
    const bench = new Workbench(main, artist, place, signal);
    await bench.load();
    if (!signal.aborted) bench.draw();
  } catch (error) {
    if (isLeft(error) || signal.aborted) return;
    if (error.status === 401) throw error;
    fill(
      main,
      trouble(error, () => open(main, artist, place, signal)),
    );
  }
}

class Workbench {
  #saving = null;

  constructor(main, artist, place, signal) {
    Object.assign(this, { main, artist, place, signal, detail: null, item: null });
    this.at = at(artist);
  }

  /** The set's detail, and the item that is worked on with all its texts. */
  async load() {
    const { signal } = this;
    const { parseId } = this.place;
    if (parseId) this.detail = await get(this.at(`live-sets/${encodeURIComponent(parseId)}`), { signal });
    const wanted = this.place.itemId ?? this.detail?.entry.itemId ?? null;
    this.item = wanted ? await get(this.at(`items/${encodeURIComponent(wanted)}`), { signal }) : null;
    if (!library.value) refreshLibrary().catch(() => {});
  }

  get entry() {
    return this.detail?.entry ?? null;
  }

  get title() {
    return this.entry?.name ?? this.item.name;
  }

  get parseId() {
    return this.entry?.parseId ?? null;
  }

  draw() {
    const { artist, signal, entry, detail, item } = this;
    this.audio = new AudioPanel({ artist, entry, detail, item, signal, reload: () => this.reload() });
    this.editor = new Editor({
      artist,
      item,
      signal,
      parseId: this.parseId,
      subject: this.place.itemId ?? this.parseId,
      onRestore: (text) => this.restore(text),
      onRegenerate: () => this.regenerate(),
    });
    this.header = h("header.view.bench");
    this.others = h("nav.others", { "aria-label": "Pairs of this set" });
    this.saveBar = h("div.save-bar");
    this.permissions = new PermissionPanel({
      artist,
      item,
      signal,
      isOfItem: true,
      changed: () => Promise.all([this.reload(), refreshLibrary()]).catch(() => {}),
    });
    const facts = h("div");
    if (detail) fill(facts, factsPanel(artist, detail));
    else noFacts(facts);
    fill(
      this.main,
      this.header,
      this.others,
      this.audio.element,
      h(
        "div.bench-columns",
        {},
        h("div.facts-column", {}, facts, this.permissions.element),
        h("div.write-column", {}, this.editor.element, this.saveBar),
      ),
    );
    this.editor.drawHistory(item?.texts ?? []);
    this.editor.addEventListener("change", () => this.#drawSave());
    this.audio.addEventListener("change", () => this.#drawSave());
    onQueue(() => drawHeader(this), signal);
    onNews(() => this.reload(), signal);
    drawHeader(this);
    drawOthers(this);
    this.#drawSave();
    this.#guard();
    this.#listenToFiles();
    keys("This set", benchKeys(this), signal);
    document.title = `${this.title} · ${artist.name}`;
  }

  /** Bring everything up to date with the server; what somebody writes stays. */
  async reload() {
    try {
      await this.load();
    } catch (error) {
      if (!isLeft(error) && !this.signal.aborted && error.status === 404) note(error.message, { kind: "error" });
      return;
    }
    if (!this.signal.aborted) this.#show(this.item);
  }

  #show(item) {
    const texts = item?.texts ?? this.item?.texts ?? [];
    this.item = item && { ...item, texts };
    this.editor.take(this.item);
    this.editor.drawHistory(texts);
    this.audio.take(this.item, this.detail);
    this.permissions.take(this.item);
    drawHeader(this);
    drawOthers(this);
    this.#drawSave();
  }

  // --- saving ---

  /** Save what there is; the same for a click, a key and a double click. Resolves to whether it is saved. */
  save() {
    this.#saving ??= this.#save().finally(() => {
      this.#saving = null;
      if (!this.signal.aborted) this.#drawSave();
    });
    this.#drawSave();
    return this.#saving;
  }

  async saveAndNext() {
    if (this.#saving) return;
    if (this.#isNew && (!(await this.save()) || this.signal.aborted)) return;
    if (!this.#isNew && this.item?.audio && this.item.text) markDone(this.artist, this.parseId);
    const next = this.#next();
    if (next) return go(this.artist.slug, "set", next);
    const { sets } = queueOf(this.artist);
    if (sets.includes(this.parseId)) {
      note("The queue is done.");
      return go(this.artist.slug, "dataset");
    }
    note("Nothing else needs you.");
  }

  /** Whether anything is not saved yet. */
  get #isNew() {
    return this.audio.state === "arrived" || this.editor.isDirty;
  }

  async #save() {
    const text = this.editor.text.trim();
    if (this.#reasonNotTo()) return (note(this.#reasonNotTo(), { kind: "error" }), false);
    try {
      if (this.audio.state === "arrived") await this.#savePair(text);
      else if (this.item && this.editor.isDirty) await this.#saveText(text);
      if (this.parseId) markDone(this.artist, this.parseId);
      refreshLibrary().catch(() => {});
      return true;
    } catch (error) {
      if (!isLeft(error)) note(error.message, { kind: "error" });
      return false;
    }
  }

  async #savePair(text) {
    const { artist, entry, audio } = this;
    const body = {
      parseId: entry.parseId,
      alsFilename: entry.alsFilename,
      projectName: entry.projectName,
      promptText: text,
      uploadId: audio.upload.id,
      file: audio.upload.files[0].number,
    };
    const { trainingItemId } = await post(this.at("pairs"), body, { signal: this.signal });
    audio.saved();
    this.editor.saved({ ...this.item, text });
    const undo = async () => {
      await post(this.at(`items/${trainingItemId}/exclude`), {
        reason: "taken back right after it was saved",
        author: author(),
      });
      markDone(artist, entry.parseId, false);
      note(`${entry.name} is taken back: its pair is excluded.`);
      refreshLibrary();
    };
    note(`${entry.name} is saved.`, { undo: () => undo().catch((error) => note(error.message, { kind: "error" })) });
    await this.reload();
  }

  async #saveText(text, seenText = this.item.text ?? "") {
    const before = this.item.text;
    const { id } = this.item;
    let answer;
    try {
      answer = await put(this.at(`items/${id}/text`), { text, author: author(), seenText }, { signal: this.signal });
    } catch (error) {
      if (error.status !== 409) throw error;
      return this.#settleConflict(text, error);
    }
    this.editor.saved({ ...answer.item, text: answer.after });
    const undo = () =>
      put(this.at(`items/${id}/text`), { text: before, author: author(), seenText: answer.after })
        .then(() => (note("The text before is back."), refreshLibrary(), this.signal.aborted || this.reload()))
        .catch((error) => note(error.message, { kind: "error" }));
    if (answer.changed) note("The text is saved.", before ? { undo } : {});
    this.reload();
    return answer;
  }

  /** Somebody else saved another text meanwhile: nobody's is lost without a word. */
  async #settleConflict(text) {
    const now = await get(this.at(`items/${this.item.id}`), { signal: this.signal });
    const lines = [
      h("p", {}, "Somebody saved another text since you began:"),
      h("blockquote", { dir: "auto" }, now.text),
      h("p", {}, "Yours:"),
      h("blockquote", { dir: "auto" }, text),
    ];
    const choice = await dialog("Two texts", lines, {
      actions: [
        { label: "Take theirs", value: "theirs" },
        { label: "Save mine", value: "mine", kind: "primary" },
      ],
    });
    if (choice === "mine") return this.#saveText(text, now.text ?? "");
    if (choice === "theirs") this.editor.write(now.text ?? "");
    this.#show(now);
    throw new DOMException("left", "AbortError");
  }

  #reasonNotTo() {
    const text = this.editor.text.trim();
    const audio = this.audio.state;
    if (audio === "sending") return "The bounce is still on its way.";
    if (!text) return "Write or generate a prompt first.";
    if (this.editor.refusal) return `The text can’t be saved: ${this.editor.refusal}`;
    if (!this.item && audio !== "arrived") return "Add the bounce of this set first.";
    return null;
  }

  #next() {
    const { artist, parseId } = this;
    const { sets } = queueOf(artist);
    if (sets.includes(parseId)) return nextInQueue(artist, parseId);
    const open = (library.value?.entries ?? []).filter(
      (entry) => entry.liveSetId && ["failed", "needs_audio", "needs_prompt"].includes(entry.badge),
    );
    return open.find((entry) => entry.parseId !== parseId)?.parseId ?? null;
  }

  #drawSave() {
    const reason = this.#reasonNotTo();
    const isNew = this.#isNew;
    const label = this.#saving ? "Saving …" : isNew ? "Save & Next" : "Next";
    const hadFocus = this.saveBar.contains(document.activeElement);
    fill(
      this.saveBar,
      h("p.hint", { id: "save-hint", role: "status" }, reason ?? (isNew ? "" : "Everything is saved.")),
      button(label, {
        kind: "primary large",
        icon: isNew ? "check" : "forward",
        key: "Ctrl Enter",
        disabled: Boolean(this.#saving) || Boolean(isNew && reason) || (!isNew && !this.item),
        "aria-describedby": "save-hint",
        data: { does: "save" },
        on: { click: () => this.saveAndNext() },
      }),
    );
    if (hadFocus) this.saveBar.querySelector("button")?.focus();
  }

  // --- takes, history, exclusion ---

  async regenerate() {
    const before = this.item.text;
    try {
      const answer = await post(this.at(`items/${this.item.id}/regenerate`), {}, { signal: this.signal });
      if (answer.reason) note(answer.reason, { kind: "error" });
      else if (answer.after === before) note("The model has no other text for the same facts.");
      else note("Another take is in place.", { undo: () => this.restore(before) });
      await this.reload();
    } catch (error) {
      if (!isLeft(error)) note(error.message, { kind: "error" });
    }
  }

  async restore(text) {
    if (
      this.editor.isDirty &&
      !(await confirm(
        "Restore this text?",
        "What you wrote is not saved; undo in the field brings it back.",
        "Restore",
      ))
    )
      return;
    this.editor.write(text);
    if (this.item && this.editor.isDirty) {
      await this.#saveText(text).catch((error) => isLeft(error) || note(error.message, { kind: "error" }));
      refreshLibrary().catch(() => {});
    }
  }

  async exclude() {
    const lines = ["It stays here with its audio and texts, but out of the next datasets and trainings."];
    const reason = await ask(`Exclude ${this.title}?`, "Why", "Exclude", { lines, kind: "danger" });
    if (reason === null) return;
    try {
      const answer = await post(this.at(`items/${this.item.id}/exclude`), { reason, author: author() });
      const heard = answer.trainedOn?.length
        ? ` The next build trains a LoRA without it (${answer.trainedOn.map((run) => run.modelName).join(", ")} heard it).`
        : "";
      note(`Excluded.${heard}`, { undo: () => this.include() });
      await Promise.all([this.reload(), refreshLibrary()]);
    } catch (error) {
      note(error.message, { kind: "error" });
    }
  }

  async include() {
    try {
      await post(this.at(`items/${this.item.id}/include`), { author: author() });
      note("Included again.");
      await Promise.all([this.reload(), refreshLibrary()]);
    } catch (error) {
      note(error.message, { kind: "error" });
    }
  }

  // --- the frame ---

  #guard() {
    addEventListener(
      "beforeunload",
      (event) => {
        if (this.editor.isDirty || this.audio.state === "sending") event.preventDefault();
      },
      { signal: this.signal },
    );
    guard(async () => {
      if (!this.editor.isDirty || this.#saving) return true;
      const lines = [
        "Your text is not saved. It is kept as a draft in this browser, and is in its field when you come back.",
      ];
      return confirm("Leave without saving?", lines, "Leave, keep the draft");
    }, this.signal);
  }

  #listenToFiles() {
    onDrop({
      signal: this.signal,
      words: () => (this.entry ? `Drop the bounce of ${this.title}` : "Drop bounces and sets for the inbox"),
      drop: (files) => {
        if (files.length === 1 && this.entry) this.audio.attach(files[0].file);
        else sendToInbox(this.artist, files);
      },
      bounce: (id) => this.entry && pairBounce(this.artist, id, this.entry).then(() => this.reload()),
    });
  }
}
