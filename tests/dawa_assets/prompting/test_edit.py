"""People's texts: stored with author and move, never overwritten, given back for nothing; and what follows."""

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dawa_assets.artists.profile import set_profile
from dawa_assets.datasets.build import build_dataset
from dawa_assets.errors import BusyError
from dawa_assets.intake.live_sets import take_in_live_sets
from dawa_assets.items.update import update_training_items
from dawa_assets.pipeline.leases import lease
from dawa_assets.prompting.edit import edit_prompt, give_back_to_the_model, import_prompts
from dawa_assets.prompting.item_lookup import find_item
from dawa_assets.prompting.refresh import refresh_prompts
from dawa_assets.prompting.texts_file import Row
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.item_lookup import texts_of_item
from dawa_assets.tables.prompt_staleness import item_prompts, stale_artists
from modal_app.errors import InputError
from resources.ports import Ports
from resources.prompt_writer.base import PromptAnswer, PromptRequest
from tests.dawa_assets.intake.material import als, content, drop, new_artist, wav
from tests.dawa_assets.prompting.material import (
    CountingWriter,
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
OTHER = "Bright bells over a patient, rolling bass line.\nBPM: 122"


def state(ports: Ports, artist: Artist) -> list[str]:
    with ports.database.transaction() as connection:
        named = item_prompts(connection, artist.slug, "train-v1", ports.prompt_writer.model_name)
    return [each.state for each in named]


def is_due(ports: Ports) -> bool:
    return bool(stale_artists(ports.database, "train-v1", ports.prompt_writer.model_name))


def written(ports: Ports, artist: Artist, name: str = "One") -> UUID:
    """An item with a model's prompt."""
    it = give_set(ports.database, artist, summary(122, name), name)
    refresh_prompts(ports, artist.slug)
    return it


@pytest.mark.parametrize(("before", "after"), [("needs_prompt", "ready"), ("exported", "ready"), ("ready", "ready")])
def test_an_edit_is_a_persons_text_and_moves_its_item(ports: Ports, artist: Artist, before: str, after: str) -> None:
    it = give_set(ports.database, artist, summary(), "One")
    if before != "needs_prompt":
        refresh_prompts(ports, artist.slug)
        execute(ports.database, "update training_items set status = %s where id = %s", before, it)
    edit = edit_prompt(ports.database, "One/One", f"  {MINE}\r\n", author="Ada", artist=artist.slug)
    row = item(ports.database, it)
    assert (edit.changed, edit.warnings, edit.after) == (True, [], MINE)
    assert (row["prompt_text"], row["status"], row["model_name"]) == (MINE, after, None)
    stored = rows(ports.database, "select * from prompts where id = %s", row["prompt_id"])[0]
    assert (stored["origin"], stored["author"], stored["text"]) == ("human", "Ada", MINE)
    assert (state(ports, artist), is_due(ports)) == (["human"], before == "needs_prompt")
    set_profile(ports, artist, profile(schema_version="9"))
    assert refresh_prompts(ports, artist.slug).human == 1
    assert item(ports.database, it)["prompt_text"] == MINE


def test_the_same_edit_again_changes_nothing(ports: Ports, artist: Artist) -> None:
    written(ports, artist)
    edit_prompt(ports.database, "One", MINE, author="Ada")
    before = everything(ports.database)
    assert not edit_prompt(ports.database, "One.als", MINE + "\n", author="Grace").changed
    assert everything(ports.database) == before


def test_an_invalid_text_is_refused_and_broken_rules_only_warn(ports: Ports, artist: Artist) -> None:
    set_profile(ports, artist, profile())
    written(ports, artist)
    before = everything(ports.database)
    for text, why in {
        " \n": "is empty",
        "Drums\x00and bass": "U+0000",
        "Drums \u202eand bass": "U+202E",
        "half a \ud83d": "U+D83D",
        "word " * 91: "91 words",
        "x" * 20_000: "20,000 characters",
    }.items():
        with pytest.raises(InputError, match=r"item One/One: the text ") as refused:
            edit_prompt(ports.database, "One", text, author="Ada")
        assert why in str(refused.value)
    assert everything(ports.database) == before
    edit = edit_prompt(ports.database, "One", "A **bold** trap hats idea", author="Ada")
    assert [line.partition(":")[0] for line in edit.warnings] == ["plain-text", "ends-with-bpm", "no-go-zones"]
    assert edit.changed


def test_an_item_without_a_set_takes_a_text_without_a_bpm(ports: Ports, artist: Artist) -> None:
    it = rows(
        ports.database,
        "insert into training_items (artist_id, parse_id, status) values (%s, 'abc', 'needs_prompt') returning id",
        artist.id,
    )[0]["id"]
    assert edit_prompt(ports.database, str(it), "Slow drums and an organ.", author="Ada").warnings == []
    assert item(ports.database, it)["status"] == "needs_audio"
    with pytest.raises(InputError, match="no Live Set to write a prompt from"):
        give_back_to_the_model(ports, str(it))


def test_a_given_back_text_is_replaced_by_the_models_earlier_one(ports: Ports, artist: Artist) -> None:
    it = written(ports, artist)
    by_model = item(ports.database, it)["prompt_text"]
    edit_prompt(ports.database, "One", MINE, author="Ada")
    execute(ports.database, "update training_items set status = 'exported' where id = %s", it)
    assert give_back_to_the_model(ports, "One").what == "given back"
    meanwhile = item(ports.database, it)
    assert (meanwhile["prompt_text"], meanwhile["status"]) == (MINE, "exported"), "in use until the new one is there"
    assert (state(ports, artist), is_due(ports)) == (["given back"], True)
    writer = CountingWriter()
    report = refresh_prompts(with_writer(ports, writer), artist.slug)
    assert (report.reused, report.written, report.human, writer.asked) == (1, 0, 0, [])
    assert report.stale_because == {"given back": 1}
    after = item(ports.database, it)
    assert (after["prompt_text"], after["status"]) == (by_model, "ready")
    assert (state(ports, artist), is_due(ports)) == (["current"], False)


def test_a_given_back_text_is_written_anew_and_paid_once(ports: Ports, artist: Artist) -> None:
    it = give_set(ports.database, artist, summary(), "One")
    execute(ports.database, "update training_items set prompt_text = %s, status = 'ready' where id = %s", MINE, it)
    assert give_back_to_the_model(ports, "One").what == "given back", "saved by the dashboard, and not looked at yet"
    assert give_back_to_the_model(ports, "One").what == "given back"
    writer = CountingWriter()
    assert refresh_prompts(with_writer(ports, writer), artist.slug).written == 1
    assert len(writer.asked) == 1
    assert [row["text"] for row in rows(ports.database, "select text from prompts where origin = 'human'")] == [MINE]


def test_the_same_words_chosen_again_are_a_persons_again(ports: Ports, artist: Artist) -> None:
    it = written(ports, artist)
    edit_prompt(ports.database, "One", MINE, author="Ada")
    give_back_to_the_model(ports, "One")
    assert edit_prompt(ports.database, "One", MINE, author="Ada").changed
    assert (state(ports, artist), refresh_prompts(ports, artist.slug).human) == (["human"], 1)
    give_back_to_the_model(ports, "One")
    refresh_prompts(ports, artist.slug)
    execute(ports.database, "update training_items set prompt_text = %s where id = %s", MINE, it)
    assert refresh_prompts(ports, artist.slug).human == 1
    assert (item(ports.database, it)["prompt_text"], state(ports, artist)) == (MINE, ["human"])


def test_a_given_back_text_that_is_edited_meanwhile_is_a_persons(ports: Ports, artist: Artist) -> None:
    it = written(ports, artist)
    edit_prompt(ports.database, "One", MINE, author="Ada")
    give_back_to_the_model(ports, "One")
    execute(ports.database, "update training_items set prompt_text = %s where id = %s", OTHER, it)
    assert state(ports, artist) == ["human"]
    assert refresh_prompts(ports, artist.slug).human == 1
    assert item(ports.database, it)["prompt_text"] == OTHER


def test_a_models_text_makes_way_for_another_take(ports: Ports, artist: Artist) -> None:
    it = written(ports, artist)
    other = give_set(ports.database, artist, summary(122, "One"), "Copy of One")
    refresh_prompts(ports, artist.slug)
    first = item(ports.database, it)["prompt_id"]
    assert item(ports.database, other)["prompt_id"] == first, "equal sets share a text"
    assert give_back_to_the_model(ports, "One/One").what == "another take"
    assert state(ports, artist) == ["another take", "current"]
    writer = CountingWriter()
    report = refresh_prompts(with_writer(ports, writer), artist.slug)
    assert (report.written, len(writer.asked), report.stale_because) == (1, 1, {"another take": 1})
    assert item(ports.database, it)["prompt_id"] != first
    assert item(ports.database, other)["prompt_id"] == first
    assert refresh_prompts(with_writer(ports, writer), artist.slug).unchanged == 2
    assert len(writer.asked) == 1


def test_an_item_without_a_text_is_just_due(ports: Ports, artist: Artist) -> None:
    it = give_set(ports.database, artist, summary(), "One")
    assert give_back_to_the_model(ports, "One").what == "due"
    assert item(ports.database, it)["prompt_take"] == 0
    assert refresh_prompts(ports, artist.slug).written == 1


def test_the_history_has_every_text_with_who_wrote_it(ports: Ports, artist: Artist) -> None:
    it = written(ports, artist)
    edit_prompt(ports.database, "One", MINE, author="Ada")
    execute(ports.database, "update training_items set prompt_text = 'By the dashboard.' where id = %s", it)
    edit_prompt(ports.database, "One", OTHER, author="Grace")
    give_back_to_the_model(ports, "One")
    refresh_prompts(ports, artist.slug)
    give_back_to_the_model(ports, "One")
    refresh_prompts(ports, artist.slug)
    written(ports, artist, "Another set")
    with ports.database.transaction() as connection:
        texts = texts_of_item(connection, artist.id, find_item(connection, "One").id)
    told = [(each.origin, each.author, each.model_name, each.take, each.in_use) for each in texts]
    assert told == [
        ("model", None, "offline-v1", 0, False),
        ("human", "Ada", None, 0, False),
        ("human", None, None, 0, False),
        ("human", "Grace", None, 0, False),
        ("model", None, "offline-v1", 1, True),
    ]
    assert [each.text for each in texts[1:4]] == [MINE, "By the dashboard.", OTHER]
    assert [each.given_back_at is not None for each in texts] == [False, False, False, True, False]


def test_the_file_and_dataset_follow_edits_and_regenerations(ports: Ports) -> None:
    new_artist(ports)
    drop(ports, "nova", {"song.als": als(), "song.wav": wav()})

    def build() -> tuple[bytes, str | None]:
        refresh_prompts(ports, "nova")
        update_training_items(ports, "nova")
        made = build_dataset(ports, "nova")
        path = rows(ports.database, "select prompt_path from training_items")[0]["prompt_path"]
        texts = rows(ports.database, "select prompt_text from dataset_items where dataset_id = %s", made.dataset_id)
        assert content(ports.bucket, path).decode() == texts[0]["prompt_text"]
        return content(ports.bucket, path), made.fingerprint

    take_in_live_sets(ports, "nova")
    by_model, first = build()
    edit_prompt(ports.database, "song", MINE, author="Ada")
    by_hand, second = build()
    assert (by_hand.decode(), second != first) == (MINE, True)
    give_back_to_the_model(ports, "song")
    update_training_items(ports, "nova")
    assert build_dataset(ports, "nova").fingerprint == second, (
        "nothing leaves the dataset while the new text is not there"
    )
    assert build() == (by_model, first)


def test_edits_and_refreshes_at_once_lose_no_edit(ports: Ports, artist: Artist) -> None:
    names = [f"Set {number}" for number in range(6)]
    for number, name in enumerate(names):
        give_set(ports.database, artist, summary(100 + number, name), name)
    threads = [
        threading.Thread(target=lambda: refresh_prompts(ports, artist.slug)),
        threading.Thread(target=lambda: [edit_prompt(ports.database, name, MINE, author="Ada") for name in names]),
        threading.Thread(target=lambda: refresh_prompts(ports, artist.slug)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refresh_prompts(ports, artist.slug)
    texts = rows(ports.database, "select prompt_text from training_items")
    assert {row["prompt_text"] for row in texts} == {MINE}
    assert state(ports, artist) == ["human"] * 6


def test_an_item_is_found_by_id_key_or_name_and_never_guessed(
    ports: Ports, make_artist: Callable[[str], Artist]
) -> None:
    one, other = make_artist("One Artist"), make_artist("Other")
    first = give_set(ports.database, one, summary(), "Song")
    second = give_set(ports.database, other, summary(), "Song")
    gone = give_set(ports.database, one, summary(), "Gone")
    execute(ports.database, "update training_items set excluded_at = now() where id = %s", gone)
    with ports.database.transaction() as connection:
        assert find_item(connection, str(first)).id == first
        assert find_item(connection, str(second).upper()).id == second
        for name in ("Song", "Song.als", "Song/Song", " Song "):
            assert find_item(connection, name, "One Artist").id == first
            assert find_item(connection, name, other.slug).id == second
            with pytest.raises(InputError, match="several are called so") as ambiguous:
                find_item(connection, name)
            assert str(first) in str(ambiguous.value)
            assert str(second) in str(ambiguous.value)
        with pytest.raises(InputError, match="excluded"):
            find_item(connection, "Gone")
        for unknown in ("song", "", "%", "Song\x00", "\ud800", str(uuid4()), "x" * 9_000):
            with pytest.raises(InputError) as refused:
                find_item(connection, unknown)
            assert len(str(refused.value)) < 400
            assert str(refused.value).isprintable()
        with pytest.raises(InputError, match="artist 'nobody'"):
            find_item(connection, "Song", "nobody")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(min_size=1, max_size=40), reference=st.text(max_size=40))
def test_any_name_is_found_by_itself_alone(
    ports: Ports, make_artist: Callable[[str], Artist], name: str, reference: str
) -> None:
    artist = make_artist("Test Artist")
    execute(ports.database, "delete from training_items")
    storable = "\x00" not in name and name.isprintable() and name.strip() == name
    if storable:
        import unicodedata

        name = unicodedata.normalize("NFC", name)
        it = give_set(ports.database, artist, {}, name)
    with ports.database.transaction() as connection:
        if storable:
            assert find_item(connection, name).id == it
        if not storable or reference.strip() not in (name, f"{name}.als", f"{name}/{name}"):
            with pytest.raises(InputError) as refused:
                find_item(connection, reference)
            assert str(refused.value).isprintable()


def test_rows_are_imported_one_by_one_and_only_once(ports: Ports, make_artist: Callable[[str], Artist]) -> None:
    one, other = make_artist("One Artist"), make_artist("Other")
    items = [give_set(ports.database, each, summary(122, "Song"), "Song") for each in (one, other)]
    lone = give_set(ports.database, other, summary(122, "Lone"), "Lone")
    texts = [
        Row(2, "Song", MINE, artist="Other"),
        Row(3, "Song", MINE),
        Row(4, "Nobody's", MINE),
        Row(5, str(items[0]), OTHER, author="Grace"),
        Row(6, "Song", OTHER, artist="Other"),
        Row(7, "Lone", ""),
        Row(8, "", "", problem="names no item"),
        Row(9, "Lone", "Drums."),
    ]
    done = import_prompts(ports.database, texts, author="Ada")
    assert (done.changed, done.unchanged, sorted(done.artists)) == (2, 0, ["one-artist", "other"])
    assert [line for line, _ in done.refused] == [3, 4, 6, 7, 8, 9]
    reasons = dict(done.refused)
    for line, part in {
        3: "several",
        4: "no item",
        6: "on line 2 already",
        7: "empty",
        8: "names no item",
        9: "on line 7",
    }.items():
        assert part in reasons[line]
    assert [item(ports.database, each)["prompt_text"] for each in [*items, lone]] == [OTHER, MINE, None]
    assert [row["author"] for row in rows(ports.database, "select author from prompts order by author")] == [
        "Ada",
        "Grace",
    ]
    before = everything(ports.database)
    again = import_prompts(ports.database, texts, author="Somebody else")
    assert (again.changed, again.unchanged) == (0, 2)
    assert everything(ports.database) == before
    narrowed = import_prompts(ports.database, [Row(2, "Lone", MINE)], author="Ada", artist="Other")
    assert narrowed.changed == 1


def test_a_text_given_back_during_a_refresh_is_not_lost(ports: Ports, artist: Artist) -> None:
    it = written(ports, artist)
    give_set(ports.database, artist, summary(90, "Two"), "Two")
    done: list[str] = []
    asker = threading.Thread(target=lambda: done.append(give_back_to_the_model(ports, str(it)).what))

    class Busy(CountingWriter):
        def write(
            self, requests: Iterable[PromptRequest], budget_usd: float | None = None
        ) -> Iterator[list[PromptAnswer]]:
            asker.start()
            asker.join(0.5)
            assert done == [], "it waits, for this run has planned without it"
            yield from super().write(requests, budget_usd)

    refresh_prompts(with_writer(ports, Busy()), artist.slug)
    asker.join()
    assert done == ["another take"]
    assert (state(ports, artist), is_due(ports)) == (["another take", "current"], True)
    assert refresh_prompts(ports, artist.slug).stale_because == {"another take": 1}
    impatient = replace(ports, settings=ports.settings.model_copy(update={"lease_wait_seconds": 0.0}))
    with (
        lease(ports.database, artist.id, "prompts", seconds=60, wait_seconds=0),
        pytest.raises(BusyError, match="another process"),
    ):
        give_back_to_the_model(impatient, str(it))
