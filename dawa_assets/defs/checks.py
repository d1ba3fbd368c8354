"""Checks: one blocking check per asset and artist, stating what was looked at and how much of it.

Validation happens before anything is written; a check shows that what is stored holds together. A problem stops
the chain (`ERROR`), something that waits or failed alone is shown (`WARN`) and does not. Beside them, what is made by
a model has a check that warns before that model ends.
"""

from collections.abc import Callable

import dagster as dg

from dawa_assets.defs.metadata import table
from dawa_assets.defs.partitions import artists
from dawa_assets.defs.preview_features import accepted_as_new
from dawa_assets.defs.resources import Pipeline
from dawa_assets.observability.assets import ASSETS, AssetDescription, consistency_of
from modal_app.errors import DawaError
from modal_app.protocol.tagging import ModelHealth
from resources.settings import Settings


def _check(asset: AssetDescription) -> dg.AssetChecksDefinition:
    with accepted_as_new():  # partitioned checks

        @dg.asset_check(
            asset=asset.name,
            name=f"{asset.name}_hold_together",
            description=asset.holds,
            blocking=True,
            partitions_def=artists,
        )
        def check(context: dg.AssetCheckExecutionContext, pipeline: Pipeline) -> dg.AssetCheckResult:
            try:
                found = consistency_of(pipeline.ports(), context.partition_key, asset.name)
            except DawaError as error:
                raise dg.Failure(str(error), allow_retries=False) from error
            wrong = found.problems or found.warnings
            return dg.AssetCheckResult(
                passed=not wrong,
                severity=dg.AssetCheckSeverity.ERROR if found.problems else dg.AssetCheckSeverity.WARN,
                description="; ".join(wrong[:5]) or asset.holds,
                metadata={
                    "checked": found.checked,
                    "problems": table([{"problem": line} for line in found.problems]),
                    "warnings": table([{"warning": line} for line in found.warnings]),
                },
            )

    return check


def _model_check(asset: str, health: Callable[[Settings], ModelHealth]) -> dg.AssetChecksDefinition:
    with accepted_as_new():  # partitioned checks

        @dg.asset_check(
            asset=asset,
            name=f"{asset}_model_lasts",
            description=f"the model that makes `{asset}` can be used and is not shut down within 60 days",
            partitions_def=artists,
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
