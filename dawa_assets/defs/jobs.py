"""Jobs: the pieces of the chain that are run together: one artist and one process per run."""

import dagster as dg

INGEST = ["als_summaries", "prompts", "training_items"]
DATASET = ["dataset_zip", "preprocessed_segments", "segment_tags"]
TRAINING = ["lora_weights", "lora_evaluation", "lora_preview"]


def standing_check(asset: str) -> dg.AssetCheckKey:
    """The check that says what stands open of an asset for all artists."""
    return dg.AssetCheckKey(dg.AssetKey(asset), f"{asset}_nothing_open")


def _made_of(assets: list[str]) -> dg.AssetSelection:
    """The assets with their checks, but those that look at all artists: a run is for one."""
    return dg.AssetSelection.assets(*assets) - dg.AssetSelection.checks(*map(standing_check, assets))


ingest_job = dg.define_asset_job(
    "ingest_job",
    selection=_made_of(INGEST),
    description="Takes in what lies in the inbox: summaries, prompts, training items.",
)
prompts_job = dg.define_asset_job(
    "prompts_job",
    selection=_made_of(INGEST[1:]),
    description="Rewrites stale prompts and puts them in place.",
)
dataset_job = dg.define_asset_job(
    "dataset_job",
    selection=_made_of(DATASET),
    description="Rebuilds the dataset, its segments and their tags.",
)
training_job = dg.define_asset_job(
    "training_job",
    selection=_made_of(TRAINING),
    description="Trains the LoRA on the current dataset, promotes it if it is better, and renders previews.",
)
build_job = dg.define_asset_job(
    "build_job",
    selection=_made_of(INGEST + DATASET + TRAINING),
    description="The whole chain, from the inbox to the LoRA.",
)

jobs = [ingest_job, prompts_job, dataset_job, training_job, build_job]

_ASSETS = {
    "ingest_job": INGEST,
    "prompts_job": INGEST[1:],
    "dataset_job": DATASET,
    "training_job": TRAINING,
    "build_job": INGEST + DATASET + TRAINING,
}


def overlapping(one: str, other: str) -> bool:
    """Whether two jobs make an asset in common; a job that is none of ours may make any."""
    return other not in _ASSETS or not set(_ASSETS[one]).isdisjoint(_ASSETS[other])
