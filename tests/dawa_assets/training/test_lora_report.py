"""A report names every song, who permitted it then, and what was withdrawn since; the same state, the same bytes."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import load_pem_x509_certificate

from dawa_assets.datasets.build import build_dataset
from dawa_assets.items.exclusions import set_excluded
from dawa_assets.rights.permissions import Grant, grant, revoke
from dawa_assets.segments.tag import tag_segments
from dawa_assets.training.evaluation import evaluate_lora
from dawa_assets.training.lora_report import report_lora
from dawa_assets.training.report_forms import as_markdown
from dawa_assets.training.runs import train_lora
from modal_app.errors import InputError
from resources.ports import Ports
from tests.dawa_assets.maintenance.typed import dawa
from tests.dawa_assets.training.catalogue import Catalogue, open_catalogue, tone, with_recorder


@pytest.fixture
def nova(ports: Ports) -> tuple[Catalogue, str]:
    """Two songs, one of them permitted; the run that was trained on both."""
    catalogue = open_catalogue(with_recorder(ports)[0], "Nova | *Kite*")
    catalogue.add("Harbour/Harbour <b>", tone(2.0, 220))
    catalogue.add("Kite/Kite", tone(2.0, 330))
    given = Grant(catalogue.slug, ("train",), "Label", song="Kite", evidence="contract 7")
    grant(catalogue.ports, given, recorded_by="me")
    build_dataset(catalogue.ports, catalogue.slug)
    tag_segments(catalogue.ports, catalogue.slug)
    run_id = train_lora(catalogue.ports, catalogue.slug).run_id
    evaluate_lora(catalogue.ports, catalogue.slug)
    assert run_id is not None
    return catalogue, run_id


def _report(nova: tuple[Catalogue, str]) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(report_lora(nova[0].ports, nova[1][:8], "json").content)
    return made


def test_every_song_is_named_with_who_permitted_it(nova: tuple[Catalogue, str]) -> None:
    report = _report(nova)
    songs = {song["song"]: song for song in report["songs"]}
    assert {name: song["permitted_then"] for name, song in songs.items()} == {
        "Harbour/Harbour <b>": False,
        "Kite/Kite": True,
    }
    [permission] = songs["Kite/Kite"]["permissions"]
    assert (permission["granted_by"], permission["evidence"], permission["held_then"]) == ("Label", "contract 7", True)
    assert report["adapter"]["run"] == nova[1]
    assert report["evaluation"]["verdict"] == "better"
    assert report["totals"]["songs"] == 2


def test_what_happens_later_changes_what_is_said_of_now_only(nova: tuple[Catalogue, str]) -> None:
    catalogue, _ = nova
    [row] = catalogue.sql("select id from permissions")
    revoke(catalogue.ports, str(row["id"]), reason="", author="me")
    grant(catalogue.ports, Grant(catalogue.slug, ("train",), "Too late"), recorded_by="me")
    set_excluded(catalogue.ports.database, ["Kite/Kite"], excluded=True, author="me", reason="sample | not cleared")
    songs = {song["song"]: song for song in _report(nova)["songs"]}
    assert songs["Kite/Kite"]["permitted_then"] is True
    assert songs["Harbour/Harbour <b>"]["permitted_then"] is False
    assert songs["Kite/Kite"]["withdrawn_because"] == "sample | not cleared"
    page = report_lora(catalogue.ports, nova[1], "md").content.decode()
    assert "**withdrawn 20" in page
    assert "sample \\| not cleared" in page
    assert "Withdrawn since: 1 songs" in page


def test_who_permitted_another_purpose_licensed_no_training(nova: tuple[Catalogue, str]) -> None:
    report = _report(nova)
    for song in report["songs"]:
        song["permissions"] += [each | {"granted_by": "Shop", "purposes": ["publish"]} for each in song["permissions"]]
    page = as_markdown(report)
    assert "- Data licensed from rights holders: 1 of 2 songs, permitted by Label\n" in page
    assert "- Data of the artist, without a permission on record: 1 of 2 songs\n" in page
    assert "Shop" not in page


@pytest.mark.parametrize("form", ["md", "json", "croissant"])
def test_the_same_state_gives_the_same_bytes(nova: tuple[Catalogue, str], form: Any) -> None:
    first, again = (report_lora(nova[0].ports, nova[1], form).content for _ in range(2))
    assert first == again
    assert "prompt" not in first.decode()


def test_a_name_is_no_markdown_and_no_html(nova: tuple[Catalogue, str]) -> None:
    page = report_lora(nova[0].ports, nova[1], "md").content.decode()
    assert "<b>" not in page
    assert "Nova \\| \\*Kite\\*" in page
    rows = [line for line in page.splitlines() if line.startswith(("| 1 ", "| 2 "))]
    assert [len(line.replace("\\|", "").split("|")) for line in rows] == [9, 9]


def test_croissant_names_the_archive_and_a_record_for_each_song(nova: tuple[Catalogue, str]) -> None:
    made = json.loads(report_lora(nova[0].ports, nova[1], "croissant").content)
    assert made["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    [archive] = made["distribution"]
    [dataset] = nova[0].sql("select sha256 from datasets where state = 'done'")
    assert archive["sha256"] == dataset["sha256"]
    [records] = made["recordSet"]
    assert len(records["data"]) == 2
    assert {field["@id"] for field in records["field"]} == set(records["data"][0])


def test_a_report_is_written_with_a_signature_that_holds(
    nova: tuple[Catalogue, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("resources.settings.Settings.load", lambda: nova[0].ports.settings)
    out, command = tmp_path / "report.json", ("lora", "report", nova[1][:8], "--format", "json")
    assert dawa(monkeypatch, nova[0].ports, *command, "--out", out) == 0
    signature, certificate = (tmp_path / f"report.json.{name}" for name in ("sig", "pem"))
    assert str(signature) in capsys.readouterr().out
    key = load_pem_x509_certificate(certificate.read_bytes()).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(signature.read_bytes(), out.read_bytes(), ec.ECDSA(hashes.SHA256()))
    first = signature.read_bytes()
    assert dawa(monkeypatch, nova[0].ports, *command, "--out", out) == 0
    assert signature.read_bytes() == first
    assert b"PRIVATE" not in certificate.read_bytes()
    capsys.readouterr()
    assert dawa(monkeypatch, nova[0].ports, *command) == 0
    assert capsys.readouterr().out.encode() == out.read_bytes()


def test_a_run_that_is_not_there_is_refused(ports: Ports) -> None:
    with pytest.raises(InputError, match="no run's id begins so"):
        report_lora(ports, "ffffffff", "md")
