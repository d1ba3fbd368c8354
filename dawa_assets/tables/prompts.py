"""SQL of prompts: what items have and should have, each change guarded by what was seen.

A guarded update that finds something else changes nothing and says so: somebody else (a person in the dashboard, the
intake) was quicker, and the item is looked at again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from dawa_assets.tables.names import item_name
from modal_app.hosted_models.metered_requests import Usage
from resources.database.base import Connection

PROMPT_ERROR = "prompt: "
"""Begins every error that is recorded here: what mends the prompt takes it back, nothing else may."""


@dataclass(frozen=True)
class Item:
    """A training item as far as its prompt is concerned, with the row of the prompt it has."""

    id: UUID
    name: str
    status: str
    error: str | None
    parse_id: str
    als_summary_id: UUID | None
    prompt_summary_id: UUID | None
    prompt_id: UUID | None
    prompt_text: str | None
    fingerprint: str | None
    origin: str | None
    text: str | None
    system_prompt_version: str | None
    schema_version: str | None
    profile_hash: str | None
    model_name: str | None
    prompt_of_summary_id: UUID | None
    prompt_take: int
    prompt_of_take: int | None
    given_back: bool


@dataclass(frozen=True)
class Prompt:
    """A row of `prompts`, as items take it over."""

    id: UUID
    fingerprint: str
    text: str
    system_prompt_version: str | None
    model_name: str | None
    served_model: str | None
    created_at: datetime

    @property
    def written_by(self) -> str | None:
        """The model that wrote it, whichever was asked."""
        return self.served_model or self.model_name


@dataclass(frozen=True)
class NewPrompt:
    """A model's text and all that is recorded of it."""

    artist_id: UUID
    als_summary_id: UUID
    fingerprint: str
    text: str
    system_prompt_version: str
    schema_version: str
    profile_hash: str
    model_name: str
    used: Usage
    duration_ms: int
    provenance: Mapping[str, str | int]
    take: int = 0
    served_model: str | None = None
    """Who wrote it, where that is another model than `model_name`, which was asked."""


_PROMPT = "id, fingerprint, text, system_prompt_version, model_name, served_model, created_at"

# An item leaves `needs_prompt`, and `failed` if it was the prompt that failed; what was exported with another text is
# ready anew; what waits for audio goes on waiting. Errors of other steps stay.
_MOVED = """
  status = case
    when status = 'needs_prompt' or (status = 'failed' and starts_with(coalesce(error, ''), %(ours)s))
      then case when audio_path is null then 'needs_audio' else 'ready' end
    when status = 'exported' and prompt_text is distinct from %(text)s then 'ready'
    else status end,
  error = case when starts_with(coalesce(error, ''), %(ours)s) then null else error end,
  prompt_summary_id = als_summary_id, updated_at = now()"""
_SELECT_ITEMS = f"""
  select i.id, {item_name("i")} as name, i.status, i.error, i.parse_id,
    i.als_summary_id, i.prompt_summary_id, i.prompt_id, i.prompt_text, p.fingerprint, p.origin, p.text,
    p.system_prompt_version, p.schema_version, p.profile_hash, p.model_name, p.als_summary_id as prompt_of_summary_id,
    i.prompt_take, p.take as prompt_of_take, p.given_back_at is not null as given_back
  from training_items i left join prompts p on p.id = i.prompt_id"""
_AS_SEEN = """
  id = %(id)s and als_summary_id is not distinct from %(summary)s and prompt_id is not distinct from %(prompt)s
  and prompt_text is not distinct from %(seen_text)s and excluded_at is null"""


def items_with_prompts(connection: Connection, artist_id: UUID) -> list[Item]:
    """Items that can have a prompt or have one: not excluded, with a summary or with a text."""
    with connection.cursor(row_factory=class_row(Item)) as cursor:
        return cursor.execute(
            f"{_SELECT_ITEMS} where i.artist_id = %s and i.excluded_at is null "
            "and (i.als_summary_id is not null or i.prompt_text is not null) order by i.created_at, i.id",
            [artist_id],
        ).fetchall()


def locked_item(connection: Connection, item_id: UUID) -> Item | None:
    """Return one item that is not excluded, as it is now and stays until the transaction ends."""
    with connection.cursor(row_factory=class_row(Item)) as cursor:
        return cursor.execute(
            f"{_SELECT_ITEMS} where i.id = %s and i.excluded_at is null for update of i", [item_id]
        ).fetchone()


def summary_texts(connection: Connection, artist_id: UUID, ids: list[UUID]) -> dict[UUID, str]:
    """Summaries as JSON text, by id; only the artist's own."""
    rows = connection.execute(
        "select id, summary::text as text from als_summaries where artist_id = %s and id = any(%s)", [artist_id, ids]
    )
    return {row["id"]: row["text"] for row in rows}


