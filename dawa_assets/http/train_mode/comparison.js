/** Rendering a prompt with base, published and candidate, and listening to them: the middle of "Hear". */

import { onNews } from "./artist_state.js";
import { at, get, isLeft, pause, post } from "./api.js";
import { SwitchPlayer } from "./ab_player.js";
import { note } from "./dialogs.js";
import { button, fill, h, icon } from "./dom.js";
import { drawRendering, makeLanes } from "./lanes.js";
import { NAMES, questionForm, Round } from "./listening.js";

const LONGEST = 60; // seconds of a rendering that this form asks for

/** The comparison of one run; `show` says which. */
export class Comparison {
  #lanes = new AbortController();

  constructor(artist, signal, answered) {
    Object.assign(this, { artist, signal, answered, rendering: null, isBlind: false, round: null });
    this.player = new SwitchPlayer();
    this.blind = h(
      "button.toggle",
      { type: "button", "aria-pressed": "false", "aria-keyshortcuts": "b", on: { click: () => this.toggleBlind() } },
      icon("exclude"),
      "Blind",
      h("kbd", { "aria-hidden": "true" }, "b"),
    );
    this.pairs = h("select", { "aria-label": "Which two", hidden: true });
    this.pairs.addEventListener("change", () => this.#newRound());
    this.choose = h("select.renderings", { "aria-label": "Rendering" });
    this.choose.addEventListener("change", () =>
      this.#use(this.renderings.find((each) => each.id === this.choose.value)),
    );
    this.stage = h("div.stage");
    this.question = h("div");
    this.form = this.#renderForm();
    this.element = h(
      "section.comparison",
      { "aria-labelledby": "listen-title" },
      h(
        "header.row",
        {},
        h("h2", { id: "listen-title" }, "Listen"),
        h("span.grow"),
        this.choose,
        this.pairs,
        this.blind,
      ),
      this.stage,
      this.question,
      this.form,
    );
    signal.addEventListener("abort", () => {
      this.#lanes.abort();
      this.player.close();
    });
    onNews(() => this.#loadPrompts(), signal);
    this.#loadPrompts();
  }

  /** Show a run: its newest rendering, or the form that makes one. */
  async show(run, loras) {
    this.update(run, loras);
    try {
      const { renderings } = await get(at(this.artist)("renderings"), { signal: this.signal });
      this.renderings = renderings.filter((each) => this.#isOf(each, run));
      this.#drawChoice();
      if (this.renderings.length) await this.#use(this.renderings[0]);
      else if (judged(run)) await this.#use(judged(run));
      else this.#nothingYet();
    } catch (error) {
      if (!isLeft(error)) fill(this.stage, h("p.problem", { role: "alert" }, error.message));
    }
  }

  /** The run's figures or place changed; what is heard goes on. */
  update(run, loras) {
    Object.assign(this, { run, loras });
    const parts = [
      ["base", "Base"],
      ["published", "Published"],
      ["candidate", "This training"],
    ].filter(
      ([who]) =>
        who === "base" ||
        (who === "published" ? loras.runs.some((each) => each.isPublished) : !run.isPublished && run.state === "done"),
    );
    this.parts = parts.map(([who]) => who);
    fill(
      this.who,
      parts.map(([who, name]) =>
        h(
          "label.option",
          {},
          h("input", { type: "checkbox", name: "who", value: who, checked: true }),
          h("span", {}, name),
        ),
      ),
    );
  }

  keys() {
    const hear = (n) => () => {
      const who = this.order?.[n];
      if (!who) return;
      this.player.hear(who);
      if (!this.player.isPlaying) this.player.play();
    };
    return [
      { key: "1", does: "Hear the first (Base, or A)", run: hear(0) },
      { key: "2", does: "Hear the second (Published, or B)", run: hear(1) },
      { key: "3", does: "Hear the third (Candidate)", run: hear(2) },
      { key: "Space", does: "Play, pause", run: () => this.player.isLoaded && this.player.toggle() },
      { key: "Home", does: "To the start", run: () => this.player.isLoaded && this.player.seek(0) },
      { key: "b", does: "Blind, or not", run: () => this.toggleBlind() },
      { key: "r", does: "Render a prompt", run: () => this.form.querySelector("textarea").focus() },
    ];
  }

  toggleBlind() {
    this.isBlind = !this.isBlind;
    this.blind.setAttribute("aria-pressed", String(this.isBlind));
    this.#newRound();
  }

  #isOf(rendering, run) {
    const candidate = rendering.parts.find((part) => part.who === "candidate");
    return run.isPublished ? !candidate || candidate.runId === run.id : !candidate || candidate.runId === run.id;
  }

  #drawChoice() {
    this.choose.hidden = this.renderings.length < 2;
    fill(
      this.choose,
      this.renderings.map((each) =>
        h(
          "option",
          { value: each.id, selected: each.id === this.rendering?.id },
          `${each.prompt.split("\n")[0].slice(0, 60)} · seed ${each.seed}`,
        ),
      ),
    );
  }

  #nothingYet() {
    fill(
      this.stage,
      h(
        "div.drop-zone.plain",
        {},
        icon("hear"),
        h("p.lead", {}, "Nothing is rendered for this training yet"),
        h("p.hint", {}, "Choose a prompt below: all of them render it with the same seed."),
      ),
    );
  }

