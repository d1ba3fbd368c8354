/** What came in and fits no set: bounces that wait, shown with their reason, paired by a drag or by choosing a set. */

import { library, onNews, refreshLibrary } from "./artist_state.js";
import { at, get, isLeft, post } from "./api.js";
import { dialog, note } from "./dialogs.js";
import { button, fill, h, icon, named } from "./dom.js";
import { BOUNCE } from "./drop.js";
import { count, size } from "./format.js";
import { badgeOf } from "./set_card.js";
import { takeIn } from "./upload_tray.js";

/** Show the waiting bounces at a place, as long as the view stands. */
export function showBounces(place, artist, signal) {
  const load = async () => {
    try {
      const loaded = await get(at(artist)("bounces"), { signal });
      if (!signal.aborted) draw(place, artist, loaded, load);
    } catch (error) {
      if (!isLeft(error)) fill(place);
    }
  };
  load();
  onNews(load, signal);
}

/** Pair a waiting bounce with a set of the library. */
export async function pairBounce(artist, id, entry) {
  try {
    await post(at(artist)(`bounces/${id}/pair`), entry.itemId ? { itemId: entry.itemId } : { parseId: entry.parseId });
    note(`Paired with ${entry.name}.`);
    await refreshLibrary();
  } catch (error) {
    note(error.message, { kind: "error" });
  }
}

function draw(place, artist, { waiting, inbox, rejected }, load) {
  const pending = inbox.filter((upload) => upload.isComplete);
  if (!waiting.length && !pending.length && !rejected.length) return fill(place);
  // Folded where nothing asks for a hand; what somebody folds stays so until something else comes.
  const asks = String(waiting.length + pending.length);
  const before = place.querySelector("details");
  const isOpen = before?.dataset.asks === asks ? before.open : asks !== "0";
  const words = [
    waiting.length ? `${count(waiting.length, "bounce")} without a set` : null,
    pending.length ? `${count(pending.length, "upload")} not taken in yet` : null,
    rejected.length ? `${count(rejected.length, "file")} refused` : null,
  ]
    .filter(Boolean)
    .join(" · ");
  fill(
    place,
    h(
      "details.waiting",
      { open: isOpen, data: { asks } },
      h("summary", {}, icon("alert"), h("span", {}, words)),
      waiting.length
        ? h("p.hint", {}, "Drag one onto its set, or choose the set. Nothing is guessed where several would fit.")
        : null,
      waiting.length
        ? h(
            "ul",
            { "aria-label": "Bounces without a set" },
            waiting.map((bounce) => line(artist, bounce, load)),
          )
        : null,
      pending.length
        ? h(
            "p.row",
            {},
            `Not taken in yet: ${pending
              .flatMap((upload) => upload.files)
              .slice(0, 5)
              .join(", ")}`,
            button("Take in now", { on: { click: () => takeIn(artist) } }),
          )
        : null,
      rejected.length
        ? h(
            "ul.rejected",
            { "aria-label": "Refused files" },
            rejected.map((file) =>
              h("li", {}, h("strong", {}, named(file.name)), h("span", { dir: "auto" }, file.reason)),
            ),
          )
        : null,
    ),
  );
}

function line(artist, bounce, load) {
  const element = h(
    "li",
    { draggable: "true" },
    icon("wave"),
    h(
      "span.words",
      {},
      h("strong", {}, named(bounce.name)),
      h("span", { dir: "auto" }, [bounce.folder, size(bounce.sizeBytes), bounce.reason].filter(Boolean).join(" · ")),
    ),
    button("Choose its set", { on: { click: () => chooseSet(artist, bounce).then(load) } }),
  );
  element.addEventListener("dragstart", (event) => {
    event.dataTransfer.setData(BOUNCE, bounce.id);
    event.dataTransfer.setData("text/plain", bounce.name);
    event.dataTransfer.effectAllowed = "copy";
  });
  return element;
}

async function chooseSet(artist, bounce) {
  const entries = (library.value ?? (await refreshLibrary())).entries.filter((entry) => entry.liveSetId);
  const isLikely = (entry) => entry.badge === "needs_audio";
  const list = h(
    "div.choices",
    { role: "radiogroup", "aria-label": "Live Set" },
    [...entries]
      .sort((a, b) => isLikely(b) - isLikely(a) || a.name.localeCompare(b.name))
      .map((entry) =>
        h(
          "label",
          { data: { text: entry.name.toLocaleLowerCase() } },
          h("input", { type: "radio", name: "set", value: entry.parseId }),
          h("span", {}, named(entry.name)),
          badgeOf(entry.badge),
        ),
      ),
  );
  const search = h("input", { type: "search", placeholder: "Search sets", "aria-label": "Search sets" });
  search.addEventListener("input", () => {
    for (const label of list.children)
      label.hidden = !label.dataset.text.includes(search.value.trim().toLocaleLowerCase());
  });
  const picked = () => list.querySelector("input:checked")?.value;
  const answer = await dialog(`Whose bounce is ${bounce.name}?`, [search, list], {
    actions: [
      { label: "Cancel", value: "" },
      { label: "Pair them", value: "yes", kind: "primary", check: () => Boolean(picked()) },
    ],
    wide: true,
  });
  const entry = entries.find((each) => each.parseId === picked());
  if (answer === "yes" && entry) await pairBounce(artist, bounce.id, entry);
}
