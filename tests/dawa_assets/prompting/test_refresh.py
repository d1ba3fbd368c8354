"""Refreshing an artist's prompts, on a real database: what is written, what is left alone, what a crash costs."""

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import ClassVar

import pytest

from dawa_assets.artists.profile import set_profile
from dawa_assets.errors import BusyError
from dawa_assets.pipeline.leases import lease
from dawa_assets.prompting.refresh import refresh_prompts
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.prompt_staleness import StaleArtist, stale_artists
from modal_app.hosted_models.metered_requests import Usage
from resources.errors import PromptWriterError
from resources.ports import Ports
from resources.prompt_writer.base import PromptAnswer, PromptRequest
from resources.prompt_writer.offline import OfflineWriter
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


def test_every_set_gets_a_prompt_and_its_item_moves(ports: Ports, artist: Artist) -> None:
    set_profile(ports, artist, profile())
    heard = give_set(ports.database, artist, summary(122, "One"), "One")
    unheard = give_set(ports.database, artist, summary(90.5, "Two"), "Two", audio=False)
    report = refresh_prompts(ports, artist.slug)
    assert (report.written, report.failed, report.stale_because) == (2, [], {"missing": 2})
    assert {each.item for each in report.examples} == {"One/One", "Two/Two"}
    first, second = item(ports.database, heard), item(ports.database, unheard)
    assert first["status"] == "ready"
    assert second["status"] == "needs_audio"
    assert first["prompt_text"].endswith("\nBPM: 122")
    assert second["prompt_text"].endswith("\nBPM: 90.5")
    assert (first["system_prompt_version"], first["model_name"]) == ("train-v1", "offline-v1")
    assert first["generated_at"] is not None
    stored = rows(ports.database, "select * from prompts where id = %s", first["prompt_id"])[0]
    assert (stored["origin"], stored["text"], stored["schema_version"]) == ("model", first["prompt_text"], "1.0")


def test_a_second_run_writes_nothing_and_asks_nothing(ports: Ports, artist: Artist) -> None:
    set_profile(ports, artist, profile())
    for name in "ABC":
        give_set(ports.database, artist, summary(120, name), name)
    give_set(ports.database, artist, {"overview": {}}, "Without tempo")
    refresh_prompts(ports, artist.slug)
    before, writer = everything(ports.database), CountingWriter()
    report = refresh_prompts(with_writer(ports, writer), artist.slug)
    assert everything(ports.database) == before
    assert writer.asked == []
    assert (report.written, report.unchanged, len(report.failed)) == (0, 3, 1)


def test_a_new_schema_version_rewrites_only_its_artists_prompts(
    ports: Ports, make_artist: Callable[[str], Artist]
) -> None:
    artists = [make_artist(f"Artist {number}") for number in range(4)]
    for each in artists:
        set_profile(ports, each, profile())
        give_set(ports.database, each, summary(), "One")
        refresh_prompts(ports, each.slug)
    assert stale(ports) == []
    set_profile(ports, artists[2], profile(schema_version="2.0"))
    assert [(each.slug, each.reason) for each in stale(ports)] == [(artists[2].slug, "schema version")]
    reports = {each.slug: refresh_prompts(ports, each.slug) for each in artists}
    assert [slug for slug, report in reports.items() if report.written] == [artists[2].slug]
    assert reports[artists[2].slug].stale_because == {"schema version": 1}
    assert stale(ports) == []
    assert len(rows(ports.database, "select * from prompts where artist_id = %s", artists[2].id)) == 2


def test_a_refreshed_provenance_rewrites_nothing(ports: Ports, artist: Artist) -> None:
    set_profile(ports, artist, profile())
    give_set(ports.database, artist, summary(), "One")
    refresh_prompts(ports, artist.slug)
    assert set_profile(ports, artist, profile(provenance={"last_refreshed": "2027-05-05"}))
    assert stale(ports) == []
    assert refresh_prompts(ports, artist.slug).written == 0


def test_a_changed_style_word_makes_an_exported_item_ready_again(ports: Ports, artist: Artist) -> None:
    set_profile(ports, artist, profile())
    it = give_set(ports.database, artist, summary(), "One")
    refresh_prompts(ports, artist.slug)
    execute(ports.database, "update training_items set status = 'exported' where id = %s", it)
    changed = profile()
    changed["artist"]["core_identities"]["primary_genre_space"] = ["slow disco"]
    set_profile(ports, artist, changed)
    assert [each.reason for each in stale(ports)] == ["profile"]
    report = refresh_prompts(ports, artist.slug)
    assert (report.written, report.stale_because) == (1, {"profile": 1})
    assert "disco" in report.examples[0].after
    assert "house" in report.examples[0].before
    assert item(ports.database, it)["status"] == "ready"


