"""Samples inside songs: each with where it comes from, and those that are not cleared first; hostile summaries too."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from dawa_assets.rights.enforce import enforce
from dawa_assets.rights.permissions import Grant, grant
from dawa_assets.rights.samples import list_samples, matching_pattern, origin_of
from resources.ports import Ports
from resources.settings import Settings
from tests.dawa_assets.maintenance.typed import dawa
from tests.dawa_assets.training.catalogue import Catalogue, open_catalogue, tone

INDEX = {
    "kick.wav": {"path": "/Users/n/Splice/sounds/kick.wav", "paths": [], "location": "elsewhere", "tracks": ["Drums"]},
    "vox.aif": {"path": "Samples/Recorded/vox.aif", "paths": [], "location": "project", "tracks": ["Vox"]},
    "break.wav": {"path": "/old disk/records/break.wav", "paths": [], "location": "elsewhere", "tracks": []},
}


@pytest.fixture
def nova(ports: Ports) -> Catalogue:
    catalogue = open_catalogue(ports, "Nova")
    catalogue.add("Harbour/Harbour", tone(1.0, 220))
    catalogue.add("Kite/Kite", tone(1.0, 330))
    _index(catalogue, "Harbour/Harbour.als", INDEX)
    return catalogue


def _index(catalogue: Catalogue, als: str, index: Any) -> None:
    catalogue.sql(
        "update als_summaries set summary = jsonb_set(summary, '{sample_index}', %s) where als_filename = %s",
        Jsonb(index), als,
    )  # fmt: skip


def _with(nova: Catalogue, **settings: Any) -> Ports:
    return replace(nova.ports, settings=nova.ports.settings.model_copy(update=settings))


@pytest.mark.parametrize(
    ("path", "location", "origin"),
    [
        ("/Users/n/Splice/sounds/kick.wav", "elsewhere", "vendor"),
        ("Samples/Imported/Splice/kick.wav", "project", "vendor"),
        ("Samples/Recorded/vox.aif", "project", "own recording"),
        ("Samples/Imported/break.wav", "project", "project"),
        ("Packs/Core Library/a.wav", "pack", "pack"),
        ("Samples/a.wav", "user library", "user library"),
        ("/old disk/records/break.wav", "elsewhere", "unknown"),
        ("", "", "unknown"),
    ],
)
def test_a_sample_s_place_says_where_it_comes_from(path: str, location: str, origin: str) -> None:
    assert origin_of(path, location) == origin


def test_a_pattern_goes_over_folders_and_minds_no_case() -> None:
    assert matching_pattern("Break.wav", "/old disk/records/Break.wav", ["*/RECORDS/*"]) == "*/RECORDS/*"
    assert matching_pattern("Break.wav", "", ["x", "break.*"]) == "break.*"
    assert matching_pattern("kick.wav", "/a/kick.wav", ["break*"]) is None


def test_songs_are_listed_with_what_is_not_cleared_first(nova: Catalogue) -> None:
    settings = nova.ports.settings.model_copy(update={"uncleared_samples": ("*/records/*",)})
    harbour, kite = list_samples(nova.ports.database, settings, "nova")
    assert [(each.name, each.origin) for each in harbour.samples] == [
        ("break.wav", "unknown"),
        ("kick.wav", "vendor"),
        ("vox.aif", "own recording"),
    ]
    assert [each.name for each in harbour.uncleared] == ["break.wav"]
    assert kite.samples == []


def test_what_is_not_cleared_is_left_out_where_it_must_be(nova: Catalogue) -> None:
    grant(nova.ports, Grant("nova", ("all",), "Nova"), recorded_by="me")
    required = _with(nova, permissions="required", uncleared_samples=("break.wav",))
    assert enforce(required, nova.artist).left_out == 1
    [row] = nova.sql("select item_key from training_items where excluded_at is not null")
    assert row["item_key"] == "Harbour/Harbour"
    [logged] = nova.sql("select reason from item_exclusions")
    assert logged["reason"] == "a sample in it is not cleared: break.wav"
    assert enforce(required, nova.artist).lines == []
    assert enforce(_with(nova, permissions="required"), nova.artist).taken_in == 1
    assert enforce(_with(nova, uncleared_samples=("break.wav",)), nova.artist).left_out == 0


_TEXT = st.text(max_size=20)
_NAMES = st.sampled_from(["path", "paths", "location", "x"])
_JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES | _TEXT, inner, max_size=3),
    max_leaves=6,
)


@given(index=_JSON)
def test_whatever_a_summary_holds_is_listed_or_left_out(index: object) -> None:
    from uuid import uuid4

    from dawa_assets.rights.samples import song_of
    from dawa_assets.tables.item_samples import ItemSamples

    song = song_of(ItemSamples(uuid4(), "song", False, index), ["*"])
    assert all(sample.name.isprintable() for sample in song.samples)


def test_as_it_is_typed(nova: Catalogue, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("resources.ports.open_database", lambda _: nova.ports.database)
    monkeypatch.setattr("resources.settings.Settings.load", lambda: _with(nova, uncleared_samples=("kick*",)).settings)
    assert dawa(monkeypatch, nova.ports, "rights", "samples", "nova") == 0
    told = capsys.readouterr().out
    for said in ("Harbour/Harbour", "not cleared (kick*)", "kick.wav", "/old disk/records/break.wav", "1 of 2 songs"):
        assert said in told
    assert dawa(monkeypatch, nova.ports, "rights", "samples", "nova", "--json") == 0
    assert json.loads(capsys.readouterr().out)[0]["samples"][0]["uncleared"] == "kick*"


def test_patterns_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAWA_UNCLEARED_SAMPLES", "*/records/*, break.wav")
    assert Settings(_env_file=None).uncleared_samples == ("*/records/*", "break.wav")
