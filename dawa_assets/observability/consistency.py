"""Verdicts: what must hold of each asset for one artist, looked up in the database and the bucket.

Each verdict says how many things it looked at, what is wrong (nothing downstream may go on), and what waits or
failed but does not hold up the rest. The Dagster checks show them; nothing here repairs anything.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from dawa_assets.artists.paths import is_own, own_object
from dawa_assets.tables.artists import Artist, get_artist
from dawa_assets.tables.consistency import (
    checked_items,
    checked_segments,
    item_segments,
    summary_files,
    unplaced_uploads,
)
from dawa_assets.tables.datasets import count_items, current_dataset
from dawa_assets.tables.lora_evaluations import find_evaluation, promotions_under_way
from dawa_assets.tables.training_runs import candidate_runs, list_runs
from dawa_assets.tables.uploads import Kind
from resources.database.base import Connection
from resources.ports import Ports

_WAV_HEADER_BYTES = 44


@dataclass(frozen=True)
class Consistency:
    """`checked` things were looked at; `problems` stop the chain, `warnings` don't."""

    checked: int
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def consistency_of(ports: Ports, slug: str, asset: str) -> Consistency:
    """What is to be said of one asset of one artist.

    Raises:
        UnknownArtistError: there is no artist of this slug.
    """
    with ports.database.transaction() as connection:
        artist = get_artist(connection, slug)
        return check_asset(ports, connection, artist, asset)


def check_asset(ports: Ports, connection: Connection, artist: Artist, asset: str) -> Consistency:
    """The same, as this transaction sees it."""
    return _VERDICTS[asset](ports, connection, artist)


def _summaries(ports: Ports, connection: Connection, artist: Artist) -> Consistency:
    rows = summary_files(connection, artist.id)
    # What another parser left out costs that set its prompt, and holds up no other one.
    no_tempo = [(row, f"{row.als_filename}: its summary has no tempo") for row in rows if row.tempo is None]
    problems = [line for row, line in no_tempo if row.source_key is not None]
    theirs = [line for row, line in no_tempo if row.source_key is None]
    for row in rows:
        if row.source_key is not None:
            problems += [
                f"{row.als_filename}: {name} is not in the bucket"
                for name in ("summary.json", "timeline_visualizer.png")
                if own_object(ports.bucket, artist.slug, f"{row.export_path}/{name}") is None
            ]
    rejected = unplaced_uploads(connection, artist.id, Kind.LIVE_SET, ["rejected"])
    return Consistency(len(rows), problems, theirs + [f"rejected: {row.name}: {row.reason}" for row in rejected])


def _prompts(ports: Ports, connection: Connection, artist: Artist) -> Consistency:  # noqa: ARG001 - one shape for all
    rows = checked_items(connection, artist.id)
    missing = [row for row in rows if row.is_parsed and row.prompt_text is None]
    problems = [f"{row.name}: has no prompt and no reason why" for row in missing if row.error is None]
    blank = [row for row in rows if (row.prompt_text or "x").strip() == ""]
    problems += [f"{row.name}: its prompt is empty" for row in blank if row.is_parsed]
    warnings = [f"{row.name}: {row.error}" for row in missing if row.error]
    warnings += [f"{row.name}: was saved with an empty prompt" for row in blank if not row.is_parsed]
    return Consistency(len(rows), problems, warnings)


def _items(ports: Ports, connection: Connection, artist: Artist) -> Consistency:
    rows = checked_items(connection, artist.id)
    problems: list[str] = []
    warnings: list[str] = []
    for row in rows:
        warnings += [f"{row.name}: its audio: {finding}" for finding in row.audio_findings]
        if row.status in ("ready", "exported"):
            if not row.prompt_text:
                problems.append(f"{row.name}: is {row.status} without a prompt")
            problems += [
                f"{row.name}: is {row.status} but its {column} leads nowhere"
                for column, path in (("audio_path", row.audio_path), ("prompt_path", row.prompt_path))
                if own_object(ports.bucket, artist.slug, path) is None
            ]
        elif row.status == "failed":
            warnings.append(f"{row.name}: failed: {row.error}")
        else:
            warnings.append(f"{row.name}: {row.status}")
    waiting = unplaced_uploads(connection, artist.id, Kind.AUDIO, ["waiting", "rejected"])
    return Consistency(len(rows), problems, warnings + [f"{row.state}: {row.name}: {row.reason}" for row in waiting])


