"""Each item's bounce is held against its set once, and what is found is kept: on whole songs, so it takes seconds."""

from dataclasses import replace

import pytest

from dawa_assets.ableton import alignment
from dawa_assets.datasets.build import build_dataset
from dawa_assets.example.live_set import live_set
from dawa_assets.example.tracks import songs
from dawa_assets.intake.live_sets import take_in_live_sets
from dawa_assets.items.exclusions import list_items
from dawa_assets.items.update import ItemsReport, update_training_items
from dawa_assets.library.live_set import show_live_set
from dawa_assets.pipeline.step import artist_step
from dawa_assets.segments.prepare import prepare_segments
from dawa_assets.segments.prepared_dataset import prepare_dataset
from dawa_assets.tables.alignments import alignments_of, bounce_timeline
from dawa_assets.tables.library_items import shown_items
from dawa_assets.training.runs import examples_of
from resources.ports import Ports
from tests.dawa_assets.intake.material import drop, items, new_artist, rows, unguarded, wav
from tests.dawa_assets.maintenance.killing import Fuse, KilledError, fused, with_short_leases

_SONG, _OTHER = songs()[1], songs()[2]


def _take_in(ports: Ports, files: dict[str, bytes]) -> ItemsReport:
    drop(ports, "nova", files)
    take_in_live_sets(ports, "nova")
    return update_training_items(ports, "nova")


def test_a_bounce_is_aligned_once_and_its_timeline_kept(ports: Ports, bounces: dict[str, bytes]) -> None:
    artist = new_artist(ports)
    report = _take_in(ports, {"Lanterns.als": live_set(_SONG), "Lanterns.wav": bounces["late"]})
    assert [name for name, _ in report.newly_aligned] == ["Lanterns/Lanterns"]
    [shown] = report.alignments
    assert shown.answer == "aligned from bar 4.5 (10.00 s)"
    assert shown.version == alignment.VERSION
    with ports.database.transaction() as connection:
        [found] = alignments_of(connection, artist.id)
        stored = found.alignment
        heard = bounce_timeline(connection, artist.id, stored.parse_id, stored.audio_hash)
    assert stored.offset_seconds == pytest.approx(10.0, abs=0.05)
    assert heard is not None
    assert [(round(each.seconds, 1), each.name) for each in heard.timeline.sections[1:3]] == [
        (-4.3, "verse"),
        (7.1, "chorus"),
    ]
    again = update_training_items(ports, "nova")
    assert again.newly_aligned == []
    assert again.alignments == report.alignments


def test_bars_and_sections_are_shown_by_the_bounces_clock(ports: Ports, bounces: dict[str, bytes]) -> None:
    artist = new_artist(ports)
    _take_in(ports, {"Lanterns.als": live_set(_SONG), "Lanterns.wav": bounces["late"]})
    [item] = items(ports).values()
    shown = show_live_set(ports, artist, item["parse_id"])
    assert shown.grid is not None
    assert shown.grid.offset_seconds == pytest.approx(-10, abs=0.05)
    bar = 4 * 60 / _SONG.tempo
    assert [each.start_seconds for each in shown.sections] == pytest.approx(
        [section.bar * bar - 10 for section in _SONG.sections], abs=0.05
    )
    with ports.database.transaction() as connection:
        [listed] = shown_items(connection, artist.id)
    assert listed.alignment is not None
    assert listed.alignment.words == "aligned from bar 4.5 (10.00 s)"
    [line] = list_items(ports.database, "nova")
    assert line.alignment == listed.alignment


def test_each_segment_of_an_aligned_bounce_has_its_facts(ports: Ports, bounces: dict[str, bytes]) -> None:
    new_artist(ports)
    _take_in(ports, {"Lanterns.als": live_set(_SONG), "Lanterns.wav": bounces["late"]})
    with ports.database.transaction() as connection:
        connection.execute("update training_items set prompt_text = 'Warm.\nBPM: 84'")
    update_training_items(ports, "nova")
    build_dataset(ports, "nova")
    report = prepare_segments(ports, "nova")
    assert [(each.begins, each.sections) for each in report.facts] == [
        (0.0, "verse, chorus"),
        (15.0, "chorus, outro"),
    ]
    assert "lead lines in at 7.1 s" in report.facts[0].comes_and_goes
    kept = rows(ports, "select index, version, facts from segment_facts order by index")
    assert [row["index"] for row in kept] == [0, 1]
    assert [row["facts"]["start"] for row in kept] == [0.0, 15.0]
    with artist_step(ports, "nova", "training") as step:
        prepared = prepare_dataset(ports, step.artist, step.held)
        assert prepared is not None
        first, _ = examples_of(ports, step.artist, prepared).examples
    assert first.sections == ("verse", "chorus")
    kinds = {part.kind: part.text for part in first.parts}
    assert kinds["section"] == "Section: verse, chorus."
    assert "shaker and rim enter at 1 s, lead lines at 7 s" in kinds["facts"]
    # what is not aligned any more has no facts any more
    unguarded(ports, "update alignments set answer = 'can''t be told', offset_seconds = null")
    assert prepare_segments(ports, "nova").facts == []
    assert rows(ports, "select from segment_facts") == []


