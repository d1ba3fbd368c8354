"""What is said of an item by what was measured: each kind at its limit, and which of two versions is kept."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from dawa_assets.items.quality_rules import judge_items
from dawa_assets.tables.alignments import StoredAlignment
from dawa_assets.tables.audio_measurements import AudioMatch
from dawa_assets.tables.best_saves import BestSave
from dawa_assets.tables.item_findings import Finding, JudgedItem
from modal_app.audio.quality_record import AudioQuality, Notice

ARTIST, OTHER = UUID(int=1), UUID(int=2)
GOOD = AudioQuality(
    seconds=180.0,
    sample_rate=44_100,
    channels=2,
    codec="pcm_s24le",
    loudness_lufs=-12.0,
    peak_dbfs=-1.0,
    crest_db=14.0,
    clipped_share=0.0,
    side_db=-8.0,
    cutoff_hz=None,
)
DAY_ONE = datetime(2026, 1, 1, tzinfo=UTC)


def item(number: int, quality: AudioQuality = GOOD, **changes: Any) -> JudgedItem:
    made = JudgedItem(
        id=UUID(int=100 + number),
        name=f"song {number}",
        audio_hash=f"hash {number}",
        is_exported=False,
        is_persons=False,
        created_at=DAY_ONE + timedelta(days=number),
        measured=quality.to_json(),
        answer=None,
        answer_confidence=None,
        answer_reason=None,
        accepted=[],
    )
    return replace(made, **changes)


def match(one: int, other: int, seconds: float = 180.0, *, artist: UUID = ARTIST, **changes: Any) -> list[AudioMatch]:
    found = replace(
        AudioMatch(ARTIST, f"hash {one}", artist, f"hash {other}", 500, 0.0, 1.0, seconds, 0.0, 0.0), **changes
    )
    return [found, found.reversed()]


def said(findings: list[Finding]) -> list[tuple[str, str, str]]:
    return [(f"song {finding.item_id.int - 100}", finding.kind, finding.level) for finding in findings]


@pytest.mark.parametrize(
    ("changes", "kind", "level"),
    [
        ({"peak_dbfs": -60.1}, "silent", "blocks"),
        ({"notices": (Notice("silent", 3.0, "it holds nothing"),)}, "silent", "blocks"),
        ({"notices": (Notice("noise", 0.8, "it sounds like noise"),)}, "noise", "blocks"),
        ({"notices": (Notice("dead_channel", 1, "its left channel is dead"),)}, "dead_channel", "warns"),
        ({"notices": (Notice("dc_offset", 0.1, "a constant offset"),)}, "dc_offset", "warns"),
        ({"clipped_share": 0.005}, "clipped", "warns"),
        ({"loudness_lufs": -8.9, "crest_db": 7.9}, "very_loud", "warns"),
        ({"side_db": -60.0}, "mono_as_stereo", "warns"),
        ({"cutoff_hz": 16_000.0}, "transcode", "warns"),
        ({"sample_rate": 16_000}, "sample_rate", "warns"),
        ({"codec": "pcm_u8"}, "codec", "warns"),
    ],
)
def test_each_fault_of_the_sound_has_its_kind_and_level(changes: dict[str, Any], kind: str, level: str) -> None:
    (finding,) = judge_items([item(1, replace(GOOD, **changes))], [])
    assert (finding.kind, finding.level) == (kind, level)
    assert finding.sentence
    assert finding.way_out
    assert "\n" not in finding.sentence + finding.way_out


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"peak_dbfs": -59.9},
        {"clipped_share": 0.0049},
        {"loudness_lufs": -8.9, "crest_db": 8.1},
        {"loudness_lufs": -9.1, "crest_db": 7.0},
        {"side_db": -59.0},
        {"side_db": None, "channels": 1},
        {"cutoff_hz": 16_000.0, "codec": "mp3float"},
        {"cutoff_hz": 20_500.0},
        {"sample_rate": 32_000, "cutoff_hz": 15_000.0},
        {"sample_rate": 22_050},
        {"seconds": 7.9, "side_db": -90.0, "cutoff_hz": 16_000.0, "loudness_lufs": -3.0, "crest_db": 3.0},
    ],
)
def test_what_is_within_its_limits_is_not_mentioned(changes: dict[str, Any]) -> None:
    assert judge_items([item(1, replace(GOOD, **changes))], []) == []


@pytest.mark.parametrize(("confidence", "level"), [(0.95, "blocks"), (0.5, "warns")])
def test_a_bounce_of_another_set_blocks_where_that_is_sure(confidence: float, level: str) -> None:
    wrong = item(1, answer="not this arrangement", answer_confidence=confidence, answer_reason="nothing fits")
    assert said(judge_items([wrong], [])) == [("song 1", "wrong_pair", level)]
    assert judge_items([item(1, answer="can't be told"), item(2, answer="aligned")], []) == []


def best_save(**changes: Any) -> BestSave:
    where = StoredAlignment("hash 1", "p", "aligned", 0.9, ["it fits"], 0.0, 1.0, 120.0, 120.0, 1.34, 0.2, "v")
    made = BestSave(
        artist="nova",
        name="Harbour Project/Harbour's Steps",
        als_filename="Harbour's Steps.als",
        is_own=False,
        is_own_set=False,
        is_own_alike=False,
        set_has_bounce=False,
        set_has_it=False,
        has_one_name=True,
        alignment=where,
        margin=1.02,
        alike=0,
        compared=8,
    )
    return replace(made, **changes)


_FITS = (
    "its bounce fits Harbour Project/Harbour's Steps, aligned from bar 1 (0.00 s), score 1.34, "
    "1.02 above the best of 7 others"
)
_NAMED = "; name it Harbour's Steps.flac, and "


_STEPS = """'Harbour'"'"'s Steps"""


