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

from dawa_assets.defs.attention_page import issues_shown, row, runs_shown, unclaimed_shown
from dawa_assets.defs.failed_runs import FailedRun, failed_runs
from dawa_assets.defs.jobs import CHAIN, standing_check
from dawa_assets.defs.metadata import table
from dawa_assets.defs.resources import Pipeline
from dawa_assets.defs.step import OWNERS
from dawa_assets.intake.inbox import Unclaimed, unclaimed_uploads
from dawa_assets.observability.backlog import Backlog, load_backlog
from dawa_assets.pipeline.wording import counted
from dawa_assets.tables.artists import slugs_among
from dawa_assets.tables.backlog import Kind
from dawa_assets.tables.spending import spent_this_month
from modal_app.errors import DawaError

SECONDS_BETWEEN_LOOKS = 120
SECONDS_BETWEEN_REPORTS = 24 * 3600

ATTENTION = dg.AssetCheckKey(dg.AssetKey("needs_attention"), "nothing_needs_attention")
"""The check that is red or yellow as long as anything stands open, of any asset."""

# In the order in which a person would see to them.
KINDS: dict[Kind, str] = {
    "failed": "failed",
    "damaged": "files missing or altered",
    "stale": "prompts out of date",
    "unmatched": "bounces without a set",
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
        parts = [counted(len(self.runs), "failed run")] if self.runs else []
        parts += [
            f"{self.work.things[self.asset, kind]:,} {kind} ({counted(artists, 'artist')})"
            for kind in KINDS
            if (artists := self.work.artists.get((self.asset, kind)))
        ]
        return "; ".join(parts) or "nothing stands open"

    @property
    def is_clear(self) -> bool:
        """Whether nothing stands open."""
        return not self.runs and not self.work.of(self.asset)

    def metadata(self) -> dict[str, dg.MetadataValue]:
        """A table of artists for each kind, and figures that the UI plots (it sorts a check's entries by name)."""
        shown: dict[str, dg.MetadataValue] = dict(runs_shown(self.runs))
        for kind, name in KINDS.items():
            if counted := self.work.artists.get((self.asset, kind), 0):
                issues = [issue for issue in self.work.of(self.asset) if issue.kind == kind]
                shown[name] = table([row(issue) for issue in issues], of=counted, keep=["what"])
                shown[f"total artists: {kind}"] = dg.MetadataValue.int(counted)
        return shown

    def severity(self) -> dg.AssetCheckSeverity:
        """Return a run that failed and a file that is gone are errors; what waits, is behind or was rejected, warnings.

        As at each run (`checks.py`): an artist's broken upload must not show the whole asset as broken for days.
        """
        is_broken = self.runs or self.work.artists.get((self.asset, "damaged"))
        return dg.AssetCheckSeverity.ERROR if is_broken else dg.AssetCheckSeverity.WARN


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
    ]
    + [dg.AssetCheckSpec(ATTENTION.name, asset=ATTENTION.asset_key, description="nothing stands open for any artist")],
    can_subset=True,
)
def standing_checks(context: dg.AssetCheckExecutionContext, pipeline: Pipeline) -> Iterator[dg.AssetCheckResult]:
    """All of them by hand; the sensor does the same by itself."""
    found = _look(context.instance, pipeline)
    if ATTENTION in context.selected_asset_check_keys:
        yield dg.AssetCheckResult(
            asset_key=ATTENTION.asset_key,
            check_name=ATTENTION.name,
            **_attention(found, unclaimed_uploads(pipeline.ports())),
        )
    for standing in found:
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
        events.append(
            dg.AssetCheckEvaluation(
                asset_key=ATTENTION.asset_key, check_name=ATTENTION.name, **_attention(found, unclaimed)
            )
        )
    if not events:
        return dg.SkipReason("nothing changed")
    return dg.SensorResult(asset_events=events, cursor=json.dumps(reported))


def page_of(
    found: Sequence[Standing], spent_usd: float, unclaimed: Sequence[Unclaimed] = ()
) -> dict[str, dg.MetadataValue]:
    """Return everything that stands open on one page: the headline, what failed, each kind, then figures to plot."""
    runs = [run for standing in found for run in standing.runs]
    work = found[0].work
    open_now = _open_now(found, unclaimed)
    page: dict[str, dg.MetadataValue] = {
        "headline": dg.MetadataValue.md("\n".join(f"- {line}" for line in open_now) or "nothing stands open")
    }
    page |= runs_shown(runs)
    for kind, name in KINDS.items():
        for standing in found:
            issues = [issue for issue in work.of(standing.asset) if issue.kind == kind]
            page |= issues_shown(f"{name}: {standing.asset}", issues, work.artists.get((standing.asset, kind), 0))
    page |= unclaimed_shown(unclaimed)
    figures = {"failed runs": len(runs)}
    figures |= {kind: sum(count for (_, of), count in work.things.items() if of == kind) for kind in KINDS}
    page["all that stands open (number)"] = dg.MetadataValue.int(sum(figures.values()) + len(unclaimed))
    page |= {f"{name} (number)": dg.MetadataValue.int(count) for name, count in figures.items() if count}
    if spent_usd:
        page["hosted models this month, USD"] = dg.MetadataValue.float(round(spent_usd, 4))
    return page


def _open_now(found: Sequence[Standing], unclaimed: Sequence[Unclaimed]) -> list[str]:
    lines = [f"{standing.asset}: {standing.headline}" for standing in found if not standing.is_clear]
    return lines + ([f"{counted(len(unclaimed), 'upload')} of nobody in the inbox"] if unclaimed else [])


def _attention(found: Sequence[Standing], unclaimed: Sequence[Unclaimed]) -> dict[str, Any]:
    """Return the outcome of the check of all: as bad as the worst of the assets'."""
    open_now = _open_now(found, unclaimed)
    is_broken = any(standing.severity() is dg.AssetCheckSeverity.ERROR for standing in found)
    return {
        "passed": not open_now,
        "severity": dg.AssetCheckSeverity.ERROR if is_broken else dg.AssetCheckSeverity.WARN,
        "description": "; ".join(open_now) or "nothing stands open",
    }


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