def test_a_bounce_of_another_song_is_shown(ports: Ports, bounces: dict[str, bytes]) -> None:
    new_artist(ports)
    report = _take_in(ports, {"Lanterns.als": live_set(_SONG), "Lanterns.wav": bounces["other"]})
    assert [each.answer for each in report.alignments] == ["not this arrangement"]
    assert report.headline.endswith("1 not of their set, 1 blocked by what was found")


def test_a_set_that_tells_nothing_is_said_so_without_decoding(ports: Ports) -> None:
    new_artist(ports)
    session = replace(_SONG, parts=tuple(replace(part, clips=()) for part in _SONG.parts))
    report = _take_in(ports, {"Lanterns.als": live_set(session), "Lanterns.wav": wav()})
    assert [each.answer for each in report.alignments] == ["can't be told"]
    assert "session view" in report.alignments[0].reason


def test_what_an_older_version_said_is_replaced_by_the_next_run(ports: Ports, bounces: dict[str, bytes]) -> None:
    new_artist(ports)
    _take_in(ports, {"Lanterns.als": live_set(_SONG), "Lanterns.wav": bounces["whole"]})
    unguarded(ports, "update alignments set version = 'alignment-v0', offset_seconds = 99")
    unguarded(ports, "update song_timelines set version = 'timeline-v0'")
    assert len(update_training_items(ports, "nova").newly_aligned) == 1
    [row] = rows(ports, "select offset_seconds from alignments")
    assert row["offset_seconds"] == pytest.approx(0, abs=0.05)
    unguarded(ports, "update song_timelines set version = 'timeline-v0'")
    assert update_training_items(ports, "nova").newly_aligned == []
    assert rows(ports, "select from song_timelines where version = 'timeline-v0'") == []


def test_another_bounce_is_aligned_anew_and_the_former_is_known(ports: Ports, bounces: dict[str, bytes]) -> None:
    new_artist(ports)
    _take_in(ports, {"Lanterns.als": live_set(_SONG), "Lanterns.wav": bounces["whole"]})
    assert len(_take_in(ports, {"Lanterns.wav": bounces["late"]}).newly_aligned) == 1
    report = _take_in(ports, {"Lanterns.wav": bounces["whole"]})
    assert report.newly_aligned == []
    assert report.alignments[0].answer.startswith("aligned from bar 1 (0.0")


def test_a_file_that_is_gone_is_reported_and_asked_for_again(ports: Ports, bounces: dict[str, bytes]) -> None:
    new_artist(ports)
    _take_in(ports, {"Lanterns.als": live_set(_SONG), "Lanterns.wav": bounces["whole"]})
    unguarded(ports, "delete from alignments")
    [source] = [row["source_key"] for row in rows(ports, "select source_key from als_summaries")]
    ports.bucket.delete([source])
    report = update_training_items(ports, "nova")
    assert [name for name, _ in report.not_compared] == ["Lanterns/Lanterns"]
    assert items(ports)["Lanterns/Lanterns"]["status"] == "needs_prompt"
    unguarded(ports, "update als_summaries set source_key = 'artists/other/x.als'")
    assert "no file of the artist's own" in update_training_items(ports, "nova").not_compared[0][1]


def test_a_killed_run_has_kept_what_it_aligned(ports: Ports, bounces: dict[str, bytes]) -> None:
    new_artist(ports)
    files = {"a/One.als": live_set(_SONG), "a/One.wav": bounces["late"]}
    _take_in(ports, files | {"b/Two.als": live_set(_OTHER), "b/Two.wav": bounces["other"]})
    unguarded(ports, "delete from alignments")
    short = with_short_leases(ports)
    kept: dict[str, object] = {}
    for changes in range(1, 20):
        try:
            update_training_items(fused(short, Fuse(changes)), "nova")
        except KilledError:
            now = {row["parse_id"]: row["created_at"] for row in rows(ports, "select * from alignments")}
            assert now.items() >= kept.items()  # what was kept is not found once more
            kept = now
        else:
            break
    assert len(rows(ports, "select from alignments")) == 2
    assert kept
