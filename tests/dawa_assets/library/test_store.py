"""The library's entries: one a set, with the badge of the item that is furthest on."""

from typing import Any

import pytest
from psycopg.types.json import Jsonb

from dawa_assets.items.exclusions import set_excluded
from dawa_assets.library.live_set import show_live_set
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.library_sets import Entry, artists_seen_by, entries_of
from resources.ports import Ports
from tests.dawa_assets.http.serving import new_user
from tests.dawa_assets.intake.material import new_artist, rows
from tests.dawa_assets.prompting.material import execute, give_set, profile, summary


@pytest.fixture
def nova(ports: Ports) -> Artist:
    return new_artist(ports)


def _entries(ports: Ports, artist: Artist) -> dict[str, Entry]:
    with ports.database.transaction() as connection:
        return {entry.als_filename or "": entry for entry in entries_of(connection, artist.id)}


def _badges(ports: Ports, artist: Artist) -> dict[str, str]:
    return {name: entry.badge for name, entry in _entries(ports, artist).items()}


def _pair(ports: Ports, artist: Artist, name: str, parse: str, status: str = "ready") -> Any:
    """A pair that somebody saved for a set, by its parse and by its name."""
    [row] = rows(
        ports,
        "insert into training_items (artist_id, als_summary_id, parse_id, als_filename, project_name, audio_path, "
        "audio_hash, audio_format, prompt_text, status) values (%s, (select id from als_summaries where parse_id = %s "
        "and artist_id = %s), %s, %s, %s, %s, 'h', 'wav', 'a text', %s) returning id",
        *(artist.id, parse, artist.id, parse, f"{name}.als", name, f"artists/{artist.slug}/p/{parse}.wav", status),
    )
    return row["id"]


def test_each_status_is_a_badge_with_its_reason(ports: Ports, nova: Artist) -> None:
    give_set(ports.database, nova, summary(), "bare", audio=False)
    give_set(ports.database, nova, summary(), "heard")
    failed = give_set(ports.database, nova, summary(), "broken")
    execute(ports.database, "update training_items set status = 'failed', error = 'audio: gone' where id = %s", failed)
    out = give_set(ports.database, nova, summary(), "out")
    set_excluded(ports.database, [str(out)], excluded=True, author="Mia", reason="a demo")
    entries = _entries(ports, nova)
    assert {name: (entry.badge, entry.reason) for name, entry in entries.items()} == {
        "bare.als": ("needs_audio", "waits for its bounce"),
        "heard.als": ("needs_prompt", "waits for its prompt"),
        "broken.als": ("failed", "audio: gone"),
        "out.als": ("excluded", "a demo"),
    }


def test_a_saved_pair_gives_its_set_a_badge_even_after_a_resave(ports: Ports, nova: Artist) -> None:
    own = give_set(ports.database, nova, summary(), "Song", audio=False)
    [parse] = rows(ports, "select parse_id from training_items where id = %s", own)
    pair = _pair(ports, nova, "Song", parse["parse_id"])
    assert _badges(ports, nova) == {"Song.als": "ready"}
    execute(
        ports.database,
        "insert into als_summaries (artist_id, als_filename, project_name, parse_id, summary) "
        "values (%s, 'Song.als', 'Song', 'newer', '{}')",
        nova.id,
    )
    execute(
        ports.database,
        "update training_items set parse_id = 'newer', als_summary_id = (select id from als_summaries where "
        "parse_id = 'newer') where id = %s",
        own,
    )
    [entry] = _entries(ports, nova).values()
    assert (entry.parse_id, entry.badge, entry.item_id, set(entry.item_ids)) == ("newer", "ready", pair, {own, pair})


def test_summaries_without_items_and_lone_pairs_are_listed(ports: Ports, nova: Artist) -> None:
    execute(
        ports.database,
        "insert into als_summaries (artist_id, als_filename, project_name, parse_id, summary) "
        "values (%s, 'Old.als', 'Old', 'p1', '{}'), (%s, 'Old.als', 'Old', 'p2', '{}')",
        *(nova.id, nova.id),
    )
    _pair(ports, nova, "Lost", "unknown", "exported")
    entries = _entries(ports, nova)
    assert {name: (entry.badge, entry.live_set_id is None) for name, entry in entries.items()} == {
        "Old.als": ("needs_audio", False),
        "Lost.als": ("exported", True),
    }


