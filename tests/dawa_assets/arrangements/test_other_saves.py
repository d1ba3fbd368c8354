"""A bounce of another save than its item's own is named with that one: on whole songs, so it takes seconds."""

import shlex
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from dawa_assets.ableton import alignment
from dawa_assets.arrangements.other_saves import MAX_SAVES, Shape, nearest_saves
from dawa_assets.example.live_set import live_set
from dawa_assets.example.score import Song
from dawa_assets.example.tracks import songs
from dawa_assets.http.api.item_messages import AlignmentAnswer
from dawa_assets.intake.live_sets import take_in_live_sets
from dawa_assets.items.exclusions import list_items
from dawa_assets.items.update import ItemsReport, update_training_items
from dawa_assets.tables.best_saves import BestSave, Save, UnsureItem
from dawa_assets.tables.item_exclusions import ListedItem
from dawa_assets.tables.library_items import shown_items
from resources.ports import Ports
from tests.dawa_assets.intake.material import drop, items, new_artist, rows, unguarded, wav
from tests.dawa_assets.maintenance.killing import Fuse, KilledError, fused, with_short_leases

_SONG, _OTHER, _STRANGER = songs()[1], songs()[2], songs()[0]
_DAY = datetime(2026, 1, 1, tzinfo=UTC)


def _take_in(ports: Ports, files: dict[str, bytes]) -> ItemsReport:
    drop(ports, "nova", files)
    take_in_live_sets(ports, "nova")
    return update_training_items(ports, "nova")


def _listed(ports: Ports, name: str = "a/Lanterns") -> ListedItem:
    return next(each for each in list_items(ports.database, "nova") if each.item == name)


def _best(ports: Ports, name: str = "a/Lanterns") -> BestSave:
    best = _listed(ports, name).best_save
    assert best is not None
    return best


def _with_another_clip(song: Song) -> Song:
    """The same to the ear: a clip that is switched off."""
    silent = replace(song.parts[0], name="Sketch", muted=True)
    return replace(song, parts=(*song.parts, silent))


def test_a_bounce_of_another_set_is_named_with_that(ports: Ports, bounces: dict[str, bytes]) -> None:
    artist = new_artist(ports)
    report = _take_in(
        ports,
        {
            "a/Lanterns.als": live_set(_SONG),
            "a/Lanterns.wav": bounces["other"],
            "b/Harbour Steps.als": live_set(_OTHER),
            "c/Third.als": live_set(_STRANGER),
        },
    )
    best = _best(ports)
    assert (best.name, best.is_own, best.is_own_set, best.alike, best.compared) == (
        "b/Harbour Steps",
        *[False] * 2,
        0,
        3,
    )
    assert best.alignment.offset_seconds == pytest.approx(0, abs=0.05)
    assert best.margin > 0.5
    assert next(each.fits_best for each in report.alignments) == best.words
    with ports.database.transaction() as connection:
        shown = shown_items(connection, artist.id)[0]
    assert shown.alignment is not None
    answer = AlignmentAnswer.of(shown.alignment, shown.best_save).best_save
    assert answer is not None
    assert (answer.name, answer.line, answer.is_own) == ("b/Harbour Steps", best.words, False)
    [finding] = [each for each in report.findings if each.kind == "wrong_pair"]
    assert finding.standing == "blocks"
    assert finding.way_out.startswith(f"its bounce fits {best.words}; name it Harbour Steps.wav, and `dawa upload ")

    # what it says to do pairs the bounce with the set that it fits, and that is known already
    words = shlex.split(finding.way_out.split("`")[1])
    assert words == ["dawa", "upload", "Harbour Steps.wav", "--artist", "nova"]
    compared = rows(ports, "select parse_id, audio_hash, version from alignments order by 1")
    report = _take_in(ports, {words[2]: bounces["other"]})
    assert report.paired == [("Harbour Steps.wav", "b/Harbour Steps")]
    assert [each.answer[:7] for each in report.alignments if each.item == "b/Harbour Steps"] == ["aligned"]
    assert len(rows(ports, "select from alignments")) == len(compared)
    [finding] = [each for each in report.findings if each.kind == "wrong_pair"]
    assert finding.way_out.endswith("is paired with it too; upload the bounce of this set, or exclude this item")