@pytest.mark.parametrize(
    ("changes", "way_out"),
    [
        ({}, f"{_NAMED}`dawa upload {_STEPS}.flac' --artist nova` pairs it so"),
        ({"has_one_name": False}, f"{_NAMED}`dawa upload {_STEPS}.als' {_STEPS}.flac' --artist nova` pairs it so"),
        (
            {"set_has_bounce": True},
            f"{_NAMED}`dawa upload {_STEPS}.flac' --artist nova` pairs it so, in place of the bounce that it has",
        ),
        (
            {"set_has_bounce": True, "set_has_it": True},
            ", and is paired with it too; upload the bounce of this set, or exclude this item",
        ),
        ({"is_own_set": True}, "; export the bounce again from the set as it is now, or upload that save again"),
    ],
)
def test_the_set_that_a_bounce_fits_is_the_way_out(changes: dict[str, Any], way_out: str) -> None:
    wrong = item(1, answer="not this arrangement", answer_confidence=0.5, audio_format="flac")
    (finding,) = judge_items([wrong], [], {wrong.id: best_save(**changes)})
    assert (finding.kind, finding.level) == ("wrong_pair", "blocks")
    assert finding.way_out == _FITS + way_out


@pytest.mark.parametrize("answer", ["aligned", "can't be told"])
def test_a_set_that_fits_better_is_warned_of(answer: str) -> None:
    fitting = item(1, answer=answer, answer_confidence=0.6)

    def findings(**changes: Any) -> list[tuple[str, str, str]]:
        return said(judge_items([fitting], [], {fitting.id: best_save(**changes)}))

    assert findings() == [("song 1", "wrong_pair", "warns")]
    assert findings(is_own_alike=True) == []
    assert findings(is_own_set=True) == []


def test_a_song_far_from_the_artists_level_is_named() -> None:
    songs = [item(number, replace(GOOD, loudness_lufs=-12.0 + number / 10)) for number in range(4)]
    quiet = item(5, replace(GOOD, loudness_lufs=-24.0))
    assert said(judge_items([*songs, quiet], [])) == [("song 5", "loudness", "warns")]
    assert judge_items([*songs[:3], quiet], []) == []  # too few to say what is usual


def test_of_two_versions_the_newer_one_is_kept() -> None:
    findings = judge_items([item(1), item(2)], match(1, 2, pitch=1.0, speed=1.03))
    assert said(findings) == [("song 1", "duplicate", "blocks")]
    assert findings[0].sentence == "it is the same music as song 2 (1 semitone higher, 3.0% faster), which is kept"
    assert findings[0].subject == str(item(2).id)


@pytest.mark.parametrize("preferred", [{"is_exported": True}, {"is_persons": True}])
def test_what_is_trained_on_or_a_persons_is_kept_before_new_ones(preferred: dict[str, Any]) -> None:
    assert said(judge_items([item(1, **preferred), item(2)], match(1, 2))) == [("song 2", "duplicate", "blocks")]


def test_an_item_that_is_blocked_itself_takes_no_place() -> None:
    silent = item(2, replace(GOOD, notices=(Notice("noise", 0.8, "it sounds like noise"),)))
    findings = judge_items([item(1), silent], match(1, 2))
    assert said(findings) == [("song 2", "noise", "blocks"), ("song 2", "duplicate", "blocks")]


def test_of_three_versions_one_is_kept_and_the_others_name_it() -> None:
    findings = judge_items([item(1), item(2), item(3)], [*match(1, 2), *match(2, 3), *match(1, 3)])
    assert said(findings) == [("song 2", "duplicate", "blocks"), ("song 1", "duplicate", "blocks")]
    assert all("song 3" in finding.sentence for finding in findings)


def test_a_version_that_a_person_accepted_is_kept_beside_others() -> None:
    accepted = item(1, accepted=["duplicate"])
    assert said(judge_items([accepted, item(2)], match(1, 2))) == [("song 1", "duplicate", "blocks")]
    newer = item(2, accepted=["duplicate"], is_exported=True)
    assert said(judge_items([item(1), newer], match(1, 2))) == [("song 2", "duplicate", "blocks")]


def test_a_passage_that_two_songs_share_is_a_warning_of_both() -> None:
    findings = judge_items([item(1), item(2)], match(1, 2, 8.0, start_seconds=75.0))
    assert said(findings) == [("song 1", "passage", "warns"), ("song 2", "passage", "warns")]
    assert findings[0].sentence == "8 s of it, from 1:15 on, are in song 2 too, from 0:00 on"
    assert judge_items([item(1), item(2)], match(1, 2, 5.9)) == []


def test_another_artists_music_is_a_warning_without_a_name() -> None:
    findings = judge_items([item(1), item(2)], match(1, 2, 90.0, artist=OTHER)[:1])
    assert said(findings) == [("song 1", "other_artist", "warns")]
    assert findings[0].subject == ""
    assert "song 2" not in findings[0].sentence + findings[0].way_out
