"""What is held out: whole songs with all their versions, never a segment that training hears in any form."""

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modal_app.protocol.training import CaptionPart, Example
from modal_app.training.song_titles import song_key, song_keys
from modal_app.training.split import Split, split_by_song


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def example(song: str, index: int, audio: str = "", segment: str = "") -> Example:
    audio = audio or song
    return Example(
        audio_hash=digest(audio),
        index=index,
        sha256=digest(segment or f"{audio} {index}"),
        song=song,
        parts=[CaptionPart(kind="prompt", text="x")],
        gain_db=0.0,
    )


def song(name: str, segments: int, audio: str = "") -> list[Example]:
    return [example(name, index, audio) for index in range(segments)]


@pytest.mark.parametrize(
    "name",
    [
        "Night",
        "night v2",
        "Night_V3",
        "NIGHT final",
        "Night - Final Mix 2",
        "night (master)",
        "Night [Premaster]",
        "Night mixdown",
        "Night bounce 3",
        "Night 2024-05-01",
        "2024_05_01 Night",
        "Night 01.05.24 v2",
        "Night (2)",
        "Night v2 final FINAL",
        "Nightv12",
        "Night mix3",
        "Night 124bpm",
        "Night 24bit master",
        "Night Project/night rough mix",
        "Night/final mix 3",
        "Another project/Night (Extended Mix)",
    ],
)
def test_versions_of_a_song_have_one_key(name: str) -> None:
    assert song_key(name) == "night"


def test_other_songs_have_other_keys() -> None:
    names = ["Night", "Nightfall", "Final Countdown", "Track 1", "Track 2", "Master of Puppets", "Mix It", "7 Days"]
    assert len({song_key(name) for name in names}) == len(names)


def test_a_bare_number_is_a_version_only_beside_the_plain_name() -> None:
    assert set(song_keys(["Night", "Night 2", "Night 3"]).values()) == {"night"}
    assert len(set(song_keys(["Track 1", "Track 2"]).values())) == 2


def test_a_name_of_nothing_but_marks_keeps_a_key() -> None:
    assert song_key("final mix") == "finalmix"
    assert song_key("2024-05-01") == "20240501"
    assert song_key("!!!") == "!!!"


def test_at_least_a_tenth_is_held_out_in_the_fewest_songs() -> None:
    examples = [part for number in range(20) for part in song(f"Track {number}", 10)]
    split = split_by_song(examples, 0.1, 0)
    assert len(split.held_out) == 20
    assert len(split.songs) == 2
    assert split.line == f"held out: 20 of 200 segments ({', '.join(split.songs)})"


def test_of_two_songs_the_smaller_one_is_held_out() -> None:
    for seed in range(10):
        assert split_by_song(song("A", 9) + song("B", 3), 0.1, seed).songs == ["B"]


def test_the_end_of_an_only_song_is_held_out_after_a_gap() -> None:
    split = split_by_song(song("Night", 20) + song("Night v2", 16), 0.1, 0)
    assert split.held_out == [16, 17, 18, 19]
    assert split.training == [*range(15), *range(20, 35)]
    assert split.songs == ["Night"]
    assert "from 240 s on" in split.line


def test_a_loop_repeated_in_the_held_out_end_is_not_trained_on() -> None:
    examples = [example("Night", index, segment=f"bar {index % 9}") for index in range(10)]
    split = split_by_song(examples, 0.1, 0)
    assert (split.training, split.held_out) == ([1, 2, 3, 4, 5, 6, 7], [9])


@pytest.mark.parametrize("examples", [[], song("A", 1) + song("B", 2), song("A", 4)])
def test_too_little_is_not_divided_and_that_is_reported(examples: list[Example]) -> None:
    split = split_by_song(examples, 0.1, 0)
    assert (split.training, split.held_out) == (list(range(len(examples))), [])
    assert "no validation" in split.line


def test_nothing_is_held_out_when_nothing_is_wanted() -> None:
    assert split_by_song(song("A", 9) + song("B", 3), 0.0, 0).held_out == []


NAMES = st.builds(
    lambda stem, mark: stem + mark,
    st.sampled_from(["Night", "Dawn", "Rain", "Track 1", "Track 2", "Track", "x/final", "y/final", "ü"]),
    st.sampled_from(["", " v2", "_final", " (master)", " 2024-05-01", " 2", " mix 3"]),
)
CATALOGUES = st.lists(
    st.tuples(NAMES, st.integers(1, 12), st.sampled_from(["", "", "", "same file", "other file"])), max_size=12
).map(lambda tracks: [part for name, segments, audio in tracks for part in song(name, segments, audio)])


def is_related(one: Example, other: Example, keys: dict[str, str]) -> bool:
    return keys[one.song] == keys[other.song] or one.audio_hash == other.audio_hash or one.sha256 == other.sha256


def sides(examples: Sequence[Example], split: Split) -> tuple[list[Example], list[Example]]:
    return [examples[index] for index in split.training], [examples[index] for index in split.held_out]


@settings(deadline=None)
@given(CATALOGUES, st.integers(0, 5))
def test_no_version_or_copy_of_a_held_out_song_is_trained_on(examples: list[Example], seed: int) -> None:
    split = split_by_song(examples, 0.1, seed)
    training, held_out = sides(examples, split)
    keys = song_keys([part.song for part in examples])
    assert not set(split.training) & set(split.held_out)
    assert training or not examples
    assert not {part.sha256 for part in training} & {part.sha256 for part in held_out}
    if "after a gap" in split.line:
        assert max(part.index for part in training) + 2 <= min(part.index for part in held_out)
    else:
        assert len(training) + len(held_out) == len(examples)
        assert 2 * len(held_out) <= len(examples)
        assert not any(is_related(one, other, keys) for one in training for other in held_out)


@settings(deadline=None)
@given(CATALOGUES, st.integers(0, 5), st.randoms())
def test_the_order_of_the_examples_does_not_matter(examples: list[Example], seed: int, random: object) -> None:
    shuffled = list(examples)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for one, other in zip(
        sides(examples, split_by_song(examples, 0.1, seed)),
        sides(shuffled, split_by_song(shuffled, 0.1, seed)),
        strict=True,
    ):
        assert sorted(part.model_dump_json() for part in one) == sorted(part.model_dump_json() for part in other)


@settings(deadline=None)
@given(st.integers(4, 30), st.integers(0, 50))
def test_songs_that_are_added_move_others_at_the_border_only(songs: int, seed: int) -> None:
    def held_out(count: int) -> set[str]:
        examples = [part for number in range(count) for part in song(f"Track {number}", 4)]
        return set(split_by_song(examples, 0.1, seed).songs)

    before, after = held_out(songs), held_out(songs + 1)
    assert before - after == set() or (len(before - after) == 1 and f"Track {songs}" in after)
    assert len(after - before) <= 1