def test_another_system_prompt_or_model_is_noticed(ports: Ports, artist: Artist) -> None:
    give_set(ports.database, artist, summary(), "One")
    refresh_prompts(ports, artist.slug)
    assert [each.reason for each in stale_artists(ports.database, "train-v2", "offline-v1")] == ["system prompt"]
    assert [each.reason for each in stale_artists(ports.database, "train-v1", "another")] == ["model"]
    writer = CountingWriter()
    writer.model_name = "another"
    assert refresh_prompts(with_writer(ports, writer), artist.slug).stale_because == {"model": 1}


def test_returning_to_an_earlier_profile_reuses_its_prompts(ports: Ports, artist: Artist) -> None:
    it = give_set(ports.database, artist, summary(), "One")
    texts = []
    for version in ("1.0", "2.0", "1.0"):
        set_profile(ports, artist, profile(schema_version=version))
        writer = CountingWriter()
        report = refresh_prompts(with_writer(ports, writer), artist.slug)
        texts.append(item(ports.database, it)["prompt_text"])
    assert (report.written, report.reused, writer.asked) == (0, 1, [])
    assert texts[0] == texts[2]


def test_equal_sets_are_one_question(ports: Ports, artist: Artist) -> None:
    for name in ("One", "Copy of One"):
        give_set(ports.database, artist, summary(), name)
    writer = CountingWriter()
    report = refresh_prompts(with_writer(ports, writer), artist.slug)
    assert (report.written, len(writer.asked)) == (2, 1)
    assert len({row["prompt_id"] for row in rows(ports.database, "select prompt_id from training_items")}) == 1


@pytest.mark.parametrize("status", ["ready", "exported", "needs_audio"])
def test_text_that_the_dashboard_saved_is_a_persons_and_stays(ports: Ports, artist: Artist, status: str) -> None:
    it = give_set(ports.database, artist, summary(), "One")
    execute(
        ports.database,
        "update training_items set prompt_text = 'My own words.', status = %s where id = %s",
        status,
        it,
    )
    execute(ports.database, "update training_items set model_name = 'gpt-4o-mini' where id = %s", it)
    report = refresh_prompts(ports, artist.slug)
    after = item(ports.database, it)
    assert (report.human, report.written) == (1, 0)
    assert report.notes == ["One/One: a person's text, left as it is, breaks length: has 3 words; describe the track"]
    assert (after["prompt_text"], after["status"], after["model_name"]) == ("My own words.", status, "gpt-4o-mini")
    stored = rows(ports.database, "select origin, text from prompts where id = %s", after["prompt_id"])
    assert stored == [{"origin": "human", "text": "My own words."}]
    set_profile(ports, artist, profile(schema_version="9"))
    before = everything(ports.database)[:2]
    refresh_prompts(ports, artist.slug)
    assert everything(ports.database)[:2] == before
    assert stale(ports) == []


def test_an_edit_of_a_models_text_becomes_a_persons(ports: Ports, artist: Artist) -> None:
    it = give_set(ports.database, artist, summary(), "One")
    refresh_prompts(ports, artist.slug)
    execute(ports.database, "update training_items set status = 'exported' where id = %s", it)
    execute(ports.database, "update training_items set prompt_text = prompt_text || ' (edited)' where id = %s", it)
    set_profile(ports, artist, profile())
    report = refresh_prompts(ports, artist.slug)
    after = item(ports.database, it)
    assert (report.human, report.written) == (1, 0)
    assert after["prompt_text"].endswith("(edited)")
    assert after["status"] == "ready"
    assert stale(ports) == []


def test_a_text_that_a_person_cleared_is_written_anew(ports: Ports, artist: Artist) -> None:
    it = give_set(ports.database, artist, summary(), "One")
    refresh_prompts(ports, artist.slug)
    execute(ports.database, "update training_items set prompt_text = '' where id = %s", it)
    assert stale_slugs(ports) == [artist.slug]
    assert refresh_prompts(ports, artist.slug).stale_because == {"missing": 1}
    assert item(ports.database, it)["status"] == "ready"
    assert stale(ports) == []


def test_excluded_items_are_skipped_until_they_are_included(ports: Ports, artist: Artist) -> None:
    set_profile(ports, artist, profile())
    it = give_set(ports.database, artist, summary(), "One")
    refresh_prompts(ports, artist.slug)
    execute(ports.database, "update training_items set excluded_at = now() where id = %s", it)
    set_profile(ports, artist, profile(schema_version="2.0"))
    give_set(ports.database, artist, summary(100), "Two")
    assert refresh_prompts(ports, artist.slug).written == 1
    assert stale(ports) == []
    execute(ports.database, "update training_items set excluded_at = null where id = %s", it)
    assert stale_slugs(ports) == [artist.slug]
    assert refresh_prompts(ports, artist.slug).written == 1


