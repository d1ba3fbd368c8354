"""An excluded item is out of what comes next, its adapters are marked, and taken in again it is as if it never was."""

import json
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from dawa_assets.datasets.build import build_dataset
from dawa_assets.items.exclusions import list_items, set_excluded
from dawa_assets.observability.status import artist_statuses
from dawa_assets.segments.prepare import prepare_segments
from dawa_assets.tables.datasets import EMPTY_FINGERPRINT, artists_whose_dataset_would_differ
from dawa_assets.training.evaluation import evaluate_lora
from dawa_assets.training.promotion import list_loras, promote_lora, rollback_lora
from dawa_assets.training.runs import train_lora
from modal_app.errors import DawaError, InputError
from modal_app.protocol.training import TrainRequest
from resources.database.base import Database
from resources.ports import Ports
from tests.dawa_assets.intake.material import keys
from tests.dawa_assets.maintenance.typed import dawa
from tests.dawa_assets.training.catalogue import Catalogue, RecordingCompute, open_catalogue, tone, view, with_recorder

ONE, TWO = tone(2.0, 220), tone(2.0, 330)


@pytest.fixture
def recorded(ports: Ports) -> tuple[Ports, RecordingCompute]:
    return with_recorder(ports)


@pytest.fixture
def nova(recorded: tuple[Ports, RecordingCompute]) -> Catalogue:
    return open_catalogue(recorded[0], "Nova")


@pytest.fixture
def worker(recorded: tuple[Ports, RecordingCompute]) -> RecordingCompute:
    return recorded[1]


def _exclude(catalogue: Catalogue, *names: str, excluded: bool = True) -> list[bool]:
    changes, _ = set_excluded(
        catalogue.ports.database, names, excluded=excluded, author="me", reason="sample not cleared" if excluded else ""
    )
    return [change.changed for change in changes]


def _differ(catalogue: Catalogue) -> list[str]:
    with catalogue.ports.database.transaction() as connection:
        return artists_whose_dataset_would_differ(connection)


def _build(catalogue: Catalogue) -> str:
    """Dataset, segments, training and evaluation; the promoted run's id."""
    build_dataset(catalogue.ports, catalogue.slug)
    prepare_segments(catalogue.ports, catalogue.slug)
    train_lora(catalogue.ports, catalogue.slug)
    return evaluate_lora(catalogue.ports, catalogue.slug).promoted_run_id or ""


def _items_trained_on(worker: RecordingCompute) -> set[str]:
    return {example.song for request in worker.requests if isinstance(request, TrainRequest)
            for example in request.examples}  # fmt: skip


def test_out_of_dataset_view_and_training_and_back_again(nova: Catalogue, worker: RecordingCompute) -> None:
    nova.add("a/one", ONE)
    nova.add("a/two", TWO)
    before = build_dataset(nova.ports, "nova")
    prepare_segments(nova.ports, "nova")
    whole = view(nova.ports, "nova")
    zips = keys(nova.ports.bucket, "artists/nova/datasets")

    assert _exclude(nova, "a/one") == [True]
    assert _exclude(nova, "a/one") == [False]
    assert _differ(nova) == ["nova"]
    without = build_dataset(nova.ports, "nova")
    prepare_segments(nova.ports, "nova")
    train_lora(nova.ports, "nova")
    assert [track.item for track in without.tracks] == ["a/two"]
    assert len(view(nova.ports, "nova")) == 1
    assert _items_trained_on(worker) == {"a/two"}
    assert _differ(nova) == []

    assert _exclude(nova, "a/one", excluded=False) == [True]
    assert _differ(nova) == ["nova"]
    after = build_dataset(nova.ports, "nova")
    prepare_segments(nova.ports, "nova")
    assert (after.state, after.fingerprint, after.storage_path) == (
        "current again",
        before.fingerprint,
        before.storage_path,
    )
    assert len(keys(nova.ports.bucket, "artists/nova/datasets")) == len(zips) + 2
    assert view(nova.ports, "nova") == whole


