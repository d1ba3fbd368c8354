"""What nobody permits is left out, taken down and refused; what is on record is not changed; days end at midnight."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from dawa_assets.datasets.build import build_dataset
from dawa_assets.items.exclusions import set_excluded
from dawa_assets.rights.enforce import enforce, leave_out_unpermitted, permissions_line
from dawa_assets.rights.permissions import (
    Grant,
    clock_of,
    grant,
    import_grants,
    list_permissions,
    require_lora_permitted,
    revoke,
)
from dawa_assets.segments.tag import tag_segments
from dawa_assets.tables.datasets import artists_whose_dataset_would_differ
from dawa_assets.tables.permissions import Clock, not_permitted, not_permitted_in_run
from dawa_assets.training.evaluation import evaluate_lora
from dawa_assets.training.preview import render_preview
from dawa_assets.training.promotion import list_loras, promote_lora
from dawa_assets.training.renderings import Asked, begin_rendering, render_open
from dawa_assets.training.runs import train_lora
from modal_app.errors import InputError
from modal_app.protocol.training import GenerateRequest, InstallRequest, TrainRequest, WithdrawRequest
from resources.bucket.folder import FolderBucket
from resources.ports import Ports
from tests.dawa_assets.maintenance.typed import dawa
from tests.dawa_assets.training.catalogue import Catalogue, RecordingCompute, open_catalogue, tone, with_recorder

ALL = ("train", "publish", "generate")


@pytest.fixture
def recorded(ports: Ports) -> tuple[Ports, RecordingCompute]:
    """Ports that require permissions."""
    required = replace(ports, settings=ports.settings.model_copy(update={"permissions": "required"}))
    return with_recorder(required)


@pytest.fixture
def nova(recorded: tuple[Ports, RecordingCompute]) -> Catalogue:
    """Two songs, nobody's permission."""
    catalogue = open_catalogue(recorded[0], "Nova")
    catalogue.add("Harbour Project/Harbour v2", tone(2.0, 220))
    catalogue.add("Kite Project/Kite", tone(2.0, 330))
    return catalogue


def _grant(nova: Catalogue, *purposes: str, **more: Any) -> UUID:
    given = Grant(nova.slug, purposes or ALL, "Label", **more)
    return grant(nova.ports, given, recorded_by="me").id


def _build(nova: Catalogue) -> str | None:
    build_dataset(nova.ports, nova.slug)
    tag_segments(nova.ports, nova.slug)
    train_lora(nova.ports, nova.slug)
    return evaluate_lora(nova.ports, nova.slug).promoted_run_id


def _in(nova: Catalogue) -> list[str]:
    rows = nova.sql("select item_key from training_items where excluded_at is null order by item_key")
    return [row["item_key"] for row in rows]


def _published(nova: Catalogue) -> bool:
    [row] = nova.sql("select exists (select from training_runs where promoted) as it")
    return bool(row["it"])


def test_nothing_is_made_that_nobody_permitted(nova: Catalogue) -> None:
    report = build_dataset(nova.ports, nova.slug)
    assert report.item_count == 0
    assert _in(nova) == []
    rows = nova.sql("select distinct author, reason from item_exclusions")
    assert rows == [{"author": "permissions", "reason": "nobody permitted it"}]


@pytest.mark.parametrize("song", ["harbour project", "Harbour v2", "Harbour Project/Harbour v2"])
def test_a_permission_for_a_song_takes_in_its_items_alone(nova: Catalogue, song: str) -> None:
    build_dataset(nova.ports, nova.slug)
    _grant(nova, "train", song=song)
    assert build_dataset(nova.ports, nova.slug).item_count == 1
    assert _in(nova) == ["Harbour Project/Harbour v2"]


