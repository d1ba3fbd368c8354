"""SQL of findings: what the quality gate says of items, and what people accepted of it.

A finding that blocks keeps its item out of the next dataset until it is accepted, or gone. An acceptance holds for one
item, one kind of finding and one audio.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from psycopg.rows import class_row

from dawa_assets.tables.columns import arrays, columns_of
from dawa_assets.tables.names import item_name
from resources.database.base import Connection

Level = Literal["blocks", "warns"]

_ACCEPTS_IT = """(a.training_item_id = f.training_item_id and a.kind = f.kind and a.audio_hash = f.audio_hash
    and a.withdrawn_at is null)"""
IS_OPEN = f"not exists (select from item_acceptances a where {_ACCEPTS_IT})"
"""Of `item_findings f`: nobody accepted it."""
IS_BLOCKING = f"(f.level = 'blocks' and {IS_OPEN})"
"""The same, of those for whose sake an item waits."""
BLOCKED_ITEMS = f"(select f.training_item_id from item_findings f where {IS_BLOCKING})"
"""Ids of `training_items` that wait because of a finding that nobody accepted."""


@dataclass(frozen=True)
class Finding:
    """What is to be said of an item's audio: how bad it is, by which number, in a sentence, and what to do."""

    item_id: UUID
    audio_hash: str
    kind: str
    level: Level
    number: float | None
    sentence: str
    way_out: str
    subject: str = ""


@dataclass(frozen=True)
class ShownFinding:
    """A finding with its item's name, and by whom and why it was accepted, where it was."""

    item_id: UUID
    item: str
    kind: str
    level: Level
    number: float | None
    sentence: str
    way_out: str
    found_at: datetime
    accepted_at: datetime | None
    accepted_by: str
    accepted_reason: str

    @property
    def blocks(self) -> bool:
        """Whether its item waits because of it."""
        return self.level == "blocks" and self.accepted_at is None

    @property
    def standing(self) -> Literal["blocks", "warns", "accepted"]:
        """What it comes to now."""
        return self.level if self.accepted_at is None else "accepted"

    @property
    def line(self) -> str:
        """The finding on one line, with what to do."""
        if self.accepted_at is not None:
            return f"{self.kind}, accepted by {self.accepted_by}: {self.sentence}; {self.accepted_reason}"
        return f"{self.kind}, {self.level}: {self.sentence}; {self.way_out}"


@dataclass(frozen=True)
class JudgedItem:
    """An item with what was measured of its audio, as far as the rules need it."""

    id: UUID
    name: str
    audio_hash: str
    is_exported: bool
    is_persons: bool
    """Whether a person wrote its text."""
    created_at: datetime
    measured: dict[str, Any]
    answer: str | None
    """Of its alignment; None where it was not compared with its set."""
    answer_confidence: float | None
    answer_reason: str | None
    accepted: list[str]
    """Kinds of findings that a person accepted for this audio."""
    audio_format: str | None = None


_FINDING_COLUMNS = {
    "item_id": "uuid",
    "audio_hash": "text",
    "kind": "text",
    "level": "text",
    "number": "float8",
    "sentence": "text",
    "way_out": "text",
    "subject": "text",
}


def judged_items(connection: Connection, artist_id: UUID, version: str) -> list[JudgedItem]:
    """Return the artist's items that are not excluded and whose audio this version has measured, oldest first."""
    with connection.cursor(row_factory=class_row(JudgedItem)) as cursor:
        return cursor.execute(
            f"""
            select t.id, {item_name("t")} as name, t.audio_hash, t.status = 'exported' as is_exported,
              t.prompt_text is not null and (t.prompt_id is null or exists (
                select from prompts p where p.id = t.prompt_id and p.origin = 'human' and p.given_back_at is null))
                as is_persons,
              coalesce(t.created_at, 'epoch') as created_at, m.measured, a.answer, a.confidence as answer_confidence,
              a.reasons[1] as answer_reason,
              coalesce((select array_agg(c.kind) from item_acceptances c where c.training_item_id = t.id
                and c.audio_hash = t.audio_hash and c.withdrawn_at is null), '{{}}') as accepted, t.audio_format
            from training_items t
            join audio_measurements m on m.artist_id = t.artist_id and m.audio_hash = t.audio_hash
            left join als_summaries s on s.id = t.als_summary_id and s.artist_id = t.artist_id
            left join alignments a on a.artist_id = t.artist_id and a.parse_id = s.parse_id
              and a.audio_hash = t.audio_hash
            where t.artist_id = %s and t.excluded_at is null and m.version = %s order by t.created_at, t.id
            """,
            [artist_id, version],
        ).fetchall()


