/** Everything that is on record of an artist's permissions, the latest first, each with what became of it. */

import { button, h, icon, named } from "./dom.js";
import { ago, day, moment } from "./format.js";

const MOST = 100;

/**
 * Return the list, folded or open; `revoke(permission)` is what a line's button does. Nothing where nothing is on
 * record.
 */
export function permissionList(permissions, isOpen, revoke) {
  if (!permissions.length) return null;
  const shown = [...permissions].reverse().slice(0, MOST);
  const hidden = permissions.length - shown.length;
  return h(
    "details.on-record",
    { open: isOpen },
    h("summary", {}, icon("history"), h("span", {}, `Everything on record (${permissions.length})`)),
    h(
      "ol",
      { reversed: true },
      shown.map((each) => line(each, revoke)),
    ),
    hidden ? h("p.hint", {}, `and ${hidden} more; “dawa rights list” shows them all`) : null,
  );
}

function line(permission, revoke) {
  const { item, song, purposes, grantedBy, evidence, territory, recordedAt, state } = permission;
  const about = song ?? item;
  const until = permission.validUntil ? ` until ${day(permission.validUntil)}` : ", for good";
  const canRevoke = state === "permitted" || state === "not yet";
  return h(
    "li",
    { data: { state } },
    h(
      "p",
      {},
      h("strong", {}, about ? named(about) : "All that is the artist’s"),
      ` · ${purposes.join(", ")} · by `,
      named(grantedBy),
    ),
    h(
      "p.hint",
      {},
      `from ${day(permission.validFrom)}${until}`,
      evidence ? [" · ", named(evidence)] : null,
      permission.hasDocument ? " · its document is kept" : null,
      territory ? [" · ", named(territory)] : null,
      " · put on record by ",
      named(permission.recordedBy),
      " ",
      h("time", { datetime: recordedAt, title: moment(recordedAt) }, ago(recordedAt)),
    ),
    h(
      "div.row",
      {},
      h("span.badge", { data: { badge: canRevoke ? "ready" : "excluded" } }, STATES[state]),
      state === "revoked" ? h("span.hint", {}, named(permission.revokedBy ?? ""), reasonOf(permission)) : null,
      canRevoke
        ? button("Revoke", {
            kind: "quiet danger",
            "aria-label": `Revoke the permission by ${grantedBy} for ${about ?? "all that is the artist’s"}`,
            on: { click: () => revoke(permission) },
          })
        : null,
    ),
  );
}

const reasonOf = ({ revocation }) => (revocation ? [": ", named(revocation)] : null);

const STATES = { permitted: "In force", "not yet": "Not yet", "ran out": "Ran out", revoked: "Revoked" };