def test_warn_leaves_everything_in_and_tells_of_it(nova: Catalogue) -> None:
    build_dataset(nova.ports, nova.slug)
    warned = replace(nova.ports, settings=nova.ports.settings.model_copy(update={"permissions": "warn"}))
    assert build_dataset(warned, nova.slug).item_count == 2
    is_well, line = permissions_line(warned.database, warned.settings)
    assert not is_well
    assert "1 of 1 artist have no permission to train now (nova)" in line.replace("artists", "artist")


def test_what_a_person_left_out_stays_out(nova: Catalogue) -> None:
    build_dataset(nova.ports, nova.slug)
    set_excluded(
        nova.ports.database, ["Kite Project/Kite"], excluded=True, author="me", reason="a demo", artist=nova.slug
    )
    _grant(nova)
    enforce(nova.ports, nova.artist)
    assert _in(nova) == ["Harbour Project/Harbour v2"]


def test_a_revoked_permission_takes_down_and_refuses(nova: Catalogue, recorded: tuple[Ports, RecordingCompute]) -> None:
    permission = _grant(nova)
    run_id = _build(nova)
    assert run_id is not None
    ports, worker = recorded
    require_lora_permitted(ports.database, ports.settings, f"{nova.slug}:nawfside_lora")
    revoke(ports, str(permission)[:8], reason="the contract ended", author="me")

    followed = enforce(ports, nova.artist)

    assert (followed.left_out, [lora for lora, _ in followed.taken_down]) == (2, [f"{nova.slug}:nawfside_lora"])
    assert worker.count(WithdrawRequest) == 1
    assert not _published(nova)
    [lora] = list_loras(ports, nova.slug)
    assert "nobody permits now to publish" in str(lora.run.taken_down)
    assert lora.trained_on_excluded == ["Harbour Project/Harbour v2", "Kite Project/Kite"]
    with pytest.raises(InputError, match="nobody permits now to publish"):
        promote_lora(ports, nova.slug, run_id, force=True)
    with pytest.raises(InputError, match="nobody permits now to generate"):
        require_lora_permitted(ports.database, ports.settings, f"{nova.slug}:nawfside_lora", run_id)
    with pytest.raises(InputError, match="nobody permits now to generate"):
        begin_rendering(ports, nova.artist, Asked("house", 0, 1.0, ("candidate",), UUID(run_id)))
    assert render_preview(ports, nova.slug).state == "no LoRA"
    assert enforce(ports, nova.artist).lines == []


def _during(worker: RecordingCompute, kind: type, do: Callable[[], object]) -> None:
    def before(request: object) -> None:
        if isinstance(request, kind):
            worker.before = lambda _: None
            do()

    worker.before = before


