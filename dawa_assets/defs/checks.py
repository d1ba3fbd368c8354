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
from dawa_assets.observability.consistency import consistency_of
from dawa_assets.observability.doctor import tagger_health, writer_health
from modal_app.errors import DawaError
from modal_app.protocol.tagging import ModelHealth
from resources.settings import Settings

_SAYS = {
    "als_summaries": "every summary has a tempo, and its files are in the bucket",
    "prompts": "every item whose set was parsed has a prompt, or a reason why not",
    "training_items": "every item that is ready has its prompt and its audio in the bucket",
    "dataset_zip": "the current zip and its manifest are in the bucket, whole",
    "preprocessed_segments": "every track of the dataset has its segments, without gaps",
    "segment_tags": "every segment has a text",
    "lora_weights": "the candidate's adapter is in the bucket, its losses recorded and falling",
    "lora_evaluation": "the candidate was judged and is not broken, what it renders is kept, no promotion was left",
    "lora_preview": "the published adapter has previews that hold sound",
}


def _check(asset: str, description: str) -> dg.AssetChecksDefinition:
    with accepted_as_new():  # partitioned checks

        @dg.asset_check(
            asset=asset, name=f"{asset}_hold_together", description=description, blocking=True, partitions_def=artists
        )
        def check(context: dg.AssetCheckExecutionContext, pipeline: Pipeline) -> dg.AssetCheckResult:
            try:
                found = consistency_of(pipeline.ports(), context.partition_key, asset)
            except DawaError as error:
                raise dg.Failure(str(error), allow_retries=False) from error
            wrong = found.problems or found.warnings
            return dg.AssetCheckResult(
                passed=not wrong,
                severity=dg.AssetCheckSeverity.ERROR if found.problems else dg.AssetCheckSeverity.WARN,
                description="; ".join(wrong[:5]) or description,
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
    *(_check(asset, description) for asset, description in _SAYS.items()),
    _model_check("prompts", writer_health),
    _model_check("segment_tags", tagger_health),
]
