"""A text held against the rules while it is being written: each rule, whether it is kept, why not. Stores nothing."""

from dataclasses import dataclass
from uuid import UUID

from dawa_assets.errors import UnknownLiveSetError
from dawa_assets.prompting.edit import why_no_caption
from dawa_assets.prompting.profile_facts import read_profile
from dawa_assets.prompting.rules import bpm_line, rule_names, rules_for
from dawa_assets.prompting.summary_facts import tempo_of
from dawa_assets.tables import prompts
from dawa_assets.tables.artist_profiles import observed_profile
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.training_items import summary_of_item
from dawa_assets.tables.uploads import find_summary
from resources.database.base import Connection, Database

_ANY_TEMPO = 120.0
_OF_THE_TEMPO = "ends-with-bpm"


@dataclass(frozen=True)
class RuleCheck:
    """One rule; the reason is empty where it is kept."""

    name: str
    reason: str


@dataclass(frozen=True)
class TextCheck:
    """All rules in order; `refusal` is why the text could not be saved at all, `bpm_line` how it must end."""

    rules: list[RuleCheck]
    refusal: str | None
    bpm_line: str | None


def check_text(
    database: Database, artist: Artist, text: str, *, parse_id: str | None = None, item_id: UUID | None = None
) -> TextCheck:
    """Hold a text against the rules of a set or an item of the artist; with neither, no tempo is asked for.

    Raises:
        UnknownLiveSetError: the artist has no such set.
        UnknownItemError: the artist has no such item.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    with database.transaction() as connection:
        profile = read_profile(observed_profile(connection, artist.id).master_schema)
        summary_id = _summary(connection, artist, parse_id, item_id)
        tempos = {} if summary_id is None else prompts.tempos(connection, artist.id, [summary_id])
    tempo = tempo_of(tempos.get(summary_id) if summary_id else None)
    rules = rules_for(profile, _ANY_TEMPO if tempo is None else tempo, artist_name=artist.name)
    broken = dict(line.partition(": ")[::2] for line in rules.broken(text))
    if tempo is None:
        broken.pop(_OF_THE_TEMPO, None)
    lines = [f"{name}: {reason}" for name, reason in broken.items()]
    return TextCheck(
        rules=[RuleCheck(name, broken.get(name, "")) for name in rule_names()],
        refusal=why_no_caption(text, lines) if text else "is empty",
        bpm_line=None if tempo is None else bpm_line(tempo),
    )


def _summary(connection: Connection, artist: Artist, parse_id: str | None, item_id: UUID | None) -> UUID | None:
    if parse_id is not None:
        found = find_summary(connection, artist.id, parse_id)
        if found is None:
            raise UnknownLiveSetError(f"parse {parse_id[:40]!r}: {artist.slug} has no such Live Set; upload it first")
        return found.id
    return None if item_id is None else summary_of_item(connection, artist, item_id)
