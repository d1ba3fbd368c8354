"""Matches of sounds are stored by both artists' steps, which may run at the same time."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

from dawa_assets.tables.audio_measurements import AudioMatch, Content, Measurement, keep_matches, keep_measurements
from resources.database.base import Connection
from resources.ports import Ports
from tests.dawa_assets.intake.material import new_artist, rows
from tests.waiting import until

_WAITING = "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"


def insert(connection: Connection, match: AudioMatch) -> None:
    names = list(asdict(match))
    values = ", ".join(f"%({name})s" for name in names)
    connection.execute(f"insert into audio_matches ({', '.join(names)}) values ({values})", asdict(match))


def test_two_artists_who_find_each_other_wait_in_no_circle(ports: Ports) -> None:
    artists = sorted((new_artist(ports).id, new_artist(ports, "Vega").id))
    one, other = (Content(artist, "a" * 64) for artist in artists)
    with ports.database.transaction() as connection:
        keep_measurements(connection, "v1", [Measurement(content, {}, b"") for content in (one, other)])
    match = AudioMatch(*one, *other, 50, 0.0, 1.0, 30.0, 0.0, 0.0)

    def find_from_the_other_side() -> None:
        with ports.database.transaction() as connection:
            keep_matches(connection, "v1", {other: [match.reversed()]})

    with ThreadPoolExecutor(1) as pool:
        with ports.database.transaction() as connection:
            insert(connection, match)
            found = pool.submit(find_from_the_other_side)
            until(lambda: rows(ports, _WAITING), "the other step to wait for this one")
            insert(connection, match.reversed())
        found.result()
    assert len(rows(ports, "select from audio_matches")) == 2
