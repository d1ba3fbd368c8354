"""Summaries, profiles and rows that the tests of prompts are made of."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

from psycopg.types.json import Jsonb

from dawa_assets.prompting.context import build_context
from dawa_assets.prompting.profile_facts import read_profile
from dawa_assets.prompting.summary_facts import read_summary
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.prompt_staleness import StaleArtist, stale_artists
from modal_app.hosted_models.metered_requests import Usage
from resources.database.base import Database
from resources.errors import PromptWriterError
from resources.ports import Ports
from resources.prompt_writer.base import PromptAnswer, PromptRequest, PromptWriter
from resources.prompt_writer.offline import OfflineWriter


def summary(tempo: float = 122, stem: str = "Glass Harbour", **more: Any) -> dict[str, Any]:
    """A summary as the parser of this project writes it, of a small house track."""
    return {
        "als_stem": stem,
        "als_filename": f"{stem}.als",
        "project_name": stem,
        "project_folder": stem,
        "artist_name": "Test Artist",
        "overview": {"tempo": tempo, "time_signature": "4/4", "midi_tracks": 3, "audio_tracks": 1, "total_tracks": 4},
        "plugin_usage": {"Glue Machine": 2},
        "plugins_by_track": {"Pad Wide": ["Glue Machine"]},
        "sample_index": {"Kick 03.wav": {"path": "Samples/Kick 03.wav", "tracks": ["Drums"]}},
        "track_breakdown": {
            "Drums": _track("MIDI", 8, ["Kick 03.wav", "ClosedHH 1.wav"]),
            "Sub": _track("MIDI", 6, []),
            "Pad Wide": _track("MIDI", 4, [], ["Glue Machine"]),
            "Rhodes": _track("Audio", 2, ["rhodes_loop.wav"]),
        },
        "track_hierarchy": [
            {"name": name, "type": "MIDI", "index": index, "level": 0}
            for index, name in enumerate(["Drums", "Sub", "Pad Wide", "Rhodes"])
        ],
        "genre_indicators": [],
        "length_bars": 64.0,
        "locators": [{"name": "Intro", "time": 0, "bar": 1}, {"name": "DROP 1", "time": 64, "bar": 17}],
        "scale": {"root": "A", "name": "Minor"},
        "parser_version": "als-1",
        **more,
    }


def profile(**more: Any) -> dict[str, Any]:
    """A profile with words for every part of a prompt, and no-go zones."""
    return {
        "schema_version": "1.0",
        "artist": {
            "name": "Test Artist",
            "brand_narrative": {"tone": ["warm", "nocturnal"], "description": "Music for the walk home."},
            "core_identities": {
                "energy_profile": ["patient build"],
                "primary_genre_space": ["melodic house"],
                "sound_design_signature": ["glassy plucks", "vocal chops"],
                "sync_pitch_identity": ["night drive"],
            },
        },
        "creative_policy": {"no_go_zones": ["No vocals, please", "trap hats"]},
        "provenance": {"last_refreshed": "2026-01-01T00:00:00Z"},
        **more,
    }


def message(profile: object, summary: object, **more: Any) -> str:
    """The message that a writer is sent for what a profile and a summary hold."""
    return build_context(read_profile(profile), read_summary(summary), **more)


def _track(kind: str, clips: int, samples: list[str], plugins: list[str] | None = None) -> dict[str, Any]:
    return {
        "type": kind,
        "clips": clips,
        "group": None,
        "devices": 1,
        "plugins": plugins or [],
        "sample_files": samples,
        "has_automation": False,
    }


def give_set(database: Database, artist: Artist, content: Any, name: str, *, audio: bool = True) -> UUID:
    """A set that was taken in: its summary and its training item; with a bounce unless told otherwise."""
    parse = uuid4().hex[:12]
    with database.transaction() as connection:
        row = connection.execute(
            "insert into als_summaries (artist_id, als_filename, parse_id, summary) values (%s, %s, %s, %s) "
            "returning id",
            [artist.id, f"{name}.als", parse, Jsonb(content)],
        ).fetchone()
        item = connection.execute(
            "insert into training_items (artist_id, als_summary_id, parse_id, als_filename, item_key, status, "
            "audio_path, audio_hash, audio_format) values (%s, %s, %s, %s, %s, %s, %s, %s, %s) returning id",
            [
                artist.id,
                row["id"],
                parse,
                f"{name}.als",
                f"{name}/{name}",
                "needs_prompt" if audio else "needs_audio",
                f"artists/{artist.slug}/training/{parse}/audio.mp3" if audio else None,
                parse if audio else None,
                "mp3" if audio else None,
            ],
        ).fetchone()
    return UUID(str(item["id"]))


def rows(database: Database, query: str, *values: Any) -> list[dict[str, Any]]:
    """What a query gives."""
    with database.transaction() as connection:
        return connection.execute(query, list(values)).fetchall()


def execute(database: Database, statement: str, *values: Any) -> None:
    """A change that somebody else makes."""
    with database.transaction() as connection:
        connection.execute(statement, list(values))


def item(database: Database, item_id: UUID) -> dict[str, Any]:
    """One item's row."""
    return rows(database, "select * from training_items where id = %s", item_id)[0]


def with_writer(ports: Ports, writer: PromptWriter) -> Ports:
    """The same ports with another writer."""
    return replace(ports, prompt_writer=writer)


def everything(database: Database) -> list[list[dict[str, Any]]]:
    """All that a refresh may write, times included, so that "nothing was written" can be told."""
    return [
        rows(database, "select * from training_items order by id"),
        rows(database, "select * from prompts order by id"),
        rows(database, "select * from artist_prompt_state order by artist_id"),
    ]


class CountingWriter(OfflineWriter):
    """The offline writer that remembers what it was asked, and can stop or break on the way."""

    def __init__(self, *, dies_after: int | None = None, says: str | None = None) -> None:
        self.asked: list[PromptRequest] = []
        self._dies_after = dies_after
        self._says = says

    def write(self, requests: Iterable[PromptRequest], budget_usd: float | None = None) -> Iterator[list[PromptAnswer]]:
        for request in requests:
            if self._dies_after is not None and len(self.asked) >= self._dies_after:
                raise PromptWriterError("the writer went away; try again")
            self.asked.append(request)
            [answer] = next(iter(super().write([request])))
            if self._says is not None:
                answer = PromptAnswer(request.key, self._says, None, used=Usage(1, 7, 3, 0.5))
            yield [answer]


def stale(ports: Ports) -> list[StaleArtist]:
    return stale_artists(ports.database, ports.settings.system_prompt_version, ports.prompt_writer.model_name)


def stale_slugs(ports: Ports) -> list[str]:
    return [each.slug for each in stale(ports)]
