/** Queue and progress: how many pairs are ready, what waits and why, what runs now, and the datasets with their links. */

import { library, onNews, progress, refreshLibrary } from "./artist_state.js";
import { at, get, isLeft, post } from "./api.js";
import { empty, loading, note, trouble } from "./dialogs.js";
import { button, fill, h, icon, named } from "./dom.js";
import { ago, count, moment, size, wait } from "./format.js";
import { keys } from "./keys.js";
import { to } from "./router.js";
import { BADGES, STEPS } from "./steps.js";

/** Show an artist's datasets and progress. */
export async function showDataset(main, artist, _rest, signal) {
  loading(main, 4, "Loading the datasets");
  let datasets;
  try {
    datasets = await get(at(artist)("datasets"), { signal });
  } catch (error) {
    if (isLeft(error) || signal.aborted) return;
    if (error.status === 401) throw error;
    return fill(
      main,
      trouble(error, () => showDataset(main, artist, _rest, signal)),
    );
  }
  if (!signal.aborted) new DatasetView(main, artist, datasets, signal);
}

class DatasetView {
  #exporting = false;

  constructor(main, artist, datasets, signal) {
    Object.assign(this, { artist, datasets, signal, state: progress.value });
    this.ready = h("section.ready-panel", { "aria-labelledby": "ready-title" });
    this.chain = h("section.chain", { "aria-labelledby": "chain-title" });
    this.waits = h("section", { "aria-labelledby": "waits-title" });
    this.list = h("section", { "aria-labelledby": "datasets-title" });
    fill(
      main,
      h("header.view", {}, h("h1", {}, "Dataset")),
      this.ready,
      h("div.two-columns", {}, h("div", {}, this.chain, this.waits), this.list),
    );
    this.#drawReady();
    this.#drawList();
    progress.watch((state) => {
      if (!state) return;
      this.state = state;
      this.#drawReady();
      this.#drawChain();
      this.#drawWaits();
    }, signal);
    library.watch((loaded) => loaded && this.state && this.#drawWaits(), signal);
    if (!library.value) refreshLibrary().catch(() => {});
    onNews(() => this.#reload(), signal);
    keys("Dataset", [{ key: "x", does: "Export the dataset", run: () => this.export() }], signal);
  }

  async #reload() {
    try {
      this.datasets = await get(at(this.artist)("datasets"), { signal: this.signal });
      this.#drawReady();
      this.#drawList();
    } catch {
      // the next news tries again
    }
  }

  #drawReady() {
    if (!this.state) return;
    const { ready, badges } = this.state;
    // Of Live Sets, as in the library: a set that has a saved pair is done, whatever waits beside it.
    const { excluded = 0, ...rest } = badges;
    const total = Object.values(rest).reduce((sum, number) => sum + number, 0);
    const exported = badges.exported ?? 0;
    const done = (badges.ready ?? 0) + exported;
    const whole = Math.max(total, 1);
    const hadFocus = this.ready.contains(document.activeElement);
    const order = ["exported", "ready", "needs_prompt", "needs_audio", "failed"];
    fill(
      this.ready,
      h(
        "div.row",
        {},
        h("h2", { id: "ready-title" }, h("strong", {}, `${done}/${total}`), " ready"),
        h("span.grow"),
        button(this.#exporting ? "Exporting …" : "Export dataset", {
          icon: "dataset",
          kind: "primary large",
          key: "x",
          disabled: this.#exporting || !ready,
          "aria-describedby": "export-hint",
          on: { click: () => this.export() },
        }),
      ),
      h(
        "div.stack",
        {
          role: "img",
          "aria-label":
            order
              .filter((badge) => badges[badge])
              .map((badge) => `${BADGES[badge]}: ${badges[badge]}`)
              .join(", ") || "no pairs",
        },
        order.map((badge) =>
          badges[badge]
            ? h("span", { data: { badge }, style: { "flex-basis": `${(badges[badge] / whole) * 100}%` } })
            : null,
        ),
      ),
      h(
        "ul.legend",
        {},
        order.map((badge) =>
          badges[badge]
            ? h(
                "li",
                { data: { badge } },
                h("a", { href: to(this.artist.slug, "library") }, `${BADGES[badge]}: ${badges[badge]}`),
              )
            : null,
        ),
        excluded ? h("li", { data: { badge: "excluded" } }, `Excluded: ${excluded}`) : null,
      ),
      h("p.hint", { id: "export-hint" }, this.#exportHint(ready, exported, total)),
    );
    if (hadFocus) this.ready.querySelector("button:not([disabled])")?.focus();
  }

