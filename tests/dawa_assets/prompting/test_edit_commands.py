"""`dawa prompt` on people's texts: what the commands say and take, and mistakes in one line."""

import json
from pathlib import Path

import pytest

from dawa_assets.artists.profile import set_profile
from dawa_assets.prompting.edit import edit_prompt
from dawa_assets.tables.artists import Artist
from resources.ports import Ports
from tests.dawa_assets.prompting.commands import Dawa, dawa_on
from tests.dawa_assets.prompting.material import CountingWriter, give_set, item, profile, summary, with_writer
from tests.dawa_assets.prompting.test_edit import MINE, is_due, state, written


@pytest.fixture
def dawa(ports: Ports, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Dawa:
    return dawa_on(ports, monkeypatch, capsys)


def test_commands_say_what_they_did(ports: Ports, artist: Artist, dawa: Dawa, monkeypatch: pytest.MonkeyPatch) -> None:
    set_profile(ports, artist, profile())
    it = written(ports, artist)
    by_model = item(ports.database, it)["prompt_text"]
    monkeypatch.setenv("LOGNAME", "ada")
    edited = dawa("prompt", "edit", "One", "--text", "Slow organ and dusty drums.")
    assert (edited.code, edited.out.splitlines()[0]) == (
        0,
        "One/One of test-artist: stored, a person's text from now on",
    )
    assert f"- {by_model.splitlines()[0]}" in edited.out
    assert "+ Slow organ and dusty drums." in edited.out
    assert edited.err == "dawa: One/One: the text breaks ends-with-bpm: does not end with 'BPM: 122'\n"
    later = dawa("prompt", "regenerate", "One", "--later")
    assert later.out.splitlines()[0] == "One/One of test-artist: given back"
    assert item(ports.database, it)["prompt_text"] == "Slow organ and dusty drums."
    now = json.loads(dawa("prompt", "regenerate", "One", "--json").out)
    assert (now["what"], now["before"], now["after"]) == ("given back", "Slow organ and dusty drums.", by_model)
    shown = dawa("prompt", "history", "One").out
    assert shown.splitlines()[0] == "One/One of test-artist: 2 texts"
    assert "by ada, given back" in shown
    assert "by offline-v1, system prompt train-v1, profile 1.0; 0 + 0 tokens" in shown
    assert [each["in_use"] for each in json.loads(dawa("prompt", "history", "One", "--json").out)] == [True, False]


def test_a_text_comes_from_a_file_or_an_editor(
    ports: Ports, artist: Artist, dawa: Dawa, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    it = written(ports, artist)
    file = tmp_path / "mine.txt"
    file.write_bytes(f"\ufeff{MINE}\r\n".encode())
    assert dawa("prompt", "edit", "One", "--file", file, "--author", "Ada").code == 0
    assert item(ports.database, it)["prompt_text"] == MINE
    refused = dawa("prompt", "edit", "One")
    assert (refused.code, "no terminal" in refused.err) == (2, True)
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i "s/Dusty/Broken/" "$1"; sed -i "1s/$/ /" "$1"; touch -d "+1 hour" "$1"\n')
    editor.chmod(0o755)
    monkeypatch.setenv("EDITOR", str(editor))
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    assert dawa("prompt", "edit", "One", "--author", "Ada").code == 0
    assert item(ports.database, it)["prompt_text"].startswith("Broken drums")


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["edit", "Nobody's", "--text", MINE], "Nobody's"),
        (["edit", "One", "--text", ""], "empty"),
        (["edit", "One", "--text", "a\nb", "--file", "x"], "one of them"),
        (["edit", "One", "--file", "nowhere.txt"], "nowhere.txt"),
        (["edit", "One", "--text", MINE, "--author", "\n"], "author"),
        (["edit", "One", "--text", MINE, "--artist", "nobody"], "nobody"),
        (["regenerate", "Nobody's"], "Nobody's"),
        (["history", "Nobody's"], "Nobody's"),
        (["import", "nowhere.csv"], "nowhere.csv"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    ports: Ports, artist: Artist, dawa: Dawa, words: list[str], what: str
) -> None:
    give_set(ports.database, artist, summary(), "One")
    said = dawa("prompt", *words)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("dawa: ")
    assert said.err.count("\n") == 1
    assert what in said.err


def test_a_regeneration_that_fails_says_why_and_leaves_the_text(ports: Ports, artist: Artist, dawa: Dawa) -> None:
    it = written(ports, artist)
    before = item(ports.database, it)["prompt_text"]
    said = dawa("prompt", "regenerate", "One", on=with_writer(ports, CountingWriter(says="no")))
    assert said.code == 1
    assert "One/One: the writer's text breaks a rule" in said.err
    assert item(ports.database, it)["prompt_text"] == before
    assert (state(ports, artist), is_due(ports)) == (["another take"], True)


def test_a_text_that_no_model_can_replace_stays_and_says_why(ports: Ports, artist: Artist, dawa: Dawa) -> None:
    it = give_set(ports.database, artist, {"overview": {}}, "One")
    edit_prompt(ports.database, "One", MINE, author="Ada")
    said = dawa("prompt", "regenerate", "One")
    assert (said.code, "has no tempo" in said.err) == (1, True)
    assert (item(ports.database, it)["prompt_text"], item(ports.database, it)["status"]) == (MINE, "ready")
    assert (state(ports, artist), is_due(ports)) == (["impossible"], False)
