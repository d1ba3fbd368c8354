/** Asking who listens: which is closer to the artist, and how close. Blind rounds hide which is which until then. */

import { at, get, post } from "./api.js";
import { note, say } from "./dialogs.js";
import { button, fill, h } from "./dom.js";
import { count, figure } from "./format.js";
import { author } from "./session.js";

export const NAMES = { base: "Base", published: "Published", candidate: "Candidate" };

/** A round of listening to two: their order is drawn by chance, and hidden where it is blind. */
export class Round {
  constructor(pair, isBlind) {
    this.pair = pair;
    this.isBlind = isBlind;
    this.id = crypto.randomUUID(); // a repeated send is the same answer
    this.order = isBlind && crypto.getRandomValues(new Uint8Array(1))[0] % 2 ? [...pair].reverse() : [...pair];
    this.isAnswered = false;
  }

  /** What each is called in this round. */
  get names() {
    if (!this.isBlind || this.isAnswered) return NAMES;
    return Object.fromEntries(this.order.map((who, n) => [who, "AB"[n]]));
  }
}

/**
 * Return the form that asks about a round.
 *
 * @param {Object} given `artist`, `runId`, `renderingId`, `round`, `answered()`: called once it is stored
 */
export function questionForm({ artist, runId, renderingId, round, answered }) {
  const problem = h("p.problem", { role: "alert" });
  const option = (name, value, words, key) =>
    h(
      "label.option",
      {},
      h("input", { type: "radio", name, value }),
      h("span", {}, words),
      key ? h("kbd", { "aria-hidden": "true" }, key) : null,
    );
  const form = h(
    "form.question",
    { novalidate: true },
    h(
      "fieldset",
      {},
      h("legend", {}, "Which is closer to the artist?"),
      h(
        "div.row",
        {},
        round.order.map((who) => option("choice", who, round.names[who])),
        option("choice", "none", "No difference"),
      ),
    ),
    h(
      "fieldset",
      {},
      h("legend", {}, "How close is it?"),
      h(
        "div.row.scale",
        {},
        h("span.hint", {}, "not at all"),
        [1, 2, 3, 4, 5].map((score) => option("score", String(score), String(score))),
        h("span.hint", {}, "could be theirs"),
      ),
    ),
    problem,
    button("Keep my answer", { kind: "primary", type: "submit" }),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (round.isAnswered || round.isSending) return;
    const given = new FormData(form);
    if (!given.get("choice")) {
      problem.textContent = "Choose one, or “No difference”.";
      return form.querySelector("input").focus();
    }
    round.isSending = true;
    try {
      const body = {
        id: round.id,
        runId,
        pair: round.pair,
        choice: given.get("choice") === "none" ? null : given.get("choice"),
        score: given.get("score") ? Number(given.get("score")) : null,
        isBlind: round.isBlind,
        renderingId,
        author: author(),
      };
      await post(at(artist)("listens"), body);
      round.isAnswered = true;
      const words = body.choice ? `You chose ${NAMES[body.choice]}` : "You heard no difference";
      const order = round.isBlind ? `: ${round.order.map((who, n) => `${"AB"[n]} was ${NAMES[who]}`).join(", ")}` : "";
      note(`${words}${order}.`);
      say(`${words}${order}`);
      answered();
    } catch (error) {
      problem.textContent = error.message;
    } finally {
      round.isSending = false;
    }
  });
  return form;
}

/** Fill a place with what was heard of a run so far. */
export async function drawTally(place, artist, runId, signal) {
  const { tally } = await get(at(artist)("listens"), { signal });
  const of = tally.filter((each) => each.runId === runId);
  fill(
    place,
    h("h3", {}, "What listeners said"),
    of.length ? h("ul.tally", {}, of.map(tallyLine)) : h("p.hint", {}, "Nobody has listened yet."),
  );
}

function tallyLine({ pair, isBlind, choices, meanScore, count: number }) {
  const parts = [
    ...pair.map((who) => [who, NAMES[who], choices[who] ?? 0]),
    ["none", "No difference", choices.none ?? 0],
  ];
  return h(
    "li",
    {},
    h(
      "p",
      {},
      h("strong", {}, pair.map((who) => NAMES[who]).join(" or ")),
      ` · ${isBlind ? "blind" : "open"} · ${count(number, "answer")}`,
      meanScore === null || meanScore === undefined ? null : ` · ${figure(meanScore, 1)} of 5`,
    ),
    h(
      "div.stack.labelled",
      {},
      parts
        .filter(([, , n]) => n)
        .map(([who, name, n]) => h("span", { data: { who }, style: { "flex-grow": n } }, `${name} ${n}`)),
    ),
  );
}
