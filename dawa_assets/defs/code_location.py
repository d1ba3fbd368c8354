"""Builds the code location from its assets, checks, jobs, sensors and schedules."""

import dagster as dg

from dawa_assets.defs.assets import dataset, ingest, inputs, lora
from dawa_assets.defs.checks import checks
from dawa_assets.defs.jobs import jobs
from dawa_assets.defs.open_issues import needs_attention, standing_checks, standing_checks_sensor
from dawa_assets.defs.resources import Pipeline
from dawa_assets.defs.schedules import nightly_dataset_rebuild
from dawa_assets.defs.sensors.all_sensors import sensors
from resources.settings import Settings


def build_defs(resource_overrides: dict[str, Pipeline] | None = None) -> dg.Definitions:
    """The whole location; a test hands in its own `pipeline` and needs no patching."""
    return dg.Definitions(
        assets=[
            inputs.live_sets,
            inputs.bounces,
            inputs.artist_profiles,
            ingest.als_summaries,
            ingest.prompts,
            ingest.training_items,
            dataset.dataset_zip,
            dataset.preprocessed_segments,
            dataset.segment_tags,
            lora.lora_weights,
            lora.lora_evaluation,
            lora.lora_preview,
            needs_attention,
        ],
        asset_checks=[*checks, standing_checks],
        jobs=jobs,
        sensors=[*sensors, standing_checks_sensor],
        schedules=[nightly_dataset_rebuild(Settings.load())],
        resources={"pipeline": Pipeline(), **(resource_overrides or {})},
        executor=dg.in_process_executor,  # one process a run, whatever is chosen in the UI: a step's own takes 14 s
    )