  /** Wait for a rendering, then load it. */
  async #use(rendering) {
    if (!rendering) return;
    this.rendering = rendering;
    this.#lanes.abort();
    this.player.stop();
    this.round = null;
    fill(this.question);
    try {
      while (rendering.state === "running") {
        drawRendering(this.stage, rendering, NAMES);
        await pause(1000, this.signal);
        if (this.rendering !== rendering) return;
        rendering = await get(at(this.artist)(`renderings/${rendering.id}`), { signal: this.signal });
        this.rendering = rendering;
      }
      const done = rendering.parts.filter((part) => part.state === "done");
      for (const part of rendering.parts.filter((each) => each.state === "failed"))
        note(`${NAMES[part.who]}: ${part.error}`, { kind: "error" });
      for (const each of rendering.missing ?? []) note(`${NAMES[each.who]}: ${each.reason}`);
      if (!done.length)
        return fill(this.stage, h("p.problem", { role: "alert" }, rendering.error ?? "Nothing could be rendered."));
      fill(this.stage, h("p.hint", { role: "status" }, "Loading …"));
      await this.player.load(done, this.signal);
      if (this.rendering !== rendering) return;
      this.#newRound();
    } catch (error) {
      if (!isLeft(error)) fill(this.stage, h("p.problem", { role: "alert" }, error.message));
    }
  }

  /** Two of them in a new order, or all of them by name. */
  #newRound() {
    if (!this.player.isLoaded) return;
    const there = this.player.who;
    const pairs = there.flatMap((one, n) => there.slice(n + 1).map((other) => [one, other])).reverse();
    const chosen = this.pairs.value;
    this.pairs.hidden = pairs.length < 2;
    fill(
      this.pairs,
      pairs.map((pair) =>
        h(
          "option",
          { value: pair.join(" "), selected: pair.join(" ") === chosen },
          pair.map((who) => NAMES[who]).join(" or "),
        ),
      ),
    );
    const pair = this.pairs.value ? this.pairs.value.split(" ") : null;
    this.round = pair ? new Round(pair, this.isBlind) : null;
    this.#drawRound();
  }

  #drawRound() {
    const { round, player } = this;
    const isHidden = Boolean(round?.isBlind && !round.isAnswered);
    this.order = isHidden ? round.order : player.who;
    this.#lanes.abort();
    this.#lanes = new AbortController();
    if (!this.order.includes(player.heard) || isHidden) player.hear(this.order[0]);
    const names = round?.names ?? NAMES;
    fill(
      this.stage,
      h(
        "p.prompt-line",
        { dir: "auto" },
        this.rendering.id
          ? `“${this.rendering.prompt.split("\n")[0]}” · seed ${this.rendering.seed}`
          : this.rendering.prompt,
      ),
      makeLanes(player, { order: this.order, names, isBlind: isHidden, signal: this.#lanes.signal }),
    );
    if (!round) return fill(this.question);
    const again = () => {
      this.#drawRound();
      this.answered();
    };
    const runId = this.run.id;
    return round.isAnswered
      ? fill(
          this.question,
          h(
            "div.row.answered",
            {},
            icon("check"),
            h("p", { role: "status" }, "Your answer is kept."),
            button("Another round", { kind: "primary", on: { click: () => this.#newRound() } }),
          ),
        )
      : fill(
          this.question,
          questionForm({ artist: this.artist, runId, renderingId: this.rendering.id, round, answered: again }),
        );
  }

  // --- rendering ---

  #renderForm() {
    this.prompts = h("select", { "aria-label": "Prompts of the artist’s pairs" });
    const text = h("textarea", { name: "prompt", rows: 5, dir: "auto", maxlength: 4000, "aria-label": "Prompt" });
    this.prompts.addEventListener("change", () => this.prompts.value && (text.value = this.prompts.value));
    const seed = h("input", { name: "seed", type: "number", min: 0, max: 2147483647, value: 7, required: true });
    const seconds = h("input", {
      name: "seconds",
      type: "number",
      min: 1,
      max: LONGEST,
      step: "any",
      value: 8,
      required: true,
    });
    const scale = h("input", { name: "scale", type: "number", min: 0, max: 3, step: "0.05", value: 1, required: true });
    const dice = button("Another seed", {
      icon: "loop",
      hide: true,
      on: { click: () => (seed.value = String(crypto.getRandomValues(new Uint32Array(1))[0] >>> 1)) },
    });
    this.who = h("div.row");
    this.promptField = text;
    const problem = h("p.problem", { role: "alert" });
    const form = h(
      "form.render-form",
      { novalidate: true },
      h("h3", {}, "Render a prompt"),
      this.prompts,
      text,
      h(
        "div.row",
        {},
        h("label.field.small", {}, h("span", {}, "Seed"), h("span.row", {}, seed, dice)),
        h("label.field.small", {}, h("span", {}, "Seconds"), seconds),
        h("label.field.small", {}, h("span", {}, "Strength"), scale),
        h("fieldset", {}, h("legend", {}, "With"), this.who),
      ),
      problem,
      button("Render", { kind: "primary", icon: "hear", type: "submit" }),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const wrong = [seed, seconds, scale].find((field) => !field.checkValidity());
      const who = [...form.querySelectorAll("[name=who]:checked")].map((box) => box.value);
      problem.textContent = !text.value.trim()
        ? "Write a prompt, or choose one."
        : wrong
          ? `${wrong.closest("label").firstChild.textContent}: ${wrong.validationMessage}`
          : who.length
            ? ""
            : "Choose at least one.";
      if (problem.textContent) return (wrong ?? text).focus();
      this.#render(
        {
          prompt: text.value.trim(),
          seed: Number(seed.value),
          seconds: Number(seconds.value),
          scale: Number(scale.value),
          who,
        },
        problem,
        form,
      );
    });
    return form;
  }

  async #render(wanted, problem, form) {
    const send = form.querySelector("[type=submit]");
    send.disabled = true;
    try {
      const runId = this.run.isPublished ? null : this.run.id;
      const rendering = await post(at(this.artist)("renderings"), { ...wanted, runId }, { signal: this.signal });
      this.renderings = [rendering, ...(this.renderings ?? []).filter((each) => each.id !== rendering.id)];
      this.rendering = rendering;
      this.#drawChoice();
      send.disabled = false;
      await this.#use(rendering);
    } catch (error) {
      if (!isLeft(error)) problem.textContent = error.message;
    } finally {
      send.disabled = false;
    }
  }

  async #loadPrompts() {
    try {
      const { items } = await get(at(this.artist)("items"), { signal: this.signal });
      const texts = items.filter((item) => item.text && !item.excluded);
      fill(
        this.prompts,
        h("option", { value: "" }, "A prompt of the artist’s pairs …"),
        texts.map((item) => h("option", { value: item.text }, item.name)),
      );
      this.prompts.hidden = !texts.length;
      if (!this.promptField.value && texts.length) this.promptField.value = texts[0].text;
    } catch {
      this.prompts.hidden = true;
    }
  }
}

/** Return what a run's evaluation rendered, as a rendering; null where it left none. */
function judged(run) {
  const urlOf = (name) => run.files.find((file) => file.name === name)?.url;
  const [base, own] = ["evaluation-base.wav", "evaluation-lora.wav"].map(urlOf);
  if (!base || !own) return null;
  const part = (who, url) => ({ who, url, state: "done", gainDb: null });
  const parts = [part("base", base), part(run.isPublished ? "published" : "candidate", own)];
  return { id: null, state: "done", prompt: "What its evaluation rendered", parts };
}
