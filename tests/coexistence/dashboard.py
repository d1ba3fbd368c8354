"""The existing dashboard, as far as it writes: the same files, rows and columns, with the same role."""

import io
import zipfile
from typing import Any
from uuid import UUID, uuid4

from psycopg.types.json import Jsonb

from dawa_assets.tables.artists import Artist
from resources.ports import Ports
from tests.dawa_assets.intake.material import wav

MINIMAL_SUMMARY: dict[str, Any] = {"overview": {"tempo": 124}}
TEXT = "Warm deep house with a rolling bass.\nBPM: 124"


def parsed_by_its_parser(
    ports: Ports,
    artist: Artist,
    als_filename: str = "Old Song.als",
    *,
    summary: object = MINIMAL_SUMMARY,
    project_name: str | None = None,
) -> UUID:
    """A row of `als_summaries` from the older parser; its id."""
    return _insert(
        ports,
        "insert into als_summaries (project_name, als_filename, parse_id, summary, artist_id) "
        "values (%s, %s, %s, %s, %s) returning id",
        [project_name, als_filename, uuid4().hex[:12], Jsonb(summary), artist.id],
    )


def save(
    ports: Ports,
    artist: Artist,
    summary: UUID | None = None,
    *,
    audio: bytes | None = None,
    text: str | None = TEXT,
    text_in_file: str | None = None,
    parse_id: str = "0123456789ab",
) -> UUID:
    """What `/api/train/save` does: both files under an id of its own, then the row; the item's id."""
    item = uuid4()
    folder = f"artists/{artist.slug}/training/{item}"
    ports.bucket.put(f"{folder}/audio.mp3", wav() if audio is None else audio)
    ports.bucket.put(f"{folder}/prompt.txt", (text_in_file or text or "").encode())
    return _insert(
        ports,
        "insert into training_items (id, artist_id, als_summary_id, parse_id, als_filename, project_name, audio_path, "
        "prompt_path, prompt_text, status, system_prompt_version, model_name, generated_at) "
        "values (%s, %s, %s, %s, null, null, %s, %s, %s, 'ready', 'train-v1', 'gpt-4o-mini', now()) returning id",
        [item, artist.id, summary, parse_id, f"{folder}/audio.mp3", f"{folder}/prompt.txt", text],
    )


def export(ports: Ports, artist: Artist) -> str:
    """What `/api/train/export` does: a zip of what is ready beside ours, and `exported`; the zip's key."""
    key = f"artists/{artist.slug}/datasets/dataset-1764000000000.zip"
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("track-0001.txt", TEXT)
    ports.bucket.put(key, target.getvalue())
    with ports.database.transaction() as connection:
        connection.execute("set local role service_role")
        connection.execute(
            "update training_items set status = 'exported' where artist_id = %s and status = 'ready'", [artist.id]
        )
    return key


def _insert(ports: Ports, statement: str, values: list[Any]) -> UUID:
    with ports.database.transaction() as connection:
        connection.execute("set local role service_role")
        row = connection.execute(statement, values).fetchone()
    assert row is not None
    return UUID(str(row["id"]))
