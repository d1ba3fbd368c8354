/** The artist's profile: a form, or its JSON; its problems at their fields, and what saving would rewrite and cost. */

import { refreshLibrary, useArtist } from "./artist_state.js";
import { at, get, isLeft, post, put } from "./api.js";
import { confirm, dialog, loading, note, trouble } from "./dialogs.js";
import { button, fill, h, icon, named } from "./dom.js";
import { draftOf, dropDraft, keepDraft } from "./drafts.js";
import { ago, count, dollars } from "./format.js";
import { keys } from "./keys.js";
import { PermissionPanel } from "./permissions.js";
import { ProfileForm } from "./profile_form.js";
import { guard } from "./router.js";

const PAUSE = 500;
const SUBJECT = "profile";

/** Show an artist's profile. */
export async function showProfile(main, artist, _rest, signal) {
  loading(main, 5, "Loading the profile");
  try {
    const [answer, schema] = await Promise.all([
      get(at(artist)("profile"), { signal }),
      get("/api/profile-schema", { signal }),
    ]);
    if (!signal.aborted) new ProfileView(main, artist, answer, schema, signal);
  } catch (error) {
    if (isLeft(error) || signal.aborted) return;
    if (error.status === 401) throw error;
    fill(
      main,
      trouble(error, () => showProfile(main, artist, _rest, signal)),
    );
  }
}

class ProfileView {
  #timer = 0;
  #asked = 0;
  #saving = false;