def test_revoked_while_a_dataset_is_built_nothing_is_made_of_it(
    nova: Catalogue, recorded: tuple[Ports, RecordingCompute], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The zip holds the song, since it was permitted when it was begun; nothing after it is made of that song."""
    ports, worker = recorded
    _grant(nova, song="Kite")
    permission = _grant(nova, song="Harbour v2")
    put = type(ports.bucket).put

    def put_and_take_back(bucket: FolderBucket, key: str, *given: Any, **more: Any) -> Any:
        if key.endswith(".zip"):
            revoke(ports, str(permission), reason="the contract ended", author="me")
        return put(bucket, key, *given, **more)

    monkeypatch.setattr(type(ports.bucket), "put", put_and_take_back)
    assert build_dataset(ports, nova.slug).item_count == 2
    monkeypatch.undo()

    tag_segments(ports, nova.slug)
    train_lora(ports, nova.slug)
    [trained] = [request for request in worker.requests if isinstance(request, TrainRequest)]
    assert {example.song for example in trained.examples} == {"Kite Project/Kite"}
    judged = evaluate_lora(ports, nova.slug)
    assert judged.promoted_run_id is None
    assert "nobody permits now to publish with Harbour Project/Harbour v2" in str(judged.decision)
    assert nova.sql("select reason from item_exclusions") == [{"reason": "its permission was revoked"}]
    again = build_dataset(ports, nova.slug)
    assert (again.state, [track.item for track in again.tracks]) == ("built", ["Kite Project/Kite"])


def test_revoked_while_a_training_runs_it_is_marked(nova: Catalogue, recorded: tuple[Ports, RecordingCompute]) -> None:
    permission = _grant(nova)

    def take_back() -> None:
        revoke(nova.ports, str(permission), reason="", author="me")
        leave_out_unpermitted(nova.ports.database, nova.ports.settings)

    _during(recorded[1], TrainRequest, take_back)
    assert _build(nova) is None
    [lora] = list_loras(nova.ports, nova.slug)
    assert lora.run.state == "done"
    assert lora.trained_on_excluded


def test_revoked_while_it_is_being_published_it_is_not(
    nova: Catalogue, recorded: tuple[Ports, RecordingCompute]
) -> None:
    permission = _grant(nova)
    _during(recorded[1], InstallRequest, lambda: revoke(nova.ports, str(permission), reason="", author="me"))
    with pytest.raises(InputError, match="nobody permits now to publish"):
        _build(nova)
    assert not _published(nova)
    assert recorded[1].count(WithdrawRequest) == 1
    assert nova.sql("select from lora_promotions") == []


def test_revoked_while_a_rendering_is_made_nobody_hears_it(
    nova: Catalogue, recorded: tuple[Ports, RecordingCompute]
) -> None:
    permission = _grant(nova)
    _build(nova)
    begin_rendering(nova.ports, nova.artist, Asked("house", 0, 1.0, ("published",)))
    _during(recorded[1], GenerateRequest, lambda: revoke(nova.ports, str(permission), reason="", author="me"))
    assert render_open(nova.ports, nova.artist) == "0 rendered, 1 failed"
    [row] = nova.sql("select parts from renderings")
    assert "nobody permits now to generate" in row["parts"][0]["error"]
    assert not list(nova.ports.bucket.list(f"artists/{nova.slug}/renderings"))


def test_a_night_finds_whose_permission_is_gone(nova: Catalogue) -> None:
    _grant(nova, valid_from=date(2020, 1, 1))
    build_dataset(nova.ports, nova.slug)
    with nova.ports.database.transaction() as connection:
        assert artists_whose_dataset_would_differ(connection) == []
    [row] = nova.sql("select id from permissions")
    revoke(nova.ports, str(row["id"]), reason="", author="me")
    assert leave_out_unpermitted(nova.ports.database, nova.ports.settings) == (2, 0)
    with nova.ports.database.transaction() as connection:
        assert artists_whose_dataset_would_differ(connection) == [nova.slug]


@pytest.mark.parametrize(
    ("zone", "last", "before", "after"),
    [
        # the night in which summer time ends, the one in which it begins, and a zone without any
        ("Europe/Berlin", date(2026, 10, 25), "2026-10-25T22:59:59", "2026-10-25T23:00:00"),
        ("Europe/Berlin", date(2026, 3, 28), "2026-03-28T22:59:59", "2026-03-28T23:00:00"),
        ("America/Los_Angeles", date(2026, 3, 8), "2026-03-09T06:59:59", "2026-03-09T07:00:00"),
        ("UTC", date(2026, 12, 31), "2026-12-31T23:59:59", "2027-01-01T00:00:00"),
    ],
)
def test_the_last_day_ends_at_midnight_in_the_project_s_zone(
    nova: Catalogue, zone: str, last: date, before: str, after: str
) -> None:
    _grant(nova, valid_from=date(2026, 1, 1), valid_until=last)
    found = []
    for moment in (before, after):
        clock = Clock(zone, datetime.fromisoformat(moment).replace(tzinfo=UTC))
        with nova.ports.database.transaction() as connection:
            found.append(not_permitted(connection, nova.artist.id, "train", clock))
    assert found[0] == []
    assert [reason for _, reason in found[1]] == [f"its permission ran out on {last}"] * 2


def test_a_revocation_counts_whatever_a_clock_says(nova: Catalogue) -> None:
    permission = _grant(nova, valid_from=date(2020, 1, 1))
    revoke(nova.ports, str(permission), reason="", author="me")
    for moment in ("2020-06-01", "2026-11-29", "2030-01-01"):
        clock = Clock("UTC", datetime.fromisoformat(moment).replace(tzinfo=UTC))
        with nova.ports.database.transaction() as connection:
            reasons = {reason for _, reason in not_permitted(connection, nova.artist.id, "train", clock)}
        assert reasons == {"its permission was revoked"}


def test_nobody_says_when_something_was_put_on_record(nova: Catalogue) -> None:
    permission = _grant(nova)
    nova.sql("insert into permissions (artist_id, purposes, granted_by, valid_from, recorded_by, recorded_at) "
             "values (%s, '{train}', 'x', '2000-01-01', 'x', '2000-01-01')", nova.artist.id)  # fmt: skip
    nova.sql("insert into permission_revocations (permission_id, artist_id, revoked_by, revoked_at) "
             "values (%s, %s, 'x', '2099-01-01')", permission, nova.artist.id)  # fmt: skip
    rows = nova.sql("select recorded_at as at from permissions union all select revoked_at from permission_revocations")
    assert all(abs((row["at"] - datetime.now(UTC)).total_seconds()) < 3600 for row in rows)


@pytest.mark.parametrize(
    "attack",
    [
        "update permissions set valid_until = null",
        "update permissions set recorded_at = '2000-01-01'",
        "delete from permissions",
        "truncate permissions cascade",
        "update permission_revocations set revoked_at = '2099-01-01'",
        "delete from permission_revocations",
        "truncate permission_revocations",
    ],
)
def test_history_is_changed_by_nobody(nova: Catalogue, attack: str) -> None:
    revoke(nova.ports, str(_grant(nova)), reason="", author="me")
    with pytest.raises(psycopg.Error, match="history"):
        nova.sql(attack)


def test_another_artist_s_item_can_t_be_named(nova: Catalogue) -> None:
    other = open_catalogue(nova.ports, "Other")
    item = other.add("Song", tone(1.0, 440))
    with pytest.raises(psycopg.Error, match="no row of the same artist"):
        nova.sql("insert into permissions (artist_id, training_item_id, purposes, granted_by, valid_from, recorded_by) "
                 "values (%s, %s, '{train}', 'x', '2026-01-01', 'x')", nova.artist.id, item)  # fmt: skip
    with pytest.raises(InputError, match="no item of nova"):
        _grant(nova, item="Song")


def test_the_same_permission_again_is_one(nova: Catalogue) -> None:
    first = _grant(nova, "train", valid_from=date(2026, 1, 1))
    assert _grant(nova, "train", valid_from=date(2026, 1, 1)) == first
    revoke(nova.ports, str(first), reason="", author="me")
    assert _grant(nova, "train", valid_from=date(2026, 1, 1)) != first


def test_an_imported_adapter_needs_a_permission_for_everything(nova: Catalogue) -> None:
    [run] = nova.sql(
        "insert into training_runs (artist_id, fingerprint, backend, base, model_name, parameters, state) "
        "values (%s, 'f', 'ace_step', 'tiny', 'm', '{}', 'done') returning id",
        nova.artist.id,
    )
    clock = clock_of(nova.ports.settings)
    _grant(nova, song="Kite")
    with nova.ports.database.transaction() as connection:
        assert not_permitted_in_run(connection, run["id"], "publish", clock) == ["whatever it was trained on"]
    _grant(nova, "publish")
    with nova.ports.database.transaction() as connection:
        assert not_permitted_in_run(connection, run["id"], "publish", clock) == []


@pytest.mark.parametrize("run", ["3a0f6b0e-2f0d-4b0c-9a57-0d7a2d1f3c11", "http-0123"])
def test_a_run_that_is_no_row_needs_a_permission_for_everything(nova: Catalogue, run: str) -> None:
    database, settings, lora = nova.ports.database, nova.ports.settings, f"{nova.slug}:m"
    _grant(nova, song="Kite")
    with pytest.raises(InputError, match="nobody permits now to generate with all that is nova's"):
        require_lora_permitted(database, settings, lora, run)
    _grant(nova, "generate")
    require_lora_permitted(database, settings, lora, run)


def test_a_file_of_permissions_is_taken_whole_or_not_at_all(nova: Catalogue, tmp_path: Path) -> None:
    file = tmp_path / "rights.csv"
    good = "artist,for,by,until,song\nnova,train publish,Label,2027-12-31,Kite\nnova,train,Label,,Harbour v2\n"
    file.write_text(f"{good}nobody,train,Label,,\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"rights\.csv, line 4: artist"):
        import_grants(nova.ports, file, recorded_by="me")
    assert list_permissions(nova.ports.database, nova.ports.settings, None) == []
    file.write_text(good, encoding="utf-8")
    assert [each.changed for each in import_grants(nova.ports, file, recorded_by="me")] == [True, True]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"artist,for\nnova,train\n", "lacks the column 'by'"),
        (b"artist,for,by,colour\n", "has the column 'colour'"),
        (b"artist,for,by\nnova,train\n", "line 2: has more or fewer fields"),
        (b"artist,for,by\nnova,sell,Label\n", "'sell' is nothing that can be permitted"),
        (b"artist,for,by,until\nnova,train,Label,31.12.2026\n", "is no day"),
        (b"artist,for,by\nnova,train,\n", "--by: is empty"),
        (b"\xff\xfe\x00", "can't be read"),
        (b"", "lacks the column 'artist'"),
    ],
)
def test_a_file_that_can_t_be_used_is_refused_in_one_line(
    nova: Catalogue, tmp_path: Path, content: bytes, reason: str
) -> None:
    file = tmp_path / "rights.csv"
    file.write_bytes(content)
    with pytest.raises(InputError) as refused:
        import_grants(nova.ports, file, recorded_by="me")
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


def test_as_it_is_typed(
    nova: Catalogue, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("resources.ports.open_database", lambda _: nova.ports.database)
    monkeypatch.setattr("resources.settings.Settings.load", lambda: nova.ports.settings)
    document = tmp_path / "contract.pdf"
    document.write_bytes(b"%PDF-1.7 signed")
    typed = ("rights", "grant", "nova", "--by", "Label", "--for", "train,publish", "--until", "2099-12-31")
    assert dawa(monkeypatch, nova.ports, *typed, "--evidence-file", document, "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert dawa(monkeypatch, nova.ports, *typed, "--evidence-file", document, "--json") == 0
    assert json.loads(capsys.readouterr().out) == made | {"changed": False, "taken_in": 0}
    [each] = list_permissions(nova.ports.database, nova.ports.settings, "nova")
    assert each.evidence_key is not None
    assert nova.ports.bucket.stat(each.evidence_key) is not None
    assert dawa(monkeypatch, nova.ports, "rights", "list") == 0
    told = capsys.readouterr().out
    for said in (made["permission"][:8], "train, publish", "until 2099-12-31", "permitted", "required"):
        assert said in told
    assert dawa(monkeypatch, nova.ports, "rights", "revoke", made["permission"], "--reason", "over") == 0
    assert "is revoked" in capsys.readouterr().out
    assert dawa(monkeypatch, nova.ports, "rights", "revoke", "ffffffff") == 2
    assert "no permission's id begins so" in capsys.readouterr().err
    assert dawa(monkeypatch, nova.ports, *typed[:-2], "--until", "yesterday") == 2
    assert "is no day" in capsys.readouterr().err
