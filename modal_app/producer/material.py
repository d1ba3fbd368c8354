"""From a producer's files to what is trained on: segments, tags, captions, and the job's own view of them."""

from collections.abc import Callable
from dataclasses import dataclass

from modal_app.audio.prepare import prepare
from modal_app.audio.published_view import publish_as
from modal_app.audio.recipe import MONO44, Recipe, recipe_for, whole_recipe_for
from modal_app.data_root.layout import DataRoot
from modal_app.errors import JobError
from modal_app.protocol.audio import AudioSource, PreparedAudio, PrepareRequest, PublishedSegment
from modal_app.protocol.base import Event
from modal_app.protocol.producer import ProducerFile, ProducerTrainRequest
from modal_app.protocol.tagging import SegmentToTag, TagRequest
from modal_app.protocol.training import CaptionPart, Example
from modal_app.tagging.tag import tag
from modal_app.training.caption_rule import bpm_in, caption_parts, key_in

Emit = Callable[[Event], None]


@dataclass(frozen=True)
class Listed:
    """A file that is there."""

    file: ProducerFile
    title: str
    source: AudioSource


@dataclass(frozen=True)
class PreparedFile:
    """A file's segments: `audio` as the generator hears them, `shown` as they are tagged and published."""

    listed: Listed
    audio: PreparedAudio
    shown: PreparedAudio


def prepare_files(
    listed: list[Listed], request: ProducerTrainRequest, root: DataRoot, failed: list[str], emit: Emit
) -> list[PreparedFile]:
    """Return the segments of each file; what can't be prepared is named in `failed`.

    Where nothing is to be preprocessed a file is one segment, at its own level, and only its rate and channels become
    those that the generator hears; one that is longer than the generator can hear at once is named in `failed`.
    """
    if request.skip_preprocess:
        recipe = whole_recipe_for(request.backend)
        whole = _prepared(listed, recipe, root, failed, emit)
        for part in listed:
            found = whole.get(part.source.audio_hash)
            if found is not None and found.duration_seconds > recipe.seconds:
                del whole[part.source.audio_hash]
                failed.append(
                    f"{part.source.name}: is longer than the {recipe.seconds} s that {request.backend} can hear "
                    "at once; leave skip_preprocess out"
                )
        return [
            PreparedFile(part, whole[key], whole[key]) for part in listed if (key := part.source.audio_hash) in whole
        ]
    shown = _prepared(listed, MONO44, root, failed, emit)
    recipe = recipe_for(request.backend)
    there = [part for part in listed if part.source.audio_hash in shown]
    audio = shown if recipe is MONO44 else _prepared(there, recipe, root, failed, emit)
    return [PreparedFile(part, audio[key], shown[key]) for part in there if (key := part.source.audio_hash) in audio]


def tag_files(files: list[PreparedFile], request: ProducerTrainRequest, root: DataRoot, emit: Emit) -> dict[str, str]:
    """Return what the request's tagger says of each segment, by the segment's hash.

    One that it fails on is left without.

    Raises:
        InputError: the tagger lacks its key or its model.
        ServiceError: its service can't be used.
        JobError: the service can't be used any further.
    """
    if request.tagger is None:
        return {}
    segments = [
        SegmentToTag(
            audio_hash=part.shown.audio_hash, index=segment.index, sha256=segment.sha256, bpm=part.listed.file.bpm
        )
        for part in files
        for segment in part.shown.segments
    ]
    result = tag(TagRequest(tagger=request.tagger, model=request.tag_model, segments=segments), root, emit)
    if result.stopped:
        raise JobError(result.stopped)
    for failure in result.failed:
        emit(Event(kind="log", level="warning", message=f"a segment has no tags: {failure.reason}"))
    return {segment.sha256: segment.text for segment in result.tagged}


def make_examples(files: list[PreparedFile], tags: dict[str, str]) -> list[Example]:
    """Return every segment that can be heard, with its caption."""
    return [
        Example(
            audio_hash=part.audio.audio_hash,
            index=segment.index,
            sha256=segment.sha256,
            song=part.listed.title,
            parts=_caption(part.listed, tags.get(shown.sha256)),
            gain_db=segment.gain_db,
            bpm=part.listed.file.bpm or bpm_in(part.listed.file.prompt or ""),
            musical_key=key_in(_tag_line(part.listed.file, tags.get(shown.sha256))),
        )
        for part in files
        for segment, shown in zip(part.audio.segments, part.shown.segments, strict=False)  # one may end a sample later
        if not segment.silent and not shown.silent
    ]


def example_seconds(files: list[PreparedFile]) -> float:
    """Return the length of all that becomes an example, in seconds."""
    return sum(
        part.audio.seconds_of(segment.index)
        for part in files
        for segment, shown in zip(part.audio.segments, part.shown.segments, strict=False)
        if not segment.silent and not shown.silent
    )


def publish_job(view: str, files: list[PreparedFile], tags: dict[str, str], root: DataRoot, emit: Emit) -> None:
    """Publish the segments with their captions as `training_data/<view>/{audio,text}`."""
    segments = [
        PublishedSegment(
            audio_hash=part.shown.audio_hash,
            index=segment.index,
            sha256=segment.sha256,
            text=" ".join(piece.text for piece in _caption(part.listed, tags.get(segment.sha256))),
        )
        for part in files
        for segment in part.shown.segments
    ]
    publish_as(view, files[0].shown.recipe, segments, root, emit)


def _caption(listed: Listed, tags: str | None) -> list[CaptionPart]:
    """By the pipeline's rule. Where nobody says what the music is like, its title stands for that."""
    file = listed.file
    return caption_parts(file.prompt or listed.title, _tag_line(file, tags), file.bpm)


def _tag_line(file: ProducerFile, tags: str | None) -> str:
    """Return what the client told goes first, so that their key is the one that counts."""
    given = [file.musical_key] if file.musical_key else []
    from_tagger = tags.split(", ") if tags else []
    return ", ".join(dict.fromkeys([*given, *file.tags, *from_tagger]))


def _prepared(
    listed: list[Listed], recipe: Recipe, root: DataRoot, failed: list[str], emit: Emit
) -> dict[str, PreparedAudio]:
    result = prepare(PrepareRequest(recipe=recipe.name, sources=[part.source for part in listed]), root, emit)
    failed += [failure.reason for failure in result.failed]
    return {audio.audio_hash: audio for audio in result.prepared}