def test_artists_count_the_same_badges_and_users_see_their_own(ports: Ports, nova: Artist) -> None:
    other = new_artist(ports, "Other")
    give_set(ports.database, nova, summary(), "a", audio=False)
    own = give_set(ports.database, nova, summary(), "b", audio=False)
    [parse] = rows(ports, "select parse_id from training_items where id = %s", own)
    _pair(ports, nova, "b", parse["parse_id"])
    give_set(ports.database, other, summary(), "c")
    with ports.database.transaction() as connection:
        everyone = {line.slug: line.badges for line in artists_seen_by(connection, None)}
        mine = [line.slug for line in artists_seen_by(connection, new_user(ports, nova))]
    assert everyone == {"nova": {"needs_audio": 1, "ready": 1}, "other": {"needs_prompt": 1}}
    assert mine == ["nova"]


def test_a_set_is_shown_with_its_bars_locators_and_context(ports: Ports, nova: Artist) -> None:
    execute(
        ports.database,
        "insert into artist_profiles (artist_id, master_schema) values (%s, %s)",
        *(nova.id, Jsonb(profile())),
    )
    give_set(ports.database, nova, summary(120), "Song")
    [parse] = rows(ports, "select parse_id from als_summaries")
    shown = show_live_set(ports, nova, parse["parse_id"])
    assert shown.grid is not None
    assert (shown.grid.bars[:3], shown.grid.length_seconds, len(shown.grid.bars)) == ([0, 2, 4], 128, 65)
    assert [(place.name, place.bar, place.seconds) for place in shown.locators] == [("Intro", 1, 0), ("DROP 1", 17, 32)]
    assert [(part.name, part.start_seconds, part.end_seconds) for part in shown.sections] == [
        ("Intro", 0, 32),
        ("DROP 1", 32, 128),
    ]
    assert shown.facts.musical_key == "A Minor"
    assert {track.name for track in shown.facts.tracks} == {"Drums", "Sub", "Pad Wide", "Rhodes"}
    assert shown.context["tempo_bpm"] == 120
    assert shown.context["style"]


def test_bars_and_locators_follow_changes_of_time_signature(ports: Ports, nova: Artist) -> None:
    changes = [{"time": 0, "time_signature": "4/4"}, {"time": 8, "time_signature": "3/4"}]
    places = [{"name": "B", "time": 14}, {"name": "A", "time": 8}, {"name": "again", "time": 14}]
    give_set(ports.database, nova, summary(120, length_bars=4, time_signature_changes=changes, locators=places), "Odd")
    [parse] = rows(ports, "select parse_id from als_summaries")
    shown = show_live_set(ports, nova, parse["parse_id"])
    assert shown.grid is not None
    assert shown.grid.bars == [0, 2, 4, 5.5, 7]
    assert [(place.name, place.bar) for place in shown.locators] == [("A", 3), ("B", 5), ("again", 5)]
    assert [(part.name, part.start_bar, part.end_seconds) for part in shown.sections] == [("A", 3, 7)]


@pytest.mark.parametrize("signature", ["", "x/y", "0/4", "3/0", "4/3", "99999999/1", "٤/٤", 7, None])
def test_a_time_signature_that_is_none_counts_as_four_quarters(ports: Ports, nova: Artist, signature: object) -> None:
    odd = summary(120, length_bars=2)
    odd["overview"]["time_signature"] = signature
    give_set(ports.database, nova, odd, "Odd")
    [parse] = rows(ports, "select parse_id from als_summaries")
    shown = show_live_set(ports, nova, parse["parse_id"])
    assert shown.grid is not None
    assert shown.grid.bars == [0, 2, 4]


@pytest.mark.parametrize("content", [{}, [], None, 7, {"overview": 7, "locators": 3, "tempo_changes": [{"time": "x"}]}])
def test_whatever_a_summary_holds_it_is_shown(ports: Ports, nova: Artist, content: Any) -> None:
    give_set(ports.database, nova, content, "Odd")
    [parse] = rows(ports, "select parse_id from als_summaries")
    shown = show_live_set(ports, nova, parse["parse_id"])
    assert (shown.grid, shown.facts.tempo, shown.locators) == (None, None, [])


def test_hostile_bars_and_tempos_stay_bounded(ports: Ports, nova: Artist) -> None:
    hostile = summary(
        999,
        length_bars=1e300,
        locators=[{"name": "<img onerror=x>", "time": 1e308}, {"name": "\u202eabc", "time": 4}] * 600,
        tempo_changes=[{"time": n, "tempo": (-1) ** n * 1e9} for n in range(100)],
    )
    give_set(ports.database, nova, hostile, "Odd")
    [parse] = rows(ports, "select parse_id from als_summaries")
    shown = show_live_set(ports, nova, parse["parse_id"])
    assert shown.grid is not None
    assert len(shown.grid.bars) <= 20_001
    assert len(shown.locators) <= 1_000