def test_the_last_item_leaves_an_empty_dataset_and_view_once(nova: Catalogue, worker: RecordingCompute) -> None:
    nova.add("a/one", ONE)
    nova.add("a/broken", TWO, status="failed")
    first = build_dataset(nova.ports, "nova")
    prepare_segments(nova.ports, "nova")
    _exclude(nova, "a/one")
    assert _differ(nova) == ["nova"]
    empty = build_dataset(nova.ports, "nova")
    prepare_segments(nova.ports, "nova")
    assert (empty.state, empty.fingerprint, empty.item_count) == ("built", EMPTY_FINGERPRINT, 0)
    assert view(nova.ports, "nova") == {}
    assert train_lora(nova.ports, "nova").state == "nothing to train on"
    assert worker.count(TrainRequest) == 0
    assert _differ(nova) == []
    assert build_dataset(nova.ports, "nova").state == "unchanged"
    _exclude(nova, "a/one", excluded=False)
    assert _differ(nova) == ["nova"]
    again = build_dataset(nova.ports, "nova")
    assert (again.state, again.fingerprint) == ("current again", first.fingerprint)


def test_items_excluded_since_the_build_are_not_trained_on(nova: Catalogue, worker: RecordingCompute) -> None:
    nova.add("a/one", ONE)
    nova.add("a/two", TWO)
    build_dataset(nova.ports, "nova")
    _exclude(nova, "a/one")
    train_lora(nova.ports, "nova")
    evaluate_lora(nova.ports, "nova")
    assert _items_trained_on(worker) == {"a/two"}
    [lora] = list_loras(nova.ports, "nova")
    assert (lora.trained_on_excluded, lora.run.promoted) == ([], True)


def test_identical_audio_is_out_only_when_both_items_are(nova: Catalogue, worker: RecordingCompute) -> None:
    nova.add("a/one", ONE, "Same.\nBPM: 120")
    nova.add("a/again", ONE, "Same.\nBPM: 120")
    build_dataset(nova.ports, "nova")
    _exclude(nova, "a/one")
    train_lora(nova.ports, "nova")
    assert worker.count(TrainRequest) == 1
    _exclude(nova, "a/again")
    assert train_lora(nova.ports, "nova").state == "nothing to train on"


def test_an_adapter_trained_on_an_excluded_item_is_marked(nova: Catalogue) -> None:
    nova.add("a/one", ONE)
    nova.add("a/two", TWO)
    first = _build(nova)
    changes, heard = set_excluded(nova.ports.database, ["a/one"], excluded=True, author="me")
    assert [change.changed for change in changes] == [True]
    assert [(str(lora.run), lora.published, lora.items) for lora in heard] == [(first, True, ["a/one"])]
    [lora] = list_loras(nova.ports, "nova")
    assert lora.trained_on_excluded == ["a/one"]
    [status] = artist_statuses(nova.ports, "nova")
    assert [(notice.what, notice.reason) for notice in status.notices] == [
        (
            "published LoRA",
            "heard 1 excluded item: a/one; `dawa build --artist nova` trains one without",
        )
    ]

    second = _build(nova)
    assert second != first
    [status] = artist_statuses(nova.ports, "nova")
    assert status.notices == []
    for ask in (
        lambda: promote_lora(nova.ports, "nova", first, force=False),
        lambda: rollback_lora(nova.ports, "nova", nova.ports.settings.model_name, force=False),
    ):
        with pytest.raises(InputError, match=r"heard 1 excluded item: a/one.*--force"):
            ask()
    promote_lora(nova.ports, "nova", first, force=True)
    _exclude(nova, "a/one", excluded=False)
    assert [lora.trained_on_excluded for lora in list_loras(nova.ports, "nova")] == [[], []]


def test_an_adapter_trained_on_an_excluded_item_is_replaced(nova: Catalogue, worker: RecordingCompute) -> None:
    nova.add("a/one", ONE)
    nova.add("a/two", TWO)
    first = _build(nova)
    _exclude(nova, "a/one")
    worker.figures = {"lora_loss": 3.0}
    assert _build(nova) not in ("", first)


