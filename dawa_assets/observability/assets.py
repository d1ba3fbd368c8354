"""One description per asset, in the order of the chain: what its jobs, checks and page are made from.

How an asset is made is in `dawa_assets/defs/assets/`; each that is made there is described here, and no other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from dawa_assets.observability import consistency
from dawa_assets.observability.consistency import Consistency, Inspection
from dawa_assets.observability.doctor import tagger_health, writer_health
from dawa_assets.tables import asset_rows, backlog, content_versions
from dawa_assets.tables.artists import Artist, get_artist
from dawa_assets.tables.asset_rows import AssetRows
from dawa_assets.tables.backlog import OpenWork
from modal_app.protocol.tagging import ModelHealth
from resources.database.base import Connection
from resources.ports import Ports
from resources.settings import Settings

JobName = Literal["ingest_job", "prompts_job", "dataset_job", "training_job"]


@dataclass(frozen=True)
class AssetDescription:
    """What is known of an asset beside how it is made."""

    name: str
    jobs: Sequence[JobName]
    """Which jobs make it, beside `build_job`, which makes all, and `upload_job`: all but what a training makes."""
    holds: str
    """What its check states of it, as people read it."""
    check: Callable[[Inspection], Consistency]
    rows: AssetRows
    version: str
    """The query of its content, for `content_version`."""
    backlog: Sequence[OpenWork] = ()
    model: Callable[[Settings], ModelHealth] | None = None
    """How the model that makes it is looked at, where a hosted one can: it may be shut down."""

    def content_version(self, connection: Connection, artist_id: UUID) -> str:
        """Return what changes exactly when what it holds of this artist changes."""
        return content_versions.content_version(connection, artist_id, self.version)


ASSETS: Sequence[AssetDescription] = (
    AssetDescription(
        "als_summaries",
        jobs=["ingest_job"],
        holds="every summary has a tempo, and its files are in the bucket",
        check=consistency.check_summaries,
        rows=asset_rows.SUMMARIES,
        version=content_versions.SUMMARIES,
        backlog=[
            backlog.REJECTED_SETS,
            backlog.damaged_files(
                *("Live Set", "summary", "timeline", "rejected upload", "reason"), "als_summaries", "uploads"
            ),
            backlog.WAITING_SETS,
        ],
    ),
    AssetDescription(
        "prompts",
        jobs=["ingest_job", "prompts_job"],
        holds="every item whose set was parsed has a prompt, or a reason why not",
        check=consistency.check_prompts,
        rows=asset_rows.PROMPTS,
        version=content_versions.PROMPTS,
        backlog=[backlog.FAILED_PROMPTS, backlog.ITEMS_WITHOUT_PROMPT],
        model=writer_health,
    ),
    AssetDescription(
        "training_items",
        jobs=["ingest_job", "prompts_job"],
        holds="every item that is ready has its prompt and its audio in the bucket",
        check=consistency.check_items,
        rows=asset_rows.ITEMS,
        version=content_versions.ITEMS,
        backlog=[
            backlog.REJECTED_BOUNCES,
            backlog.UNMATCHED_BOUNCES,
            backlog.BOUNCES_ON_THEIR_WAY,
            backlog.FAILED_ITEMS,
            backlog.damaged_files("audio", "prompt", "training_items"),
            backlog.ITEMS_WITHOUT_BOUNCE,
        ],
    ),
    AssetDescription(
        "dataset_zip",
        jobs=["dataset_job"],
        holds="the current zip and its manifest are in the bucket, whole",
        check=consistency.check_dataset,
        rows=asset_rows.DATASETS,
        version=content_versions.DATASETS,
        backlog=[
            backlog.damaged_files("zip", "manifest", "datasets"),
            backlog.BLOCKED,
            backlog.ITEMS_IN_NO_DATASET,
            backlog.LEFT_OVER_ZIPS,
        ],
    ),
    AssetDescription(
        "preprocessed_segments",
        jobs=["dataset_job"],
        holds="every track of the dataset has its segments, without gaps",
        check=consistency.check_segments,
        rows=asset_rows.SEGMENTS,
        version=content_versions.SEGMENTS,
        backlog=[backlog.TRACKS_WITHOUT_SEGMENTS],
    ),
    AssetDescription(
        "segment_tags",
        jobs=["dataset_job"],
        holds="every segment has a text",
        check=consistency.check_tags,
        rows=asset_rows.TAGS,
        version=content_versions.TAGS,
        backlog=[backlog.SEGMENTS_WITHOUT_TAGS],
        model=tagger_health,
    ),
    AssetDescription(
        "lora_weights",
        jobs=["training_job"],
        holds="the candidate's adapter is in the bucket, its losses recorded and falling",
        check=consistency.check_lora,
        rows=asset_rows.TRAININGS,
        version=content_versions.TRAININGS,
        backlog=[
            backlog.FAILED_TRAININGS,
            backlog.TRAININGS_TO_APPROVE,
            backlog.damaged_files("adapter", "training_runs"),
            backlog.LORAS_OF_EARLIER_DATASETS,
        ],
    ),
    AssetDescription(
        "lora_evaluation",
        jobs=["training_job"],
        holds="the candidate was judged and is not broken, what it renders is kept, no promotion was left",
        check=consistency.check_evaluation,
        rows=asset_rows.EVALUATIONS,
        version=content_versions.EVALUATIONS,
        backlog=[
            backlog.damaged_files("evaluation"),
            backlog.UNJUDGED_LORAS,
            backlog.BROKEN_OFF_PROMOTIONS,
        ],
    ),
    AssetDescription(
        "lora_preview",
        jobs=["training_job"],
        holds="the published adapter has previews that hold sound",
        check=consistency.check_preview,
        rows=asset_rows.PUBLISHED,
        version=content_versions.PUBLISHED,
    ),
)


def description_of(name: str) -> AssetDescription:
    """Return the description of an asset.

    Raises:
        LookupError: there is none of this name.
    """
    for asset in ASSETS:
        if asset.name == name:
            return asset
    raise LookupError(f"asset {name!r} has no description in dawa_assets/observability/assets.py")


def consistency_of(ports: Ports, slug: str, asset: str) -> Consistency:
    """Check one asset of one artist.

    Raises:
        UnknownArtistError: there is no artist of this slug.
    """
    with ports.database.transaction() as connection:
        return check_asset(ports, connection, get_artist(connection, slug), asset)


def check_asset(ports: Ports, connection: Connection, artist: Artist, asset: str) -> Consistency:
    """Check one asset of one artist as this transaction sees it."""
    return description_of(asset).check(Inspection(ports, connection, artist))
