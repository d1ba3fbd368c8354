"""What the pages point at is there: links, files, commands, options, variables, targets."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from dawa_assets.cli.main import app
from resources.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
VARIABLES = {str(field.validation_alias or f"DAWA_{name.upper()}") for name, field in Settings.model_fields.items()}
MADE_BY_THE_READER = {"deploy/.env", "dawa_assets/prompting/system_prompts/train-v2.md"}
_VARIABLE = re.compile(r"\bDAWA_[A-Z_]*[A-Z]\b")
_IDS = [page.name for page in PAGES]


def _text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def _commands(text: str) -> list[list[str]]:
    """Every `dawa …` of a page's blocks and inline code, as words."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    found = []
    for line in [*lines, *inline]:
        command = re.match(r"(?:[A-Z_]+=\S* +)*(?:\.venv/bin/)?dawa +(.+)", line.strip())
        if command:
            words = command[1].partition(" #")[0]
            try:
                found.append(shlex.split(words))
            except ValueError:  # a text that goes on in the next line
                found.append(words.split())
    return found


def _resolved(words: list[str]) -> tuple[Any, list[str]]:
    """The command that the words name, and the words after its name."""
    command: Any = typer.main.get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    unnamed = getattr(command, "unnamed", None)
    return (command.commands[unnamed] if unnamed and words else command), words


@pytest.mark.parametrize("page", PAGES, ids=_IDS)
def test_every_link_and_picture_is_there(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", _text(page)):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=_IDS)
def test_every_file_of_the_project_that_is_named_is_there(page: Path) -> None:
    tops = "dawa_assets|resources|modal_app|sql|deploy|benchmarks|tests|docs"
    for path in re.findall(rf"`((?:{tops})/[\w./-]*)`", _text(page)):
        assert (ROOT / path).exists() or path in MADE_BY_THE_READER, path


@pytest.mark.parametrize("page", PAGES, ids=_IDS)
def test_every_command_and_option_that_is_named_is_there(page: Path) -> None:
    for words in _commands(_text(page)):
        for alternative in words[0].split("|") if "|" in words[0] else [words[0]]:
            command, rest = _resolved([alternative, *words[1:]])
            assert command.name != "dawa" or alternative.startswith("-"), words
            options = {name for each in command.params for name in (*each.opts, *each.secondary_opts)} | {"--help"}
            for word in rest:
                if re.match(r"--[a-z]", word):
                    assert word.partition("=")[0] in options, (words, word)


@pytest.mark.parametrize("page", PAGES, ids=_IDS)
def test_every_variable_that_is_named_is_a_setting(page: Path) -> None:
    used_by = [
        *(ROOT / "deploy").rglob("*.*"),
        ROOT / "modal_app" / "modal_runtime" / "deployment.py",
        *(ROOT / "tests" / "live").glob("*.py"),
    ]
    elsewhere = set(_VARIABLE.findall("".join(_text(path) for path in used_by if path.is_file())))
    assert set(_VARIABLE.findall(_text(page))) <= VARIABLES | elsewhere


@pytest.mark.parametrize("page", PAGES, ids=_IDS)
def test_every_target_that_is_named_is_there(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", _text(page), flags=re.MULTILINE)) <= targets
