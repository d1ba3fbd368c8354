"""What an adapter was trained on, as a document: every song, who permitted it then, and what was found of the adapter.

It is made of rows, and of the run's card, whose bytes the rows vouch for: the same state gives the same bytes.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal
from uuid import UUID

from dawa_assets.tables import lora_reports
from dawa_assets.tables.artists import get_artist
from dawa_assets.tables.lora_evaluations import promotions
from dawa_assets.tables.lora_reports import ReportedPermission, ReportedSong
from dawa_assets.training.adapters import run_folder
from dawa_assets.training.lora_export import choose_lora
from dawa_assets.training.promotion import Lora
from dawa_assets.training.report_forms import as_croissant, as_markdown
from modal_app.protocol.evaluation import EvaluateResult
from resources.errors import BucketError
from resources.ports import Ports

FORMAT = "dawa-training-report/1"
Form = Literal["md", "json", "croissant"]

_CARD = "card.json"
_MAX_CARD = 1 << 20


@dataclass(frozen=True)
class LoraReport:
    """A report, and of which run."""

    lora: Lora
    content: bytes


def report_lora(ports: Ports, run: str, form: Form) -> LoraReport:
    """Return the report on the run whose id begins so.

    Raises:
        InputError: there is no such run, or more than one.
    """
    lora = choose_lora(ports, run, None)
    report = gather(ports, lora)
    if form == "md":
        return LoraReport(lora, as_markdown(report).encode())
    shown = report if form == "json" else as_croissant(report)
    return LoraReport(lora, (json.dumps(shown, indent=2, ensure_ascii=False, sort_keys=True) + "\n").encode())


def gather(ports: Ports, lora: Lora) -> dict[str, Any]:
    """Return everything that a report says, as plain values."""
    run, zone = lora.run, ports.settings.timezone
    with ports.database.transaction() as connection:
        artist = get_artist(connection, lora.artist)
        dataset = lora_reports.reported_dataset(connection, run.id)
        songs = lora_reports.reported_songs(connection, run.id)
        permissions = lora_reports.reported_permissions(connection, run.id, zone)
        parameters = lora_reports.run_parameters(connection, run.id)
        log = [each for each in promotions(connection, artist, run.model_name) if each.run_id == run.id]
    card = _card(ports, lora)
    by_position: dict[int, list[ReportedPermission]] = {}
    for permission in permissions:
        by_position.setdefault(permission.position, []).append(permission)
    held_out = set(run.metrics.get("held_out", []))
    listed = [_song(song, by_position.get(song.position, []), song.song in held_out) for song in songs]
    seconds = [song.seconds for song in songs if song.seconds is not None]
    return {
        "format": FORMAT,
        "artist": {"slug": artist.slug, "name": artist.name},
        "adapter": {
            "run": str(run.id),
            "name": f"{artist.slug}:{run.model_name}",
            "sha256": run.adapter_sha256,
            "state": run.state,
            "published": run.promoted,
            "taken_down": run.taken_down,
            "imported": run.imported,
            "published_at": [_plain(each.published_at) for each in log if each.published_at is not None],
        },
        "base": {
            "generator": run.backend,
            "name": run.base,
            "revision": card.get("base_revision"),
            "licence": card.get("base_licence"),
        },
        "training": {
            "begun": _plain(run.created_at),
            "finished": _plain(run.finished_at),
            "fingerprint": run.fingerprint,
            "recipe": parameters.get("recipe"),
            "parameters": parameters,
            "steps": run.metrics.get("steps"),
            "kept_step": run.metrics.get("kept_step"),
            "versions": card.get("versions"),
        },
        "dataset": None
        if dataset is None
        else {
            "fingerprint": dataset.fingerprint,
            "file": dataset.storage_path.rpartition("/")[2],
            "sha256": dataset.sha256,
            "bytes": dataset.size_bytes,
            "finished": _plain(dataset.finished_at),
        },
        "songs": listed,
        "totals": {
            "songs": len(songs),
            "seconds": round(sum(seconds), 2),
            "of_unknown_length": len(songs) - len(seconds),
            "permitted_then": sum(each["permitted_then"] for each in listed),
            "withdrawn_since": sum(each["withdrawn_since"] is not None for each in listed),
        },
        "evaluation": _evaluation(lora),
    }


def _song(song: ReportedSong, permissions: list[ReportedPermission], is_held_out: bool) -> dict[str, Any]:
    return {
        "position": song.position,
        "song": song.song,
        "live_set": song.live_set,
        "live_set_parse_id": song.parse_id,
        "audio_sha256": song.audio_sha256,
        "audio_format": song.audio_format,
        "seconds": None if song.seconds is None else round(song.seconds, 2),
        "held_out": is_held_out,
        "permitted_then": any(each.held_then and "train" in each.purposes for each in permissions),
        "permissions": [
            {name: _plain(value) for name, value in vars(each).items() if name != "position"} for each in permissions
        ],
        "withdrawn_since": _plain(song.withdrawn_at),
        "withdrawn_because": song.withdrawn_because,
    }


def _evaluation(lora: Lora) -> dict[str, Any] | None:
    if lora.evaluation is None:
        return None
    found = EvaluateResult.model_validate(lora.evaluation.figures)
    return {
        "verdict": lora.evaluation.verdict,
        "reasons": lora.evaluation.reasons,
        "decision": lora.evaluation.decision,
        "rule": lora.evaluation.rule,
        "held_out": found.held_out,
        "base_loss": found.base_loss,
        "lora_loss": found.lora_loss,
        "copies": None if found.copies is None else found.copies.model_dump(mode="json"),
    }


def _card(ports: Ports, lora: Lora) -> dict[str, Any]:
    """Return the run's card; empty where it is not there, or not the one that the rows know."""
    expected = lora.run.metrics.get("files", {}).get(_CARD)
    key = f"{run_folder(lora.artist, lora.run)}/{_CARD}"
    if expected is None:
        return {}
    try:
        with ports.bucket.open(key) as stream:
            content = stream.read(_MAX_CARD)
        card = json.loads(content) if hashlib.sha256(content).hexdigest() == expected else None
    except (BucketError, ValueError):
        return {}
    return card if isinstance(card, dict) else {}


def _plain(value: object) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="seconds")  # whatever the connection's zone is
    if isinstance(value, date | UUID):
        return str(value)
    return value
