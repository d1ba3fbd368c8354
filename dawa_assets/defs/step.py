"""What every asset does around its one domain call: resolve the artist, time it, report, turn errors into failures.

No domain logic here, and no Dagster in the domain.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import dagster as dg

from dawa_assets.defs.last_change import with_last_change
from dawa_assets.defs.metadata import MAX_ROWS, describe, label, table
from dawa_assets.defs.policies.outcomes import note_left
from dawa_assets.defs.policies.retries import failed
from dawa_assets.errors import UnknownArtistError
from dawa_assets.observability.assets import AssetDescription, description_of
from dawa_assets.pipeline.reports import PaidReport, Report
from dawa_assets.tables.artists import Artist, get_artist
from dawa_assets.tables.spending import spent_by_artist, spent_this_month
from modal_app.errors import DawaError
from resources.database.base import Connection
from resources.ports import Ports

log = logging.getLogger(__name__)

OWNERS = ["team:data-engineering"]

Shown = dict[str, dg.MetadataValue]
"""What is shown on a page, by its name there."""

R = TypeVar("R", bound=Report)


@dataclass(frozen=True)
class Made(Generic[R]):
    """What a step did for one artist, for what is shown of it beside the report's own fields."""

    ports: Ports
    slug: str
    report: R


def run_step(
    context: dg.AssetExecutionContext,
    ports: Ports,
    work: Callable[[Ports, str], R],
    show: Callable[[Made[R]], Shown] | None = None,
    *,
    without: Sequence[str] = (),
) -> dg.MaterializeResult[None]:
    """Run one domain function for the run's artist and report it as a materialisation.

    `show` gives what is to be looked at beside the report: pictures, links, texts. `without` names the report's fields
    that are told by it already.

    The project's own errors end the run as failures with their one line; what passes by waiting is tried again.
    """
    slug, asset = context.partition_key, context.asset_key.to_user_string()
    started = time.monotonic()
    try:
        report = work(ports, slug)
        seconds = round(time.monotonic() - started, 2)
        with ports.database.transaction() as connection:
            artist = get_artist(connection, slug)
            described = description_of(asset)
            version = described.content_version(connection, artist.id)
            now = described.rows.to_show(connection, artist.id, MAX_ROWS)
            figures = _figures(connection, artist, described, report)
    except UnknownArtistError as error:
        raise dg.Failure(
            f"{error} (a partition whose artist is gone can be deleted on this asset's page)", allow_retries=False
        ) from None
    except DawaError as error:
        raise failed(context, error) from error
    note_left(context.instance, context.run.run_id, asset, report)
    shown = _shown(show, Made(ports, slug, report)) if show else {}
    described_report = describe(report, without=[*without, "seconds"])
    metadata = {"headline": described_report.pop("headline"), **shown}
    if now:
        metadata["all there is now"] = table([{label(name): value for name, value in row.items()} for row in now])
    metadata |= {**described_report, "took, s": dg.MetadataValue.float(seconds), **figures}
    metadata["rows"] = dg.MetadataValue.md(f"```sql\n{described.rows.query(artist.id)}\n```")
    log.info("%s (%.1f s)", report.headline, seconds, extra={"step": asset})
    # In the result it would be stored with the step's output once more.
    context.add_asset_metadata(with_last_change(context, version, metadata))
    return dg.MaterializeResult(data_version=dg.DataVersion(version))


def _shown(show: Callable[[Made[R]], Shown], made: Made[R]) -> Shown:
    """Return what is to be looked at; that it can't be shown is said, and takes nothing from what was made."""
    try:
        return show(made)
    except Exception as error:  # whatever it is, the work is done
        reason = " ".join(str(error).split()) or type(error).__name__
        log.warning("%s: the page's pictures could not be made: %s", made.slug, reason)
        return {"not shown": dg.MetadataValue.text(f"the pictures could not be made: {reason}")}


def _figures(connection: Connection, artist: Artist, asset: AssetDescription, report: Report) -> Shown:
    """What grows over time beside what this run did: the artist's rows, and what models and GPUs cost this month."""
    figures: Shown = {"dagster/partition_row_count": dg.MetadataValue.int(asset.rows.count(connection, artist.id))}
    if isinstance(report, PaidReport):
        spent = {
            "artist's month, USD": spent_by_artist(connection, artist.id),
            "everybody's month, USD": spent_this_month(connection),
        }
        figures |= {name: dg.MetadataValue.float(round(usd, 6)) for name, usd in spent.items() if usd}
    return figures
