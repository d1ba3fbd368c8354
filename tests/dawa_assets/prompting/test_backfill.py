"""Rewriting the prompts of many artists: the dry run tells what then happens, and nothing is paid for twice."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dawa_assets.artists.profile import set_profile
from dawa_assets.pipeline.leases import lease
from dawa_assets.prompting import system_prompt
from dawa_assets.prompting.backfill import Backfill, backfill_prompts, estimate
from dawa_assets.prompting.edit import edit_prompt
from dawa_assets.tables.artists import Artist
from modal_app.hosted_models.metered_requests import Usage
from resources.errors import PromptWriterError
from resources.ports import Ports
from resources.prompt_writer.base import Price, PromptAnswer, PromptRequest
from resources.prompt_writer.offline import OfflineWriter
from tests.dawa_assets.prompting.commands import Dawa, dawa_on
from tests.dawa_assets.prompting.material import (
    everything,
    execute,
    give_set,
    item,
    profile,
    rows,
    summary,
    with_writer,
)

MINE = "Dusty drums under a slow, glowing organ.\nBPM: 122"


class PaidWriter(OfflineWriter):
    """The offline writer with a price, that counts what it is asked and can be out of reach."""

    model_name = "paid-1"
    price = Price(1000.0, 2000.0)

    def __init__(self, *, interrupted_after: int | None = None, gone: bool = False, deferred: bool = False) -> None:
        self.asked: list[PromptRequest] = []
        self._interrupted_after, self._gone, self._deferred = interrupted_after, gone, deferred

    def write(self, requests: Iterable[PromptRequest], budget_usd: float | None = None) -> Iterator[list[PromptAnswer]]:
        for request in requests:
            if self._gone:
                raise PromptWriterError("the model's key is not accepted; set another")
            if len(self.asked) == self._interrupted_after:
                raise KeyboardInterrupt
            self.asked.append(request)
            if self._deferred:
                yield [PromptAnswer(request.key, None, "the budget of $5.00 is used up", deferred=True)]
                continue
            for [answer] in super().write([request]):
                yield [replace(answer, used=Usage(1, 700, 60, 0.001))]


@pytest.fixture
def dawa(ports: Ports, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Dawa:
    return dawa_on(ports, monkeypatch, capsys)


@pytest.fixture
def with_a_new_version(ports: Ports, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ports:
    """The ports after `train-v2.md` was written and set."""
    for name in ("train-v1", "train-v2"):
        (tmp_path / f"{name}.md").write_text(f"{system_prompt.system_prompt('train-v1')}\nThis is {name}.\n")
    monkeypatch.setattr(system_prompt, "_FOLDER", tmp_path)
    return replace(ports, settings=ports.settings.model_copy(update={"system_prompt_version": "train-v2"}))


@pytest.fixture(autouse=True)
def _no_prompt_is_kept() -> Iterator[None]:
    yield
    system_prompt.system_prompt.cache_clear()


@pytest.fixture
def many(ports: Ports, make_artist: Callable[[str], Artist]) -> Callable[..., list[Artist]]:
    """A function that makes artists with a profile and two sets each, `One` and `Two`, or as many as are asked for."""

    def make(number: int, sets: int = 2) -> list[Artist]:
        artists = [make_artist(f"Artist {each:02}") for each in range(number)]
        for each in artists:
            set_profile(ports, each, profile())
            for name, tempo in (("One", 100), ("Two", 120))[:sets]:
                give_set(ports.database, each, summary(tempo, name), name)
        return artists

    return make


def wrote(result: Backfill) -> dict[str, int]:
    return {slug: report.written for slug, report in result.done.items() if report.written}


def test_what_changed_decides_whose_prompts_are_rewritten(
    with_a_new_version: Ports, ports: Ports, many: Callable[..., list[Artist]]
) -> None:
    artists = many(50, sets=1)
    writer = PaidWriter()
    old, new = with_writer(ports, writer), with_writer(with_a_new_version, writer)
    assert wrote(backfill_prompts(old)) == {each.slug: 1 for each in artists}

    set_profile(ports, artists[31], profile(schema_version="2.0"))
    set_profile(ports, artists[32], profile(provenance={"last_refreshed": "2027-05-05"}))
    dry = estimate(old)
    assert [(each.slug, each.stale_because) for each in dry.artists] == [(artists[31].slug, {"schema version": 1})]
    assert wrote(backfill_prompts(old)) == {artists[31].slug: 1}
    assert len(writer.asked) == 51

    edit_prompt(old.database, "One", MINE, author="Ada", artist=artists[7].slug)
    by_dashboard = "update training_items set prompt_text = %s where artist_id = %s"
    execute(ports.database, by_dashboard, MINE, artists[8].id)
    dry = estimate(new)
    assert (dry.to_write, dry.human, dry.up_to_date) == (48, 2, 0)
    assert sum(wrote(backfill_prompts(new)).values()) == 48
    assert len(writer.asked) == 51 + 48
    by_version = rows(
        ports.database,
        "select p.origin, p.system_prompt_version as version, count(*) as items from training_items i "
        "join prompts p on p.id = i.prompt_id where p.text = i.prompt_text group by 1, 2 order by 1",
    )
    assert by_version == [
        {"origin": "human", "version": None, "items": 2},
        {"origin": "model", "version": "train-v2", "items": 48},
    ]

    again = backfill_prompts(new)
    assert (again.done, again.up_to_date, again.is_complete) == ({}, 50, True)
    assert len(writer.asked) == 51 + 48


def test_going_back_to_an_earlier_version_is_free(
    with_a_new_version: Ports, ports: Ports, many: Callable[..., list[Artist]]
) -> None:
    (artist,) = many(1)
    writer = PaidWriter()
    old, new = with_writer(ports, writer), with_writer(with_a_new_version, writer)
    for each in (old, new):
        backfill_prompts(each)
    dry = estimate(old)
    assert (dry.to_write, dry.taken_over, dry.cost_usd) == (0, 2, 0)
    assert backfill_prompts(old).done[artist.slug].reused == 2
    assert len(writer.asked) == 4


def test_a_dry_run_reports_but_writes_and_spends_nothing(
    ports: Ports, with_a_new_version: Ports, many: Callable[..., list[Artist]], dawa: Dawa
) -> None:
    one, other = many(2)
    writer = PaidWriter()
    old = with_writer(ports, writer)
    backfill_prompts(old)
    give_set(ports.database, other, {"overview": {}}, "No tempo")
    set_profile(ports, one, profile(schema_version="2.0"))
    backfill_prompts(old, [one.slug])
    set_profile(ports, one, profile())
    before, asked = everything(ports.database), len(writer.asked)
    said = dawa("backfill", "prompts", "--dry-run", on=old)
    assert (said.code, everything(ports.database), len(writer.asked)) == (0, before, asked)
    first, *_, last = said.out.splitlines()
    assert first.startswith("artist-00: 0 to write (2 schema version), 2 taken over for nothing")
    assert "  One/One: schema version, written before" in said.out
    assert "  impossible: No tempo/No tempo: its summary has no tempo" in said.out
    assert "0 prompts to write, 2 taken over" in last
    assert last.endswith("$0.0000. Nothing was written or spent.")

    plain = json.loads(
        dawa("backfill", "prompts", "--dry-run", "--json", on=with_writer(with_a_new_version, writer)).out
    )
    assert (plain["to_write"], plain["system_prompt_version"], len(writer.asked)) == (4, "train-v2", asked)
    assert plain["artists"][0]["items"][0] == {"name": "One/One", "reason": "schema version", "is_free": False}
    assert plain["cost_usd"] == pytest.approx(plain["input_tokens"] * 1e-3 + plain["output_tokens"] * 2e-3, abs=1e-5)
    sent = sum(len(request.instructions + request.context) for request in writer.asked[:4])
    assert sent / 6 < plain["input_tokens"] < sent / 2
    human = dawa("backfill", "prompts", "--dry-run", on=with_writer(with_a_new_version, writer)).out
    assert "more than one run may spend" not in human
    poor = ports.settings.model_copy(update={"prompt_budget_usd": 0.01, "system_prompt_version": "train-v2"})
    assert (
        "more than one run may spend ($0.01)"
        in dawa(
            "backfill", "prompts", "--dry-run", on=replace(with_writer(with_a_new_version, writer), settings=poor)
        ).out
    )


def test_only_the_named_artists_are_done(many: Callable[..., list[Artist]], dawa: Dawa) -> None:
    many(3)
    said = dawa("backfill", "prompts", "--artist", "artist-02", "--artist", "Artist 00")
    assert (said.code, said.out.splitlines()) == (
        0,
        [
            "artist-00: 2 written",
            "artist-02: 2 written",
            "2 artists looked at, 0 up to date before; 4 prompts written for $0.0000",
        ],
    )
    plain = json.loads(dawa("backfill", "prompts", "--json").out)
    assert (list(plain["done"]), plain["up_to_date"], plain["is_complete"]) == (["artist-01"], 2, True)
    refused = dawa("backfill", "prompts", "--artist", "nobody")
    assert (refused.code, refused.out, refused.err.count("\n")) == (2, "", 1)


def test_one_artist_that_fails_does_not_stop_the_others(
    ports: Ports, many: Callable[..., list[Artist]], dawa: Dawa
) -> None:
    artists = many(3)
    impatient = replace(ports, settings=ports.settings.model_copy(update={"lease_wait_seconds": 0.0}))
    with lease(ports.database, artists[1].id, "prompts", seconds=60, wait_seconds=0):
        said = dawa("backfill", "prompts", on=impatient)
    assert said.code == 1
    assert [line.partition(":")[0] for line in said.out.splitlines()[:2]] == ["artist-00", "artist-02"]
    assert "dawa: artist-01: prompts: another process" in said.err
    assert dawa("backfill", "prompts").out.splitlines()[0] == "artist-01: 2 written"


def test_an_unusable_writer_is_not_tried_for_every_artist(ports: Ports, many: Callable[..., list[Artist]]) -> None:
    many(4)
    result = backfill_prompts(with_writer(ports, PaidWriter(gone=True)))
    assert (
        list(result.failed.values())
        == ["the model's key is not accepted; set another"] * 2 + ["not looked at: the writer can't be used"] * 2
    )


def test_a_stopped_backfill_goes_on_where_it_stopped(
    ports: Ports, many: Callable[..., list[Artist]], dawa: Dawa
) -> None:
    many(4)
    stopped, after = PaidWriter(interrupted_after=5), PaidWriter()
    said = dawa("backfill", "prompts", on=with_writer(ports, stopped))
    assert said.code == 130
    result = backfill_prompts(with_writer(ports, after))
    assert (len(stopped.asked), len(after.asked), wrote(result)) == (5, 3, {"artist-02": 1, "artist-03": 2})


def test_what_a_budget_puts_off_is_told_and_the_exit_code_is_1(
    ports: Ports, many: Callable[..., list[Artist]], dawa: Dawa
) -> None:
    (artist,) = many(1)
    said = dawa("backfill", "prompts", on=with_writer(ports, PaidWriter(deferred=True)))
    assert said.code == 1
    assert "2 put off (the budget of $5.00 is used up)" in said.out
    assert "2 prompts put off; run the same command again" in said.err
    items = rows(ports.database, "select id from training_items where artist_id = %s", artist.id)
    assert {item(ports.database, row["id"])["status"] for row in items} == {"needs_prompt"}
