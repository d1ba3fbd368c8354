"""What every asset does around its one domain call: resolve the artist, time it, report, turn errors into failures.

No domain logic here, and no Dagster in the domain.
"""

import logging
import time
from collections.abc import Callable
from typing import Any

import dagster as dg

from dawa_assets.artists.store import get_artist
from dawa_assets.contents import contents
from dawa_assets.defs.metadata import MAX_ROWS, describe, picture, table
from dawa_assets.errors import BusyError, UnknownArtistError
from dawa_assets.versions import content_version
from modal_app.errors import DawaError
from resources.ports import Ports

log = logging.getLogger(__name__)

OWNERS = ["team:data-engineering"]


def run_step(
    context: dg.AssetExecutionContext,
    ports: Ports,
    work: Callable[[Ports, str], Any],
    pictures: Callable[[Ports, str, Any], dict[str, bytes]] | None = None,
) -> dg.MaterializeResult[None]:
    """Run one domain function for the run's artist and report it as a materialisation.

    The project's own errors end the run as failures with their one line and without a retry: a retry of the same
    input gives the same answer. A lease that somebody else holds is the exception.
    """
    slug, asset = context.partition_key, context.asset_key.to_user_string()
    started = time.monotonic()
    try:
        report = work(ports, slug)
        with ports.database.transaction() as connection:
            artist = get_artist(connection, slug)
            version = content_version(connection, artist.id, asset)
            now = contents(connection, artist.id, asset, MAX_ROWS)
        shown = pictures(ports, slug, report) if pictures else {}
    except UnknownArtistError as error:
        raise dg.Failure(
            f"{error} (a partition whose artist is gone can be deleted on this asset's page)", allow_retries=False
        ) from None
    except DawaError as error:
        raise dg.Failure(str(error), allow_retries=isinstance(error, BusyError)) from error
    seconds = round(time.monotonic() - started, 2)
    metadata = {**describe(report), "seconds": dg.MetadataValue.float(seconds)}
    if now:
        metadata["all there is now"] = table(now)
    for title, png in shown.items():
        metadata[title] = picture(png, title)
    log.info("%s (%.1f s)", report.headline, seconds, extra={"step": asset})
    return dg.MaterializeResult(metadata=metadata, data_version=dg.DataVersion(version))
