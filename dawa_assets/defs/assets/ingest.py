"""From uploads to training items: summaries of Live Sets, prompts, and pairs of audio and prompt."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg

from dawa_assets.defs.metadata import schema
from dawa_assets.defs.page_files import MAX_SOUNDS, Sound, sounds, stored_picture
from dawa_assets.defs.partitions import artists
from dawa_assets.defs.policies.pools import writer_pool
from dawa_assets.defs.resources import Pipeline
from dawa_assets.defs.step import OWNERS, Made, Shown, run_step
from dawa_assets.pipeline.wording import minutes
from resources.settings import Settings

if TYPE_CHECKING:
    from dawa_assets.intake.live_sets_report import LiveSetsReport
    from dawa_assets.items.update import ItemsReport
    from dawa_assets.prompting.refresh import PromptsReport

_PICTURES = 3


def assets(settings: Settings) -> Sequence[dg.AssetsDefinition]:
    """Return the assets of this module."""
    return [als_summaries, prompts(settings), training_items]


@dg.asset(
    partitions_def=artists,
    deps=["live_sets"],
    group_name="ingest",
    kinds={"python", "ableton", "postgres"},
    owners=OWNERS,
    code_version="1",
    metadata=schema(
        "als_summaries",
        made_by="dawa_assets.intake.live_sets.take_in_live_sets",
        parse_id="string: the set by its bytes: the same file is the same set",
        als_filename="string: the name of its file",
        project_name="string: the folder it was uploaded in",
        summary="json: tempo, tracks, plugins, samples and arrangement",
    ),
)
def als_summaries(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult[None]:
    """Live Sets taken in from the inbox: tempo, tracks, plugins, samples, arrangement; with a picture of the timeline.

    A set that can't be read is rejected with its reason and the others go on. The same bytes twice are one summary.
    Nothing in the inbox: nothing happens, and that is said.
    """
    from dawa_assets.intake.live_sets import take_in_live_sets

    return run_step(context, pipeline.ports(), take_in_live_sets, _timelines)


def _timelines(made: "Made[LiveSetsReport]") -> Shown:
    from dawa_assets.tables.uploads import latest_timelines

    shown: Shown = {}
    with made.ports.database.transaction() as connection:
        keys = latest_timelines(connection, made.slug, _PICTURES)
    for name, key in keys:
        shown |= stored_picture(made.ports, made.slug, key, f"timeline of {name}")
    return shown


def prompts(settings: Settings) -> dg.AssetsDefinition:
    """Define the prompts: who writes them decides which pool a run takes a place in."""

    @dg.asset(
        partitions_def=artists,
        deps=["als_summaries", "artist_profiles"],
        group_name="ingest",
        kinds={"python", "postgres"},
        owners=OWNERS,
        pool=writer_pool(settings),
        code_version="1",
        metadata=schema(
            "prompts",
            made_by="dawa_assets.prompting.refresh.refresh_prompts",
            fingerprint="string: what it was written from: profile, summary, writer and rules",
            origin="string: `model`, or `human` where a person wrote it",
            text="string: one or two sentences, and the BPM",
            model_name="string: the model that wrote it",
        ),
    )
    def prompts(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult[None]:
        """One prompt per set: one or two dense sentences and the BPM, from the artist's profile and the set's summary.

        Only stale prompts are written: missing ones, and those whose inputs, writer or system prompt changed. What a
        person wrote stays. A prompt that can't be written fails its item alone.
        """
        from dawa_assets.prompting.refresh import refresh_prompts

        return run_step(context, pipeline.ports(), refresh_prompts, _rewritten, without=["examples"])

    return prompts


def _rewritten(made: "Made[PromptsReport]") -> Shown:
    from dawa_assets.defs.text_diff import before_and_after

    return {"before and after": before_and_after(made.report.examples)} if made.report.examples else {}


@dg.asset(
    partitions_def=artists,
    deps=["prompts", "bounces"],
    group_name="ingest",
    kinds={"python", "postgres", "audio"},
    owners=OWNERS,
    code_version="1",
    metadata=schema(
        "training_items",
        made_by="dawa_assets.items.update.update_training_items",
        id="uuid: its folder in the bucket has this name",
        status="string: `needs_audio`, `needs_prompt`, `ready`, `exported` or `failed`",
        audio_path="string: its bounce, in the bucket",
        prompt_text="string: the text it is trained with",
    ),
)
def training_items(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult[None]:
    """Pairs of audio and prompt: bounces are matched with their sets, `audio.*` and `prompt.txt` put in place.

    A bounce that fits no set, or more than one, waits with its reason; it is never guessed. One that can't be
    decoded is rejected alone.
    """
    from dawa_assets.items.update import update_training_items

    return run_step(context, pipeline.ports(), update_training_items, _bounces)


def _bounces(made: "Made[ItemsReport]") -> Shown:
    from dawa_assets.tables.library_items import latest_audio

    with made.ports.database.transaction() as connection:
        latest = latest_audio(connection, made.slug, MAX_SOUNDS)
    found = [Sound(item.name, item.audio_path, minutes(item.seconds or 0)) for item in latest]
    return sounds(made.ports, made.slug, found)