def test_a_summary_that_was_read_again_is_looked_at(ports: Ports, artist: Artist) -> None:
    give_set(ports.database, artist, summary(), "One")
    refresh_prompts(ports, artist.slug)
    execute(ports.database, 'update als_summaries set summary = summary || \'{"parser_version": "als-2"}\'')
    assert stale_slugs(ports) == [artist.slug]
    assert refresh_prompts(ports, artist.slug).unchanged == 1
    assert stale(ports) == []
    execute(ports.database, "update als_summaries set summary = jsonb_set(summary, '{overview,tempo}', '99')")
    assert refresh_prompts(ports, artist.slug).stale_because == {"summary": 1}
    assert stale(ports) == []


def test_a_set_without_a_tempo_fails_alone_and_is_not_retried(ports: Ports, artist: Artist) -> None:
    bad = give_set(ports.database, artist, {"overview": {"tempo": "fast"}}, "Bad")
    good = give_set(ports.database, artist, summary(), "Good")
    report = refresh_prompts(ports, artist.slug)
    assert (report.written, [name for name, _ in report.failed]) == (1, ["Bad/Bad"])
    assert item(ports.database, bad)["status"] == "failed"
    assert item(ports.database, bad)["error"].startswith("prompt: its summary has no tempo")
    assert item(ports.database, good)["status"] == "ready"
    assert stale(ports) == []
    execute(ports.database, "update als_summaries set summary = jsonb_set(summary, '{overview,tempo}', '99')")
    assert stale_slugs(ports) == [artist.slug]
    assert refresh_prompts(ports, artist.slug).failed == []
    assert (item(ports.database, bad)["status"], item(ports.database, bad)["error"]) == ("ready", None)


def test_an_adopted_item_without_a_summary_is_never_asked_for(ports: Ports, artist: Artist) -> None:
    execute(
        ports.database,
        "insert into training_items (artist_id, parse_id, status) values (%s, 'abc', 'needs_prompt')",
        artist.id,
    )
    assert stale(ports) == []
    assert refresh_prompts(ports, artist.slug).headline == "no set to write a prompt for"


def test_a_text_that_breaks_a_rule_is_never_stored(ports: Ports, artist: Artist) -> None:
    it = give_set(ports.database, artist, summary(), "One")
    report = refresh_prompts(with_writer(ports, CountingWriter(says="**Bold** claims.")), artist.slug)
    assert "plain-text" in report.failed[0][1]
    assert (report.calls, report.input_tokens, report.output_tokens, report.cost_usd) == (1, 7, 3, 0.5)
    assert rows(ports.database, "select * from prompts") == []
    spent = rows(ports.database, "select service, calls, input_tokens, output_tokens, cost_usd::float from spending")
    assert [tuple(row.values()) for row in spent] == [("prompts", 1, 7, 3, 0.5)], "it was paid for all the same"
    failed = item(ports.database, it)
    assert failed["status"] == "failed"
    work = stale(ports)
    assert [each.slug for each in work] == [artist.slug]
    refresh_prompts(with_writer(ports, CountingWriter(says="**Bold** claims.")), artist.slug)
    assert stale(ports) == work, "the same work keeps its name, so that attempts can be counted"
    refresh_prompts(ports, artist.slug)
    assert (item(ports.database, it)["status"], item(ports.database, it)["error"]) == ("ready", None)


def test_a_failed_rewrite_leaves_the_older_prompt_in_use(ports: Ports, artist: Artist) -> None:
    it = give_set(ports.database, artist, summary(), "One")
    refresh_prompts(ports, artist.slug)
    before = item(ports.database, it)
    set_profile(ports, artist, profile())
    report = refresh_prompts(with_writer(ports, CountingWriter(says="no")), artist.slug)
    after = item(ports.database, it)
    assert len(report.failed) == 1
    assert (after["status"], after["prompt_text"]) == ("ready", before["prompt_text"])
    assert after["error"].startswith("prompt: ")
    assert stale_slugs(ports) == [artist.slug]


def test_an_error_of_another_step_is_not_taken_back(ports: Ports, artist: Artist) -> None:
    it = give_set(ports.database, artist, summary(), "One")
    execute(ports.database, "update training_items set status = 'failed', error = 'audio: cut short' where id = %s", it)
    refresh_prompts(ports, artist.slug)
    after = item(ports.database, it)
    assert (after["status"], after["error"]) == ("failed", "audio: cut short")
    assert after["prompt_text"]


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


@pytest.mark.parametrize("odd", [[], [1, 2], {"artist": "just a name"}, {"catalog": {"a": 1}, "creative_policy": [7]}])
def test_a_malformed_profile_is_reported_and_the_run_continues(ports: Ports, artist: Artist, odd: object) -> None:
    from psycopg.types.json import Jsonb

    execute(
        ports.database, "insert into artist_profiles (artist_id, master_schema) values (%s, %s)", artist.id, Jsonb(odd)
    )
    give_set(ports.database, artist, summary(), "One")
    report = refresh_prompts(ports, artist.slug)
    assert report.written == 1
    assert len(report.notes) == 1
    assert "prompts use what is usable" in report.notes[0]
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
