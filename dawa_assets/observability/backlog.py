"""Open issues: what is failed, damaged, stale, unmatched, waiting or behind now, artist by artist, for all at once.

Level-triggered: read from the rows as they are, so that what recovered is gone from here by itself. Three queries
however many artists there are, and at most `MAX_ARTISTS` rows a signal. Nothing here repairs anything. What failed
as a run (a crash, a refused service) is in Dagster's history, not in these rows: `dawa_assets/defs/open_issues.py`.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dawa_assets.observability.assets import ASSETS
from dawa_assets.tables.backlog import Kind, OpenIssue, open_issues, stale_before
from dawa_assets.tables.prompt_staleness import stale_artists
from resources.ports import Ports

MAX_ARTISTS = 100
_REJECTED_DAYS = 14  # then it is history: who wanted it taken in would have uploaded it again
_SENSOR = timedelta(hours=1)  # what a sensor sees to within minutes is worth a word after an hour
_NIGHT = timedelta(hours=26)  # and what the nightly rebuild sees to, after a night


@dataclass(frozen=True)
class Backlog:
    """What stands open now: the oldest `MAX_ARTISTS` rows of each kind and asset, and how many artists there are."""

    signals: list[OpenIssue]
    artists: dict[tuple[str, Kind], int]
    """By asset and kind, with those that `signals` leaves out."""
    things: dict[tuple[str, Kind], int]

    def of(self, asset: str) -> list[OpenIssue]:
        """Return the signals of one asset."""
        return [signal for signal in self.signals if signal.asset == asset]

    def without(self, asset: str, kind: Kind, slugs: Collection[str]) -> "Backlog":
        """Return all but what these artists have of one kind on one asset, for who tells that otherwise."""
        left = [each for each in self.signals if (each.asset, each.kind) != (asset, kind) or each.slug not in slugs]
        dropped = [signal for signal in self.signals if signal not in left]
        if not dropped:
            return self
        artists = {**self.artists, (asset, kind): self.artists[asset, kind] - len(dropped)}
        things = {**self.things, (asset, kind): self.things[asset, kind] - sum(signal.things for signal in dropped)}
        return Backlog(left, artists, things)


def load_backlog(ports: Ports, now: datetime | None = None, *, limit: int = MAX_ARTISTS) -> Backlog:
    """Return everything that stands open at `now` (default: this moment); of each kind and asset so many artists."""
    now = now or datetime.now(UTC)
    settings = ports.settings
    stale = stale_artists(
        ports.database,
        settings.system_prompt_version,
        ports.prompt_writer.model_name,
        any_model=ports.prompt_writer.takes_any_model,
    )
    with ports.database.transaction() as connection:
        found = open_issues(
            connection,
            {asset.name: asset.backlog for asset in ASSETS if asset.backlog},
            model_name=settings.model_name,
            now=now,
            rejected_after=now - timedelta(days=_REJECTED_DAYS),
            before_sensor=now - _SENSOR,
            before_night=now - _NIGHT,
            limit=limit,
        )
        failed = {issue.slug for issue in found.issues if (issue.asset, issue.kind) == ("prompts", "failed")}
        left = [artist for artist in stale if artist.slug not in failed]
        # What changed just now is being seen to.
        overdue = stale_before(
            connection, [artist.slug for artist in left], [artist.reason for artist in left], now - _SENSOR
        )
    if not overdue:
        return Backlog(found.issues, found.artists, found.things)
    return Backlog(
        found.issues + overdue[:limit],
        {**found.artists, ("prompts", "stale"): len(overdue)},
        {**found.things, ("prompts", "stale"): sum(issue.things for issue in overdue)},
    )
