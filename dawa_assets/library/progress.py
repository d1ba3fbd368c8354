"""How an artist's work stands at a glance, cheap enough to be asked every second; and whether lists changed."""

from dataclasses import dataclass

from dawa_assets.tables.artists import Artist
from dawa_assets.tables.leases import UnderWay, steps_under_way
from dawa_assets.tables.library_sets import artists_seen_by
from resources.database.base import Database


@dataclass(frozen=True)
class Progress:
    """`version` changes with whatever lists show; `badges` count Live Sets, the other counts items."""

    version: str
    ready: int
    exported: int
    total: int
    badges: dict[str, int]
    running: list[UnderWay]


_VERSION = """
select md5(concat_ws('|',
  (select concat(count(*), max(updated_at)) from training_items where artist_id = %(artist)s),
  (select concat(count(*), max(created_at), count(source_key)) from als_summaries where artist_id = %(artist)s),
  (select concat(count(*), max(updated_at)) from uploads where artist_id = %(artist)s),
  (select concat(count(*), max(coalesce(finished_at, created_at)), count(pruned_at))
   from datasets where artist_id = %(artist)s),
  (select string_agg(concat(id, state, promoted, candidate_at), ',' order by id)
   from training_runs where artist_id = %(artist)s),
  (select concat(count(*), max(created_at), max(decided_at)) from lora_evaluations where artist_id = %(artist)s),
  (select concat(count(*), max(published_at)) from lora_promotions where artist_id = %(artist)s),
  (select updated_at::text from artist_profiles where artist_id = %(artist)s),
  (select count(*) from listens where artist_id = %(artist)s),
  (select concat(count(*), md5(string_agg(parts::text, ',' order by id)))
   from renderings where artist_id = %(artist)s)
)) as version,
  (select count(*) from training_items where artist_id = %(artist)s and excluded_at is null and status = 'ready')
    as ready,
  (select count(*) from training_items where artist_id = %(artist)s and excluded_at is null and status = 'exported')
    as exported,
  (select count(*) from training_items where artist_id = %(artist)s and excluded_at is null) as total
"""


def progress_of(database: Database, artist: Artist, before: Progress | None = None) -> Progress:
    """How it stands now; what `before` has of the same version is not counted again."""
    with database.transaction() as connection:
        row = connection.execute(_VERSION, {"artist": artist.id}).fetchone()
        assert row is not None  # noqa: S101 - a select without a table has a row
        running = steps_under_way(connection, artist.id)
        if before is not None and before.version == row["version"]:
            badges = before.badges
        else:
            badges = next((line.badges for line in artists_seen_by(connection, None, artist.id)), {})
    return Progress(badges=badges, running=running, **row)
