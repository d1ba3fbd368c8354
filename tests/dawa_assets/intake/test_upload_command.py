"""`dawa upload` as it is typed."""

import json
import sys
from pathlib import Path

import pytest

from dawa_assets.cli.main import main
from resources.ports import Ports
from tests.dawa_assets.intake.material import als, keys, wav


def _dawa(monkeypatch: pytest.MonkeyPatch, ports: Ports, *arguments: str | Path) -> int:
    monkeypatch.setattr("resources.ports.open_ports", lambda _: ports)
    monkeypatch.setattr(sys, "argv", ["dawa", *map(str, arguments)])
    with pytest.raises(SystemExit) as left:
        main()
    return int(left.value.code or 0)


def _project(folder: Path) -> Path:
    (folder / "Backup").mkdir(parents=True)
    (folder / "a.als").write_bytes(als())
    (folder / "a.wav").write_bytes(wav())
    (folder / "Backup" / "a [1].als").write_bytes(als(1))
    return folder


def test_it_reports_what_was_uploaded_and_what_was_left_out(
    ports: Ports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _dawa(monkeypatch, ports, "upload", "--artist", "Nova", _project(tmp_path / "P")) == 0
    said = capsys.readouterr().out
    assert "Uploaded 2 files" in said
    assert "P/Backup/ (1 files): Ableton's backup copies" in said
    assert "dawa build --artist nova" in said


def test_its_json_is_the_receipt(
    ports: Ports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _dawa(monkeypatch, ports, "upload", "--json", "--artist", "Nova", _project(tmp_path / "P") / "a.als") == 0
    receipt = json.loads(capsys.readouterr().out)
    assert (receipt["slug"], receipt["files"]) == ("nova", ["a.als"])
    assert keys(ports.bucket) == [f"inbox/nova/{receipt['upload_id']}/{name}" for name in ("_complete", "a.als")]


@pytest.mark.parametrize("what", ["nowhere.als", "empty", "notes.txt"])
def test_a_mistake_of_the_user_is_one_line_and_exit_code_2(
    ports: Ports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    assert _dawa(monkeypatch, ports, "upload", "--artist", "Nova", tmp_path / what) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("dawa: ")
    assert said.err.count("\n") == 1
    assert what in said.err