def take_of(connection: Connection, artist_id: UUID, summary_id: UUID) -> int:
    """Return which take of the question about this summary its items are at; 0 unless somebody wanted another text."""
    row = connection.execute(
        "select coalesce(max(prompt_take), 0) as take from training_items "
        "where artist_id = %s and als_summary_id = %s and excluded_at is null",
        [artist_id, summary_id],
    ).fetchone()
    assert row is not None  # noqa: S101 - an aggregate has a row
    return int(row["take"])


def tempos(connection: Connection, artist_id: UUID, ids: list[UUID]) -> dict[UUID, Any]:
    """Return what summaries say of their tempo, by id; only the artist's own."""
    rows = connection.execute(
        "select id, summary -> 'overview' -> 'tempo' as tempo from als_summaries where artist_id = %s and id = any(%s)",
        [artist_id, ids],
    )
    return {row["id"]: row["tempo"] for row in rows}


def prompts_of(connection: Connection, artist_id: UUID, fingerprints: list[str]) -> dict[str, Prompt]:
    """Return the artist's prompts with these fingerprints."""
    with connection.cursor(row_factory=class_row(Prompt)) as cursor:
        rows = cursor.execute(
            f"select {_PROMPT} from prompts where artist_id = %s and fingerprint = any(%s)", [artist_id, fingerprints]
        ).fetchall()
    return {row.fingerprint: row for row in rows}


def save_prompts(connection: Connection, new: Sequence[NewPrompt]) -> list[Prompt]:
    """Store texts; where one of the same fingerprint is there already, that one stays and is given back.

    All at once, which takes one exchange with the server; the rows come in the order of the texts.
    """
    if not new:
        return []
    with connection.cursor(row_factory=class_row(Prompt)) as cursor:
        cursor.executemany(
            "insert into prompts (artist_id, als_summary_id, fingerprint, origin, text, system_prompt_version, "
            "schema_version, profile_hash, model_name, input_tokens, output_tokens, cost_usd, duration_ms, "
            "provenance, take, served_model) values (%s, (select id from als_summaries where id = %s), %s, 'model', "
            "%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict (artist_id, fingerprint) "
            f"do update set fingerprint = excluded.fingerprint returning {_PROMPT}",
            [_values(each) for each in new],
            returning=True,
        )
        return [row for result in cursor.results() for row in result]


def give_prompts(connection: Connection, given: Sequence[tuple[Item, Prompt]]) -> list[bool]:
    """Make each prompt its item's, all at once; of each, False where the item is not as it was seen."""
    if not given:
        return []
    with connection.cursor() as cursor:
        cursor.executemany(
            "update training_items set prompt_id = %(new)s, prompt_text = %(text)s, "
            "system_prompt_version = %(version)s, model_name = %(model)s, generated_at = %(written)s, "
            f"{_MOVED} where {_AS_SEEN}",
            [
                _seen(item)
                | {
                    "new": prompt.id,
                    "text": prompt.text,
                    "version": prompt.system_prompt_version,
                    "model": prompt.written_by,
                    "written": prompt.created_at,
                }
                for item, prompt in given
            ],
            returning=True,
        )
        return [result.rowcount == 1 for result in cursor.results()]


def keep_human_text(connection: Connection, artist_id: UUID, item: Item, fingerprint: str) -> bool:
    """Record the item's text as a person's. False where the item is not as it was seen."""
    connection.execute("select from training_items where id = %s for update", [item.id])  # as an edit does, item first
    new = save_human_text(connection, artist_id, item, fingerprint, item.prompt_text or "")
    # An exported item whose text was edited since went out with another one.
    text = item.text if item.prompt_id is not None else item.prompt_text
    kept = _one(
        connection,
        f"update training_items set prompt_id = %(new)s, {_MOVED} where {_AS_SEEN}",
        _seen(item) | {"new": new, "text": text},
    )
    if kept:
        _keep_for_good(connection, new)
    return kept


def save_human_text(
    connection: Connection, artist_id: UUID, item: Item, fingerprint: str, text: str, author: str | None = None
) -> UUID:
    """Store a text that a person wrote for the item, for its history at least; who wrote the same before stays."""
    row = connection.execute(
        "insert into prompts (artist_id, als_summary_id, fingerprint, origin, text, author, created_at) "
        "values (%(artist)s, (select id from als_summaries where id = %(summary)s and artist_id = %(artist)s), "
        "%(fingerprint)s, 'human', %(text)s, %(author)s, clock_timestamp()) on conflict (artist_id, fingerprint) "
        "do update set author = coalesce(prompts.author, excluded.author) returning id",
        {
            "artist": artist_id,
            "summary": item.als_summary_id,
            "fingerprint": fingerprint,
            "text": text,
            "author": author,
        },
    ).fetchone()
    assert row is not None  # noqa: S101 - an upsert returns its row
    return UUID(str(row["id"]))


