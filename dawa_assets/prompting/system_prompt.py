"""System prompts by version: `system_prompts/<version>.md`, shipped with the package, never edited once used.

A change of wording is a new file and a new version: the version is part of every prompt's fingerprint, so that it is
known which texts were written by which instructions.
"""

import re
from functools import cache
from importlib.resources import files

from resources.errors import SettingsError

_FOLDER = files("dawa_assets.prompting") / "system_prompts"


@cache
def system_prompt(version: str) -> str:
    """Return the instructions of this version.

    Raises:
        SettingsError: there is no such version; the message names those there are.
    """
    file = _FOLDER / f"{version}.md"
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", version) or not file.is_file():
        raise SettingsError(
            f"DAWA_SYSTEM_PROMPT_VERSION: there is no system prompt {version!r}; there are {', '.join(versions())}"
        )
    return file.read_text("utf-8").strip()


def versions() -> list[str]:
    """Return every version there is."""
    return sorted(each.name.removesuffix(".md") for each in _FOLDER.iterdir() if each.name.endswith(".md"))
