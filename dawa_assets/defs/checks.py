"""Checks: one blocking check per asset and artist, stating what was looked at and how much of it.

Validation happens before anything is written; a check shows that what is stored holds together. A problem stops
the chain (`ERROR`), something that waits or failed alone is shown (`WARN`) and does not. Beside them, what is made by
a model has a check that warns before that model ends.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import dagster as dg

from dawa_assets.defs.metadata import table
from dawa_assets.defs.partitions import artists
from dawa_assets.defs.policies.outcomes import put_off
from dawa_assets.defs.preview_features import accepted_as_new
from dawa_assets.defs.resources import Pipeline
from dawa_assets.errors import UnknownArtistError
from dawa_assets.observability.assets import ASSETS, AssetDescription, consistency_of
from dawa_assets.observability.consistency import Consistency
from dawa_assets.tables.artists import list_artists
from modal_app.errors import DawaError
from modal_app.protocol.tagging import ModelHealth
from resources.ports import Ports
from resources.settings import Settings

_MAX_NAMED = 5
MAX_ARTISTS = 500
"""How many artists a check looks at that was started for none in particular."""


def _check(asset: AssetDescription) -> dg.AssetChecksDefinition:
    name = f"{asset.name}_hold_together"
    with accepted_as_new():  # partitioned checks
        spec = dg.AssetCheckSpec(name, asset=asset.name, description=asset.holds, blocking=True, partitions_def=artists)

    @dg.multi_asset_check(name=name, specs=[spec], can_subset=True)
    def check(context: dg.AssetCheckExecutionContext, pipeline: Pipeline) -> Iterator[dg.AssetCheckResult]:
        """Look at the run's artist; at everybody where it has none, as the UI's "Execute all" starts it."""
        ports = pipeline.ports()
        if not context.has_partition_key:
            _report_everybody(context, ports, asset, name)
            return
        try:
            found = consistency_of(ports, context.partition_key, asset.name)
        except DawaError as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        if later := put_off(context.instance, context.run.run_id, asset.name):
            found = replace(found, warnings=[later, *found.warnings])
        yield dg.AssetCheckResult(
            check_name=name,
            passed=_passed(found),
            severity=_severity(found),
            description=_description(asset, found),
            metadata=_metadata(found),
        )

    return check


def _report_everybody(context: dg.AssetCheckExecutionContext, ports: Ports, asset: AssetDescription, name: str) -> None:
    """Write an evaluation for each artist: of a run without one, Dagster takes no result of a check that is for one.

    Nobody is named in the run's log, which stays when an artist is deleted.
    """
    with ports.database.transaction() as connection:
        everybody = list_artists(connection)
    for artist in everybody[:MAX_ARTISTS]:
        try:
            found = consistency_of(ports, artist.slug, asset.name)
        except UnknownArtistError:  # deleted meanwhile
            continue
        context.instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=dg.AssetKey(asset.name),
                check_name=name,
                passed=_passed(found),
                severity=_severity(found),
                description=_description(asset, found),
                metadata=_metadata(found),
                partition=artist.slug,
            )
        )
    looked_at = min(len(everybody), MAX_ARTISTS)
    context.log.info(f"{name}: {looked_at:,} of {len(everybody):,} artists looked at, an evaluation for each")


def _passed(found: Consistency) -> bool:
    return not (found.problems or found.warnings)


def _severity(found: Consistency) -> dg.AssetCheckSeverity:
    return dg.AssetCheckSeverity.ERROR if found.problems else dg.AssetCheckSeverity.WARN


def _description(asset: AssetDescription, found: Consistency) -> str:
    return "; ".join((found.problems or found.warnings)[:_MAX_NAMED]) or asset.holds


def _metadata(found: Consistency) -> dict[str, dg.MetadataValue]:
    metadata: dict[str, dg.MetadataValue] = {"checked": dg.MetadataValue.int(found.checked)}
    if found.problems:
        metadata["problems"] = table([{"problem": line} for line in found.problems])
    if found.warnings:
        metadata["warnings"] = table([{"warning": line} for line in found.warnings])
    return metadata


def _model_check(asset: str, health: Callable[[Settings], ModelHealth]) -> dg.AssetChecksDefinition:
    """Return the check of a model: one for all artists."""

    @dg.asset_check(
        asset=asset,
        name=f"{asset}_model_lasts",
        description=f"the model that makes `{asset}` can be used and is not shut down within 60 days",
    )
    def check(pipeline: Pipeline) -> dg.AssetCheckResult:
        try:
            found = health(pipeline.ports().settings)
        except DawaError as error:  # it says nothing against what was made
            return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN, description=str(error))
        return dg.AssetCheckResult(
            passed=found.state == "ok",
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{found.service}, {found.model}: {found.detail}",
            metadata={"ends on": str(found.ends_on)} if found.ends_on else {},
        )

    return check


checks = [
    *(_check(asset) for asset in ASSETS),
    *(_model_check(asset.name, asset.model) for asset in ASSETS if asset.model is not None),
]
