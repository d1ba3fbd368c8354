"""SQL of training items: made for sets, joined with audio, moved from status to status by guarded updates.

A guarded update names what its caller has seen; where somebody else changed it meanwhile, nothing happens and the
caller is told so.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from psycopg.rows import class_row

from dawa_assets.errors import UnknownItemError
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.columns import AT_ITS_PLACE, arrays, columns_of
from dawa_assets.tables.prompts import PROMPT_ERROR
from resources.database.base import Connection

_NEW_ITEM = {
    "summary_id": "uuid",
    "parse_id": "text",
    "als_filename": "text",
    "project_name": "text",
    "item_key": "text",
}


@dataclass(frozen=True)
class NewItem:
    """What an item is made of when its set is taken in."""

    item_key: str
    summary_id: UUID
    parse_id: str
    als_filename: str
    project_name: str


@dataclass(frozen=True)
class Item:
    """A training item, as far as its audio and its files are concerned."""

    id: UUID
    item_key: str | None
    als_filename: str | None
    project_name: str | None
    status: str
    error: str | None
    audio_path: str | None
    audio_hash: str | None
    prompt_path: str | None
    prompt_text: str | None
    prompt_file_hash: str | None
    excluded: bool

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return self.item_key or self.als_filename or str(self.id)

    @property
    def is_saved_pair(self) -> bool:
        """Whether somebody else saved it with audio of its own: no bounce takes that audio's place."""
        return self.item_key is None and self.audio_path is not None


@dataclass(frozen=True)
class Audio:
    """Audio in its place."""

    path: str
    sha256: str
    format: str
    duration_seconds: float
    findings: tuple[str, ...] = ()
    """What the reader found in it, one line each."""


_COLUMNS = (
    "id, item_key, als_filename, project_name, status, error, audio_path, audio_hash, prompt_path, prompt_text, "
    "prompt_file_hash, excluded_at is not null as excluded"
)
AUDIO_ERROR = "audio: "
"""Begins every error that this package records: what mends the audio may take it back, nothing else may."""

# Where an item with audio belongs, and what is left to say of it then.
_HAS_TEXT = r"coalesce(prompt_text, '') ~ '\S'"
_WITH_AUDIO = f"case when {_HAS_TEXT} then 'ready' else 'needs_prompt' end"
_WITHOUT_AUDIO_ERROR = f"case when starts_with(error, '{PROMPT_ERROR}') then error end"


UNDESCRIBED = f"""excluded_at is null and audio_path is not null and audio_hash is null
    and {_HAS_TEXT} and status in ('ready', 'exported')"""
"""Of `training_items`: saved by somebody else as a whole pair, and not looked at yet."""


def items_of(connection: Connection, artist_id: UUID) -> list[Item]:
    """Return all items of an artist, oldest first."""
    with connection.cursor(row_factory=class_row(Item)) as cursor:
        return cursor.execute(
            f"select {_COLUMNS} from training_items where artist_id = %s order by created_at, id", [artist_id]
        ).fetchall()


def get_item(connection: Connection, item: UUID) -> Item | None:
    """Return one item as it is now."""
    return get_items(connection, [item]).get(item)


def get_items(connection: Connection, items: Sequence[UUID]) -> dict[UUID, Item]:
    """Return items as they are now, by id; those that are gone are left out."""
    with connection.cursor(row_factory=class_row(Item)) as cursor:
        found = cursor.execute(f"select {_COLUMNS} from training_items where id = any(%s)", [list(items)]).fetchall()
    return {item.id: item for item in found}


def summary_of_item(connection: Connection, artist: Artist, item_id: UUID) -> UUID | None:
    """Return the summary that an item of the artist uses now, if any.

    Raises:
        UnknownItemError: the artist has no such item.
    """
    row = connection.execute(
        "select als_summary_id from training_items where id = %s and artist_id = %s", [item_id, artist.id]
    ).fetchone()
    if row is None:
        raise UnknownItemError(f"item {item_id}: {artist.slug} has none of this id; look the id up again")
    summary_id: UUID | None = row["als_summary_id"]
    return summary_id


def item_of_summary(connection: Connection, summary_id: UUID) -> UUID | None:
    """Return the item that uses this summary now; none of those that the dashboard saved with audio of their own."""
    return items_of_summaries(connection, [summary_id]).get(summary_id)


def items_of_summaries(connection: Connection, summary_ids: Sequence[UUID]) -> dict[UUID, UUID]:
    """Return by summary what `item_of_summary` does, where there is such an item."""
    rows = connection.execute(
        "select distinct on (als_summary_id) als_summary_id, id from training_items where als_summary_id = any(%s) "
        "and (item_key is not null or audio_path is null) "
        "order by als_summary_id, item_key is null, created_at, id",
        [list(summary_ids)],
    )
    return {row["als_summary_id"]: row["id"] for row in rows}


