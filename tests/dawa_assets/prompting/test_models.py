"""Which model writes: what a new default leaves alone, what somebody's choice rewrites, and who really answered."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from dawa_assets.artists.profile import set_profile
from dawa_assets.prompting.backfill import estimate
from dawa_assets.prompting.refresh import refresh_prompts
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.prompt_staleness import prompt_counts, stale_artists
from modal_app.hosted_models.prices import known_price
from resources.ports import Ports, open_prompt_writer
from resources.settings import Settings
from tests.dawa_assets.prompting.commands import run_main
from tests.dawa_assets.prompting.material import execute, give_set, profile, rows, summary
from tests.fakes.model_server.control import ModelServer
from tests.fakes.model_server.openai_api import KEY

Hosted = Callable[..., Ports]


def _stale(ports: Ports) -> list[str]:
    """Why artists are asked for; what people are told item by item agrees."""
    version, writer = ports.settings.system_prompt_version, ports.prompt_writer
    found = stale_artists(ports.database, version, writer.model_name, any_model=writer.takes_any_model)
    with ports.database.transaction() as connection:
        counts = prompt_counts(connection, version, writer.model_name, any_model=writer.takes_any_model)
    for each in found:
        assert each.reason not in counts[each.slug].stale or counts[each.slug].stale[each.reason]
    told = {reason for each in counts.values() for reason in each.stale}
    assert {each.reason for each in found} <= told | {"model", "profile", "unfinished"}
    return [each.reason for each in found]


def _models(ports: Ports) -> list[str]:
    return sorted(row["model_name"] for row in rows(ports.database, "select model_name from training_items"))


def _written_before(hosted: Hosted, artist: Artist, model: str = "gpt-4o-mini", sets: int = 2) -> Ports:
    before = hosted(openai_model=model)
    for number in range(sets):
        give_set(before.database, artist, summary(100 + number, f"Set {number}"), f"Set {number}")
    assert refresh_prompts(before, artist.slug).written == sets
    return before


def test_an_earlier_defaults_text_stays_until_its_inputs_change(
    hosted: Hosted, artist: Artist, model_server: ModelServer
) -> None:
    _written_before(hosted, artist)
    now = hosted()
    assert now.prompt_writer.model_name == "gpt-6-luna"
    assert _stale(now) == []
    calls = len(model_server.log())
    report = refresh_prompts(now, artist.slug)
    assert (report.unchanged, report.written, len(model_server.log())) == (2, 0, calls)
    assert estimate(now).to_write == 0

    give_set(now.database, artist, summary(140, "Set 9"), "Set 9")
    assert _stale(now) == ["missing"]
    assert refresh_prompts(now, artist.slug).written == 1, "only the new set is asked for"
    assert _models(now) == ["gpt-4o-mini", "gpt-4o-mini", "gpt-6-luna"]
    assert _stale(now) == []

    set_profile(now, artist, profile(creative_policy={"no_go_zones": ["trap hats"]}))
    assert _stale(now) == ["schema version"], "the first profile has a version"
    assert refresh_prompts(now, artist.slug).stale_because == {"schema version": 3}
    assert _models(now) == ["gpt-6-luna"] * 3


def test_a_chosen_model_rewrites_texts_after_a_priced_dry_run(hosted: Hosted, artist: Artist) -> None:
    _written_before(hosted, artist)
    refresh_prompts(hosted(), artist.slug)
    chosen = hosted(openai_model="gpt-6-luna")
    assert _stale(chosen) == ["model"], "although the artist was complete under the default of that name"
    dry = estimate(chosen)
    assert (dry.to_write, dry.artists[0].stale_because) == (2, {"model": 2})
    assert dry.cost_usd == pytest.approx(chosen.prompt_writer.price.of(dry.input_tokens, dry.output_tokens), abs=1e-6)
    assert dry.cost_usd > 0
    assert refresh_prompts(chosen, artist.slug).written == 2
    assert _models(chosen) == ["gpt-6-luna"] * 2
    assert _stale(chosen) == _stale(hosted()) == []


def test_another_writer_is_a_choice_too(hosted: Hosted, ports: Ports, artist: Artist) -> None:
    give_set(ports.database, artist, summary(), "A")
    refresh_prompts(ports, artist.slug)
    assert _stale(hosted()) == ["model"], "what was composed on this machine is no hosted model's"
    refresh_prompts(hosted(), artist.slug)
    assert _stale(ports) == ["model"]


def test_a_stopped_change_of_model_leaves_nothing_stale(hosted: Hosted, artist: Artist) -> None:
    _written_before(hosted, artist)
    chosen = hosted(openai_model="gpt-5.4-mini", calls_per_run=1, calls_at_once=1)
    assert len(refresh_prompts(chosen, artist.slug).deferred) == 1
    assert _models(chosen) == ["gpt-4o-mini", "gpt-5.4-mini"]
    report = refresh_prompts(hosted(), artist.slug)
    assert (report.unchanged, report.written) == (2, 0)
    assert _stale(hosted()) == []


def test_text_and_cost_are_recorded_for_the_model_that_answered(
    hosted: Hosted, artist: Artist, model_server: ModelServer
) -> None:
    served = "gpt-5.6-luna-2026-09-01"
    model_server.set(answered_by={"gpt-6-luna": served})
    ports = hosted()
    for number in range(3):
        give_set(ports.database, artist, summary(100 + number, f"Set {number}"), f"Set {number}")
    report = refresh_prompts(ports, artist.slug)
    notes = [note for note in report.notes if "gpt-5.6-luna" in note]
    assert len(notes) == 1, report.notes
    assert notes[0].startswith(f"gpt-6-luna was asked and {served} answered")
    assert _models(ports) == [served] * 3
    found = rows(ports.database, "select model_name, served_model, cost_usd from prompts")
    assert {(row["model_name"], row["served_model"]) for row in found} == {("gpt-6-luna", served)}
    price = known_price("openai", "gpt-5.6-luna")
    assert price is not None
    paid = model_server.paid()
    cost = sum(price.of(call["input_tokens"], call["output_tokens"]) for call in paid)
    account = rows(ports.database, "select model, cost_usd::float as usd, calls from spending")
    assert [(row["model"], row["calls"]) for row in account] == [(served, len(paid))]
    assert account[0]["usd"] == pytest.approx(cost, abs=1e-5)
    assert report.cost_usd == pytest.approx(cost, abs=1e-5)
    assert _stale(ports) == [], "what was asked decides what is current"
    assert refresh_prompts(ports, artist.slug).unchanged == 3
    assert len(model_server.paid()) == len(paid)


def test_a_version_of_the_same_model_is_no_mismatch(hosted: Hosted, artist: Artist) -> None:
    ports = _written_before(hosted, artist)  # the answers name gpt-4o-mini-2026-09-01
    assert _models(ports) == ["gpt-4o-mini"] * 2
    assert rows(ports.database, "select from prompts where served_model is not null") == []


@pytest.fixture
def dawa(
    hosted: Hosted, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """The command on a database of the test's, with the settings that the command itself makes."""
    ports = hosted()
    monkeypatch.setenv("DAWA_PROMPT_WRITER", "openai")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("DAWA_OPENAI_BASE_URL", model_server.openai_url)

    def opened(settings: Settings) -> Ports:
        return replace(ports, settings=settings, prompt_writer=open_prompt_writer(settings))

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("resources.ports.open_ports", opened)
        said = run_main(monkeypatch, capsys, "backfill", "prompts", *words)
        return said.code, said.out, said.err

    return run


