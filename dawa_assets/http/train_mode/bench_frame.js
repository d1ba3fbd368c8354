/** The frame of a set's view: its header, its other pairs, and its keys. What they do is the workbench's own. */

import { say } from "./dialogs.js";
import { button, fill, h, icon, named } from "./dom.js";
import { ago, moment } from "./format.js";
import { beside, dropFrom, queueOf } from "./queue.js";
import { go, to } from "./router.js";
import { badgeOf, factsLine, projectOf } from "./set_card.js";

/** Draw where one is: the set's name, badge and reason, and its place in the queue. */
export function drawHeader(bench) {
  const { artist, entry, item, parseId } = bench;
  const { sets, done } = queueOf(artist);
  const place = sets.indexOf(parseId);
  const badge = item?.badge ?? entry?.badge;
  const reason = item?.excluded
    ? `Excluded${item.excluded.author ? ` by ${item.excluded.author}` : ""}: ${item.excluded.reason}`
    : (item?.reason ?? entry?.reason);
  const step = (direction, words, name, key) => {
    const other = beside(artist, parseId, direction);
    return button(words, {
      icon: name,
      hide: true,
      key,
      disabled: !other,
      on: { click: () => go(artist.slug, "set", other) },
    });
  };
  fill(
    bench.header,
    h(
      "div.row.crumbs",
      {},
      h("a", { href: to(artist.slug, "library") }, icon("back"), "Library"),
      place < 0
        ? null
        : h(
            "div.queue-place",
            {},
            step(-1, "Set before", "back", "["),
            h("span", { role: "status" }, `${place + 1} of ${sets.length} in the queue · ${done.length} done`),
            step(1, "Next set", "forward", "]"),
            button("Take it out of the queue", {
              icon: "close",
              hide: true,
              on: { click: () => dropFrom(artist, parseId) },
            }),
          ),
    ),
    h(
      "div.row.title",
      {},
      h("h1", {}, named(bench.title)),
      badge ? badgeOf(badge) : null,
      h("span.grow"),
      item?.excluded
        ? button("Include it again", { icon: "undo", on: { click: () => bench.include() } })
        : item
          ? button("Exclude", { icon: "exclude", kind: "quiet", on: { click: () => bench.exclude() } })
          : null,
    ),
    h(
      "p.lead",
      { dir: "auto" },
      [entry ? projectOf(entry) : null, entry ? factsLine(entry) : null].filter(Boolean).join(" · "),
      entry
        ? h(
            "time",
            { datetime: entry.takenInAt, title: moment(entry.takenInAt) },
            ` · taken in ${ago(entry.takenInAt)}`,
          )
        : null,
    ),
    reason
      ? h("p.reason", { data: { badge }, dir: "auto" }, icon(badge === "excluded" ? "exclude" : "alert"), reason)
      : null,
  );
}

/** Draw the set's other pairs, where it has several. */
export function drawOthers(bench) {
  const items = bench.detail?.items ?? [];
  bench.others.hidden = items.length < 2;
  if (items.length < 2) return;
  fill(
    bench.others,
    h("span.hint", {}, `${items.length} pairs of this set:`),
    items.map((each, n) =>
      h(
        "a",
        {
          href: to(bench.artist.slug, "set", bench.parseId, each.id),
          "aria-current": each.id === bench.item?.id ? "page" : null,
        },
        each.isSavedPair ? `Saved pair ${n + 1}` : "The pipeline’s own",
        badgeOf(each.badge),
      ),
    ),
  );
}

/** Return the keys of a set's view. */
export function benchKeys(bench) {
  const { artist, audio, editor, parseId } = bench;
  const step = (direction) => {
    const other = beside(artist, parseId, direction);
    if (other) go(artist.slug, "set", other);
  };
  const leaveField = () => {
    document.activeElement?.blur?.();
    say("Keys work again");
  };
  return [
    { key: "Space", does: "Play, pause", run: () => audio.player.toggle() },
    { key: "ArrowLeft", does: "A bar back", run: () => audio.step(-1) },
    { key: "ArrowRight", does: "A bar on", run: () => audio.step(1) },
    { key: "Shift ArrowLeft", does: "Section before", run: () => audio.jump(-1) },
    { key: "Shift ArrowRight", does: "Next section", run: () => audio.jump(1) },
    { key: "Home", does: "To the start", run: () => audio.player.seek(0) },
    { key: "l", does: "Loop the section, or not", run: () => audio.toggleLoop() },
    { key: "i", does: "Loop from here", run: () => audio.loopHere(true) },
    { key: "o", does: "Loop up to here", run: () => audio.loopHere(false) },
    { key: "+", does: "Closer", run: () => audio.wave?.zoom(0.5) },
    { key: "=", does: "Closer", run: () => audio.wave?.zoom(0.5), hidden: true },
    { key: "-", does: "Farther", run: () => audio.wave?.zoom(2) },
    { key: "u", does: "Choose a bounce", run: () => audio.pick() },
    { key: "g", does: "Generate, or another take", run: () => editor.generate() },
    { key: "e", does: "Write", run: () => editor.field.focus() },
    { key: "Escape", does: "Leave the field", run: leaveField, typing: true },
    { key: "Ctrl Enter", does: "Save and next", run: () => bench.saveAndNext(), typing: true },
    { key: "Ctrl s", does: "Save", run: () => bench.save(), typing: true },
    { key: "[", does: "Set before in the queue", run: () => step(-1) },
    { key: "]", does: "Next set in the queue", run: () => step(1) },
    {
      key: "h",
      does: "History",
      run: () => ((editor.history.open = !editor.history.open), editor.history.querySelector("summary").focus()),
    },
  ];
}
