"""Partitions: one per artist, keyed by slug. What changed inside an artist is the domain's business."""

import dagster as dg

from resources.database import Database

artists = dg.DynamicPartitionsDefinition(name="artist")


def add_missing_artists(instance: dg.DagsterInstance, database: Database) -> list[str]:
    """Make every artist in the database a partition; returns the slugs that were added, sorted."""
    from dawa_assets.artists.store import list_artists

    with database.transaction() as connection:
        slugs = [artist.slug for artist in list_artists(connection)]
    known = set(instance.get_dynamic_partitions("artist"))
    missing = [slug for slug in slugs if slug not in known]
    if missing:
        instance.add_dynamic_partitions("artist", missing)
    return missing
