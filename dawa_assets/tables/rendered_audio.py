"""SQL of rendered audio: every sound that was generated, and its landmarks, by which a copy of it is known again."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from psycopg.rows import class_row

from dawa_assets.tables.names import track_name
from resources.database.base import Connection, Database

Origin = Literal["command", "http", "preview", "evaluation", "rendering"]

_PAGE = 200  # rows; with their landmarks some ten megabytes


@dataclass(frozen=True)
class RenderedAudio:
    """A sound that was generated: by what, from which words, when. `artist` is empty where it is nobody's."""

    id: str
    artist_id: UUID | None
    audio_sha256: str
    origin: Origin
    generator: str
    base: str
    lora: str | None
    run: str | None
    prompt: str
    seed: int | None
    seconds: float
    made_at: datetime
    artist: str | None = None


@dataclass(frozen=True)
class StoredLandmarks:
    """The packed landmarks of one sound."""

    id: str
    landmarks: bytes


_COLUMNS = (
    "r.id, r.artist_id, r.audio_sha256, r.origin, r.generator, r.base, r.lora, r.run, r.prompt, r.seed, r.seconds, "
    "r.made_at, a.slug as artist"
)


def record_rendered(connection: Connection, rendered: RenderedAudio, landmarks: bytes | None) -> None:
    """Put a sound on record; one that is there gets landmarks where it had none, and stays what it was."""
    connection.execute(
        "insert into rendered_audio as known (id, artist_id, audio_sha256, origin, generator, base, lora, run, prompt, "
        "seed, seconds, made_at, landmarks) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) "
        "on conflict (id) do update set landmarks = coalesce(known.landmarks, excluded.landmarks) "
        "where known.landmarks is null and excluded.landmarks is not null",
        [
            *(rendered.id, rendered.artist_id, rendered.audio_sha256, rendered.origin, rendered.generator),
            *(rendered.base, rendered.lora, rendered.run, rendered.prompt, rendered.seed, rendered.seconds),
            *(rendered.made_at, landmarks),
        ],
    )


def find_rendered(connection: Connection, *, ids: list[str], audio_sha256: str | None = None) -> list[RenderedAudio]:
    """Return the sounds of these ids, and those with exactly these samples; the latest first."""
    with connection.cursor(row_factory=class_row(RenderedAudio)) as cursor:
        return cursor.execute(
            f"select {_COLUMNS} from rendered_audio r left join artists a on a.id = r.artist_id "
            "where r.id = any(%s) or r.audio_sha256 = %s order by r.made_at desc, r.id",
            [ids, audio_sha256],
        ).fetchall()


def count_rendered(connection: Connection) -> tuple[int, int]:
    """Return how many sounds are on record, and how many of them have no landmarks."""
    row = connection.execute(
        "select count(*) as n, count(*) filter (where landmarks is null) as bare from rendered_audio"
    ).fetchone()
    return (0, 0) if row is None else (int(row["n"]), int(row["bare"]))


def pages_of_landmarks(database: Database) -> Iterator[list[StoredLandmarks]]:
    """Yield the landmarks of all sounds, some at a time, by their ids."""
    after = ""
    while True:
        with database.transaction() as connection, connection.cursor(row_factory=class_row(StoredLandmarks)) as cursor:
            page = cursor.execute(
                "select id, landmarks from rendered_audio where id > %s and landmarks is not null order by id limit %s",
                [after, _PAGE],
            ).fetchall()
        if page:
            yield page
        if len(page) < _PAGE:
            return
        after = page[-1].id


def songs_trained_on(connection: Connection, run: str) -> list[str]:
    """Return the names of the songs in the dataset of a run; empty where that is not on record."""
    rows = connection.execute(
        f"select distinct {track_name('i')} as song from training_runs r "
        "join dataset_items i on i.dataset_id = r.dataset_id where r.id::text = %s order by 1",
        [run],
    )
    return [row["song"] for row in rows]
