"""From training items to tagged segments: the dataset's zip, 15-second segments, and a text for each."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg

from dawa_assets.defs.metadata import files, schema, table
from dawa_assets.defs.page_files import MAX_SOUNDS, Sound, drawn_pictures, sounds
from dawa_assets.defs.partitions import artists
from dawa_assets.defs.policies.pools import tagger_pool
from dawa_assets.defs.resources import Pipeline
from dawa_assets.defs.step import OWNERS, Made, Shown, run_step
from dawa_assets.pipeline.wording import minutes
from dawa_assets.tables.artists import get_artist
from modal_app.errors import UnreachableError
from resources.ports import Ports
from resources.settings import Settings

if TYPE_CHECKING:
    from dawa_assets.datasets.build import DatasetReport
    from dawa_assets.segments.prepare import SegmentsReport
    from dawa_assets.segments.tag import TagsReport

_MAX_REASONS = 5  # reasons that get into one line
_MAX_WORDS = 24


def assets(settings: Settings) -> Sequence[dg.AssetsDefinition]:
    """Return the assets of this module."""
    return [dataset_zip, preprocessed_segments, segment_tags(settings)]


@dg.asset(
    partitions_def=artists,
    deps=["training_items"],
    group_name="dataset",
    kinds={"python", "postgres"},
    owners=OWNERS,
    code_version="1",
    metadata=schema(
        "datasets",
        made_by="dawa_assets.datasets.build.build_dataset",
        fingerprint="string: what is in it: the same content is the same dataset",
        storage_path="string: its zip, in the bucket",
        item_count="int: how many tracks it has",
        sha256="string: of the zip",
    ),
)
def dataset_zip(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult[None]:
    """The artist's whole dataset as `dataset/track-0001.*` and `.txt` in one zip, with a manifest beside it.

    Byte-identical for identical content; unchanged content makes no new zip. With no ready item there is no dataset,
    and that is said.
    """
    from dawa_assets.datasets.build import build_dataset

    return run_step(context, pipeline.ports(), build_dataset, _archive, without=["storage_path", "manifest_path"])


def _archive(made: "Made[DatasetReport]") -> Shown:
    report = made.report
    if report.storage_path is None:
        return {}
    sizes: dict[str, int | None] = {report.storage_path: report.size_bytes}
    if report.manifest_path is not None:
        sizes[report.manifest_path] = None
    return {"zip and manifest": files(sizes, made.ports.settings.serve_url)}


@dg.asset(
    partitions_def=artists,
    deps=["dataset_zip"],
    group_name="dataset",
    kinds={"python", "audio"},
    owners=OWNERS,
    code_version="1",
    metadata=schema(
        "audio_segments",
        made_by="dawa_assets.segments.prepare.prepare_segments",
        audio_hash="string: SHA-256 of the track that it is cut from",
        index="int: its number in the track, from 0",
        start_seconds="float: where it begins in the track",
        gain_db="float: by how much it was made louder to reach −1 dBFS",
    ),
)
def preprocessed_segments(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult[None]:
    """The dataset's audio as segments of 15 s, 44.1 kHz, mono, −1 dBFS, in the worker's write-once cache.

    Only audio that is not in the cache is worked on. A file that can't be decoded fails its item alone.
    """
    return run_step(context, pipeline.ports(), _segmented, _drawn)


def _segmented(ports: Ports, slug: str) -> "SegmentsReport":
    """The report, unless a passing trouble left tracks out: then the step fails by it, not by a check that asks why."""
    from dawa_assets.observability.assets import consistency_of
    from dawa_assets.segments.prepare import prepare_segments

    report = prepare_segments(ports, slug)
    if report.failed and consistency_of(ports, slug, "preprocessed_segments").problems:
        raise UnreachableError("; ".join(reason for _, reason in report.failed[:_MAX_REASONS]))
    return report


def _drawn(made: "Made[SegmentsReport]") -> Shown:
    from dawa_assets.plots import segment_plots

    shown: Shown = {}
    if (request := segment_plots.plan_pictures(made.ports, made.slug)) is not None:
        names = {title: f"segments-{title}" for title in segment_plots.TITLES}
        shown = drawn_pictures(
            made.ports, made.slug, names, request.name, lambda: segment_plots.draw_segments(made.ports, request)
        )
    return shown | sounds(made.ports, made.slug, _loudest(made))


def _loudest(made: "Made[SegmentsReport]") -> list[Sound]:
    """Return the loudest segment of the first tracks, as a part of the track."""
    from dawa_assets.tables.audio_segments import segmented_tracks
    from modal_app.audio.recipe import MONO44

    with made.ports.database.transaction() as connection:
        artist = get_artist(connection, made.slug)
        tracks = segmented_tracks(connection, artist.id, MAX_SOUNDS)
    return [
        Sound(
            track.name,
            track.audio_path,
            f"its loudest segment, from {minutes(track.loudest_at)}",
            (track.loudest_at, track.loudest_at + MONO44.seconds),
        )
        for track in tracks
        if track.audio_path is not None
    ]


def segment_tags(settings: Settings) -> dg.AssetsDefinition:
    """Define the tags: who tags decides which pool a run takes a place in."""

    @dg.asset(
        partitions_def=artists,
        deps=["preprocessed_segments"],
        group_name="dataset",
        kinds={"python", "postgres"},
        owners=OWNERS,
        pool=tagger_pool(settings),
        code_version="1",
        metadata=schema(
            "segment_tags",
            made_by="dawa_assets.segments.tag.tag_segments",
            segment_hash="string: SHA-256 of the segment",
            model="string: who listened",
            text="string: its words, with commas between",
            figures="json: what was measured",
        ),
    )
    def segment_tags(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult[None]:
        """A text for every segment: tempo, key when sure, energy, density, brightness, bass, percussion, loudness.

        Only segments that were never tagged with the same known facts are listened to.
        """
        from dawa_assets.segments.tag import tag_segments

        return run_step(context, pipeline.ports(), tag_segments, _tag_histogram)

    return segment_tags


def _tag_histogram(made: "Made[TagsReport]") -> Shown:
    from dawa_assets.plots import tag_histogram
    from dawa_assets.segments.tagger import tagger_of
    from dawa_assets.tables.segment_tags import common_words

    with made.ports.database.transaction() as connection:
        artist = get_artist(connection, made.slug)
        words = common_words(connection, artist.id, tagger_of(made.ports.settings), _MAX_WORDS)
    if not words:
        return {}
    rows = [{"tag": word.tag, "word": word.word, "segments": word.segments} for word in words]
    title = "commonest words"
    drawn = drawn_pictures(
        made.ports,
        made.slug,
        {title: "segment-tags"},
        f"{tag_histogram.DRAWING} {words}",
        lambda: {title: tag_histogram.draw_words(words)},
    )
    return {**drawn, "words": table(rows)}
