"""What must hold of each asset for one artist: one function for each, which looks in the database and the bucket.

Each says how many things it looked at, what is wrong (nothing downstream may go on), and what waits or
failed but does not hold up the rest. The Dagster checks show them; nothing here repairs anything.
"""

import math
from dataclasses import dataclass, field
from uuid import UUID

from dawa_assets.artists.paths import is_own, own_object
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.consistency import (
    checked_items,
    checked_segments,
    item_segments,
    summary_files,
    unplaced_uploads,
)
from dawa_assets.tables.datasets import count_items, current_dataset
from dawa_assets.tables.item_findings import shown_findings
from dawa_assets.tables.lora_evaluations import find_evaluation, promotions_under_way
from dawa_assets.tables.prompt_staleness import item_prompts
from dawa_assets.tables.training_runs import candidate_runs, list_runs
from dawa_assets.tables.uploads import Kind
from resources.bucket.base import StoredObject
from resources.database.base import Connection
from resources.ports import Ports

_WAV_HEADER_BYTES = 44


@dataclass(frozen=True)
class Consistency:
    """`checked` things were looked at; `problems` stop the chain, `warnings` don't."""

    checked: int
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Inspection:
    """What a check looks with: the ports, the transaction that it sees, and the artist."""

    ports: Ports
    connection: Connection
    artist: Artist

    def stored(self, key: str | None) -> StoredObject | None:
        """Return the object that a row of the artist points at; None for none, and for one that isn't theirs."""
        return own_object(self.ports.bucket, self.artist.slug, key)


def check_summaries(of: Inspection) -> Consistency:
    """Check that every summary of ours has a tempo, and its files."""
    rows = summary_files(of.connection, of.artist.id)
    # What another parser left out costs that set its prompt, and holds up no other one.
    no_tempo = [(row, f"{row.als_filename}: its summary has no tempo") for row in rows if row.tempo is None]
    problems = [line for row, line in no_tempo if row.source_key is not None]
    theirs = [line for row, line in no_tempo if row.source_key is None]
    for row in rows:
        if row.source_key is not None:
            problems += [
                f"{row.als_filename}: {name} is not in the bucket"
                for name in ("summary.json", "timeline_visualizer.png")
                if of.stored(f"{row.export_path}/{name}") is None
            ]
    rejected = unplaced_uploads(of.connection, of.artist.id, Kind.LIVE_SET, ["rejected"])
    return Consistency(len(rows), problems, theirs + [f"rejected: {row.name}: {row.reason}" for row in rejected])


def check_prompts(of: Inspection) -> Consistency:
    """Check that every item whose set was parsed has a prompt, or a reason why not, and that none is out of date."""
    rows = checked_items(of.connection, of.artist.id)
    missing = [row for row in rows if row.is_parsed and row.prompt_text is None]
    stale = _stale_prompts(of)
    problems = [
        f"{row.name}: has no prompt and no reason why" for row in missing if row.error is None and row.id not in stale
    ]
    blank = [row for row in rows if (row.prompt_text or "x").strip() == ""]
    problems += [f"{row.name}: its prompt is empty" for row in blank if row.is_parsed]
    warnings = [f"{row.name}: {row.error}" for row in missing if row.error]
    warnings += [f"{row.name}: was saved with an empty prompt" for row in blank if not row.is_parsed]
    asked_later = [row for row in rows if row.id in stale and row.error is None]
    warnings += [
        f"{row.name}: " + ("its prompt is out of date" if row.prompt_text else "its prompt is still to be written")
        for row in asked_later
    ]
    return Consistency(len(rows), problems, warnings)


def _stale_prompts(of: Inspection) -> set[UUID]:
    """Return the items whose prompts the next run asks for; a run that put some off leaves them so."""
    writer, version = of.ports.prompt_writer, of.ports.settings.system_prompt_version
    states = item_prompts(of.connection, of.artist.slug, version, writer.model_name, any_model=writer.takes_any_model)
    return {each.item_id for each in states if each.state not in ("current", "human", "impossible")}


def check_items(of: Inspection) -> Consistency:
    """Check that what is ready has its prompt and its audio."""
    rows = checked_items(of.connection, of.artist.id)
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
                if of.stored(path) is None
            ]
        elif row.status == "failed":
            warnings.append(f"{row.name}: failed: {row.error}")
        else:
            warnings.append(f"{row.name}: {row.status}")
    warnings += [
        f"{found.item}: {found.line}"
        for found in shown_findings(of.connection, of.artist.id)
        if found.accepted_at is None
    ]
    waiting = unplaced_uploads(of.connection, of.artist.id, Kind.AUDIO, ["waiting", "rejected"])
    return Consistency(len(rows), problems, warnings + [f"{row.state}: {row.name}: {row.reason}" for row in waiting])