def give_human_text(connection: Connection, item: Item, prompt_id: UUID, text: str) -> bool:
    """Make a person's text the item's prompt. False where the item is not as it was seen."""
    _keep_for_good(connection, prompt_id)
    return _one(
        connection,
        "update training_items set prompt_id = %(new)s, prompt_text = %(text)s, system_prompt_version = null, "
        f"model_name = null, generated_at = now(), prompt_text_at = clock_timestamp(), {_MOVED} where {_AS_SEEN}",
        _seen(item) | {"new": prompt_id, "text": text},
    )


def give_back(connection: Connection, item: Item) -> None:
    """Let the model replace the person's text that the item has; it stays in use until then."""
    connection.execute("update prompts set given_back_at = now() where id = %s", [item.prompt_id])
    ask_again(connection, item)


def ask_again(connection: Connection, item: Item, *, more_takes: int = 0) -> None:
    """Make the item's prompt due, with `more_takes` for another text than the one that its inputs gave before."""
    connection.execute(
        "update training_items set prompt_take = prompt_take + %s, prompt_summary_id = null, updated_at = now() "
        "where id = %s",
        [more_takes, item.id],
    )


def _keep_for_good(connection: Connection, prompt_id: UUID) -> None:
    """A person's text that was given back once and is a person's choice again is not the model's to replace."""
    connection.execute(
        "update prompts set given_back_at = null where id = %s and given_back_at is not null", [prompt_id]
    )


def settle(connection: Connection, item: Item) -> bool:
    """Record that the prompt an item has is current for its summary. False where the item is not as it was seen."""
    return _one(
        connection,
        f"update training_items set {_MOVED} where {_AS_SEEN}",
        _seen(item) | {"text": item.prompt_text},
    )


def fail(connection: Connection, item: Item, reason: str, *, for_good: bool) -> bool:
    """Record why an item has no new prompt; with `for_good`, it is not asked for until its summary or profile changes.

    An item that has an older prompt keeps it and its status: an outage of the writer must not shrink the dataset.
    """
    return _one(
        connection,
        "update training_items set error = %(error)s, updated_at = now(), "
        "status = case when status = 'needs_prompt' and coalesce(prompt_text, '') = '' then 'failed' else status end, "
        "prompt_summary_id = case when %(for_good)s then als_summary_id else prompt_summary_id end "
        f"where {_AS_SEEN} and status = %(status)s and (error is null or starts_with(error, %(ours)s))",
        _seen(item) | {"error": PROMPT_ERROR + reason, "for_good": for_good, "status": item.status},
    )


def begin_rewriting(
    connection: Connection, artist_id: UUID, *, profile_hash: str, schema_version: str, version: str, model_name: str
) -> None:
    """Forget what the artist's prompts were complete for, if it is anything else: from now on they are a mixture."""
    connection.execute(
        "delete from artist_prompt_state where artist_id = %s "
        "and (profile_hash, schema_version, system_prompt_version, model_name) is distinct from (%s, %s, %s, %s)",
        [artist_id, profile_hash, schema_version, version, model_name],
    )


def complete(
    connection: Connection, artist_id: UUID, *, profile_hash: str, schema_version: str, version: str, model_name: str
) -> None:
    """Record what the artist's prompts are complete for now. Excluded items are to be looked at if they come back."""
    connection.execute(
        "insert into artist_prompt_state as s "
        "(artist_id, profile_hash, schema_version, system_prompt_version, model_name) values (%s, %s, %s, %s, %s) "
        "on conflict (artist_id) do update set profile_hash = excluded.profile_hash, "
        "schema_version = excluded.schema_version, system_prompt_version = excluded.system_prompt_version, "
        "model_name = excluded.model_name, completed_at = now() "
        "where (s.profile_hash, s.schema_version, s.system_prompt_version, s.model_name) is distinct from "
        "(excluded.profile_hash, excluded.schema_version, excluded.system_prompt_version, excluded.model_name)",
        [artist_id, profile_hash, schema_version, version, model_name],
    )
    connection.execute(
        "update training_items set prompt_summary_id = null "
        "where artist_id = %s and excluded_at is not null and prompt_summary_id is not null",
        [artist_id],
    )


def _values(new: NewPrompt) -> list[object]:
    return [
        new.artist_id,
        new.als_summary_id,
        new.fingerprint,
        new.text,
        new.system_prompt_version,
        new.schema_version,
        new.profile_hash,
        new.model_name,
        new.used.input_tokens,
        new.used.output_tokens,
        new.used.cost_usd,
        new.duration_ms,
        Jsonb(dict(new.provenance)),
        new.take,
        new.served_model,
    ]


def _seen(item: Item) -> dict[str, Any]:
    return {
        "id": item.id,
        "summary": item.als_summary_id,
        "prompt": item.prompt_id,
        "seen_text": item.prompt_text,
        "ours": PROMPT_ERROR,
    }


def _one(connection: Connection, query: str, values: dict[str, Any]) -> bool:
    return connection.execute(query, values).rowcount == 1
