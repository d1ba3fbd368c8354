"""Events of what comes from outside: Live Sets, bounces and profiles, written when they changed and only then.

They are written before a run that uses them begins: what it makes would look outdated to Dagster at once, if what it
was made from were told of later.
"""

from collections.abc import Iterable, Iterator, Mapping

import dagster as dg

from dawa_assets.defs.metadata import moment, table
from dawa_assets.errors import UnknownArtistError
from dawa_assets.intake.arrivals import Arrivals, arrivals
from dawa_assets.pipeline.wording import counted
from dawa_assets.tables.artist_profiles import observed_profile
from dawa_assets.tables.artists import get_artist
from dawa_assets.tables.content_versions import PROFILES, content_version
from dawa_assets.tables.uploads import Kind
from resources.ports import Ports

VERSION = "dagster/data_version"

_UPLOADS = {"live_sets": (Kind.LIVE_SET, "Live Set"), "bounces": (Kind.AUDIO, "bounce")}
_PROFILES = "artist_profiles"
_MAX_JSON = 20_000  # characters of a profile that a page shows

Event = dg.AssetMaterialization | dg.AssetObservation


def report_inputs(instance: dg.DagsterInstance, ports: Ports, slugs: Iterable[str]) -> None:
    """Write an event for each input of these artists that is another one than was last written.

    An artist who is not there (any more) has none.
    """
    for slug in slugs:
        try:
            events = [*_uploads(ports, slug), *_profile(ports, slug)]
        except UnknownArtistError:
            continue
        for event in events:
            if (event.tags or {})[VERSION] != _last_version(instance, event, slug):
                instance.report_runless_asset_event(event)


def observed_versions(instance: dg.DagsterInstance) -> Mapping[str, str]:
    """Return the version of each artist's profile that was observed last, by slug."""
    latest = instance.event_log_storage.get_latest_tags_by_partition(
        dg.AssetKey(_PROFILES), dg.DagsterEventType.ASSET_OBSERVATION, [VERSION]
    )
    return {slug: tags[VERSION] for slug, tags in latest.items() if VERSION in tags}


def _uploads(ports: Ports, slug: str) -> Iterator[Event]:
    found = arrivals(ports, slug)
    for asset, (kind, name) in _UPLOADS.items():
        if kind in found:
            shown = _shown(found[kind], name)
            yield dg.AssetMaterialization(asset, partition=slug, metadata=shown, tags={VERSION: found[kind].version})


def _shown(found: Arrivals, name: str) -> dict[str, dg.MetadataValue]:
    rows = [
        {"file": one.name, "folder": one.folder, "bytes": one.size_bytes, "since (UTC)": moment(one.at)}
        for one in found.latest
    ]
    headline = f"{counted(found.files, name)}, the latest {found.latest[0].name}"
    return {
        "headline": dg.MetadataValue.text(headline),
        "latest": table(rows, of=found.files),
        "files (number)": dg.MetadataValue.int(found.files),
        "size, bytes": dg.MetadataValue.int(found.size_bytes),
    }


def _profile(ports: Ports, slug: str) -> Iterator[Event]:
    with ports.database.transaction() as connection:
        artist = get_artist(connection, slug)
        version = content_version(connection, artist.id, PROFILES)
        profile = observed_profile(connection, artist.id)
    if version == "empty":
        return
    shown: dict[str, dg.MetadataValue] = {
        "headline": dg.MetadataValue.text(f"profile of {artist.name}, schema version {profile.schema_version or '-'}")
    }
    if isinstance(profile.master_schema, dict) and len(repr(profile.master_schema)) <= _MAX_JSON:
        shown["profile"] = dg.MetadataValue.json(profile.master_schema)
    yield dg.AssetObservation(_PROFILES, partition=slug, metadata=shown, tags={VERSION: version})


def _last_version(instance: dg.DagsterInstance, event: Event, slug: str) -> str | None:
    kind = (
        dg.DagsterEventType.ASSET_MATERIALIZATION
        if isinstance(event, dg.AssetMaterialization)
        else dg.DagsterEventType.ASSET_OBSERVATION
    )
    latest = instance.event_log_storage.get_latest_tags_by_partition(event.asset_key, kind, [VERSION], [slug])
    return latest.get(slug, {}).get(VERSION)
