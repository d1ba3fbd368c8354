import re
from pathlib import Path

import pytest

from resources.settings import Settings

EXAMPLE = (Path(__file__).resolve().parents[1] / ".env.example").read_text(encoding="utf-8")
LISTED = re.findall(r"^# ([A-Z][A-Z0-9_]+)=(.*)$", EXAMPLE, flags=re.MULTILINE)
FIELDS = {str(field.validation_alias or f"DAWA_{name.upper()}"): field for name, field in Settings.model_fields.items()}
NO_FIXED_DEFAULT = ("DAWA_HOME", "DAWA_DATA")  # they depend on where the project lies


def test_the_example_lists_every_setting_once_and_no_other() -> None:
    assert sorted(name for name, _ in LISTED) == sorted(FIELDS)


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