def ensure_items(connection: Connection, artist_id: UUID, items: Sequence[NewItem]) -> dict[str, UUID]:
    """Return the items of these keys, each made if there is none; they use the given summaries from now on.

    Args:
        connection: in a transaction.
        artist_id: whose items they are.
        items: each key once.
    """
    rows = connection.execute(
        f"""
        insert into training_items
          (artist_id, als_summary_id, parse_id, als_filename, project_name, item_key, status, created_at)
        select %(artist_id)s, w.summary_id, w.parse_id, w.als_filename, w.project_name, w.item_key, 'needs_audio',
          {AT_ITS_PLACE}
        from unnest({arrays(_NEW_ITEM)}) with ordinality as w ({", ".join(_NEW_ITEM)}, place)
        order by w.place
        on conflict (artist_id, item_key) do update
          set als_summary_id = excluded.als_summary_id, parse_id = excluded.parse_id,
          als_filename = excluded.als_filename, project_name = excluded.project_name, updated_at = now()
        returning item_key, id""",
        {**columns_of(items, _NEW_ITEM), "artist_id": artist_id},
    )
    return {row["item_key"]: row["id"] for row in rows}


def adopt_summaries(connection: Connection, artist_id: UUID) -> int:
    """Make an item for every summary that has none (rows of before the pipeline); of several of one set, the newest.

    A summary whose set has an item already is an older version of it and gets none.
    """
    return connection.execute(
        r"""
        insert into training_items (artist_id, als_summary_id, parse_id, als_filename, project_name, item_key, status)
        select distinct on (item_key) artist_id, id, parse_id, als_filename, project_name, item_key, 'needs_audio'
        from (
          select s.*, normalize(coalesce(nullif(project_name, ''), stem) || '/' || stem, NFC) as item_key
          from (select *, regexp_replace(als_filename, '\.[^.]*$', '') as stem from als_summaries
                where artist_id = %(artist)s) s
        ) k
        where not exists (select from training_items t where t.artist_id = k.artist_id and t.als_summary_id = k.id)
          and not exists (select from training_items t where t.artist_id = k.artist_id and t.item_key = k.item_key)
        order by item_key, parse_timestamp desc, id
        on conflict (artist_id, item_key) do nothing""",
        {"artist": artist_id},
    ).rowcount


def set_audio(connection: Connection, given: Sequence[tuple[Item, Audio]]) -> set[UUID]:
    """Give items their audio and the statuses that follow from it.

    Returns the ids of those that have it: not where an item's audio is not the one seen.

    Args:
        connection: in a transaction.
        given: items as they were seen, each once, with their new audio.
    """
    rows = connection.execute(
        f"""
        update training_items set audio_path = w.path, audio_hash = w.hash, audio_format = w.format,
          audio_duration_seconds = w.seconds, updated_at = now(), status = {_WITH_AUDIO},
          error = {_WITHOUT_AUDIO_ERROR},
          audio_findings = array(select jsonb_array_elements_text(w.findings::jsonb))
        from unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::float8[], %s::text[], %s::text[], %s::text[])
          as w (item, path, hash, format, seconds, findings, seen_hash, seen_path)
        where id = w.item and audio_hash is not distinct from w.seen_hash
          and audio_path is not distinct from w.seen_path
        returning id""",
        [
            [item.id for item, _ in given],
            [audio.path for _, audio in given],
            [audio.sha256 for _, audio in given],
            [audio.format for _, audio in given],
            [float(audio.duration_seconds) for _, audio in given],
            [json.dumps(audio.findings) for _, audio in given],  # PostgreSQL's arrays hold no rows of unequal length
            [item.audio_hash for item, _ in given],
            [item.audio_path for item, _ in given],
        ],
    )
    return {row["id"] for row in rows}


def describe_audio(connection: Connection, item: Item, audio: Audio) -> bool:
    """Record what audio is that was in its place before; an item that was exported stays so."""
    return (
        connection.execute(
            "update training_items set audio_hash = %s, audio_format = %s, audio_duration_seconds = %s, "
            "audio_findings = %s, updated_at = now() where id = %s and audio_path = %s and audio_hash is null",
            [audio.sha256, audio.format, audio.duration_seconds, list(audio.findings), item.id, audio.path],
        ).rowcount
        == 1
    )


def findings_of(connection: Connection, item: UUID) -> list[str]:
    """Return what was found in an item's audio, one line each; nothing where there is no such item."""
    row = connection.execute("select audio_findings from training_items where id = %s", [item]).fetchone()
    return [] if row is None else list(row["audio_findings"])


def note_findings(connection: Connection, item: UUID, audio_hash: str, findings: list[str]) -> None:
    """Record what was found in audio that was taken in before anybody looked for such things."""
    connection.execute(
        "update training_items set audio_findings = %s where id = %s and audio_hash = %s and audio_findings = '{}'",
        [findings, item, audio_hash],
    )