def test_of_two_saves_that_both_fit_the_newest_is_named(ports: Ports, bounces: dict[str, bytes]) -> None:
    new_artist(ports)
    _take_in(ports, {"b/Harbour.als": live_set(_OTHER)})
    _take_in(ports, {"b/Harbour.als": live_set(_with_another_clip(_OTHER))})
    _take_in(ports, {"a/Lanterns.als": live_set(_SONG), "a/Lanterns.wav": bounces["other"]})
    best = _best(ports)
    assert (best.name, best.alike) == ("b/Harbour", 1)
    assert best.words.endswith(" above the other, 1 older save fits alike")
    # the one that fits best is named, however old, where the newer one fits less
    _take_in(ports, {"b/Harbour.als": live_set(replace(_OTHER, parts=_OTHER.parts[2:]))})
    best = _best(ports)
    assert best.name.startswith("b/Harbour as of 20")
    assert best.alike == 1
    assert not best.is_own_alike


def test_an_earlier_save_of_its_own_set_is_named(ports: Ports, bounces: dict[str, bytes]) -> None:
    new_artist(ports)
    _take_in(ports, {"a/Lanterns.als": live_set(_SONG)})
    _take_in(ports, {"a/Lanterns.als": live_set(_OTHER), "a/Lanterns.wav": bounces["whole"]})
    best = _best(ports)
    assert (best.is_own, best.is_own_set) == (False, True)
    [finding] = rows(ports, "select kind, way_out from item_findings where kind = 'wrong_pair'")
    assert finding["way_out"].endswith("export the bounce again from the set as it is now, or upload that save again")
    # as it says: that save again
    assert _take_in(ports, {"a/Lanterns.als": live_set(_SONG)}).findings == []
    assert _best(ports).is_own
    assert _best(ports).words.startswith("its own set, score 1.")


def test_a_bounce_of_a_stranger_names_nobody(ports: Ports, bounces: dict[str, bytes]) -> None:
    new_artist(ports)
    files = {"a/Lanterns.als": live_set(_SONG), "a/Lanterns.wav": bounces["other"], "c/Third.als": live_set(_STRANGER)}
    report = _take_in(ports, files)
    assert _listed(ports).best_save is None
    assert [each.fits_best for each in report.alignments] == [""]
    assert len(rows(ports, "select from alignments")) == 2


def test_a_second_run_compares_nothing_again(ports: Ports, bounces: dict[str, bytes]) -> None:
    new_artist(ports)
    files = {"a/Lanterns.als": live_set(_SONG), "a/Lanterns.wav": bounces["other"], "c/Third.als": live_set(_STRANGER)}
    _take_in(ports, files)
    kept = rows(ports, "select parse_id, created_at from alignments order by 1")
    assert update_training_items(_without_files(ports), "nova").not_compared == []
    assert rows(ports, "select parse_id, created_at from alignments order by 1") == kept
    # a set that comes later is compared, and it alone
    _take_in(ports, {"b/Harbour.als": live_set(_OTHER)})
    now = rows(ports, "select parse_id, created_at from alignments order by 1")
    assert [row for row in now if row in kept] == kept
    assert len(now) == 3
    assert _best(ports).name == "b/Harbour"


def test_what_fits_its_own_set_is_compared_with_no_other(ports: Ports, bounces: dict[str, bytes]) -> None:
    new_artist(ports)
    _take_in(
        ports, {"a/Lanterns.als": live_set(_SONG), "a/Lanterns.wav": bounces["whole"], "b/H.als": live_set(_OTHER)}
    )
    assert len(rows(ports, "select from alignments")) == 1
    assert _listed(ports).best_save is None


def test_a_save_that_cannot_be_read_holds_up_no_other(ports: Ports, bounces: dict[str, bytes]) -> None:
    new_artist(ports)
    _take_in(ports, {"b/Harbour.als": live_set(_OTHER), "c/Third.als": live_set(_STRANGER)})
    [third] = rows(ports, "select parse_id, source_key from als_summaries where als_filename = 'Third.als'")
    ports.bucket.delete([third["source_key"]])
    _take_in(ports, {"a/Lanterns.als": live_set(_SONG), "a/Lanterns.wav": bounces["other"]})
    assert _best(ports).name == "b/Harbour"
    [gone] = rows(ports, "select answer, reasons from alignments where parse_id = %s", third["parse_id"])
    assert gone["answer"] == "can't be told"
    assert third["source_key"] in gone["reasons"][0]
    assert len(rows(ports, "select from alignments")) == 3