def test_a_candidate_that_heard_it_is_not_judged(nova: Catalogue) -> None:
    nova.add("a/one", ONE)
    build_dataset(nova.ports, "nova")
    train_lora(nova.ports, "nova")
    _exclude(nova, "a/one")
    assert evaluate_lora(nova.ports, "nova").state == "nothing to evaluate"
    _exclude(nova, "a/one", excluded=False)
    assert evaluate_lora(nova.ports, "nova").promoted_run_id is not None


def test_all_or_none(nova: Catalogue) -> None:
    nova.add("a/one", ONE)
    with pytest.raises(InputError, match="'a/three'"):
        _exclude(nova, "a/one", "a/three")
    assert [item.excluded_at for item in list_items(nova.ports.database, "nova")] == [None]


def test_since_when_is_the_database_s_to_say(nova: Catalogue) -> None:
    item = nova.add("a/one", ONE)
    nova.sql("update training_items set excluded_at = '1999-01-01' where id = %s", item)
    [row] = nova.sql("select excluded_at, excluded_at > now() - interval '1 hour' as is_now from training_items")
    assert row["is_now"]
    nova.sql("update training_items set excluded_at = now() where id = %s", item)
    assert nova.sql("select excluded_at from training_items") == [{"excluded_at": row["excluded_at"]}]


@given(reference=st.text(max_size=60), reason=st.text(max_size=600), author=st.text(max_size=30))
@hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
def test_whatever_is_typed_is_done_or_refused_in_one_line(
    database: Database, reference: str, reason: str, author: str
) -> None:
    with pytest.raises(DawaError) as refused:  # there is no item at all
        set_excluded(database, [reference], excluded=True, author=author, reason=reason)
    assert len(str(refused.value).splitlines()) == 1


@given(name=st.text(min_size=1, max_size=40).filter(lambda name: name.isprintable() and name.strip() == name))
@hypothesis_settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
def test_an_item_of_any_name_is_found_by_it(nova: Catalogue, name: str) -> None:
    import unicodedata

    key = unicodedata.normalize("NFC", f"Projekt/{name}")
    nova.sql(
        "insert into training_items (artist_id, parse_id, item_key) values (%s, 'x', %s) "
        "on conflict (artist_id, item_key) do update set excluded_at = null",
        nova.artist.id,
        key,
    )
    [change], _ = set_excluded(nova.ports.database, [f"Projekt/{name}"], excluded=True, author="me")
    assert (change.item, change.changed) == (key, True)


def test_the_commands_say_what_they_did(
    nova: Catalogue, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("resources.ports.open_database", lambda _: nova.ports.database)
    item: UUID = nova.add("a/one", ONE)
    run = _build(nova)
    assert dawa(monkeypatch, nova.ports, "item", "exclude", "a/one", "--reason", "not cleared", "--author", "Ada") == 0
    assert capsys.readouterr().out.splitlines() == [
        "a/one of nova: excluded",
        f"run {run[:8]} of nova:nawfside_lora (published) heard 1 excluded item: a/one",
        "Next: dawa build --artist nova",
    ]
    assert dawa(monkeypatch, nova.ports, "item", "list", "nova") == 0
    [line] = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{item}  a/one  exported  no audio  excluded 20")
    assert line.endswith(" by Ada: not cleared")
    assert dawa(monkeypatch, nova.ports, "lora", "list", "nova") == 0
    assert "heard 1 excluded item: a/one" in capsys.readouterr().out
    assert dawa(monkeypatch, nova.ports, "lora", "show", "nova") == 0
    assert "dawa build --artist nova trains one without" in capsys.readouterr().out
    assert dawa(monkeypatch, nova.ports, "item", "include", str(item), "--json", "--author", "Ada") == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["items"][0]["changed"], shown["heard"]) == (True, [])
    assert dawa(monkeypatch, nova.ports, "item", "include", "a/nothing") == 2
    assert capsys.readouterr().err.count("\n") == 1
