"""`dawa artist show` and `dawa artist set --field`: what is shown of an artist, and single fields changed, or none."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from dawa_assets.artists.profile import set_profile
from dawa_assets.artists.profile_fields import Assignment, change_fields
from dawa_assets.errors import InvalidProfileError
from dawa_assets.prompting.refresh import refresh_prompts
from dawa_assets.tables.artist_profiles import observed_profile
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.prompt_staleness import stale_artists
from modal_app.errors import InputError
from resources.database.base import Database
from resources.ports import Ports
from tests.dawa_assets.prompting.commands import Dawa, dawa_on
from tests.dawa_assets.prompting.material import execute, give_set, profile, summary


@pytest.fixture
def dawa(ports: Ports, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Dawa:
    return dawa_on(ports, monkeypatch, capsys)


@pytest.fixture
def others(ports: Ports, make_artist: Callable[[str], Artist]) -> list[Artist]:
    """Two artists with profiles, and one without."""
    found = [make_artist(name) for name in ("Nova", "Orbit", "Without")]
    for each in found[:2]:
        set_profile(ports, each, profile())
    return found


def _stored(database: Database, artist: Artist) -> Any:
    with database.transaction() as connection:
        return observed_profile(connection, artist.id).master_schema


def _stale(ports: Ports) -> list[tuple[str, str]]:
    found = stale_artists(ports.database, ports.settings.system_prompt_version, ports.prompt_writer.model_name)
    return [(each.slug, each.reason) for each in found]


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("schema_version=2.0", "2.0"),
        ('schema_version="2.0"', "2.0"),
        ("schema_version=NaN", "NaN"),
        ("artist.origin.city=", ""),
        ("artist.origin.city=a=b, c", "a=b, c"),
        ("catalog[0].tempo_bpm=124", 124),
        ("catalog[1].title=New", "New"),
        ('creative_policy.no_go_zones=["vocals", "trap"]', ["vocals", "trap"]),
        ("creative_policy.no_go_zones[2]=rap", "rap"),
        ("semantic_views.by_mood.dark 2.description=low", "low"),
        ("a_field_of_ours.level=7", 7),
        ("a_field_of_ours.level=high", "high"),
    ],
)
def test_a_value_is_what_its_field_takes(ports: Ports, artist: Artist, typed: str, stored: object) -> None:
    set_profile(ports, artist, profile(catalog=[{"title": "Old"}]))
    assignment = Assignment.parse(typed)
    [change] = change_fields(ports.database, [artist], [assignment])
    found = _stored(ports.database, artist)
    for step in assignment.steps:
        found = found[step]
    assert (found, [each.after for each in change.fields]) == (stored, [stored])
    assert change_fields(ports.database, [artist], [assignment])[0].fields == []


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("artist=Nova", "artist: must be an object, is text"),
        ("catalog[0].tempo_bpm=fast", "catalog[0].tempo_bpm: must be a number, is text"),
        ("catalog[0].tempo_bpm=1000", "catalog[0].tempo_bpm: must be less than or equal to 999, is '1000'"),
        ("creative_policy.no_go_zones=vocals", "creative_policy.no_go_zones: must be a list, is text"),
        ("catalog[7].title=x", "catalog[7].title: the list ends before that; [1] adds to it"),
        ("artist[0]=x", "artist[0]: is no list; leave the number out"),
        ("schema_version.x=1", "schema_version.x: what is to hold 'x' is no object"),
        ("daw_fingerprint_aggregates.core_bpm_range.min=500", "core_bpm_range: min is above max"),
    ],
)
def test_what_a_field_does_not_take_is_reported(ports: Ports, artist: Artist, typed: str, reason: str) -> None:
    before = profile(catalog=[{"title": "Old"}], daw_fingerprint_aggregates={"core_bpm_range": {"max": 200}})
    set_profile(ports, artist, before)
    with pytest.raises(InvalidProfileError) as refused:
        change_fields(ports.database, [artist], [Assignment.parse(typed)])
    assert reason in str(refused.value)
    assert str(refused.value).startswith("test-artist: ")
    assert str(refused.value).endswith("no profile was changed")
    assert _stored(ports.database, artist) == before


@pytest.mark.parametrize("typed", ["no equals", "=1", "a..b=1", ".a=1", "a[x]=1", "a[0=1", "[0]=1"])
def test_what_is_no_assignment_is_refused(typed: str) -> None:
    with pytest.raises(InputError, match="is no path=value; write it like"):
        Assignment.parse(typed)


def test_one_field_of_all_makes_their_prompts_stale(ports: Ports, others: list[Artist], dawa: Dawa) -> None:
    for each in others:
        give_set(ports.database, each, summary(), "One")
        refresh_prompts(ports, each.slug)
    assert _stale(ports) == []
    before = _stored(ports.database, others[0])
    said = dawa("artist", "set", "--all", "--field", "schema_version=2.0")
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines() == [
        'nova: schema_version: "1.0" → "2.0"',
        'orbit: schema_version: "1.0" → "2.0"',
        "2 of 2 profiles changed",
        "Next: dawa backfill prompts --dry-run   # what is rewritten, and what it costs",
    ]
    assert _stored(ports.database, others[0]) == before | {"schema_version": "2.0"}
    assert _stored(ports.database, others[2]) == {}
    assert _stale(ports) == [("nova", "schema version"), ("orbit", "schema version")]
    for each in others:
        refresh_prompts(ports, each.slug)

    said = dawa("artist", "set", "Nova", "--field", "artist.core_identities.tempo_center=124", "--json")
    assert json.loads(said.out) == [{
        "artist": "nova", "stale_prompts": True,
        "fields": [{"field": "artist.core_identities.tempo_center", "before": None, "after": "124"}],
    }]  # fmt: skip
    assert _stale(ports) == [("nova", "profile")]
    refresh_prompts(ports, "nova")
    said = dawa("artist", "set", "nova", "--field", "provenance.last_refreshed=today")
    assert "Next:" not in said.out
    assert _stale(ports) == []


def test_where_one_cannot_have_it_nobody_gets_it(ports: Ports, others: list[Artist], dawa: Dawa) -> None:
    execute(
        ports.database,
        "update artist_profiles set master_schema = '{\"catalog\": 7}' where artist_id = %s",
        others[1].id,
    )
    said = dawa("artist", "set", "--all", "--field", "schema_version=2.0")
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("dawa: orbit: catalog: must be a list, is a number")
    assert _stored(ports.database, others[0])["schema_version"] == "1.0"


def test_who_has_no_profile_gets_one_if_they_are_named(ports: Ports, others: list[Artist], dawa: Dawa) -> None:
    assert dawa("artist", "set", "without", "--field", "schema_version=1.1").code == 0
    assert _stored(ports.database, others[2]) == {"schema_version": "1.1"}


@pytest.mark.parametrize(
    "words",
    [
        ("nova",),
        ("nova", "--field", "a=1", "--all"),
        ("--field", "a=1"),
        ("--all", "--profile", "x.json"),
        ("nova", "--field", "a=1", "--profile", "x.json"),
        ("nobody", "--field", "a=1"),
    ],
)
def test_what_is_unclear_is_refused_in_one_line(others: list[Artist], dawa: Dawa, words: tuple[str, ...]) -> None:
    assert others
    said = dawa("artist", "set", *words)
    assert (said.code, said.out) == (2, "")
    assert said.err.count("\n") == 1


def test_an_artist_is_shown_with_counts_issues_and_fields(ports: Ports, others: list[Artist], dawa: Dawa) -> None:
    item = give_set(ports.database, others[0], summary(), "One", audio=False)
    execute(ports.database, "update training_items set status = 'failed', error = 'it is torn' where id = %s", item)
    said = dawa("artist", "show", "Nova")
    assert (said.code, said.err) == (0, "")
    lines = [" ".join(line.split()) for line in said.out.splitlines()]
    assert "items 0/1 ready (1 failed)" in lines
    assert "failed item: One/One: it is torn" in lines
    assert any(line.startswith("profile 1.0, changed 20") for line in lines)
    assert 'creative_policy.no_go_zones = ["No vocals, please", "trap hats"]' in lines
    assert lines[-1] == "One is changed by `dawa artist set nova --field PATH=VALUE`."

    shown = json.loads(dawa("artist", "show", "nova", "--json").out)
    assert shown["artist"]["slug"] == shown["status"]["slug"] == "nova"
    assert shown["profile"]["master_schema"] == profile()
    assert shown["profile"]["problems"] == []
    assert [(each["asset"], each["kind"], each["name"]) for each in shown["open"]] == [
        ("training_items", "failed", "One/One")
    ]
    assert "no profile yet: `dawa artist set without --profile FILE`" in dawa("artist", "show", "without").out
    execute(ports.database, "update artist_profiles set master_schema = '{\"catalog\": 7}'")
    assert "wrong: catalog: must be a list, is a number" in dawa("artist", "show", "nova").out
    assert dawa("artist", "show", "nobody").code == 2