def test_silence_is_measured_once_and_compared_with_nothing(ports: Ports) -> None:
    new_artist(ports)
    silence = wav(hertz=0, seconds=9)
    _take_in(ports, {"a/Lanterns.als": live_set(_SONG), "a/Lanterns.wav": silence, "b/Harbour.als": live_set(_OTHER)})
    assert [row["heard_tempo"] for row in rows(ports, "select heard_tempo from alignments")] == [0]
    assert update_training_items(_without_files(ports), "nova").not_compared == []


def test_a_killed_search_goes_on_where_it_was(ports: Ports, bounces: dict[str, bytes]) -> None:
    new_artist(ports)
    files = {"b/Harbour.als": live_set(_OTHER), "c/Third.als": live_set(_STRANGER)}
    _take_in(ports, files | {"a/Lanterns.als": live_set(_SONG), "a/Lanterns.wav": bounces["other"]})
    unguarded(ports, "delete from alignments where version = %s", alignment.VERSION_AT_KNOWN_TEMPOS)
    unguarded(ports, "update alignments set heard_tempo = null")  # as before it was measured
    short = with_short_leases(ports)
    counts = []
    for changes in range(1, 20):
        try:
            update_training_items(fused(short, Fuse(changes)), "nova")
        except KilledError:
            counts.append(len(rows(ports, "select from alignments")))
        else:
            break
    assert counts == sorted(counts)
    assert len(rows(ports, "select from alignments")) == 3
    assert _best(ports).name == "b/Harbour"
    assert items(ports)["a/Lanterns"]["audio_hash"] is not None


def _without_files(ports: Ports) -> Ports:
    """The same, where nothing in the bucket can be read."""

    class Unreadable:
        def __getattr__(self, name: str) -> object:
            if name in ("fetch", "open"):
                raise AssertionError("a file is read again")
            return getattr(ports.bucket, name)

    return replace(ports, bucket=Unreadable())  # type: ignore[arg-type]


def _shape(number: int, tempo: float | None, seconds: float | None, name: str = "") -> Shape:
    taken_in = _DAY + timedelta(days=number)
    return Shape(Save(f"p{number:03}", name or f"{number}.als", None, "key", None, None, taken_in), tempo, seconds)


def _unsure(**changes: object) -> UnsureItem:
    item = UnsureItem(UUID(int=1), "x", "path", "hash", 200.0, "own", "X.als", None, False, 120.0, _DAY, ["own"])
    return replace(item, **changes)  # type: ignore[arg-type]


def _names(shapes: list[Shape], item: UnsureItem, tempo: float = 120.0) -> list[str]:
    return [save.als_filename for save in nearest_saves(shapes, item, tempo)]


def test_the_nearest_saves_are_compared_first_and_not_too_many() -> None:
    near, half, longer, shorter, other = (
        _shape(5, 120.5, 195.0, "near"),
        _shape(4, 60.0, 195.0, "half the tempo, near"),
        _shape(3, 120.0, 400.0, "longer"),
        _shape(2, 120.0, 50.0, "shorter"),
        _shape(1, 133.0, 195.0, "another tempo"),
    )
    own = _shape(0, 150.0, 20.0, "X.als")
    shapes = [other, shorter, longer, half, near, own]
    assert _names(shapes, _unsure()) == [
        "X.als",
        "half the tempo, near",
        "near",
        "longer",
        "another tempo",
        "shorter",
    ]
    assert _names(shapes, _unsure(is_sure=True)) == ["X.als"]
    assert _names(shapes[::-1], _unsure()) == _names(shapes, _unsure())
    many = [_shape(number, None, None) for number in range(400)]
    assert _names(many, _unsure()) == [f"{number}.als" for number in range(MAX_SAVES)]


@pytest.mark.parametrize("overview", [None, [], "x", {"tempo": "fast"}, {"tempo": -1}, {"tempo": 1e300}])
def test_a_summary_that_says_nothing_usable_is_no_obstacle(overview: object) -> None:
    save = Save("p", "x.als", None, "key", overview, {"a": 1}, _DAY)
    assert Shape.of(save) == Shape(save)
    assert Shape.of(replace(save, overview={"tempo": 120, "time_signature": "0/0"}, length_bars=8)).seconds == 16
