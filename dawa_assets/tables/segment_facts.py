"""SQL of segments' facts: what the Live Set of an aligned bounce knows of each, as it was last used."""

from collections.abc import Sequence
from uuid import UUID

from psycopg.types.json import Jsonb

from modal_app.protocol.song_timeline import SpanFacts
from resources.database.base import Connection


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
