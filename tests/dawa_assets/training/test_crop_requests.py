"""What a training on crops is asked with: the timelines of aligned tracks, and nothing that decides nothing."""

from pathlib import Path
from uuid import uuid4

from dawa_assets.segments.prepared_dataset import PreparedDataset, TrackSegments
from dawa_assets.tables.alignments import BounceTimeline
from dawa_assets.tables.datasets import Dataset, TrainingTrack
from dawa_assets.training.examples import fingerprint_of, make_examples, plan_for, train_request
from modal_app.protocol.audio import PreparedAudio, Segment
from modal_app.protocol.song_timeline import Layer, SectionStart, SongTimeline, Voice
from modal_app.protocol.training import TrainRequest
from modal_app.training.caption_rule import with_facts
from modal_app.training.span_facts import facts_of_span
from resources.settings import Settings

TIMELINE = SongTimeline(
    version="timeline-v1",
    end=62.0,
    bars=[2.0 * bar for bar in range(32)],
    metres=[],
    sections=[SectionStart(seconds=0.0, name="intro"), SectionStart(seconds=30.0, name="drop")],
    voices=[Voice(instrument="pads", role="harmony", spans=[(0.0, 62.0)])],
    layers=[Layer(track="Warm pad", spans=[(0.0, 62.0)])],
)


def prepared_with(timeline: SongTimeline | None) -> PreparedDataset:
    """A dataset of one song of a minute."""
    segments = [
        Segment(
            index=index,
            sha256=f"{index:064d}",
            start_seconds=15.0 * index,
            samples=15 * 48_000,
            gain_db=0.0,
            peak_dbfs=-1.0,
            true_peak_dbfs=-1.0,
            dc_offset=0.0,
            silent=False,
        )
        for index in range(4)
    ]
    audio = PreparedAudio(
        audio_hash="a" * 64,
        recipe="stereo48",
        sample_rate=48_000,
        source_sample_rate=48_000,
        source_channels=2,
        source_samples=60 * 48_000,
        duration_seconds=60.0,
        segments=segments,
        warnings=[],
    )
    track = TrainingTrack(0, uuid4(), "Song", "a/b.wav", "a" * 64, "wav", "Slow house.\nBPM: 120", 120.0, "4/4", None)
    dataset = Dataset(uuid4(), "f", "built", "a.zip", "m.json", 1, 1, None, None)
    bounce = None if timeline is None else BounceTimeline(timeline, 1.0)
    return PreparedDataset(dataset, [TrackSegments(track, audio, bounce)], [], 0)


def request_with(settings: Settings, timeline: SongTimeline | None) -> TrainRequest:
    prepared = prepared_with(timeline)
    examples = make_examples(prepared, {}, {part.audio.audio_hash: part.audio for part in prepared.tracks})
    return train_request(settings, "artist", prepared.dataset, examples, plan_for(settings, examples), "run")


def test_aligned_tracks_bring_bars_and_what_plays(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, base="some/base", train_clip_seconds=20.0)
    request = request_with(settings, TIMELINE)
    (found,) = request.timelines
    assert (found.audio_hash, found.timeline.bars) == ("a" * 64, TIMELINE.bars)
    assert request_with(settings, None).timelines == []
    # eight bars are 16 s, and crops on them are what is planned by
    prepared = prepared_with(TIMELINE)
    examples = make_examples(prepared, {}, {part.audio.audio_hash: part.audio for part in prepared.tracks})
    assert 15 < plan_for(settings, examples).segment_seconds < 17


def test_what_decides_no_crop_makes_no_other_training(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, base="some/base")
    before = fingerprint_of(request_with(settings, TIMELINE))
    renamed = TIMELINE.model_copy(
        update={"version": "timeline-v2", "layers": [Layer(track="Pad", spans=[(0.0, 62.0)])]}
    )
    moved = TIMELINE.model_copy(update={"bars": [0.5 + bar for bar in TIMELINE.bars]})
    assert fingerprint_of(request_with(settings, renamed)) == before
    assert fingerprint_of(request_with(settings, moved)) != before


def test_segments_are_asked_for_without_timelines(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, base="tiny")
    request = request_with(settings, TIMELINE)
    assert request.parameters.clip_seconds == 0
    assert request.timelines == []
    assert fingerprint_of(request) == fingerprint_of(
        request_with(settings, TIMELINE.model_copy(update={"version": ""}))
    )


def test_an_example_is_told_of_another_stretch_by_its_facts(tmp_path: Path) -> None:
    request = request_with(Settings(home=tmp_path, base="some/base"), TIMELINE)
    first = request.examples[0]
    assert [part.kind for part in first.parts] == ["prompt", "section", "facts", "tempo"]

    later = with_facts(first, facts_of_span(TIMELINE, 32.0, 48.0))
    nothing = with_facts(first, None)

    assert [part.text for part in later.parts] == ["Slow house.", "Section: drop.", "Pads.", "BPM: 120"]
    assert later.sections == ("drop",)
    assert [part.kind for part in nothing.parts] == ["prompt", "tempo"]
    assert (nothing.sections, nothing.time_signature) == ((), "4/4")
    assert with_facts(first, facts_of_span(TIMELINE, 0.0, 15.0)) == first
