import pytest
from hypothesis import given
from hypothesis import strategies as st

from dawa_assets.example.score import KICK, SNARE, Clip, Note, chords, line, pitch_of, steps


@pytest.mark.parametrize(("name", "number"), [("C4", 60), ("A4", 69), ("F#3", 54), ("Bb2", 46), ("C6", 84)])
def test_a_pitch_has_its_midi_number(name: str, number: int) -> None:
    assert pitch_of(name) == number


def test_a_drum_line_places_hits_and_accents_on_sixteenths() -> None:
    notes = steps("X..o.x", KICK, velocity=100)
    assert [(note.start, note.velocity) for note in notes] == [(0.0, 118), (0.75, 62), (1.25, 100)]


def test_swing_delays_every_second_sixteenth_and_nothing_else() -> None:
    straight, swung = steps("xxxx", SNARE), steps("xxxx", SNARE, swing=0.6)
    assert [note.start for note in swung] == pytest.approx([0.0, 0.3, 0.5, 0.8])
    assert [note.start for note in straight] == [0.0, 0.25, 0.5, 0.75]


def test_a_melody_runs_on_and_rests_are_silent() -> None:
    assert [(n.start, n.length, n.pitch) for n in line("A4/2 -/4 E5/8")] == [(0.0, 0.5, 69), (1.5, 2.0, 76)]


def test_chords_take_a_bar_each_in_the_given_rhythm() -> None:
    notes = chords("C4+E4 F4+A4", ((0.0, 1.0), (2.0, 0.5)))
    assert [(n.start, n.pitch) for n in notes] == [
        (0.0, 60), (0.0, 64), (2.0, 60), (2.0, 64), (4.0, 65), (4.0, 69), (6.0, 65), (6.0, 69),
    ]  # fmt: skip


@given(
    start=st.integers(0, 64),
    length=st.integers(1, 256),
    loop=st.integers(1, 64),
    notes=st.lists(st.tuples(st.integers(0, 250), st.integers(1, 64)), max_size=8),
)
def test_a_clips_notes_repeat_every_loop_and_stay_in_the_clip(
    start: int, length: int, loop: int, notes: list[tuple[int, int]]
) -> None:
    pattern = tuple(Note(at % (loop * 4) / 4, long / 4, 60) for at, long in notes)
    clip = Clip("any", start, length / 4, loop, pattern)
    played = list(clip.played())
    assert all(clip.start <= n.start and n.start + n.length <= clip.start + clip.length + 1e-9 for n in played)
    expected = sum(repeat * loop + note.start < length / 4 for note in pattern for repeat in range(64))
    assert len(played) == expected