def test_a_backfill_with_a_model_rewrites_text_of_other_models(
    hosted: Hosted, artist: Artist, dawa: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = _written_before(hosted, artist)
    assert json.loads(dawa("--dry-run", "--json")[1])["to_write"] == 0
    code, out, _ = dawa("--dry-run", "--json", "--model", "gpt-5.4-mini")
    dry = json.loads(out)
    assert (code, dry["model"], dry["to_write"]) == (0, "gpt-5.4-mini", 2)
    assert dry["cost_usd"] > 0
    assert _models(ports) == ["gpt-4o-mini"] * 2, "nothing was written"
    assert dawa("--model", "gpt-5.4-mini")[0] == 0
    assert _models(ports) == ["gpt-5.4-mini"] * 2
    assert json.loads(dawa("--dry-run", "--json")[1])["to_write"] == 0, "the default does not take it back"

    monkeypatch.setenv("DAWA_OPENAI_MODEL", "gpt-6-luna")
    code, _, err = dawa("--model", "gpt-4.1-mini")
    assert (code, err.count("\n")) == (2, 1)
    assert "DAWA_OPENAI_MODEL is gpt-6-luna" in err
    monkeypatch.setenv("DAWA_PROMPT_WRITER", "offline")
    code, _, err = dawa("--model", "gpt-4.1-mini")
    assert code == 2
    assert "set DAWA_PROMPT_WRITER=openai" in err


def test_rows_of_before_this_was_recorded_count_as_their_models(hosted: Hosted, artist: Artist) -> None:
    ports = _written_before(hosted, artist)
    execute(ports.database, "update artist_prompt_state set model_name = 'gpt-4o-mini'")
    assert _stale(hosted()) == []
    assert _stale(hosted(openai_model="gpt-4o-mini")) == []
    execute(ports.database, "delete from artist_prompt_state")
    assert refresh_prompts(hosted(), artist.slug).unchanged == 2
