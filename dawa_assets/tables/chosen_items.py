"""SQL of which item stands for its audio: identical audio is in a dataset once, with the text that counts.

A person's text counts before a model's, and a later one before an earlier one. The other items are *superseded*: they
keep their files, text and status, and everybody who asks is told by which item.
"""

from dataclasses import dataclass
from uuid import UUID

from dawa_assets.tables.item_findings import BLOCKED_ITEMS
from resources.database.base import Connection

_COUNTS_AS_READY = "status in ('ready', 'exported') and excluded_at is null"
_IS_WHOLE = r"""(audio_path is not null and audio_hash is not null and audio_format is not null
    and coalesce(prompt_text, '') ~ '\S')"""
WHOLE_SET = f"{_COUNTS_AS_READY} and {_IS_WHOLE} and id not in {BLOCKED_ITEMS}"
"""Of `training_items`: what could be in the artist's next dataset; what a finding blocks can't."""

_IS_A_PERSONS = """(prompt_id is null or exists (
      select from prompts p where p.id = prompt_id and p.origin = 'human' and p.given_back_at is null))"""

# Of equal moments (rows that came in one transaction), the pipeline's own item, then the newest.
PLACE_OF_ITS_AUDIO = f"""row_number() over (
    partition by artist_id, audio_hash
    order by {_IS_A_PERSONS} desc, prompt_text_at desc nulls last, item_key is null, created_at desc nulls last, id)"""
"""Of `training_items` in the whole set: 1 for the item that stands for its audio."""

_NO_AUDIO = "says that it is ready and has no audio; upload its bounce"
_NO_TEXT = "says that it is ready and has no text; write one"

# Many pairs may be saved of one set, so its name alone would not tell them apart.
_NAME = "case when item_key is null then concat_ws(' ', als_filename, id::text) else item_key end"

_SUPERSEDED = f"""
  with belonging as (
    select id, artist_id, status, audio_hash, created_at, {_IS_A_PERSONS} as is_a_persons,
      {PLACE_OF_ITS_AUDIO} as place, {_NAME} as name
    from training_items
    where (%(artist)s::uuid is null or artist_id = %(artist)s)
      and (%(hash)s::text is null or audio_hash = %(hash)s) and {WHOLE_SET}
  )
  select again.artist_id, again.id, again.name as item, again.status, first.id as by_id, first.name as by,
    first.is_a_persons and not again.is_a_persons as by_a_person
  from belonging again join belonging first on first.audio_hash = again.audio_hash and first.place = 1
    and first.artist_id = again.artist_id
  where again.place > 1 order by again.created_at, again.id
"""


@dataclass(frozen=True)
class Superseded:
    """An item that is in no dataset because another one (`by`) has the same audio and the text that counts."""

    id: UUID
    item: str
    status: str
    by_id: UUID
    by: str
    by_a_person: bool
    """Whether a person's text took the place of a model's; otherwise a later one that of an earlier one."""

    @property
    def reason(self) -> str:
        """Why it is left out, as the end of a sentence that begins with its name."""
        why = "a person wrote" if self.by_a_person else "is the later one"
        return f"has the same audio as {self.by}, whose text {why}; that one is in the dataset"


def superseded_items(connection: Connection, artist_id: UUID, audio_hash: str | None = None) -> list[Superseded]:
    """Return the artist's superseded items, oldest first; with `audio_hash`, those with that audio."""
    return superseded_by_artist(connection, artist_id, audio_hash).get(artist_id, [])


def superseded_by_artist(
    connection: Connection, artist_id: UUID | None = None, audio_hash: str | None = None
) -> dict[UUID, list[Superseded]]:
    """Return the same of every artist who has any, or of one."""
    found: dict[UUID, list[Superseded]] = {}
    for row in connection.execute(_SUPERSEDED, {"artist": artist_id, "hash": audio_hash}):
        found.setdefault(row.pop("artist_id"), []).append(Superseded(**row))
    return found


def incomplete_items(connection: Connection, artist_id: UUID) -> list[tuple[str, str]]:
    """Items that call themselves ready, as somebody else wrote them, and lack what a dataset needs; (name, reason)."""
    return incomplete_by_artist(connection, artist_id).get(artist_id, [])


def incomplete_by_artist(connection: Connection, artist_id: UUID | None = None) -> dict[UUID, list[tuple[str, str]]]:
    """Return the same of every artist who has any, or of one."""
    found: dict[UUID, list[tuple[str, str]]] = {}
    for row in connection.execute(
        f"select artist_id, {_NAME} as name, audio_path is null as is_mute from training_items "
        "where (%(artist)s::uuid is null or artist_id = %(artist)s) "
        f"and {_COUNTS_AS_READY} and not {_IS_WHOLE} order by created_at, id",
        {"artist": artist_id},
    ):
        found.setdefault(row["artist_id"], []).append((row["name"], _NO_AUDIO if row["is_mute"] else _NO_TEXT))
    return found