def _dataset(ports: Ports, connection: Connection, artist: Artist) -> Consistency:
    dataset = current_dataset(connection, artist.id)
    if dataset is None:
        return Consistency(0, warnings=["no dataset yet: no item is ready"])
    items, problems = count_items(connection, dataset.id), []
    if items != dataset.item_count:
        problems.append(f"{dataset.storage_path}: {items} items are recorded, {dataset.item_count} were meant")
    if dataset.pruned_at is None:
        stored = own_object(ports.bucket, artist.slug, dataset.storage_path)
        if stored is None or stored.size != dataset.size_bytes:
            problems.append(f"{dataset.storage_path}: not in the bucket with its {dataset.size_bytes} bytes")
        if own_object(ports.bucket, artist.slug, dataset.manifest_path) is None:
            problems.append(f"{dataset.manifest_path}: not in the bucket")
    return Consistency(dataset.item_count, problems)


def _segments(ports: Ports, connection: Connection, artist: Artist) -> Consistency:  # noqa: ARG001 - one shape for all
    rows = item_segments(connection, artist.id)
    problems: list[str] = []
    warnings: list[str] = []
    for row in rows:
        if row.segments == 0:
            (warnings if row.error else problems).append(f"{row.name}: no segments ({row.error or 'why?'})")
        elif row.last != row.segments - 1 or row.is_hollow:
            problems.append(f"{row.name}: its segments have gaps")
    return Consistency(sum(row.segments for row in rows), problems, warnings)


def _tags(ports: Ports, connection: Connection, artist: Artist) -> Consistency:  # noqa: ARG001 - one shape for all
    rows = checked_segments(connection, artist.id)
    problems = [f"{row.name}: segment {row.index} has an empty text" for row in rows if row.text == ""]
    untagged = [f"{row.name}: segment {row.index} is not tagged" for row in rows if row.text is None]
    if rows and len(untagged) == len(rows):
        problems.append("not one segment is tagged")
    return Consistency(len(rows), problems, untagged)


def _lora(ports: Ports, connection: Connection, artist: Artist) -> Consistency:
    runs = candidate_runs(connection, artist)
    if not runs:
        return Consistency(0, warnings=["no LoRA yet: there is nothing to train on"])
    problems: list[str] = []
    warnings: list[str] = []
    for run in runs:
        folder = run.adapter_key
        objects = [stored.key for stored in ports.bucket.list(folder)] if folder and is_own(artist.slug, folder) else []
        if not any(key.endswith(".safetensors") for key in objects):
            problems.append(f"run {run.id}: no adapter below {run.adapter_key}")
        first, final = run.metrics.get("first_loss"), run.metrics.get("final_loss")
        if first is None or final is None or math.isnan(final):
            problems.append(f"run {run.id}: its losses were not recorded")
        elif final >= first:
            warnings.append(f"run {run.id}: the loss did not fall ({first:.3f} → {final:.3f})")
    return Consistency(len(runs), problems, warnings)


def _evaluation(ports: Ports, connection: Connection, artist: Artist) -> Consistency:
    judged = [(run, find_evaluation(connection, run)) for run in candidate_runs(connection, artist)]
    left = promotions_under_way(connection, artist)
    problems = [f"run {promotion.run_id}: its promotion was begun and not finished" for promotion in left]
    problems += [f"run {run.id}: was not judged" for run, evaluation in judged if evaluation is None]
    problems += [
        f"run {run.id}: {name} is not in the bucket"
        for run, evaluation in judged
        for name, size in (evaluation.files if evaluation else {}).items()
        if (stored := own_object(ports.bucket, artist.slug, f"{run.adapter_key}/{name}")) is None or stored.size != size
    ]
    warnings = [
        f"run {run.id}: broken: {'; '.join(evaluation.reasons)}"
        for run, evaluation in judged
        if evaluation is not None and evaluation.verdict == "broken"
    ]
    return Consistency(len(judged), problems, warnings)


def _preview(ports: Ports, connection: Connection, artist: Artist) -> Consistency:
    runs = [run for run in list_runs(connection, artist) if run.promoted]
    keys = [f"{run.adapter_key}/preview-{variant}.wav" for run in runs for variant in ("base", "lora")]
    found = {key: own_object(ports.bucket, artist.slug, key) for key in keys}
    sizes = {key: 0 if stored is None else stored.size for key, stored in found.items()}
    problems = [f"{key}: is not there, or holds no sound" for key, size in sizes.items() if size <= _WAV_HEADER_BYTES]
    return Consistency(len(keys), problems)


_VERDICTS: dict[str, Callable[[Ports, Connection, Artist], Consistency]] = {
    "als_summaries": _summaries,
    "prompts": _prompts,
    "training_items": _items,
    "dataset_zip": _dataset,
    "preprocessed_segments": _segments,
    "segment_tags": _tags,
    "lora_weights": _lora,
    "lora_evaluation": _evaluation,
    "lora_preview": _preview,
}