def fail_audio(connection: Connection, item: Item, reason: str) -> bool:
    """Mark an item as failed for its audio's sake."""
    return (
        connection.execute(
            "update training_items set status = 'failed', error = %s, updated_at = now() "
            "where id = %s and status = %s and audio_path is not distinct from %s "
            "and audio_hash is not distinct from %s",
            [AUDIO_ERROR + reason, item.id, item.status, item.audio_path, item.audio_hash],
        ).rowcount
        == 1
    )


def settle_statuses(connection: Connection, artist_id: UUID, with_audio: list[UUID]) -> int:
    """Move items to where what they have puts them; `with_audio` are those whose audio was seen in its place.

    A failure that is not the audio's stays; whoever recorded it takes it back. What calls itself ready without a text
    waits for one. Gives how many were moved.
    """
    moved = connection.execute(
        f"update training_items set status = {_WITH_AUDIO}, updated_at = now(), error = {_WITHOUT_AUDIO_ERROR} "
        "where artist_id = %s and excluded_at is null and audio_hash is not null and id = any(%s) and ("
        f"status = 'needs_audio' or (status = 'needs_prompt' and {_HAS_TEXT}) "
        f"or (status in ('ready', 'exported') and not {_HAS_TEXT}) "
        "or (status = 'failed' and starts_with(error, %s)))",
        [artist_id, with_audio, AUDIO_ERROR],
    ).rowcount
    return (
        moved
        + connection.execute(
            "update training_items set status = 'needs_audio', updated_at = now() where artist_id = %s "
            "and excluded_at is null and audio_path is null and status in ('needs_prompt', 'ready', 'exported')",
            [artist_id],
        ).rowcount
    )


def set_prompt_files(connection: Connection, written: Sequence[tuple[Item, str, str]]) -> set[UUID]:
    """Record that files hold items' texts; of each the item as it was seen, the path, and the SHA-256 of the text.

    Returns the ids of those that it was recorded of: not where the text is not the one seen.
    """
    rows = connection.execute(
        "update training_items set prompt_path = w.path, prompt_file_hash = w.hash, updated_at = now() "
        "from unnest(%s::uuid[], %s::text[], %s::text[], %s::text[]) as w (item, path, hash, text) "
        "where id = w.item and prompt_text = w.text returning id",
        [
            [item.id for item, _, _ in written],
            [path for _, path, _ in written],
            [text_hash for _, _, text_hash in written],
            [item.prompt_text for item, _, _ in written],
        ],
    )
    return {row["id"] for row in rows}


def items_with_saved_texts(connection: Connection, artist_id: UUID) -> list[Item]:
    """Items whose text somebody else saved as a file, and not in the row."""
    with connection.cursor(row_factory=class_row(Item)) as cursor:
        return cursor.execute(
            f"select {_COLUMNS} from training_items where artist_id = %s and prompt_text is null and prompt_id is null "
            "and prompt_path is not null and prompt_file_hash is null order by created_at, id",
            [artist_id],
        ).fetchall()


def import_text(connection: Connection, item: Item, text: str) -> bool:
    """Give an item the text that its file holds. False where it has one by now."""
    told = connection.execute(
        "select system_prompt_version, model_name, generated_at from training_items where id = %s and "
        "prompt_text is null and prompt_id is null and prompt_path = %s and prompt_file_hash is null for update",
        [item.id, item.prompt_path],
    ).fetchone()
    if told is None:
        return False
    connection.execute("update training_items set prompt_text = %s, updated_at = now() where id = %s", [text, item.id])
    # A new text clears what was told of the one before, and is of now; this one came when the item did, and is the one
    # that it was told of.
    connection.execute(
        "update training_items set prompt_text_at = created_at, system_prompt_version = %s, model_name = %s, "
        "generated_at = %s where id = %s",
        [told["system_prompt_version"], told["model_name"], told["generated_at"], item.id],
    )
    return True


def keep_former_text(connection: Connection, artist_id: UUID, item: Item, fingerprint: str, text: str) -> None:
    """Keep a person's text, that another one of the same item replaced, in the history of prompts."""
    connection.execute(
        "insert into prompts (artist_id, als_summary_id, fingerprint, origin, text) "
        "values (%s, (select als_summary_id from training_items where id = %s), %s, 'human', %s) "
        "on conflict (artist_id, fingerprint) do nothing",
        [artist_id, item.id, fingerprint, text],
    )


def undescribed_items(connection: Connection, artist_id: UUID) -> list[Item]:
    """Items that call themselves ready, with audio that nobody has looked at yet."""
    with connection.cursor(row_factory=class_row(Item)) as cursor:
        return cursor.execute(
            f"select {_COLUMNS} from training_items where artist_id = %s and {UNDESCRIBED} order by created_at, id",
            [artist_id],
        ).fetchall()


def counts_by_status(connection: Connection, artist_id: UUID) -> dict[str, int]:
    """Count the items of each status; excluded ones are counted as `excluded`."""
    rows = connection.execute(
        "select case when excluded_at is null then status else 'excluded' end as status, count(*) as n "
        "from training_items where artist_id = %s group by 1 order by 1",
        [artist_id],
    )
    return {row["status"]: row["n"] for row in rows}
