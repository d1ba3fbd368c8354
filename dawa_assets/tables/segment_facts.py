"""SQL of segments' facts: what the Live Set of an aligned bounce knows of each, as it was last used."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from psycopg.types.json import Jsonb

from dawa_assets.tables.current_datasets import CURRENT_ITEMS
from dawa_assets.tables.names import track_name
from modal_app.protocol.song_timeline import SpanFacts
from resources.database.base import Connection


@dataclass(frozen=True)
class SegmentFacts:
    """One segment of the current dataset and its facts."""

    track: str
    index: int
    facts: SpanFacts


def keep_facts(
    connection: Connection, artist_id: UUID, parse_id: str, audio_hash: str, facts: Sequence[SpanFacts | None]
) -> None:
    """Make these the facts of a bounce's segments, in their order; None where none are known."""
    known = [(index, each) for index, each in enumerate(facts) if each is not None]
    connection.execute(
        "delete from segment_facts where artist_id = %s and parse_id = %s and audio_hash = %s and index <> all(%s)",
        [artist_id, parse_id, audio_hash, [index for index, _ in known]],
    )
    connection.execute(
        """
        insert into segment_facts as known (artist_id, parse_id, audio_hash, index, version, facts)
        select %s, %s, %s, * from unnest(%s::int[], %s::text[], %s::jsonb[])
        on conflict (artist_id, parse_id, audio_hash, index) do update
          set version = excluded.version, facts = excluded.facts
          where known.version <> excluded.version or known.facts <> excluded.facts
        """,
        [
            artist_id,
            parse_id,
            audio_hash,
            [index for index, _ in known],
            [each.version for _, each in known],
            [Jsonb(each.model_dump(mode="json")) for _, each in known],
        ],
    )


def facts_of_dataset(connection: Connection, artist_id: UUID, limit: int) -> list[SegmentFacts]:
    """Return the facts of the first segments of the artist's current dataset, in the order of the view."""
    rows = connection.execute(
        f"""
        select {track_name("i")} as track, f.index, f.facts
        from {CURRENT_ITEMS} i
        left join training_items t on t.id = i.training_item_id
        join als_summaries s on s.id = coalesce(t.als_summary_id, i.als_summary_id)
        join segment_facts f on f.artist_id = s.artist_id and f.parse_id = s.parse_id and f.audio_hash = i.audio_hash
        order by i.position, f.index limit %(limit)s
        """,
        {"artist": artist_id, "limit": limit},
    )
    return [SegmentFacts(row["track"], row["index"], SpanFacts.model_validate(row["facts"])) for row in rows]