  constructor(main, artist, answer, schema, signal) {
    Object.assign(this, {
      artist,
      signal,
      schema,
      saved: answer.profile ?? {},
      hash: answer.contentHash,
      problems: answer.problems ?? [],
      asJson: false,
      preview: null,
    });
    this.draft = structuredClone(this.saved);
    const kept = draftOf(artist, SUBJECT);
    const keptProfile = kept && parsed(kept.text);
    this.draftLine = h("div.draft-line", { hidden: true });
    if (keptProfile && kept.text !== JSON.stringify(this.saved)) {
      this.draft = keptProfile;
      this.draftLine.hidden = false;
      fill(
        this.draftLine,
        icon("history"),
        h("span", {}, `Your draft of ${ago(kept.at)}, not saved yet.`),
        button("Back to what is saved", { kind: "quiet", on: { click: () => this.#reset() } }),
      );
    }
    this.place = h("div.profile-place");
    this.costs = h("div", { role: "status" });
    this.bar = h("div.save-bar.profile-bar", {}, this.costs);
    this.switch = h(
      "div.segmented",
      { role: "group", "aria-label": "View" },
      [
        ["Form", false],
        ["JSON", true],
      ].map(([words, asJson]) =>
        h(
          "button",
          {
            type: "button",
            "aria-pressed": String(asJson === this.asJson),
            on: { click: (event) => this.#show(asJson, event.currentTarget) },
          },
          words,
        ),
      ),
    );
    this.permissions = new PermissionPanel({
      artist,
      item: null,
      signal,
      changed: () => refreshLibrary().catch(() => {}),
    });
    fill(
      main,
      h(
        "header.view",
        {},
        h(
          "div",
          {},
          h("h1", {}, "Profile"),
          h("p.lead", {}, "What prompts are written from, beside the sets themselves, and what the artist permits."),
        ),
        this.switch,
      ),
      this.permissions.element,
      this.draftLine,
      this.place,
      this.bar,
    );
    this.#draw();
    this.#changed();
    keys(
      "Profile",
      [
        { key: "Ctrl s", does: "Save the profile", run: () => this.save(), typing: true },
        { key: "p", does: "What saving would rewrite", run: () => this.showPreview() },
      ],
      signal,
    );
    addEventListener("beforeunload", (event) => this.isDirty && event.preventDefault(), { signal });
    guard(
      async () =>
        !this.isDirty ||
        this.#saving ||
        confirm("Leave without saving?", "Your changes are kept as a draft in this browser.", "Leave, keep the draft"),
      signal,
    );
    signal.addEventListener("abort", () => clearTimeout(this.#timer));
  }

  get isDirty() {
    return JSON.stringify(this.draft) !== JSON.stringify(this.saved);
  }

  #reset() {
    this.draft = structuredClone(this.saved);
    this.draftLine.hidden = true;
    dropDraft(this.artist, SUBJECT);
    this.#draw();
    this.#changed();
  }

  #show(asJson, pressed) {
    if (asJson === this.asJson) return;
    if (this.jsonProblem) return this.text.focus();
    this.asJson = asJson;
    for (const each of this.switch.children) each.setAttribute("aria-pressed", String(each === pressed));
    this.#draw();
    this.#drawProblems();
  }

  #draw() {
    this.jsonProblem = null;
    if (!this.asJson) {
      this.form = new ProfileForm(this.schema, this.draft, () => this.#changed());
      return fill(this.place, this.form.element);
    }
    this.form = null;
    this.problemLine = h("div.problem", { id: "json-problem", role: "alert" });
    this.text = h("textarea.json", {
      rows: 30,
      spellcheck: "false",
      "aria-label": "Profile as JSON",
      "aria-describedby": "json-problem",
    });
    this.text.value = JSON.stringify(this.draft, null, 2);
    this.text.addEventListener("input", () => {
      try {
        const given = JSON.parse(this.text.value);
        this.jsonProblem =
          given && typeof given === "object" && !Array.isArray(given)
            ? null
            : "The profile must be a JSON object, at least {}.";
        if (!this.jsonProblem) this.draft = given;
      } catch (error) {
        this.jsonProblem = error.message;
      }
      this.#changed();
    });
    return fill(this.place, this.problemLine, this.text);
  }

  #changed() {
    this.preview = null;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#check(), PAUSE);
    this.#drawProblems();
    this.#drawBar();
  }

  async #check() {
    if (this.jsonProblem) return;
    const asked = ++this.#asked;
    if (this.isDirty) keepDraft(this.artist, SUBJECT, JSON.stringify(this.draft), JSON.stringify(this.saved));
    else dropDraft(this.artist, SUBJECT);
    try {
      const body = { profile: this.draft };
      const { problems } = await post(at(this.artist)("profile/validate"), body, { signal: this.signal });
      if (asked !== this.#asked) return;
      this.problems = problems;
      this.#drawProblems();
      this.#drawBar();
      if (!problems.length && this.isDirty) {
        const preview = await post(at(this.artist)("profile/preview"), body, { signal: this.signal });
        if (asked === this.#asked) this.preview = preview;
      }
    } catch (error) {
      if (!isLeft(error) && asked === this.#asked) this.trouble = error.message;
    }
    if (asked === this.#asked && !this.signal.aborted) this.#drawBar();
  }

  #drawProblems() {
    this.form?.showProblems(this.problems);
    if (this.problemLine && this.asJson) {
      fill(
        this.problemLine,
        this.jsonProblem
          ? h("p", {}, this.jsonProblem)
          : this.problems.map((problem) => h("p", { dir: "auto" }, `${problem.field}: ${problem.message}`)),
      );
      this.text.setAttribute("aria-invalid", String(Boolean(this.jsonProblem || this.problems.length)));
    }
  }

  #drawBar() {
    const wrong = this.jsonProblem ? 1 : this.problems.length;
    const words = wrong
      ? `${count(wrong, "field needs", "fields need")} mending.`
      : !this.isDirty
        ? "Everything is saved."
        : this.preview
          ? previewWords(this.preview)
          : "Looking at what this would rewrite …";
    fill(this.costs, h("p", {}, words));
    const hadFocus = this.bar.contains(document.activeElement);
    for (const old of [...this.bar.children].slice(1)) old.remove();
    this.bar.append(
      wrong && this.form
        ? button("Show the first", { kind: "quiet", on: { click: () => this.form.focusProblem() } })
        : button("Details", {
            kind: "quiet",
            disabled: !this.preview?.items.length,
            on: { click: () => this.showPreview() },
          }),
      button(this.#saving ? "Saving …" : "Save the profile", {
        kind: "primary large",
        icon: "check",
        disabled: this.#saving || wrong > 0 || !this.isDirty,
        key: "Ctrl s",
        on: { click: () => this.save() },
      }),
    );
    if (hadFocus) this.bar.querySelector("button:not([disabled])")?.focus();
  }

  async showPreview() {
    if (!this.preview) return;
    const { items } = this.preview;
    await dialog(
      "What saving would rewrite",
      [
        h("p", {}, previewWords(this.preview)),
        h(
          "ul.waits",
          {},
          items.map((item) =>
            h(
              "li",
              {},
              h("strong", {}, named(item.name)),
              h("span.reason", { dir: "auto" }, item.reason),
              item.isFree ? h("span.badge", { data: { badge: "ready" } }, "Free") : null,
            ),
          ),
        ),
      ],
      { actions: [{ label: "Close", value: "" }], wide: true },
    );
  }

  async save() {
    if (this.#saving || !this.isDirty || this.jsonProblem) return;
    this.#saving = true;
    this.#drawBar();
    try {
      const body = { profile: this.draft };
      const { problems, isValid } = await post(at(this.artist)("profile/validate"), body, { signal: this.signal });
      this.problems = problems;
      this.#drawProblems();
      if (!isValid) return this.form?.focusProblem();
      this.preview ??= await post(at(this.artist)("profile/preview"), body, { signal: this.signal });
      const { toWrite, costUsd } = this.preview;
      if (toWrite && costUsd > 0 && !(await confirm("Save the profile?", previewWords(this.preview), "Save"))) return;
      const answer = await put(
        at(this.artist)("profile"),
        { ...body, seenContentHash: this.hash },
        { signal: this.signal },
      );
      this.hash = answer.contentHash;
      this.saved = structuredClone(this.draft);
      dropDraft(this.artist, SUBJECT);
      this.draftLine.hidden = true;
      this.artist.hasProfile = true;
      useArtist(this.artist);
      if (toWrite) await this.#askToRewrite(toWrite);
      else note("The profile is saved.");
    } catch (error) {
      if (error.status === 409) await this.#settleConflict();
      else if (!isLeft(error)) note(error.message, { kind: "error" });
    } finally {
      this.#saving = false;
      if (!this.signal.aborted) this.#drawBar();
    }
  }

  async #askToRewrite(toWrite) {
    const now = await confirm(
      "The profile is saved",
      `${count(toWrite, "prompt")} can be written anew now, or by the pipeline’s next turn.`,
      "Write them now",
    );
    if (!now) return note("The profile is saved; the prompts follow with the pipeline’s next turn.");
    await post(at(this.artist)("refresh-prompts"));
    note("The prompts are being written.");
  }

  async #settleConflict() {
    const lines = "Somebody else saved the profile since you opened it. Saving yours would take their changes back.";
    const mine = await confirm("Two profiles", lines, "Save mine all the same", { kind: "danger" });
    const now = await get(at(this.artist)("profile"), { signal: this.signal });
    this.hash = now.contentHash;
    this.saved = now.profile;
    this.#saving = false;
    if (mine) await this.save();
  }
}

function previewWords({ toWrite, takenOver, byPeople, costUsd, model }) {
  const parts = [
    toWrite ? `rewrites ${count(toWrite, "prompt")} by ${model} (${dollars(costUsd)})` : "rewrites no prompt",
    takenOver ? `${takenOver} were written before and cost nothing` : null,
    byPeople ? `${byPeople} by people ${byPeople === 1 ? "stays" : "stay"}` : null,
  ];
  return `Saving ${parts.filter(Boolean).join("; ")}.`;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
