/** Choosing a LoRA by ear: each run beside the base and the published one, open or blind, then promoted or taken back. */

import { onNews } from "./artist_state.js";
import { at, get, isLeft } from "./api.js";
import { Comparison } from "./comparison.js";
import { empty, loading, trouble } from "./dialogs.js";
import { button, fill, h, icon } from "./dom.js";
import { ago, figure, moment } from "./format.js";
import { keys } from "./keys.js";
import { drawTally } from "./listening.js";
import { lossCurve } from "./loss_curve.js";
import { promote, rollBack, waitingPart } from "./promotion.js";
import { go, to } from "./router.js";

/** Show an artist's LoRAs; the first part names the run. */
export async function showHear(main, artist, [runId], signal) {
  loading(main, 4, "Loading the LoRAs");
  try {
    const loras = await get(at(artist)("loras"), { signal });
    if (!signal.aborted) new HearView(main, artist, loras, runId, signal);
  } catch (error) {
    if (isLeft(error) || signal.aborted) return;
    if (error.status === 401) throw error;
    fill(
      main,
      trouble(error, () => showHear(main, artist, [runId], signal)),
    );
  }
}

class HearView {
  constructor(main, artist, loras, runId, signal) {
    Object.assign(this, { main, artist, loras, runId, signal });
    if (!loras.runs.length) {
      return void fill(
        main,
        h("header.view", {}, h("h1", {}, "Hear the LoRA")),
        waitingPart(artist, loras.waiting, () => showHear(main, artist, [runId], signal)),
        empty(
          "hear",
          "No LoRA yet",
          ["A training makes one once a dataset is there: `dawa build`, or by itself with the next upload."],
          h("a.button", { href: to(artist.slug, "dataset") }, h("span.label", {}, "See what runs")),
        ),
      );
    }
    this.runs = h("nav.runs", { "aria-label": "Trainings" });
    this.about = h("section.about-run", { "aria-label": "About this training" });
    this.tally = h("div.tally-place");
    this.waiting = h("div.waiting-place");
    this.comparison = new Comparison(artist, signal, () => this.#drawTally());
    fill(
      main,
      h("header.view", {}, h("h1", {}, "Hear the LoRA")),
      h("div.hear", {}, this.runs, h("div.hear-main", {}, this.waiting, this.comparison.element, this.about)),
    );
    this.#draw();
    this.comparison.show(this.run, this.loras);
    this.#drawTally();
    onNews(() => this.#reload(), signal);
    keys(
      "Hear",
      [
        ...this.comparison.keys(),
        { key: "j", does: "Next training", run: () => this.#beside(1) },
        { key: "k", does: "Training before", run: () => this.#beside(-1) },
      ],
      signal,
    );
  }

  get run() {
    const { runs } = this.loras;
    return (
      runs.find((run) => run.id === this.runId) ??
      runs.find((run) => run.isCandidate && run.state === "done") ??
      runs.find((run) => run.isPublished) ??
      runs[0]
    );
  }

  async #reload() {
    try {
      this.loras = await get(at(this.artist)("loras"), { signal: this.signal });
      this.#draw();
      this.comparison.update(this.run, this.loras);
    } catch {
      // the next news tries again
    }
  }

  #draw() {
    const { loras, run } = this;
    fill(
      this.waiting,
      waitingPart(this.artist, loras.waiting, () => this.#reload()),
    );
    fill(
      this.runs,
      h("h2", {}, "Trainings"),
      h(
        "ul",
        {},
        loras.runs.map((each) => h("li", {}, this.#runLink(each, each.id === run.id))),
      ),
    );
    fill(this.about, this.#header(run), h("div.beside", {}, this.#figures(run), this.tally), this.#log());
  }

  #runLink(run, isShown) {
    return h(
      "a",
      { href: to(this.artist.slug, "hear", run.id), "aria-current": isShown ? "page" : null },
      h(
        "span.words",
        {},
        h("strong", {}, ago(run.createdAt)),
        h("span", {}, run.state === "done" ? (run.verdict ?? "not judged yet") : run.state),
      ),
      run.isPublished
        ? h("span.badge", { data: { badge: "exported" } }, "Published")
        : run.isCandidate
          ? h("span.badge", { data: { badge: "ready" } }, "Candidate")
          : run.state === "failed"
            ? h("span.badge", { data: { badge: "failed" } }, "Failed")
            : null,
    );
  }

  #header(run) {
    const before = this.loras.log.filter((entry) => entry.runId !== run.id).length > 0;
    const changed = () => this.#reload();
    return h(
      "header.row",
      {},
      h("h2", {}, `Training of ${moment(run.createdAt)}`),
      h("span.grow"),
      run.isPublished
        ? button("Roll back", {
            icon: "undo",
            kind: "danger",
            disabled: !before,
            title: before ? "Publish the one before again" : "Nothing was published before",
            on: { click: () => rollBack(this.artist, this.loras).then(changed) },
          })
        : button("Promote", {
            icon: "check",
            kind: "primary",
            disabled: run.state !== "done",
            on: { click: () => promote(this.artist, run, this.loras).then(changed) },
          }),
    );
  }

  #figures(run) {
    const isBetter = run.loss !== null && run.baseLoss !== null && run.loss < run.baseLoss;
    const heard = run.trainedOnExcluded?.length
      ? h(
          "p.problem",
          { dir: "auto" },
          icon("alert"),
          `Trained on what is excluded by now: ${run.trainedOnExcluded.join(", ")}`,
        )
      : null;
    return h(
      "div.figures",
      {},
      run.error ? h("p.problem", { dir: "auto" }, icon("alert"), run.error) : null,
      heard,
      run.verdict
        ? h(
            "p.verdict",
            { data: { verdict: run.verdict } },
            h("strong", {}, run.verdict),
            " ",
            h("span", { dir: "auto" }, run.reasons.join("; ")),
          )
        : null,
      run.decision ? h("p.hint", { dir: "auto" }, run.decision) : null,
      h(
        "dl.facts",
        {},
        [
          [
            "Held-out loss",
            run.loss === null
              ? null
              : `${figure(run.loss, 4)}${run.baseLoss === null ? "" : ` ${isBetter ? "below" : "not below"} the base’s ${figure(run.baseLoss, 4)}`}`,
          ],
          ["Held out", run.heldOut?.join(", ")],
          ["Base", `${run.base} (${run.backend})`],
          ["Steps", run.steps],
        ]
          .filter(([, value]) => value !== null && value !== undefined && value !== "")
          .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", { dir: "auto" }, value))),
      ),
      run.curve?.length > 1 ? lossCurve(run.curve, this.signal) : null,
    );
  }

  #log() {
    const { log } = this.loras;
    if (!log.length) return null;
    return h(
      "details",
      {},
      h("summary", {}, icon("history"), h("span", {}, `What was published (${log.length})`)),
      h(
        "ol.log",
        { reversed: true },
        [...log]
          .reverse()
          .map((entry) =>
            h(
              "li",
              {},
              h("time", { datetime: entry.at, title: moment(entry.at) }, ago(entry.at)),
              h(
                "span",
                { dir: "auto" },
                `${entry.isRollback ? "rolled back" : "promoted"} by ${entry.by === "person" ? "a person" : "its evaluation"}: ${entry.reason}`,
              ),
            ),
          ),
      ),
    );
  }

  #drawTally() {
    drawTally(this.tally, this.artist, this.run.id, this.signal).catch(() => fill(this.tally));
  }

  #beside(step) {
    const { runs } = this.loras;
    const next = runs[runs.indexOf(this.run) + step];
    if (next) go(this.artist.slug, "hear", next.id);
  }
}
