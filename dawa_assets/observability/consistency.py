"""Verdicts: what must hold of each asset for one artist, looked up in the database and the bucket.

Each verdict says how many things it looked at, what is wrong (nothing downstream may go on), and what waits or
failed but does not hold up the rest. The Dagster checks show them; nothing here repairs anything.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dawa_assets.artists.paths import is_own, own_object
from dawa_assets.tables.artists import Artist, get_artist
from dawa_assets.tables.datasets import CURRENT_ITEMS
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


def _rows(connection: Connection, query: str, artist: Artist) -> list[dict[str, Any]]:
    return connection.execute(query, {"artist": artist.id, "slug": artist.slug}).fetchall()


def _summaries(ports: Ports, connection: Connection, artist: Artist) -> Consistency:
    rows = _rows(
        connection,
        "select als_filename, export_path, source_key, summary -> 'overview' ->> 'tempo' as tempo, parser_version "
        "from als_summaries where artist_id = %(artist)s order by als_filename",
        artist,
    )
    # What another parser left out costs that set its prompt, and holds up no other one.
    no_tempo = [(row, f"{row['als_filename']}: its summary has no tempo") for row in rows if row["tempo"] is None]
    problems = [line for row, line in no_tempo if row["source_key"] is not None]
    theirs = [line for row, line in no_tempo if row["source_key"] is None]
    for row in rows:
        if row["source_key"] is not None:
            problems += [
                f"{row['als_filename']}: {name} is not in the bucket"
                for name in ("summary.json", "timeline_visualizer.png")
                if own_object(ports.bucket, artist.slug, f"{row['export_path']}/{name}") is None
            ]
    rejected = _rows(
        connection,
        "select name, reason from uploads where artist_id = %(artist)s and kind = 'live_set' and state = 'rejected' "
        "order by created_at desc limit 20",
        artist,
    )
    return Consistency(len(rows), problems, theirs + [f"rejected: {row['name']}: {row['reason']}" for row in rejected])


def _prompts(ports: Ports, connection: Connection, artist: Artist) -> Consistency:  # noqa: ARG001 - one shape for all
    rows = _rows(
        connection,
        "select coalesce(item_key, id::text) as name, prompt_text, error, status, prompt_id, "
        "als_summary_id is not null as parsed from training_items "
        "where artist_id = %(artist)s and excluded_at is null",
        artist,
    )
    missing = [row for row in rows if row["parsed"] and row["prompt_text"] is None]
    problems = [f"{row['name']}: has no prompt and no reason why" for row in missing if row["error"] is None]
    blank = [row for row in rows if (row["prompt_text"] or "x").strip() == ""]
    problems += [f"{row['name']}: its prompt is empty" for row in blank if row["parsed"]]
    warnings = [f"{row['name']}: {row['error']}" for row in missing if row["error"]]
    warnings += [f"{row['name']}: was saved with an empty prompt" for row in blank if not row["parsed"]]
    return Consistency(len(rows), problems, warnings)


def _items(ports: Ports, connection: Connection, artist: Artist) -> Consistency:
    rows = _rows(
        connection,
        "select coalesce(item_key, id::text) as name, status, audio_path, prompt_path, prompt_text, error, "
        "audio_findings "
        "from training_items where artist_id = %(artist)s and excluded_at is null order by created_at, id",
        artist,
    )
    problems: list[str] = []
    warnings: list[str] = []
    for row in rows:
        warnings += [f"{row['name']}: its audio: {finding}" for finding in row["audio_findings"]]
        if row["status"] in ("ready", "exported"):
            if not row["prompt_text"]:
                problems.append(f"{row['name']}: is {row['status']} without a prompt")
            problems += [
                f"{row['name']}: is {row['status']} but its {column} leads nowhere"
                for column in ("audio_path", "prompt_path")
                if own_object(ports.bucket, artist.slug, row[column]) is None
            ]
        elif row["status"] == "failed":
            warnings.append(f"{row['name']}: failed: {row['error']}")
        else:
            warnings.append(f"{row['name']}: {row['status']}")
    waiting = _rows(
        connection,
        "select name, reason, state from uploads where artist_id = %(artist)s and kind = 'audio' "
        "and state in ('waiting', 'rejected') order by created_at desc limit 20",
        artist,
    )
    return Consistency(
        len(rows), problems, warnings + [f"{row['state']}: {row['name']}: {row['reason']}" for row in waiting]
    )


def _dataset(ports: Ports, connection: Connection, artist: Artist) -> Consistency:
    rows = _rows(
        connection,
        "select d.storage_path, d.manifest_path, d.size_bytes, d.item_count, d.pruned_at, "
        "(select count(*) from dataset_items i where i.dataset_id = d.id) as items from datasets d "
        "where d.artist_id = %(artist)s and d.state = 'done' order by d.finished_at desc limit 1",
        artist,
    )
    if not rows:
        return Consistency(0, warnings=["no dataset yet: no item is ready"])
    row, problems = rows[0], []
    if row["items"] != row["item_count"]:
        problems.append(f"{row['storage_path']}: {row['items']} items are recorded, {row['item_count']} were meant")
    if row["pruned_at"] is None:
        stored = own_object(ports.bucket, artist.slug, row["storage_path"])
        if stored is None or stored.size != row["size_bytes"]:
            problems.append(f"{row['storage_path']}: not in the bucket with its {row['size_bytes']} bytes")
        if own_object(ports.bucket, artist.slug, row["manifest_path"]) is None:
            problems.append(f"{row['manifest_path']}: not in the bucket")
    return Consistency(row["item_count"], problems)


def _segments(ports: Ports, connection: Connection, artist: Artist) -> Consistency:  # noqa: ARG001 - one shape for all
    rows = _rows(
        connection,
        f"select i.item_key, i.audio_hash, count(s.index) as segments, max(s.index) as last, "
        f"bool_or(s.samples <= 0) as hollow, t.error from ({CURRENT_ITEMS}) i "
        "left join audio_segments s on s.audio_hash = i.audio_hash "
        "left join training_items t on t.id = i.training_item_id "
        "group by i.position, i.item_key, i.audio_hash, t.error order by i.position",
        artist,
    )
    problems: list[str] = []
    warnings: list[str] = []
    for row in rows:
        if row["segments"] == 0:
            (warnings if row["error"] else problems).append(
                f"{row['item_key']}: no segments ({row['error'] or 'why?'})"
            )
        elif row["last"] != row["segments"] - 1 or row["hollow"]:
            problems.append(f"{row['item_key']}: its segments have gaps")
    return Consistency(sum(row["segments"] for row in rows), problems, warnings)


def _tags(ports: Ports, connection: Connection, artist: Artist) -> Consistency:  # noqa: ARG001 - one shape for all
    rows = _rows(
        connection,
        f"select i.item_key, s.index, t.text from ({CURRENT_ITEMS}) i "
        "join audio_segments s on s.audio_hash = i.audio_hash "
        "left join lateral (select text from segment_tags t where t.segment_hash = s.segment_hash limit 1) t on true",
        artist,
    )
    problems = [f"{row['item_key']}: segment {row['index']} has an empty text" for row in rows if row["text"] == ""]
    untagged = [f"{row['item_key']}: segment {row['index']} is not tagged" for row in rows if row["text"] is None]
    if rows and len(untagged) == len(rows):
        problems.append("not one segment is tagged")
    return Consistency(len(rows), problems, untagged)


def _lora(ports: Ports, connection: Connection, artist: Artist) -> Consistency:
    rows = _rows(
        connection,
        "select id, adapter_key, metrics from training_runs where artist_id = %(artist)s and candidate_at is not null",
        artist,
    )
    if not rows:
        return Consistency(0, warnings=["no LoRA yet: there is nothing to train on"])
    problems: list[str] = []
    warnings: list[str] = []
    for row in rows:
        folder = row["adapter_key"]
        objects = [stored.key for stored in ports.bucket.list(folder)] if is_own(artist.slug, folder) else []
        if not any(key.endswith(".safetensors") for key in objects):
            problems.append(f"run {row['id']}: no adapter below {row['adapter_key']}")
        first, final = row["metrics"].get("first_loss"), row["metrics"].get("final_loss")
        if first is None or final is None or math.isnan(final):
            problems.append(f"run {row['id']}: its losses were not recorded")
        elif final >= first:
            warnings.append(f"run {row['id']}: the loss did not fall ({first:.3f} → {final:.3f})")
    return Consistency(len(rows), problems, warnings)


def _evaluation(ports: Ports, connection: Connection, artist: Artist) -> Consistency:
    rows = _rows(
        connection,
        "select r.id, r.adapter_key, e.verdict, e.reasons, e.files, e.decision from training_runs r "
        "left join lora_evaluations e on e.run_id = r.id and e.adapter_sha256 = r.adapter_sha256 "
        "where r.artist_id = %(artist)s and r.candidate_at is not null",
        artist,
    )
    left = _rows(
        connection,
        "select run_id from lora_promotions where artist_id = %(artist)s and published_at is null",
        artist,
    )
    problems = [f"run {row['run_id']}: its promotion was begun and not finished" for row in left]
    problems += [f"run {row['id']}: was not judged" for row in rows if row["verdict"] is None]
    problems += [
        f"run {row['id']}: {name} is not in the bucket"
        for row in rows
        for name, size in (row["files"] or {}).items()
        if (stored := own_object(ports.bucket, artist.slug, f"{row['adapter_key']}/{name}")) is None
        or stored.size != size
    ]
    broken = [row for row in rows if row["verdict"] == "broken"]
    return Consistency(len(rows), problems, [f"run {row['id']}: broken: {'; '.join(row['reasons'])}" for row in broken])


def _preview(ports: Ports, connection: Connection, artist: Artist) -> Consistency:
    rows = _rows(connection, "select adapter_key from training_runs where artist_id = %(artist)s and promoted", artist)
    keys = [f"{row['adapter_key']}/preview-{variant}.wav" for row in rows for variant in ("base", "lora")]
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
