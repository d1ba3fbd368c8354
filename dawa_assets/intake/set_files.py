"""A Live Set on its way into the tables: what names its parse, what is read of it, and the files made of that."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from dawa_assets.ableton.reader import read_live_set
from dawa_assets.ableton.summary_builder import summarise
from dawa_assets.artists.paths import is_own
from dawa_assets.intake.kinds import stem_of
from dawa_assets.tables.uploads import Summary
from resources.bucket.base import Bucket

_CHUNK = 1 << 20
_PICTURE = "timeline_visualizer.png"


@dataclass(frozen=True)
class SetOutputs:
    """What was made of a set: the summary as JSON, and the picture in a folder that goes when its set's copy does."""

    summary: str
    picture: Path


def parse_id(artist_id: UUID, path: Path) -> str:
    """First 12 hex digits of SHA-256 over the artist's id and the set's bytes: names a parse for good."""
    digest = hashlib.sha256(str(artist_id).encode())
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()[:12]


def read_set(path: Path, summary: Summary, artist_name: str) -> SetOutputs:
    """Read a set and draw it, beside its file.

    Raises:
        UnreadableLiveSetError: it can't be read.
    """
    from dawa_assets.ableton.timeline import draw_timeline

    live_set = read_live_set(path)
    stem = stem_of(summary.als_filename)
    project = summary.project_name or ""
    content = summarise(
        live_set,
        als_filename=summary.als_filename,
        project_folder="" if project == stem else project,
        artist_name=artist_name,
    ).model_dump(mode="json")
    picture = path.with_name(_PICTURE)
    draw_timeline(live_set, picture)
    return SetOutputs(json.dumps(content, ensure_ascii=False, indent=2), picture)


def put_outputs(bucket: Bucket, summary: Summary, outputs: SetOutputs) -> None:
    """Write summary and picture to the folder that the summary's row names."""
    bucket.put(f"{summary.export_path}/summary.json", outputs.summary.encode())
    bucket.put(f"{summary.export_path}/{_PICTURE}", outputs.picture)


def is_own_folder(slug: str, path: str | None) -> bool:
    """Return whether the outputs of a set can lie in a folder that its row names."""
    return is_own(slug, path) and is_own(slug, f"{path}/{_PICTURE}")