  #exportHint(ready, exported, total) {
    const { next } = this.datasets;
    const doubles = next?.leftOut?.length
      ? ` ${count(next.leftOut.length, "pair")} left out, because the same audio is there with another text.`
      : "";
    if (ready) return `${count(ready, "pair")} new since the last export.${doubles}`;
    if (!total) return "No pairs yet: add Live Sets and bounces in the library.";
    return exported
      ? "Everything that is ready has been exported. Save more pairs to export again."
      : "Nothing is ready yet: pairs need audio and a prompt.";
  }

  async export() {
    if (this.#exporting || !(this.state?.ready ?? this.datasets.ready)) return;
    this.#exporting = true;
    this.#drawReady();
    try {
      const answer = await post("/api/train/export", { artistId: this.artist.id });
      this.exported = answer;
      note(`The dataset with ${count(answer.itemCount, "pair")} is built.`);
      await this.#reload();
    } catch (error) {
      note(error.message, { kind: "error" });
    } finally {
      this.#exporting = false;
      if (!this.signal.aborted) {
        this.#drawReady();
        this.#drawList();
        this.list.querySelector("a.fresh")?.focus();
      }
    }
  }

  #drawChain() {
    const running = new Map(this.state.running.map((step) => [step.step, step]));
    const asked = new Map(this.state.activities.map((activity) => [activity.name, activity]));
    const names = [...Object.keys(STEPS), ...[...running.keys()].filter((name) => !(name in STEPS))];
    const failed = [...asked.values()].filter((activity) => activity.state === "failed");
    const last = this.state.activities.filter((activity) => activity.state === "done" && activity.headline).slice(-3);
    fill(
      this.chain,
      h("h2", { id: "chain-title" }, "The chain"),
      h(
        "p.hint",
        { role: "status" },
        running.size
          ? `Now: ${[...running.keys()].map((name) => STEPS[name]?.running ?? name).join(", ")}`
          : "Nothing runs now.",
      ),
      h(
        "ol.steps",
        {},
        names.map((name) => this.#stepLine(name, running.get(name))),
      ),
      failed.map(({ name, error }) =>
        h("p.problem", { dir: "auto" }, icon("alert"), `${STEPS[name]?.name ?? name}: ${error}`),
      ),
      last.length
        ? h(
            "ul.activities",
            { "aria-label": "What was done" },
            last.map((activity) =>
              h(
                "li",
                {},
                icon("check"),
                h("span", { dir: "auto" }, activity.headline),
                h("time", { datetime: activity.endedAt }, ago(activity.endedAt)),
              ),
            ),
          )
        : null,
    );
  }

  #stepLine(name, step) {
    const words = STEPS[name] ?? { name, does: "" };
    if (!step)
      return h(
        "li",
        {},
        h("span.dot", { "aria-hidden": "true" }),
        h("span.name", {}, words.name),
        h("span.hint", {}, words.does),
      );
    const share = step.total ? step.done / step.total : null;
    return h(
      "li.now",
      { "aria-current": "step" },
      h("span.dot", { "aria-hidden": "true" }),
      h("span.name", {}, words.name),
      h(
        "span.hint",
        { dir: "auto" },
        [
          step.message ?? (step.total ? `${step.done} of ${step.total}` : `since ${ago(step.since)}`),
          step.secondsLeft ? `${wait(step.secondsLeft)} left` : null,
        ]
          .filter(Boolean)
          .join(" · "),
      ),
      h("progress", { max: 1, value: share ?? undefined, "aria-label": words.running ?? name }),
    );
  }

  #drawWaits() {
    const done = new Set(
      (library.value?.entries ?? [])
        .filter((entry) => entry.badge === "ready" || entry.badge === "exported")
        .map((entry) => `${entry.projectName}/${entry.name}`),
    );
    const waiting = this.state.waiting.filter((each) => each.what !== "item" || !done.has(each.name));
    fill(
      this.waits,
      h("h2", { id: "waits-title" }, "What waits, and why"),
      waiting.length
        ? h(
            "ul.waits",
            {},
            waiting.map((each) =>
              h(
                "li",
                { data: { what: each.what } },
                h("span.kind", {}, each.what),
                h("strong", {}, named(each.name)),
                h("span.reason", { dir: "auto" }, each.reason),
              ),
            ),
          )
        : h("p.hint", {}, icon("check"), "Nothing waits."),
    );
  }

  #drawList() {
    const { datasets } = this.datasets;
    const fresh = this.exported;
    fill(
      this.list,
      h("h2", { id: "datasets-title" }, "Datasets"),
      fresh
        ? h(
            "p.fresh-link",
            { role: "status" },
            h(
              "a.button.primary.fresh",
              { href: fresh.datasetUrl, download: "" },
              icon("download"),
              h("span.label", {}, `Download the zip (${count(fresh.itemCount, "pair")})`),
            ),
            button("Copy its link", {
              icon: "link",
              on: { click: () => copy(new URL(fresh.datasetUrl, location.href).href) },
            }),
          )
        : null,
      datasets.length
        ? h("ul.datasets", {}, datasets.map(datasetLine))
        : empty("dataset", "No dataset yet", "The first export, or the nightly build, makes one."),
    );
  }
}

function datasetLine(dataset) {
  const kind =
    { done: "Whole dataset", export: "Export of what was new", building: "Being built" }[dataset.state] ??
    dataset.state;
  const when = dataset.finishedAt ?? dataset.createdAt;
  return h(
    "li",
    {},
    icon("dataset"),
    h(
      "span.words",
      {},
      h("strong", {}, kind, dataset.isCurrent ? h("span.badge", { data: { badge: "ready" } }, "Current") : null),
      h(
        "span",
        {},
        [count(dataset.itemCount, "pair"), dataset.sizeBytes ? size(dataset.sizeBytes) : null]
          .filter(Boolean)
          .join(" · "),
        " · ",
        h("time", { datetime: when, title: moment(when) }, ago(when)),
      ),
    ),
    dataset.manifestUrl
      ? h(
          "a.button.quiet",
          { href: dataset.manifestUrl, target: "_blank", rel: "noopener" },
          h("span.label", {}, "Manifest"),
        )
      : null,
    dataset.url
      ? h(
          "a.button",
          { href: dataset.url, download: "", "aria-label": `Download the dataset of ${moment(when)}` },
          icon("download"),
          h("span.label", {}, "Zip"),
        )
      : h("span.hint", {}, dataset.state === "building" ? "" : "pruned"),
  );
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    note("The link is copied; it is good for a day, for whoever has it.");
  } catch {
    note(text);
  }
}
