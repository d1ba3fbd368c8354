"""What is trained on: every segment that can be heard, with its caption; and the hash that decides a training. Pure."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dawa_assets.segments.prepared_dataset import PreparedDataset
from dawa_assets.tables.alignments import BounceTimeline
from dawa_assets.tables.datasets import Dataset, TrainingTrack
from dawa_assets.tables.segment_tags import TagKey
from modal_app.audio.recipe import recipe_for
from modal_app.config import BackendKind
from modal_app.protocol.audio import PreparedAudio
from modal_app.protocol.training import Example, MusicalFacts, TrackTimeline, TrainRequest
from modal_app.training.caption_rule import RULE, bpm_in, caption_parts, key_in
from modal_app.training.crops import Stretch, stretches_of
from modal_app.training.recipes import PLANNING_FRAMES, Plan, plan_training
from resources.settings import Settings

_NOT_DECISIVE: dict[str, bool | set[str]] = {
    "run_id": True,  # names of the run and of its occasion
    "dataset_fingerprint": True,
    "parameters": {"licence_accepted", "recipe", "milestones"},  # what they say, not who said it, nor what else is kept
}


@dataclass(frozen=True)
class Examples:
    """Examples in the order of the view, and how many segments were left out or have no tags."""

    examples: list[Example]
    silent: int = 0
    untagged: int = 0
    seconds: float = 0.0
    """Of audio, all examples together."""
    stretches: Sequence[Stretch] = ()
    """What they are together, to plan crops by."""
    timelines: Sequence[TrackTimeline] = ()
    """Of the tracks that are aligned with their Live Sets."""


def make_examples(
    prepared: PreparedDataset,
    texts: dict[TagKey, str],
    heard: Mapping[str, PreparedAudio],
    *,
    trigger_word: str | None = None,
) -> Examples:
    """Return the examples of a dataset. Silent segments are left out.

    One without tags is captioned by its prompt alone.

    `heard`: each track's segments as the generator hears them, by the hash of its audio. They are cut at the same times
    as those that were tagged; a last one that only one of the two has (by a sample or so) is left out.
    """
    examples: list[Example] = []
    silent, untagged, seconds = 0, 0, 0.0
    for part, segment in prepared.segments():
        audio = heard.get(part.audio.audio_hash)
        if audio is None or segment.index >= len(audio.segments):
            continue
        if segment.silent or audio.segments[segment.index].silent:
            silent += 1
            continue
        seconds += audio.seconds_of(segment.index)
        text = texts.get((segment.sha256, part.hint))
        facts = part.facts[segment.index]
        untagged += text is None
        examples.append(
            Example(
                audio_hash=part.audio.audio_hash,
                index=segment.index,
                sha256=audio.segments[segment.index].sha256,
                song=part.track.song,
                parts=caption_parts(
                    part.track.prompt_text,
                    text,
                    part.bpm,
                    key=part.track.key,
                    trigger_word=trigger_word,
                    facts=facts,
                ),
                gain_db=audio.segments[segment.index].gain_db,
                bpm=part.bpm or bpm_in(part.track.prompt_text),
                musical_key=part.track.key or key_in(text),
                time_signature=(facts.time_signature if facts else None) or part.track.time_signature,
                sections=facts.sections if facts else (),
            )
        )
    timelines = [_timeline(part.audio.audio_hash, part.bounce) for part in prepared.tracks if part.bounce is not None]
    downbeats = {track.audio_hash: track.timeline.bars for track in timelines}
    stretches = stretches_of(examples, heard, downbeats, PLANNING_FRAMES)
    return Examples(examples, silent, untagged, seconds, stretches, timelines)


def _timeline(audio_hash: str, bounce: BounceTimeline) -> TrackTimeline:
    """Return what of a track's timeline decides what is heard and told: neither its version nor the names of tracks."""
    layers = [layer.model_copy(update={"track": ""}) for layer in bounce.timeline.layers]
    plain = bounce.timeline.model_copy(update={"version": "", "layers": layers})
    return TrackTimeline(audio_hash=audio_hash, timeline=plain)


def facts_of(track: TrainingTrack) -> MusicalFacts:
    """Return what its Live Set, or its prompt, says of a track."""
    return MusicalFacts(
        bpm=track.bpm or bpm_in(track.prompt_text), musical_key=track.key, time_signature=track.time_signature
    )


def plan_for(settings: Settings, examples: Examples) -> Plan:
    """Return what a training of these examples is.

    Raises:
        InputError: the settings name no recipe.
    """
    return plan_training(
        settings.asked_training,
        BackendKind(settings.backend),
        settings.base,
        examples.seconds,
        examples.seconds / max(1, len(examples.examples)),
        examples.stretches,
    )


def train_request(
    settings: Settings, slug: str, dataset: Dataset, examples: Examples, plan: Plan, run_id: str
) -> TrainRequest:
    """Return what is asked of the worker; `plan` is that of these examples."""
    return TrainRequest(
        run_id=run_id,
        producer_id=slug,
        model_name=settings.model_name,
        backend=BackendKind(settings.backend),
        base=settings.base,
        dataset_fingerprint=dataset.fingerprint,
        recipe=recipe_for(BackendKind(settings.backend)).name,
        caption_rule=RULE,
        parameters=plan.parameters,
        examples=examples.examples,
        timelines=list(examples.timelines) if plan.parameters.clip_seconds else [],
    )


def fingerprint_of(request: TrainRequest) -> str:
    """Return SHA-256 of everything that decides the adapter: examples, backend, base, parameters, and whose it is."""
    return hashlib.sha256(request.model_dump_json(exclude=_NOT_DECISIVE).encode()).hexdigest()
