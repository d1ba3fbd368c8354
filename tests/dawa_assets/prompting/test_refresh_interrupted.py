"""Refreshes that a crash, a limit, another process or a person comes between: what that costs, and what stays."""

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import ClassVar

import pytest

from dawa_assets.errors import BusyError
from dawa_assets.pipeline.leases import lease
from dawa_assets.prompting.refresh import refresh_prompts
from dawa_assets.tables.artists import Artist
from modal_app.hosted_models.metered_requests import Usage
from resources.errors import PromptWriterError
from resources.ports import Ports
from resources.prompt_writer.base import PromptAnswer, PromptRequest
from resources.prompt_writer.offline import OfflineWriter
from tests.dawa_assets.prompting.material import (
    CountingWriter,
    execute,
    give_set,
    item,
    stale,
    stale_slugs,
    summary,
    with_writer,
)


def test_a_crash_between_answers_loses_only_those_in_flight(ports: Ports, artist: Artist) -> None:
    for number in range(6):
        give_set(ports.database, artist, summary(100 + number), f"Set {number}")
    dying, after = CountingWriter(dies_after=4), CountingWriter()
    with pytest.raises(PromptWriterError):
        refresh_prompts(with_writer(ports, dying), artist.slug)
    assert stale_slugs(ports) == [artist.slug]
    report = refresh_prompts(with_writer(ports, after), artist.slug)
    assert (len(dying.asked), len(after.asked), report.written) == (4, 2, 2)
    assert stale(ports) == []


def test_answers_that_do_not_come_leave_their_items_stale(ports: Ports, artist: Artist) -> None:
    class Silent(OfflineWriter):
        def write(
            self, requests: Iterable[PromptRequest], budget_usd: float | None = None
        ) -> Iterator[list[PromptAnswer]]:
            for request in requests:
                yield [PromptAnswer("not asked", "Words.", None)]
                assert request.context
                return

    give_set(ports.database, artist, summary(), "One")
    report = refresh_prompts(with_writer(ports, Silent()), artist.slug)
    assert ([name for name, _ in report.deferred], report.failed) == (["One/One"], [])
    assert stale_slugs(ports) == [artist.slug]


def test_a_deferred_item_stays_as_it_is_until_the_next_run(ports: Ports, artist: Artist) -> None:
    class Poor(OfflineWriter):
        def write(
            self, requests: Iterable[PromptRequest], budget_usd: float | None = None
        ) -> Iterator[list[PromptAnswer]]:
            for number, request in enumerate(requests):
                if number < 2:
                    yield from super().write([request])
                else:
                    yield [PromptAnswer(request.key, None, "the budget of $1.00 is used up", deferred=True)]

    ids = [give_set(ports.database, artist, summary(100 + number), f"Set {number}") for number in range(5)]
    report = refresh_prompts(with_writer(ports, Poor()), artist.slug)
    assert (report.written, len(report.deferred), report.failed) == (2, 3, [])
    assert report.headline == "2 written, 3 put off (the budget of $1.00 is used up)"
    assert sorted((item(ports.database, it)["status"], item(ports.database, it)["error"]) for it in ids) == (
        [("needs_prompt", None)] * 3 + [("ready", None)] * 2
    )
    assert stale_slugs(ports) == [artist.slug]
    assert refresh_prompts(ports, artist.slug).written == 3
    assert stale(ports) == []


def test_a_run_may_spend_what_is_left_of_the_month(
    ports: Ports, artist: Artist, make_artist: Callable[[str], Artist]
) -> None:
    class Frugal(OfflineWriter):
        given: ClassVar[list[float | None]] = []

        def write(
            self, requests: Iterable[PromptRequest], budget_usd: float | None = None
        ) -> Iterator[list[PromptAnswer]]:
            self.given.append(budget_usd)
            for [answer] in super().write(requests):
                yield [replace(answer, used=Usage(2, 10, 5, 1.25))]

    settings = ports.settings.model_copy(update={"prompt_budget_usd": 2.0, "monthly_budget_usd": 3.0})
    frugal = replace(with_writer(ports, Frugal()), settings=settings)
    other = make_artist("Other")
    for owner in (artist, other):
        give_set(ports.database, owner, summary(), "One")
        refresh_prompts(frugal, owner.slug)
    execute(ports.database, "update spending set day = day - 40 where artist_id = %s", other.id)
    give_set(ports.database, artist, summary(99), "Two")
    refresh_prompts(frugal, artist.slug)
    assert Frugal.given == [2.0, 1.75, 1.75]


def test_two_at_once_ask_once(ports: Ports, artist: Artist) -> None:
    for number in range(8):
        give_set(ports.database, artist, summary(100 + number), f"Set {number}")
    writers = [CountingWriter(), CountingWriter()]
    reports = []
    threads = [
        threading.Thread(target=lambda w=w: reports.append(refresh_prompts(with_writer(ports, w), artist.slug)))
        for w in writers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(writer.asked) for writer in writers) == [0, 8]
    assert sorted(report.written for report in reports) == [0, 8]


def test_a_run_that_does_not_want_to_wait_says_who_is_in_the_way(ports: Ports, artist: Artist) -> None:
    from dataclasses import replace

    impatient = replace(ports, settings=ports.settings.model_copy(update={"lease_wait_seconds": 0.0}))
    with (
        lease(ports.database, artist.id, "prompts", seconds=60, wait_seconds=0),
        pytest.raises(BusyError, match="another process"),
    ):
        refresh_prompts(impatient, artist.slug)


def test_an_edit_in_the_middle_of_a_run_is_not_overwritten(ports: Ports, artist: Artist) -> None:
    it = give_set(ports.database, artist, summary(), "One")

    class Interrupted(CountingWriter):
        def write(
            self, requests: Iterable[PromptRequest], budget_usd: float | None = None
        ) -> Iterator[list[PromptAnswer]]:
            for answers in super().write(requests):
                execute(ports.database, "update training_items set prompt_text = 'Mine.' where id = %s", it)
                yield answers

    report = refresh_prompts(with_writer(ports, Interrupted()), artist.slug)
    assert (report.written, report.overtaken) == (0, 1)
    assert item(ports.database, it)["prompt_text"] == "Mine."
    assert stale_slugs(ports) == [artist.slug]
    assert refresh_prompts(ports, artist.slug).human == 1
    assert stale(ports) == []


def test_of_answers_that_come_together_each_has_its_item(ports: Ports, artist: Artist) -> None:
    tempos = {give_set(ports.database, artist, summary(tempo), f"Set {tempo}"): tempo for tempo in (70, 80, 90, 100)}
    edited = next(each for each, tempo in tempos.items() if tempo == 80)

    class AllAtOnce(CountingWriter):
        def write(
            self, requests: Iterable[PromptRequest], budget_usd: float | None = None
        ) -> Iterator[list[PromptAnswer]]:
            answers = [answer for [answer] in super().write(requests)]
            execute(ports.database, "update training_items set prompt_text = 'Mine.' where id = %s", edited)
            yield answers

    report = refresh_prompts(with_writer(ports, AllAtOnce()), artist.slug)
    assert (report.written, report.overtaken) == (3, 1)
    texts = {each: item(ports.database, each)["prompt_text"] for each in tempos}
    assert texts.pop(edited) == "Mine."
    assert all(text.endswith(f"\nBPM: {tempos[each]}") for each, text in texts.items())
