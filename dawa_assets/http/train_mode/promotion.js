/**
 * Publishing a run, and taking it back: each with a reason, and with a second question where something speaks against
 * it; and the yes to a training that waits for one.
 */

import { at, post } from "./api.js";
import { ask, confirm, note } from "./dialogs.js";
import { button, h } from "./dom.js";
import { author } from "./session.js";

/** Ask for a reason and publish a run; resolves to whether it was done. */
export async function promote(artist, run, { runs }) {
  const published = runs.find((each) => each.isPublished);
  const lines = [
    published
      ? "It takes the published one’s place for everybody who renders with the artist’s LoRA; that can be rolled back."
      : "It is published for everybody who renders with the artist’s LoRA.",
  ];
  const reason = await ask("Promote this training?", "Why (what did you hear?)", "Promote", { lines });
  if (reason === null) return false;
  return insist(
    (force) => post(at(artist)(`loras/${run.id}/promote`), { reason, author: author(), force }),
    "It is published.",
    "Publish it all the same",
  );
}

/** Ask for a reason and publish the run before again; resolves to whether it was done. */
export async function rollBack(artist, { modelName }) {
  const reason = await ask("Take the published one back?", "Why", "Roll back", {
    kind: "danger",
    lines: ["The one that was published before it takes its place. It is not promoted again by itself."],
  });
  if (reason === null) return false;
  return insist(
    (force) => post(at(artist)("loras/rollback"), { reason, author: author(), modelName, force }),
    "The one before is published again.",
    "Publish it all the same",
  );
}

async function insist(work, done, action) {
  try {
    await work(false);
  } catch (error) {
    const canForce = error.status === 400 && /--force/.test(error.message);
    if (!canForce) return (note(error.message, { kind: "error" }), false);
    const reason = error.message.replace(/;?\s*--force .*$/, "");
    if (!(await confirm("Something speaks against it", reason, action, { kind: "danger" }))) return false;
    try {
      await work(true);
    } catch (second) {
      return (note(second.message, { kind: "error" }), false);
    }
  }
  note(done);
  return true;
}

/** Return what says that a training waits for a yes, with the button for it; nothing where none waits. */
export function waitingPart(artist, waiting, changed) {
  if (!waiting) return null;
  const cost = waiting.expectedUsd === null ? "at a cost that nobody knows yet" : `for about ${usd(waiting.expectedUsd)}`;
  return h(
    "section.waiting-training",
    { "aria-label": "A training waits" },
    h("p", {}, h("strong", {}, `A training waits to be approved, ${cost}.`)),
    h("p.hint", {}, waiting.plan),
    button("Approve and train", { on: { click: () => approve(artist, cost).then((done) => done && changed()) } }),
  );
}

async function approve(artist, cost) {
  const lines = ["It begins within a minute or two. A later dataset is asked about anew."];
  if (!(await confirm(`Train ${cost}?`, lines, "Approve and train"))) return false;
  try {
    await post(at(artist)("trainings/approve"), { author: author() });
  } catch (error) {
    return (note(error.message, { kind: "error" }), false);
  }
  note("It is approved, and begins within a minute or two.");
  return true;
}

function usd(amount) {
  return `${amount.toFixed(2)} USD`;
}