def lock_findings(connection: Connection, artist_id: UUID) -> None:
    """Let nobody else replace the artist's findings until the transaction ends."""
    connection.execute("select pg_advisory_xact_lock(hashtextextended('findings ' || %s::text, 0))", [artist_id])


def replace_findings(connection: Connection, artist_id: UUID, version: str, findings: Sequence[Finding]) -> None:
    """Make these the artist's findings. What stays as it was keeps its moment."""
    each_once = list({(each.item_id, each.kind, each.subject): each for each in findings}.values())
    columns = columns_of(each_once, _FINDING_COLUMNS)
    connection.execute(
        "delete from item_findings f where artist_id = %(artist)s and not exists (select from "
        "unnest(%(item_id)s::uuid[], %(kind)s::text[], %(subject)s::text[]) as w (item, kind, subject) "
        "where (w.item, w.kind, w.subject) = (f.training_item_id, f.kind, f.subject))",
        {**columns, "artist": artist_id},
    )
    if not each_once:
        return
    connection.execute(
        f"""
        insert into item_findings as f (artist_id, training_item_id, kind, subject, audio_hash, level, number,
          sentence, way_out, version)
        select %(artist)s, t.id, w.kind, w.subject, w.audio_hash, w.level, w.number, w.sentence, w.way_out, %(version)s
        from unnest({arrays(_FINDING_COLUMNS)}) as w ({", ".join(_FINDING_COLUMNS)})
        join training_items t on t.id = w.item_id and t.artist_id = %(artist)s
        on conflict (training_item_id, kind, subject) do update set audio_hash = excluded.audio_hash,
          level = excluded.level, number = excluded.number, sentence = excluded.sentence,
          way_out = excluded.way_out, version = excluded.version, found_at = now()
        where (f.audio_hash, f.level, f.number, f.sentence, f.way_out, f.version) is distinct from
          (excluded.audio_hash, excluded.level, excluded.number, excluded.sentence, excluded.way_out,
           excluded.version)
        """,
        {**columns, "artist": artist_id, "version": version},
    )


def shown_findings(
    connection: Connection, artist_id: UUID | None = None, items: Sequence[UUID] | None = None
) -> list[ShownFinding]:
    """Return findings of items that are not excluded, what blocks first; of one artist, or of these items alone."""
    with connection.cursor(row_factory=class_row(ShownFinding)) as cursor:
        return cursor.execute(
            f"""
            select f.training_item_id as item_id, {item_name("t")} as item, f.kind, f.level, f.number, f.sentence,
              f.way_out, f.found_at, a.at as accepted_at, coalesce(a.author, '') as accepted_by,
              coalesce(a.reason, '') as accepted_reason
            from item_findings f join training_items t on t.id = f.training_item_id
            left join item_acceptances a on {_ACCEPTS_IT}
            where t.excluded_at is null and (%(artist)s::uuid is null or f.artist_id = %(artist)s)
              and (%(items)s::uuid[] is null or f.training_item_id = any(%(items)s))
            order by t.created_at, t.id, f.level, f.kind, f.subject
            """,
            {"artist": artist_id, "items": None if items is None else list(items)},
        ).fetchall()


def accept_finding(connection: Connection, item: UUID, kind: str, reason: str, author: str) -> bool:
    """Record that a person accepts what was found of an item's present audio; False where that is so already."""
    return (
        connection.execute(
            """
            insert into item_acceptances (artist_id, training_item_id, audio_hash, kind, reason, author)
            select distinct f.artist_id, f.training_item_id, f.audio_hash, f.kind, %s, %s from item_findings f
            where f.training_item_id = %s and f.kind = %s
            on conflict (training_item_id, audio_hash, kind) where withdrawn_at is null do nothing
            """,
            [reason, author, item, kind],
        ).rowcount
        > 0
    )


def withdraw_acceptance(connection: Connection, item: UUID, kind: str) -> bool:
    """Record that what was accepted of an item is so no longer; False where nothing was."""
    return (
        connection.execute(
            "update item_acceptances set withdrawn_at = now() where training_item_id = %s and kind = %s "
            "and withdrawn_at is null",
            [item, kind],
        ).rowcount
        > 0
    )
