"""The receipt of a deletion: counts, bytes and hashes of what went, who asked and when. No name, text or sound."""

import json
from pathlib import Path
from typing import Any

from dawa_assets.tables.artist_deletions import Deletion
from modal_app.data_root.atomic_writes import write_atomic

FORMAT = "dawa-deletion/1"
_STAYS = [
    "what was spent, by day and model, as nobody's",
    "the history of runs in a Dagster that was out of reach, until its sensor sees the deletion",
    "records of jobs that came in over HTTP, until their days are over",
    "what was made of audio that another artist has too",
    "backups of the database and of the bucket, until they run out",
]


def receipt_of(deletion: Deletion) -> dict[str, Any]:
    """Return the receipt of a deletion whose rows are gone."""
    found = deletion.found or {}
    return {
        "format": FORMAT,
        "slug": deletion.slug,
        "artist_id": str(deletion.artist_id),
        "asked_by": deletion.asked_by,
        "asked_at": deletion.asked_at.isoformat(),
        "finished_at": None if deletion.finished_at is None else deletion.finished_at.isoformat(),
        "rows": {**(deletion.rows or {}), **({"user_artists": deletion.links} if deletion.links else {})},
        "files": found.get("files", {}),
        "files_that_came_late": (deletion.late or {}).get("files", {}),
        "worker": found.get("worker", {}),
        "history": found.get("history", {}),
        "sha256": found.get("sha256", []),
        "shared_audio": found.get("shared_audio", 0),
        "stays": _STAYS,
    }


def receipt_path(home: Path, deletion: Deletion) -> Path:
    """Return where a deletion's receipt lies: a new artist of the same slug has another one."""
    return home / "receipts" / f"deleted-{deletion.slug}-{deletion.asked_at:%Y%m%dT%H%M%S}-{str(deletion.id)[:8]}.json"


def write_receipt(home: Path, deletion: Deletion, receipt: dict[str, Any]) -> Path:
    """Write it, whole or not at all; gives the path."""
    path = receipt_path(home, deletion)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(receipt, indent=2, ensure_ascii=False) + "\n")
    return path
