"""Partitions: one per artist, keyed by slug. What changed inside an artist is the domain's business."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import dagster as dg

from resources.database.base import Database

NAME = "artist"
artists = dg.DynamicPartitionsDefinition(name=NAME)

AT_ONCE = 5_000
"""How many artists become partitions in one tick; a first tick in a large database leaves the rest to the next."""

_OVERLAP = timedelta(minutes=10)  # deletions are on record in the order of their beginnings, not of their commits
_CHUNK = 500  # of one statement: SQLite takes only so many values


def add_new_artists(instance: dg.DagsterInstance, database: Database, known: int) -> int:
    """Make artists partitions whose number is above `known`, at most `AT_ONCE`; returns the highest number known now.

    The number is a sensor's cursor: a lost one is 0, and adding a partition that is there changes nothing. One that is
    higher than any artist's was kept for another database, and counts as lost.
    """
    from dawa_assets.tables.artists import highest_number, numbered_after

    with database.transaction() as connection:
        if known > highest_number(connection):
            known = 0
        new = numbered_after(connection, known, AT_ONCE)
    ensure_partitions(instance, [slug for slug, _ in new])
    return new[-1][1] if new else known


def ensure_partitions(instance: dg.DagsterInstance, slugs: Sequence[str]) -> None:
    """Make sure that these artists are partitions; costs what is asked for, not what there is."""
    for start in range(0, len(slugs), _CHUNK):
        instance.add_dynamic_partitions(NAME, list(slugs[start : start + _CHUNK]))


def drop_deleted_partitions(
    instance: dg.DagsterInstance, database: Database, known: datetime | None
) -> datetime | None:
    """Take artists out whose deletion ended since `known`, wherever it was asked for; when the last of them ended.

    Whoever deletes an artist may not reach this instance, and a tick that saw them just before may have put them back.
    """
    from dawa_assets.tables.artist_deletions import deleted_after

    with database.transaction() as connection:
        gone = deleted_after(connection, known and known - _OVERLAP, AT_ONCE)
    for slug, _ in gone:
        forget_partition(instance, slug)
    return max([*([known] if known else []), *(ended for _, ended in gone)], default=None)


def forget_partition(instance: dg.DagsterInstance, slug: str) -> bool:
    """Take an artist out; whether they were in. The history of their runs is `forgetting.py`'s."""
    if not instance.has_dynamic_partition(NAME, slug):
        return False
    instance.delete_dynamic_partition(NAME, slug)
    return True
