"""Standing checks: what is failed, damaged, stale, unmatched, waiting or behind now, on each asset and for all.

A sensor looks every other minute and reports only what changed since it last did (and everything once a day), without
a run: as many events as there are assets, however many artists there are. What recovered is gone from the next
report. The same checks can be executed by hand.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from dawa_assets.defs.failed_runs import FailedRun, failed_runs
from dawa_assets.defs.jobs import CHAIN, standing_check
from dawa_assets.defs.metadata import moment, table
from dawa_assets.defs.resources import Pipeline
from dawa_assets.defs.step import OWNERS
from dawa_assets.intake.inbox import Unclaimed, unclaimed_uploads
from dawa_assets.observability.backlog import Backlog, load_backlog
from dawa_assets.tables.artists import slugs_among
from dawa_assets.tables.backlog import Kind, OpenIssue
from dawa_assets.tables.spending import spent_this_month
from modal_app.errors import DawaError

SECONDS_BETWEEN_LOOKS = 120
SECONDS_BETWEEN_REPORTS = 24 * 3600
_MAX_LINKS = 50
_MAX_LENGTH = 240  # characters of a reason

# In the order in which a person would see to them.
_KINDS: dict[Kind, str] = {
    "failed": "failed",
    "damaged": "files missing or altered",
    "stale": "prompts out of date",
    "unmatched": "bounces that fit no set",
    "waiting": "items waiting",
    "behind": "behind what arrived",
}


@dataclass(frozen=True)
class Standing:
    """What stands open of one asset: runs that failed, and what the rows say."""

    asset: str
    runs: Sequence[FailedRun]
    work: Backlog

    @property
    def headline(self) -> str:
        """How much of what, on one line."""
        parts = [_counted(len(self.runs), "failed run")] if self.runs else []
        parts += [
            f"{self.work.things[self.asset, kind]:,} {kind} ({_counted(artists, 'artist')})"
            for kind in _KINDS
            if (artists := self.work.artists.get((self.asset, kind)))
        ]
        return "; ".join(parts) or "nothing stands open"

    @property
    def is_clear(self) -> bool:
        """Whether nothing stands open."""
        return not self.runs and not self.work.of(self.asset)

    def metadata(self) -> dict[str, dg.MetadataValue]:
        """A table of artists for each kind, then figures that the UI plots (it sorts a check's entries by name)."""
        counts = {kind: self.work.artists.get((self.asset, kind), 0) for kind in _KINDS}
        figures: dict[str, dg.MetadataValue] = {
            f"total artists: {kind}": dg.MetadataValue.int(count) for kind, count in counts.items()
        }
        tables: dict[str, dg.MetadataValue] = {}
        if self.runs:
            tables |= runs_told(self.runs)
        for kind, name in _KINDS.items():
            if signals := [signal for signal in self.work.of(self.asset) if signal.kind == kind]:
                tables[name] = table([_row(signal) for signal in signals], of=counts[kind])
        return tables | figures

    def severity(self) -> dg.AssetCheckSeverity:
        """Return a run that failed and a file that is gone are errors; what waits, is behind or was rejected, warnings.

        As at each run (`checks.py`): an artist's broken upload must not show the whole asset as broken for days.
        """
        is_broken = self.runs or self.work.artists.get((self.asset, "damaged"))
        return dg.AssetCheckSeverity.ERROR if is_broken else dg.AssetCheckSeverity.WARN


def runs_told(runs: Sequence[FailedRun]) -> dict[str, dg.MetadataValue]:
    """Failed runs as a table, the oldest trouble first, and links to them: a table's cells can't hold links."""
    oldest_first = sorted(runs, key=lambda run: run.since)
    rows = [
        {
            "run": run.run_id[:8],
            "artist": run.slug,
            "asset": run.asset,
            "since (UTC)": moment(run.since),
            "tries": run.attempts,
            "why": " ".join(run.reason.split())[:_MAX_LENGTH],
        }
        for run in oldest_first
    ]
    links = [f"[{run.run_id[:8]}](/runs/{run.run_id})" for run in oldest_first[:_MAX_LINKS]]
    return {"failed runs": table(rows), "failed runs, logs": dg.MetadataValue.md(", ".join(links))}


needs_attention = dg.AssetSpec(
    "needs_attention",
    description="One page for the morning: what is failed, damaged, stale, unmatched, waiting or behind now, for all "
    "artists, with since when, why, and the run. Level-triggered: what recovered is gone from the latest report, "
    "and how much there was of it over time is in the plots.",
    group_name="watch",
    kinds={"postgres"},
    owners=OWNERS,
)


@dg.multi_asset_check(
    name="standing_checks",
    specs=[
        dg.AssetCheckSpec(
            standing_check(asset).name,
            asset=asset,
            description=f"nothing of `{asset}` is failed, damaged, stale, unmatched, waiting or behind for any artist",
        )
        for asset in CHAIN
    ],
    can_subset=True,
)
def standing_checks(context: dg.AssetCheckExecutionContext, pipeline: Pipeline) -> Iterator[dg.AssetCheckResult]:
    """All of them by hand; the sensor does the same by itself."""
    for standing in _look(context.instance, pipeline):
        if standing_check(standing.asset) in context.selected_asset_check_keys:
            yield dg.AssetCheckResult(
                asset_key=standing.asset,
                check_name=standing_check(standing.asset).name,
                passed=standing.is_clear,
                severity=standing.severity(),
                description=standing.headline,
                metadata=standing.metadata(),
            )


@dg.sensor(
    name="standing_checks_sensor",
    minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Looks at what stands open of all artists, and reports what changed to the assets' checks.",
)
def standing_checks_sensor(context: dg.SensorEvaluationContext, pipeline: Pipeline) -> dg.SensorResult | dg.SkipReason:
    """Evaluations of the checks whose outcome is another one now, and the page of all; none where nothing changed.

    The cursor says what was reported last; a lost one costs one report too many.
    """
    try:
        found = _look(context.instance, pipeline)
        unclaimed = unclaimed_uploads(pipeline.ports())
        with pipeline.ports().database.transaction() as connection:
            spent = spent_this_month(connection)
    except DawaError as error:
        return dg.SkipReason(f"could not look: {error}")
    reported = _cursor(context.cursor)
    made = _last_made(context.instance)
    now = datetime.now(UTC).timestamp()
    events: list[dg.AssetObservation | dg.AssetMaterialization | dg.AssetCheckEvaluation] = []
    for standing in found:
        digest = _digest(standing.headline, standing.metadata(), made.get(standing.asset))
        if _is_news(reported, standing.asset, digest, now):
            reported[standing.asset] = [digest, now]
            events.append(
                dg.AssetCheckEvaluation(
                    asset_key=dg.AssetKey(standing.asset),
                    check_name=standing_check(standing.asset).name,
                    passed=standing.is_clear,
                    severity=standing.severity(),
                    description=standing.headline,
                    metadata=standing.metadata(),
                )
            )
    page = page_of(found, spent, unclaimed)
    digest = _digest("page", page)
    if _is_news(reported, "page", digest, now):
        reported["page"] = [digest, now]
        events.append(dg.AssetMaterialization(needs_attention.key, metadata=page))
    if not events:
        return dg.SkipReason("nothing changed")
    return dg.SensorResult(asset_events=events, cursor=json.dumps(reported))


def page_of(
    found: Sequence[Standing], spent_usd: float, unclaimed: Sequence[Unclaimed] = ()
) -> dict[str, dg.MetadataValue]:
    """Return everything that stands open on one page: the headline, what failed, each kind, then figures to plot."""
    runs = [run for standing in found for run in standing.runs]
    work = found[0].work
    open_now = [f"{standing.asset}: {standing.headline}" for standing in found if not standing.is_clear]
    open_now += [f"{_counted(len(unclaimed), 'upload')} of nobody in the inbox"] if unclaimed else []
    page: dict[str, dg.MetadataValue] = {
        "headline": dg.MetadataValue.md("\n".join(f"- {line}" for line in open_now) or "nothing stands open")
    }
    if runs:
        page |= runs_told(runs)
    for kind, name in _KINDS.items():
        if signals := [signal for signal in work.signals if signal.kind == kind]:
            artists = sum(count for (_, of), count in work.artists.items() if of == kind)
            page[name] = table([{"asset": signal.asset, **_row(signal)} for signal in signals], of=artists)
    if unclaimed:
        page["uploads of nobody"] = table(
            [{"where": each.place, "files": each.files, "why": each.reason} for each in unclaimed]
        )
    page["failed runs (number)"] = dg.MetadataValue.int(len(runs))
    for kind in _KINDS:
        counted = sum(count for (_, of), count in work.things.items() if of == kind)
        page[f"{kind} (number)"] = dg.MetadataValue.int(counted)
    page["hosted models this month, USD"] = dg.MetadataValue.float(round(spent_usd, 4))
    return page


def _look(instance: dg.DagsterInstance, pipeline: Pipeline) -> list[Standing]:
    runs = failed_runs(instance)
    with pipeline.ports().database.transaction() as connection:
        there = slugs_among(connection, {run.slug for run in runs})
    runs = [run for run in runs if run.slug in there]  # who was deleted has open work no more, but a history
    # a training's row says again what its run says
    work = load_backlog(pipeline.ports()).without(
        "lora_weights", "failed", {run.slug for run in runs if run.asset == "lora_weights"}
    )
    return [Standing(asset, [run for run in runs if run.asset == asset], work) for asset in CHAIN]


def _last_made(instance: dg.DagsterInstance) -> dict[str, int]:
    """By asset, which event made it last, for any artist.

    The UI takes a check that was evaluated before that for one that was not evaluated.
    """
    records = instance.get_asset_records([dg.AssetKey(asset) for asset in CHAIN])
    last = {record.asset_entry.asset_key.to_user_string(): record.asset_entry for record in records}
    return {
        asset: entry.last_materialization_record.storage_id
        for asset, entry in last.items()
        if entry.last_materialization_record is not None
    }


def _row(signal: OpenIssue) -> dict[str, Any]:
    more = f" and {signal.things - 1:,} more" if signal.things > 1 else ""
    return {
        "artist": signal.slug,
        "what": f"{signal.name}{more}",
        "since (UTC)": None if signal.since is None else moment(signal.since),
        "why": " ".join(signal.reason.split())[:_MAX_LENGTH],
    }


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _cursor(text: str | None) -> dict[str, list[Any]]:
    """Return what was reported of each asset, and when; empty for a cursor that is lost or of another version."""
    try:
        read = json.loads(text or "{}")
    except ValueError:
        return {}
    if not isinstance(read, dict):
        return {}
    known = (*CHAIN, "page")
    return {name: read[name] for name in known if isinstance(read.get(name), list) and len(read[name]) == 2}


def _is_news(reported: Mapping[str, list[Any]], name: str, digest: str, now: float) -> bool:
    last, at = reported.get(name, ["", 0.0])
    return bool(last != digest or now - at >= SECONDS_BETWEEN_REPORTS)


def _digest(*parts: Any) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
