"""Folders that are no artist's: listed, and removed only where a deletion is on record; evaluations are claimed."""

import json
import os
from pathlib import Path

import pytest

from dawa_assets.artists.delete import delete_artist
from dawa_assets.datasets.build import build_dataset
from dawa_assets.maintenance.orphans import Stray, find_strays, remove_strays
from dawa_assets.maintenance.verify import verify
from dawa_assets.training.evaluation import evaluate_lora
from dawa_assets.training.runs import train_lora
from resources.ports import Ports
from tests.dawa_assets.intake.material import drop, keys, new_artist
from tests.dawa_assets.maintenance.typed import dawa
from tests.dawa_assets.training.catalogue import open_catalogue, tone, with_recorder


@pytest.fixture
def recorded(ports: Ports) -> Ports:
    return with_recorder(ports)[0]


def _age(ports: Ports, *names: str) -> None:
    for name in names:
        os.utime(ports.settings.home / "bucket" / name, (0, 0))


def test_only_late_files_of_deleted_artists_are_removed(recorded: Ports) -> None:
    new_artist(recorded, "Other")
    new_artist(recorded, "Nova")
    delete_artist(recorded, "nova", author="me")
    assert find_strays(recorded) == []
    for key in ("artists/nova/datasets/late.zip", "inbox/nova/u/late.wav", "artists/who/x.txt", "artists/other/y.txt"):
        recorded.bucket.put(key, b"123")
    expected = [
        Stray("artists/nova", 1, 3, was_deleted=True),
        Stray("artists/who", 1, 3, was_deleted=False),
        Stray("inbox/nova", 1, 3, was_deleted=True),
    ]
    assert find_strays(recorded) == expected
    assert remove_strays(recorded, grace_hours=24) == []
    _age(recorded, "artists/nova/datasets/late.zip", "inbox/nova/u/late.wav", "artists/who/x.txt")
    nova = [expected[0], expected[2]]
    assert remove_strays(recorded, grace_hours=24, dry_run=True) == nova
    assert remove_strays(recorded, grace_hours=24) == nova
    assert keys(recorded.bucket) == ["artists/other/y.txt", "artists/who/x.txt"]


def test_a_name_that_is_back_owns_its_folder(recorded: Ports) -> None:
    new_artist(recorded, "Nova")
    delete_artist(recorded, "nova", author="me")
    new_artist(recorded, "Nova")
    drop(recorded, "nova", {"a.wav": b"1"}, "u")
    _age(recorded, "inbox/nova/u/a.wav", "inbox/nova/u/_complete")
    assert (find_strays(recorded), remove_strays(recorded, grace_hours=0)) == ([], [])


def test_the_commands_name_them(
    recorded: Ports, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    new_artist(recorded, "Nova")
    delete_artist(recorded, "nova", author="me")
    recorded.bucket.put("artists/nova/late.zip", b"123")
    recorded.bucket.put("artists/who/x.txt", b"123")
    _age(recorded, "artists/nova/late.zip")
    assert dawa(monkeypatch, recorded, "verify") == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "foreign: artists/nova/ (1 file, 3 bytes): of an artist who was deleted; "
        "`dawa prune --deleted-artists` removes it",
        "foreign: artists/who/ (1 file, 3 bytes): nobody's",
    ]
    assert dawa(monkeypatch, recorded, "prune", "--keep", "1", "--deleted-artists", "--json") == 0
    assert [stray["folder"] for stray in json.loads(capsys.readouterr().out)["strays"]] == ["artists/nova"]
    assert dawa(monkeypatch, recorded, "prune", "--keep", "1", "--deleted-artists", "--artist", "nova") == 2
    assert keys(recorded.bucket) == ["artists/who/x.txt"]


def test_evaluation_files_are_claimed_and_rebuilt_when_missing(recorded: Ports) -> None:
    catalogue = open_catalogue(recorded, "Nova")
    catalogue.add("a/one", tone(2.0, 220))
    build_dataset(recorded, "nova")
    train_lora(recorded, "nova")
    report = evaluate_lora(recorded, "nova")
    [before] = verify(recorded, "nova", deep=True)
    assert (before.findings, before.foreign) == ([], [])
    [picture] = [key for key in report.files if Path(key).name == "evaluation.png"]
    recorded.bucket.delete([picture])
    [found] = verify(recorded, "nova", fix=True)
    assert [(each.problem, each.key, each.what, each.outcome.state) for each in found.findings] == [
        ("missing", picture, "evaluation", "next build")
    ]
    evaluate_lora(recorded, "nova")
    [after] = verify(recorded, "nova")
    assert after.findings == []
