"""Refreshing an artist's prompts, on a real database: what is written, and what is left alone."""

from collections.abc import Callable

import pytest

from dawa_assets.artists.profile import set_profile
from dawa_assets.prompting.refresh import refresh_prompts
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.prompt_staleness import stale_artists
from resources.ports import Ports
from tests.dawa_assets.prompting.material import (
    CountingWriter,
    everything,
    execute,
    give_set,
    item,
    profile,
    rows,
    stale,
    stale_slugs,
    summary,
    with_writer,
)


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
