"""Builds the code location from its assets, checks, jobs, sensors and schedules, and from what was scaffolded.

Nothing here reads the environment: pools and the schedule follow the settings that are given, and every step, check and
sensor speaks to the outside through the `pipeline` that is given.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from dawa_assets.defs import assets as asset_modules
from dawa_assets.defs.checks import checks
from dawa_assets.defs.history_pruning import history_schedule, prune_history_job
from dawa_assets.defs.jobs import CHAIN, jobs
from dawa_assets.defs.open_issues import needs_attention, standing_checks, standing_checks_sensor
from dawa_assets.defs.resources import Pipeline
from dawa_assets.defs.scaffolded import scaffolded_definitions
from dawa_assets.defs.schedules import nightly_dataset_rebuild
from dawa_assets.defs.sensors.all_sensors import sensors
from dawa_assets.defs.verification import verify_job, verify_schedules
from dawa_assets.observability.doctor import implementations
from resources.settings import Settings

Asset = dg.AssetsDefinition | dg.AssetSpec | dg.SourceAsset


def build_defs(settings: Settings, resources: Mapping[str, Any] | None = None) -> dg.Definitions:
    """Build the whole location for these settings.

    Args:
        settings: decide pools and the nightly schedule.
        resources: what replaces the usual ones, by name: something with the methods of `Pipeline` as `pipeline`. The
            usual one reads the settings where and when it is used: a run's process may be on another machine.

    Raises:
        SettingsError: the schedule's time is none.
        DagsterInvalidDefinitionError: an asset has no description, or a description no asset.
    """
    assets = list(_assets(settings))
    _compare_with_descriptions(assets)
    ours = dg.Definitions(
        assets=[*assets, needs_attention],
        asset_checks=[*checks, standing_checks],
        jobs=[*jobs, verify_job, prune_history_job],
        sensors=[*sensors, standing_checks_sensor],
        schedules=[nightly_dataset_rebuild(settings), *verify_schedules(settings), history_schedule(settings)],
        resources={"pipeline": Pipeline(uses=implementations(settings)), **(resources or {})},
        executor=dg.in_process_executor,  # one process a run, whatever is chosen in the UI: a step's own takes 14 s
    )
    parts = (ours.assets, ours.asset_checks, ours.jobs, ours.sensors, ours.schedules)
    scaffolded = scaffolded_definitions([each for part in parts for each in part or ()])
    return dg.Definitions.merge(ours, *scaffolded)


def _assets(settings: Settings) -> Iterator[Asset]:
    """Yield what the modules of `defs/assets/` define, each by its function `assets`; a scaffolded one has none."""
    for found in pkgutil.iter_modules(asset_modules.__path__, f"{asset_modules.__name__}."):
        if inspect.isfunction(made := getattr(importlib.import_module(found.name), "assets", None)):
            yield from made(settings)


def _compare_with_descriptions(assets: Sequence[Asset]) -> None:
    """Make sure that each asset that is made here is described, and that what is described is made."""
    made = {asset.key.to_user_string() for asset in assets if isinstance(asset, dg.AssetsDefinition)}
    if odd := made ^ set(CHAIN):
        raise dg.DagsterInvalidDefinitionError(
            f"{', '.join(sorted(odd))}: an asset is made in dawa_assets/defs/assets/ and described in "
            "dawa_assets/observability/assets.py, under one name"
        )
