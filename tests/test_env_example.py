import re
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from resources.settings import GROUPS, Settings


def _variable(name: str, field: FieldInfo) -> str:
    return str(field.validation_alias or f"DAWA_{name.upper()}")


EXAMPLE = (Path(__file__).resolve().parents[1] / ".env.example").read_text(encoding="utf-8")
LISTED = re.findall(r"^# ([A-Z][A-Z0-9_]+)=(.*)$", EXAMPLE, flags=re.MULTILINE)
FIELDS = {_variable(name, field): field for name, field in Settings.model_fields.items()}
NO_FIXED_DEFAULT = ("DAWA_HOME", "DAWA_DATA")  # they depend on where the project lies


def test_the_example_lists_every_setting_once_and_no_other() -> None:
    assert sorted(name for name, _ in LISTED) == sorted(FIELDS)


def test_the_example_has_the_groups_of_the_code() -> None:
    parts = re.split(r"^# --- (.+) ---$", EXAMPLE, flags=re.MULTILINE)[1:]
    shown = {
        heading.partition(" (")[0]: set(re.findall(r"^# ([A-Z][A-Z0-9_]+)=", part, flags=re.MULTILINE))
        for heading, part in zip(parts[::2], parts[1::2], strict=True)
    }
    assert list(shown) == [_heading(group) for group in GROUPS]
    for group in GROUPS:
        variables = {
            str(field.validation_alias or f"DAWA_{name.upper()}") for name, field in group.model_fields.items()
        }
        assert shown[_heading(group)] == variables


def _heading(group: type[BaseModel]) -> str:
    title = (group.__doc__ or "").rstrip(".")
    return title[0].lower() + title[1:]


def test_nothing_is_set_by_copying_the_example() -> None:
    assert [line for line in EXAMPLE.splitlines() if line and not line.startswith("#")] == []


@pytest.mark.parametrize(("name", "value"), LISTED, ids=[name for name, _ in LISTED])
def test_the_example_shows_the_default(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    default = FIELDS[name].get_default(call_default_factory=False)
    if not value:
        assert name in NO_FIXED_DEFAULT or FIELDS[name].default is None
        return
    monkeypatch.setenv(name, value)
    assert getattr(Settings(_env_file=None), name.removeprefix("DAWA_").lower()) == default


def test_every_setting_has_a_sentence_above_it() -> None:
    lines = EXAMPLE.splitlines()
    for number, text in enumerate(lines):
        if re.match("# [A-Z_]+=", text):
            assert lines[number - 1].startswith("# "), text
