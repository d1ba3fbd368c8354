"""Jobs: the pieces of the chain that are run together: one artist and one process per run."""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from dawa_assets.observability.assets import ASSETS, AssetDescription

CHAIN = [asset.name for asset in ASSETS]
"""Every asset that is made here, in order."""

_BUILD, _UPLOAD, _TRAINING = "build_job", "upload_job", "training_job"


def standing_check(asset: str) -> dg.AssetCheckKey:
    """Return the check that says what stands open of an asset for all artists."""
    return dg.AssetCheckKey(dg.AssetKey(asset), f"{asset}_nothing_open")


def made_by(job_name: str) -> list[str]:
    """Return the assets that a job makes, in order; none for a job that is none of ours."""
    return [asset.name for asset in ASSETS if _makes(job_name, asset)]


def parts_of(job_name: str) -> list[str]:
    """Return the jobs that do the same one after the other, of which only the last has to wait for a GPU."""
    return [_UPLOAD, _TRAINING] if job_name == _BUILD else [job_name]


def overlapping(one: str, other: str) -> bool:
    """Return whether two jobs make an asset in common; a job that is none of ours may make any."""
    assets = made_by(other)
    return not assets or not set(made_by(one)).isdisjoint(assets)


def _makes(job_name: str, asset: AssetDescription) -> bool:
    if job_name == _UPLOAD:
        return any(job != _TRAINING for job in asset.jobs)
    return job_name == _BUILD or job_name in asset.jobs


def _job(name: str, description: str) -> UnresolvedAssetJobDefinition:
    """Return a job of its assets with their checks, but those that look at all artists: a run is for one."""
    assets = made_by(name)
    standing = dg.AssetSelection.checks(*map(standing_check, assets))
    return dg.define_asset_job(name, dg.AssetSelection.assets(*assets) - standing, description=description)


ingest_job = _job("ingest_job", "Takes in what lies in the inbox: summaries, prompts, training items.")
prompts_job = _job("prompts_job", "Rewrites stale prompts and puts them in place.")
dataset_job = _job("dataset_job", "Rebuilds the dataset, its segments and their tags.")
upload_job = _job(_UPLOAD, "Takes an upload in as far as no GPU is needed: from the inbox to the segments' tags.")
training_job = _job(
    _TRAINING, "Trains the LoRA on the current dataset, promotes it if it is better, and renders previews."
)
build_job = _job(_BUILD, "The whole chain, from the inbox to the LoRA.")

jobs = [ingest_job, prompts_job, dataset_job, upload_job, training_job, build_job]
