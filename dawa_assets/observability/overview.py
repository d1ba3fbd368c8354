"""The overview of all artists: a line for each, those first that need somebody, and what it comes to.

What stands open is what `needs_attention` shows (`backlog.py`), but for failed runs, which Dagster's history has.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from dawa_assets.observability.backlog import load_backlog
from dawa_assets.observability.status import ArtistStatus
from dawa_assets.tables.backlog import Kind, OpenIssue
from resources.ports import Ports

_URGENCY: Sequence[Kind] = ("failed", "damaged", "stale", "unmatched", "waiting", "behind")
"""The order in which a person would see to them."""


@dataclass(frozen=True)
class ArtistLine:
    """One artist, and what stands open of them, the most urgent first."""

    status: ArtistStatus
    issues: Sequence[OpenIssue]

    @property
    def kind(self) -> Kind | None:
        """The most urgent kind of what is open."""
        return self.issues[0].kind if self.issues else None

    @property
    def open(self) -> str:
        """How much of what is open, and the oldest of the most urgent, on one line; empty where nothing is."""
        if not self.issues:
            return ""
        counts = Counter[Kind]()
        for issue in self.issues:
            counts[issue.kind] += issue.things
        first = self.issues[0]
        counted = ", ".join(f"{count:,} {kind}" for kind, count in counts.items())
        return f"{counted}: {first.name}: {' '.join(first.reason.split())}"


@dataclass(frozen=True)
class Overview:
    """Every artist, those first of whom something is open."""

    lines: Sequence[ArtistLine]

    @property
    def totals(self) -> str:
        """How many artists, items and LoRAs there are, and of how many artists something is open, on one line."""
        statuses = [line.status for line in self.lines]
        items, ready = sum(each.items for each in statuses), sum(each.ready for each in statuses)
        loras = sum(each.lora_key is not None for each in statuses)
        stale = sum(count for each in statuses for count in each.prompts.stale.values())
        artists = Counter(kind for line in self.lines for kind in {issue.kind for issue in line.issues})
        is_open = ", ".join(f"{artists[kind]:,} {kind}" for kind in _URGENCY if artists[kind])
        counted = (
            f"{len(statuses):,} artists: {ready:,} of {items:,} items ready, {stale:,} prompts stale, {loras:,} LoRAs."
        )
        return f"{counted} {f'Artists with something open: {is_open}.' if is_open else 'Nothing is open.'}"


def overview(ports: Ports, statuses: Sequence[ArtistStatus]) -> Overview:
    """Return these artists with what stands open of them; the same few queries however many there are."""
    by_slug: dict[str, list[OpenIssue]] = {}
    for issue in load_backlog(ports, limit=max(1, len(statuses))).signals:
        by_slug.setdefault(issue.slug, []).append(issue)
    for issues in by_slug.values():
        issues.sort(key=lambda issue: (_URGENCY.index(issue.kind), issue.since is None, issue.since))
    lines = [ArtistLine(status, by_slug.get(status.slug, ())) for status in statuses]
    return Overview(sorted(lines, key=lambda line: (_rank(line), line.status.slug)))


def _rank(line: ArtistLine) -> int:
    return len(_URGENCY) if line.kind is None else _URGENCY.index(line.kind)
