import pytest
from hypothesis import given
from hypothesis import strategies as st

from modal_app.protocol.song_timeline import Layer, MetreStart, SectionStart, SongTimeline, Span, SpanFacts, Voice
from modal_app.training.span_facts import facts_of_span, united

# 16 bars of 2 s: an intro of four bars, a drop of eight, and an outro.
SONG = SongTimeline(
    version="test",
    end=32.0,
    bars=[2.0 * bar for bar in range(17)],
    metres=[MetreStart(seconds=0.0, time_signature="4/4"), MetreStart(seconds=24.0, time_signature="3/4")],
    sections=[
        SectionStart(seconds=0.0, name="intro"),
        SectionStart(seconds=8.0, name="drop"),
        SectionStart(seconds=24.0, name="outro"),
    ],
    voices=[
        Voice(instrument="pads", role="harmony", spans=[(0.0, 32.0)]),
        Voice(instrument="kick", role="rhythm", spans=[(8.0, 16.0), (18.0, 24.0)]),
        Voice(instrument="snare", role="rhythm", spans=[(8.0, 24.0)]),
        Voice(instrument="drums", role="rhythm", spans=[(8.0, 28.0)], told_by=["kick", "snare"], told_by_at_least=2),
        Voice(instrument="crash cymbal", role="rhythm", spans=[(16.0, 16.5)]),
    ],
    layers=[Layer(track="Kit", spans=[(8.0, 28.0)]), Layer(track="Pad", spans=[(0.0, 32.0)])],
    musical_key="A minor",
)


def facts(start: float, end: float, song: SongTimeline = SONG) -> SpanFacts:
    found = facts_of_span(song, start, end)
    assert found is not None
    return found


def names(found: SpanFacts) -> list[str]:
    return [each.instrument for each in found.instruments]


def test_a_span_says_bars_section_instruments_and_density() -> None:
    found = facts(8.0, 16.0)
    assert (found.first_bar, found.last_bar, found.sections) == (5, 8, ("drop",))
    assert names(found) == ["kick", "snare", "pads"]
    assert [each.share for each in found.instruments] == [1.0, 1.0, 1.0]
    assert found.density == pytest.approx(2 / (52 / 32), abs=0.001)
    assert (found.musical_key, found.time_signature) == ("A minor", "4/4")


def test_what_comes_in_and_goes_has_its_second_in_the_span() -> None:
    found = facts(4.0, 30.0)
    assert [(each.instrument, each.seconds) for each in found.enters] == [("kick", 4.0), ("snare", 4.0)]
    assert [(each.instrument, each.seconds) for each in found.leaves] == [("kick", 20.0), ("snare", 20.0)]


def test_a_pause_of_a_bar_a_hit_and_an_edge_are_no_change() -> None:
    assert facts(12.0, 23.0).enters == facts(12.0, 23.0).leaves == []
    assert facts(8.0, 24.0).enters == facts(8.0, 24.0).leaves == []
    assert "crash cymbal" in names(facts(12.0, 23.0))


def test_the_songs_end_is_nobodys_leaving() -> None:
    assert "pads" not in [each.instrument for each in facts(20.0, 32.0).leaves]


def test_a_general_word_is_said_where_particular_ones_are_not() -> None:
    assert "drums" not in names(facts(8.0, 16.0))
    assert names(facts(24.5, 28.0)) == ["drums", "pads"]


def test_a_moment_of_a_note_at_an_edge_is_no_instrument() -> None:
    assert "kick" not in names(facts(0.0, 8.2))
    assert "kick" in names(facts(0.0, 8.3))


def test_sections_and_metres_follow_what_the_span_holds() -> None:
    assert facts(4.0, 26.0).sections == ("intro", "drop", "outro")
    assert facts(4.0, 8.5).sections == ("intro",)
    assert facts(23.0, 30.0).time_signature == "3/4"


def test_a_bar_line_within_the_alignments_reach_is_that_line() -> None:
    assert (facts(7.96, 16.03).first_bar, facts(7.96, 16.03).last_bar) == (5, 8)


def test_nothing_is_said_where_the_song_does_not_reach() -> None:
    assert facts_of_span(SONG, 30.0, 45.0) is None
    assert facts_of_span(SONG, -20.0, -5.0) is None
    assert facts_of_span(SONG, 5.0, 5.0) is None
    assert facts(25.0, 38.0).last_bar == 16


def test_a_rendering_from_the_middle_at_another_tempo() -> None:
    heard = SONG.by_bounce_clock(offset=4.0, speed=2.0)
    assert (heard.begin, heard.end, heard.bars[1]) == (-4.0, 12.0, -3.0)
    found = facts(0.0, 4.0, heard)
    assert (found.first_bar, found.last_bar, found.sections) == (5, 8, ("drop",))
    silence_before = SONG.by_bounce_clock(offset=-3.0, speed=1.0)
    assert [each.seconds for each in facts(0.0, 15.0, silence_before).enters] == [11.0, 11.0]


spans = st.lists(st.tuples(st.floats(0, 40), st.floats(0, 40)).map(lambda each: (min(each), max(each))), max_size=6)


@given(spans, st.floats(-10, 50), st.floats(-10, 50), st.floats(-20, 20), st.floats(0.5, 2))
def test_facts_of_any_span_are_within_it(
    played: list[Span], one: float, other: float, offset: float, speed: float
) -> None:
    start, end = sorted((one, other))
    song = SONG.model_copy(
        update={
            "voices": [Voice(instrument="lead lines", role="melody", spans=united(played))],
            "layers": [Layer(track="Lead", spans=united(played))],
        }
    ).by_bounce_clock(offset, speed)
    found = facts_of_span(song, start, end)
    if found is None:
        return
    assert 1 <= found.first_bar <= found.last_bar <= 16
    assert all(0 <= change.seconds <= end - start for change in (*found.enters, *found.leaves))
    assert found.density is None or found.density >= 0
    assert SpanFacts.model_validate_json(found.model_dump_json()) == found
