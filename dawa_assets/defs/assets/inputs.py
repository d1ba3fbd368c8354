"""What comes from outside: Live Sets and bounces (uploads), and artists' profiles (observed, not made here)."""

from collections.abc import Sequence

import dagster as dg

from dawa_assets.defs.inputs import observed_versions
from dawa_assets.defs.partitions import artists
from dawa_assets.defs.preview_features import accepted_as_new
from dawa_assets.defs.resources import Pipeline
from dawa_assets.defs.step import OWNERS
from dawa_assets.tables.artists import get_artist, list_artists
from dawa_assets.tables.content_versions import PROFILES, content_version
from resources.settings import Settings


def assets(_settings: Settings) -> Sequence[dg.AssetSpec | dg.SourceAsset]:
    """Return the assets of this module."""
    return [live_sets, bounces, artist_profiles]


live_sets = dg.AssetSpec(
    "live_sets",
    description="Ableton Live Sets (.als, Live 8 to 12), as artists upload them to `inbox/{slug}/`.",
    group_name="uploads",
    kinds={"ableton"},
    owners=OWNERS,
    partitions_def=artists,
)

bounces = dg.AssetSpec(
    "bounces",
    description="Rendered audio of those sets (.mp3, .wav, .flac …), uploaded beside them or later.",
    group_name="uploads",
    kinds={"audio"},
    owners=OWNERS,
    partitions_def=artists,
)


with accepted_as_new():  # observable source assets

    @dg.observable_source_asset(
        partitions_def=artists,
        group_name="uploads",
        description="The artists' master_schema: the style words and limits that prompts are written with. Observed: "
        "its version is that of what prompts use, so a refreshed `provenance` changes nothing.",
        tags={"dagster/kind/postgres": "", "dagster/kind/json": ""},
    )
    def artist_profiles(context: dg.OpExecutionContext, pipeline: Pipeline) -> dg.DataVersionsByPartition:
        """The version of the run's artist, or of every artist whose profile is another one than was last observed."""
        database = pipeline.ports().database
        with database.transaction() as connection:
            if context.has_partition_key:
                found = [get_artist(connection, context.partition_key)]
            else:
                found = list_artists(connection)
            versions = {artist.slug: content_version(connection, artist.id, PROFILES) for artist in found}
        known = {} if context.has_partition_key else observed_versions(context.instance)
        changed = {slug: version for slug, version in versions.items() if known.get(slug) != version}
        with accepted_as_new():
            return dg.DataVersionsByPartition(changed)
