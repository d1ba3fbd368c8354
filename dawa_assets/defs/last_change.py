"""What the last run that changed something told of it, carried along by the runs that change nothing.

A page shows the latest materialisation. A run that finds nothing to do makes one too, since Dagster takes an asset that
makes none for failed; without this, the page would have lost the texts and tables of what was done.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

import dagster as dg

from dawa_assets.defs.metadata import moment

_LABEL = "last change"
_VERSION = "dagster/data_version"
_DRAWN = "](data:image/"  # a picture in the event itself would be stored again with each run
_LOOKED_AT = dg.TableMetadataValue | dg.MarkdownMetadataValue | dg.UrlMetadataValue


def with_last_change(
    context: dg.AssetExecutionContext, version: str, metadata: Mapping[str, dg.MetadataValue]
) -> dict[str, dg.MetadataValue]:
    """Return the metadata of a run, with what the latest one beside told where this one has left the same version.

    That are tables, texts and links that this run has none of; figures are the run's own. A link leads to the run that
    changed something.
    """
    latest = context.instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=context.asset_key, asset_partitions=[context.partition_key]), limit=1
    ).records
    made = latest[0].asset_materialization if latest else None
    if made is None or (made.tags or {}).get(_VERSION) != version:
        return dict(metadata)
    earlier: dict[str, dg.MetadataValue] = {
        name: value
        for name, value in made.metadata.items()
        if name not in metadata and isinstance(value, _LOOKED_AT) and _DRAWN not in str(value.value)
    }
    at = moment(datetime.fromtimestamp(latest[0].timestamp, UTC))
    run = latest[0].run_id
    change = earlier.pop(_LABEL, dg.MetadataValue.md(f"[{at} UTC, run {run[:8]}](/runs/{run})"))
    rest = dict(metadata)
    headline, rows = rest.pop("headline"), rest.pop("rows")
    return {"headline": headline, _LABEL: change, **rest, **earlier, "rows": rows}