def check_dataset(of: Inspection) -> Consistency:
    """Check that the current zip and its manifest are in the bucket, whole."""
    dataset = current_dataset(of.connection, of.artist.id)
    if dataset is None:
        return Consistency(0, warnings=["no dataset yet: no item is ready"])
    items, problems = count_items(of.connection, dataset.id), []
    if items != dataset.item_count:
        problems.append(f"{dataset.storage_path}: {items} items are recorded, {dataset.item_count} were meant")
    if dataset.pruned_at is None:
        stored = of.stored(dataset.storage_path)
        if stored is None or stored.size != dataset.size_bytes:
            problems.append(f"{dataset.storage_path}: not in the bucket with its {dataset.size_bytes} bytes")
        if of.stored(dataset.manifest_path) is None:
            problems.append(f"{dataset.manifest_path}: not in the bucket")
    return Consistency(dataset.item_count, problems)


def check_segments(of: Inspection) -> Consistency:
    """Check that every track of the current dataset has its segments, without gaps."""
    rows = item_segments(of.connection, of.artist.id)
    problems: list[str] = []
    warnings: list[str] = []
    for row in rows:
        if row.segments == 0:
            (warnings if row.error else problems).append(f"{row.name}: no segments ({row.error or 'why?'})")
        elif row.last != row.segments - 1 or row.is_hollow:
            problems.append(f"{row.name}: its segments have gaps")
    return Consistency(sum(row.segments for row in rows), problems, warnings)


def check_tags(of: Inspection) -> Consistency:
    """Check that every segment of the current dataset has a text."""
    rows = checked_segments(of.connection, of.artist.id)
    problems = [f"{row.name}: segment {row.index} has an empty text" for row in rows if row.text == ""]
    untagged = [f"{row.name}: segment {row.index} is not tagged" for row in rows if row.text is None]
    if rows and len(untagged) == len(rows):
        problems.append("not one segment is tagged")
    return Consistency(len(rows), problems, untagged)


def check_lora(of: Inspection) -> Consistency:
    """Check that candidates have their adapters, and losses that fell."""
    runs = candidate_runs(of.connection, of.artist)
    if not runs:
        return Consistency(0, warnings=["no LoRA yet: there is nothing to train on"])
    problems: list[str] = []
    warnings: list[str] = []
    for run in runs:
        folder = run.adapter_key
        objects = of.ports.bucket.list(folder) if folder and is_own(of.artist.slug, folder) else []
        if not any(stored.key.endswith(".safetensors") for stored in objects):
            problems.append(f"run {run.id}: no adapter below {run.adapter_key}")
        first, final = run.metrics.get("first_loss"), run.metrics.get("final_loss")
        if first is None or final is None or math.isnan(final):
            problems.append(f"run {run.id}: its losses were not recorded")
        elif final >= first:
            warnings.append(f"run {run.id}: the loss did not fall ({first:.3f} → {final:.3f})")
    return Consistency(len(runs), problems, warnings)


def check_evaluation(of: Inspection) -> Consistency:
    """Check that candidates were judged, what they render is kept, and no promotion was left."""
    judged = [(run, find_evaluation(of.connection, run)) for run in candidate_runs(of.connection, of.artist)]
    left = promotions_under_way(of.connection, of.artist)
    problems = [f"run {promotion.run_id}: its promotion was begun and not finished" for promotion in left]
    problems += [f"run {run.id}: was not judged" for run, evaluation in judged if evaluation is None]
    problems += [
        f"run {run.id}: {name} is not in the bucket"
        for run, evaluation in judged
        for name, size in (evaluation.files if evaluation else {}).items()
        if (stored := of.stored(f"{run.adapter_key}/{name}")) is None or stored.size != size
    ]
    warnings = [
        f"run {run.id}: {evaluation.verdict}: {'; '.join(evaluation.reasons)}"
        for run, evaluation in judged
        if evaluation is not None and evaluation.verdict in ("broken", "copies")
    ]
    return Consistency(len(judged), problems, warnings)


def check_preview(of: Inspection) -> Consistency:
    """Check that the published adapters have previews that hold sound."""
    runs = [run for run in list_runs(of.connection, of.artist) if run.promoted]
    keys = [f"{run.adapter_key}/preview-{variant}.wav" for run in runs for variant in ("base", "lora")]
    found = {key: of.stored(key) for key in keys}
    sizes = {key: 0 if stored is None else stored.size for key, stored in found.items()}
    problems = [f"{key}: is not there, or holds no sound" for key, size in sizes.items() if size <= _WAV_HEADER_BYTES]
    return Consistency(len(keys), problems)
