"""System prompts by version, and the fingerprints that they are part of."""

from uuid import uuid4

import pytest

from dawa_assets.prompting.fingerprint import human_fingerprint, prompt_fingerprint
from dawa_assets.prompting.profile_facts import read_profile
from dawa_assets.prompting.rules import rules_for
from dawa_assets.prompting.system_prompt import system_prompt, versions
from resources.errors import SettingsError
from resources.settings import Settings


def test_the_version_that_is_set_by_default_is_there() -> None:
    assert "BPM: <number>" in system_prompt(Settings().system_prompt_version)


@pytest.mark.parametrize("version", ["train-v99", "", "../train-v1", "train-v1.md", "TRAIN-V1", "train-v1\x00"])
def test_an_unknown_version_names_those_there_are(version: str) -> None:
    with pytest.raises(SettingsError, match="train-v1"):
        system_prompt(version)


def test_its_own_example_meets_the_rules() -> None:
    example = system_prompt("train-v1").rpartition("(not of the content):\n")[2]
    assert rules_for(read_profile({}), 122).broken(example) == []
    assert versions() == ["train-v1"]


def test_every_part_of_the_question_is_in_the_fingerprint() -> None:
    parts = {
        "instructions": "i",
        "context": "c",
        "model_name": "m",
        "system_prompt_version": "v",
        "schema_version": "1",
    }
    prints = {prompt_fingerprint(**(parts | {name: "other"})) for name in parts} | {prompt_fingerprint(**parts)}
    assert len(prints) == 6
    assert prompt_fingerprint(**(parts | {"instructions": "ic", "context": ""})) not in prints


def test_a_persons_text_is_one_row_for_each_item_and_text() -> None:
    one, other = uuid4(), uuid4()
    assert human_fingerprint(one, "a") == human_fingerprint(one, "a")
    assert len({human_fingerprint(one, "a"), human_fingerprint(one, "b"), human_fingerprint(other, "a")}) == 3
