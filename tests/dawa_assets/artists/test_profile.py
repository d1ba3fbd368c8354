"""Profiles: what is a master_schema, what is refused and in which words, and when storing one changes anything."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dawa_assets.artists.profile import MAX_BYTES, load_profile, set_profile, validate_profile
from dawa_assets.errors import InvalidProfileError
from dawa_assets.example.profile import master_schema
from dawa_assets.example.tracks import songs
from dawa_assets.tables.artist_profiles import observed_profile
from dawa_assets.tables.artists import Artist
from resources.ports import Ports
from tests.dawa_assets.prompting.material import execute, rows


def refusal(data: object) -> str:
    with pytest.raises(InvalidProfileError) as caught:
        validate_profile(data)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    return message


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"schema_version": "2.0"},
        {"artist": {"core_identities": {"primary_genre_space": ["house"]}}, "a field of tomorrow": {"x": [1, None]}},
        {"catalog": [{"title": "One", "tempo_bpm": 97.5, "release_role": "remix", "extra": True}]},
        {"creative_policy": {"no_go_zones": []}, "semantic_views": {"by_mood": {"any id": {"description": "x"}}}},
    ],
)
def test_a_profile_may_have_any_part_of_the_interface_and_more(data: dict[str, Any]) -> None:
    assert validate_profile(data) is data


def test_the_examples_whole_profile_follows_the_interface() -> None:
    assert validate_profile(master_schema(songs()))["schema_version"]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([], "the profile is a list; it must be a JSON object"),
        (None, "the profile is null"),
        ({"schema_version": 2}, "schema_version: must be text, is a number"),
        ({"artist": []}, "artist: must be an object, is a list"),
        ({"artist": {"members": "Jo"}}, "artist.members: must be a list, is text"),
        ({"artist": {"core_identities": {"energy_profile": [1]}}}, "artist.core_identities.energy_profile[0]: must be"),
        ({"catalog": [{}, {"tempo_bpm": "120"}]}, "catalog[1].tempo_bpm: must be a number, is text"),
        ({"catalog": [{"tempo_bpm": True}]}, "catalog[0].tempo_bpm: must be a number, is true or false"),
        ({"catalog": [{"tempo_bpm": 0}]}, "catalog[0].tempo_bpm: must be greater than or equal to 20"),
        ({"catalog": [{"release_role": "cover"}]}, "catalog[0].release_role: must be 'original' or 'remix'"),
        ({"creative_policy": None}, "creative_policy: must be an object, is null; leave the field out"),
        ({"semantic_views": {"by_mood": {"calm": 3}}}, "semantic_views.by_mood.calm: must be an object"),
        (
            {"daw_fingerprint_aggregates": {"core_bpm_range": {"min": 130, "max": 90}}},
            "daw_fingerprint_aggregates.core_bpm_range: min is above max",
        ),
        ({"x": "a\x00b"}, "x: holds a NUL character"),
        ({"x\x00": 1}, "holds a NUL character"),
        ({"x": ["\ud800"]}, "x[0]: holds half a character"),
        ({"x": float("nan")}, "x: is no finite number"),
        ({"x": float("inf")}, "x: is no finite number"),
        ({"x": 10**400}, "x: is a number out of all range"),
        ({"x": "y" * 30_000}, "x: has 30,000 characters"),
        ({"x": {1: 2}}, "has a number as a field's name"),
        ({"x": {1, 2}}, "which JSON does not have"),
    ],
)
def test_what_is_refused_is_told_by_field_and_reason(data: object, says: str) -> None:
    assert says in refusal(data)


def test_a_thousand_levels_are_refused_without_a_crash() -> None:
    deep: dict[str, Any] = {}
    for _ in range(5_000):
        deep = {"a": deep}
    assert "nested more than" in refusal(deep)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no JSON here"),
        (b"{", "line 1, column 2: no JSON here"),
        (b'{"a": 1, "a": 2}', "the field 'a' stands twice"),
        (b'{"a": NaN}', "holds NaN"),
        (b'{"a": 1e999}', "no finite number"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "thousands of digits"),
        (b"[" * 100_000 + b"]" * 100_000, "nested"),
        (b'{"a": "\xff"}', "byte 7 is not UTF-8"),
        (b'{"a": "\\u0000"}', "NUL"),
        ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
        (b'"' + b"x" * MAX_BYTES + b'"', "larger than"),
        (b"[1]", "must be a JSON object"),
    ],
)
def test_a_bad_file_is_one_line_that_names_it(tmp_path: Path, content: bytes, says: str) -> None:
    file = tmp_path / "master schema.json"
    file.write_bytes(content)
    with pytest.raises(InvalidProfileError) as caught:
        load_profile(file)
    assert says in str(caught.value)
    assert str(caught.value).startswith(str(file))
    assert "\n" not in str(caught.value)


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    file = tmp_path / "p.json"
    file.write_bytes(b'\xef\xbb\xbf{"schema_version": "1"}')
    assert load_profile(file) == {"schema_version": "1"}


@pytest.mark.parametrize("missing", ["nowhere.json", "."])
def test_a_file_that_is_none_is_reported(tmp_path: Path, missing: str) -> None:
    with pytest.raises(InvalidProfileError, match="can't be read"):
        load_profile(tmp_path / missing)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
_NAMES = ["schema_version", "artist", "catalog", "semantic_views", "creative_policy", "daw_fingerprint_aggregates"]


@given(st.dictionaries(st.sampled_from(_NAMES) | st.text(), _JSON, max_size=5))
def test_whatever_is_given_is_accepted_or_refused_in_one_line(data: dict[str, object]) -> None:
    refused = ""
    try:
        assert json.loads(json.dumps(validate_profile(data), allow_nan=False)) == data
    except InvalidProfileError as error:
        refused = str(error)
    assert "\n" not in refused


def test_storing_the_same_again_writes_nothing(ports: Ports, artist: Artist) -> None:
    assert set_profile(ports, artist, {"b": 1, "a": {"d": 1.0, "c": [2]}})
    before = rows(ports.database, "select * from artist_profiles")
    assert not set_profile(ports, artist, {"a": {"c": [2], "d": 1.0}, "b": 1})
    assert rows(ports.database, "select * from artist_profiles") == before
    assert set_profile(ports, artist, {})
    assert rows(ports.database, "select master_schema from artist_profiles") == [{"master_schema": {}}]


def test_a_refused_profile_leaves_the_stored_one(ports: Ports, artist: Artist) -> None:
    set_profile(ports, artist, {"schema_version": "1"})
    with pytest.raises(InvalidProfileError):
        set_profile(ports, artist, {"schema_version": 1})
    with ports.database.transaction() as connection:
        assert observed_profile(connection, artist.id).schema_version == "1"


def test_what_is_observed_changes_with_what_prompts_use(ports: Ports, artist: Artist) -> None:
    def seen() -> tuple[str, str]:
        with ports.database.transaction() as connection:
            observed = observed_profile(connection, artist.id)
        return observed.content_hash, observed.schema_version

    assert seen() == ("", "")
    set_profile(ports, artist, {"schema_version": "1", "provenance": {"last_refreshed": "a"}})
    first = seen()
    set_profile(ports, artist, {"schema_version": "1", "provenance": {"last_refreshed": "b"}})
    assert seen() == first
    set_profile(ports, artist, {"schema_version": "2"})
    assert seen() == (first[0], "2")
    set_profile(ports, artist, {"schema_version": "2", "artist": {"name": "X"}})
    assert seen()[0] != first[0]


@pytest.mark.parametrize("stored", ["[1, 2]", "[" * 3000 + "]" * 3000, '{"a": ' + "9" * 5000 + "}"])
def test_whatever_the_dashboard_stored_can_be_observed(ports: Ports, artist: Artist, stored: str) -> None:
    execute(
        ports.database,
        "insert into artist_profiles (artist_id, master_schema) values (%s, %s::jsonb)",
        artist.id,
        stored,
    )
    with ports.database.transaction() as connection:
        assert observed_profile(connection, artist.id).content_hash
