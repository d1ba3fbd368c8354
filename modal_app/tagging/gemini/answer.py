"""What came back for the segments of one call: checked entry by entry, and turned into tags and a line of text.

Nothing of an answer is trusted: ids must be those that were asked, once each; texts must be short and plain. What is
merely too much (a ninth instrument, a capital) is cut; what can't be relied on is unusable, with a reason that can be
told to the model.
"""

import json
import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from modal_app.tagging.gemini.question import Energy, TempoFeel, Vocals
from modal_app.tagging.offline import Tagging
from modal_app.tagging.text_sanitizing import unfit

_MAX_ANSWER_LENGTH = 200_000
_MAX_COUNT = {"genre": 3, "mood": 4, "instruments": 8}
_LEAST = {"genre": 1, "mood": 1, "instruments": 0}
_MAX_TAG_LENGTH = 40
_MIN_DESCRIPTION_LENGTH, _MAX_DESCRIPTION_LENGTH = 15, 300
_CHOICES: dict[str, type[StrEnum]] = {"energy": Energy, "tempo_feel": TempoFeel, "vocals": Vocals}
_NUMBERED_TEMPO = re.compile(r"\bbpm\b|\d+\s*(?:beats per minute)", re.IGNORECASE)
_QUOTES = str.maketrans("", "", '"“”„«»')


class _UnusableError(Exception):
    """One entry of an answer breaks a rule."""


def read_answer(text: str | None, asked: Sequence[str]) -> tuple[dict[str, dict[str, Any]], str]:
    """Return the answer's entries by id, those of `asked` that stand in it exactly once; and why others are missing."""
    if not text or len(text) > _MAX_ANSWER_LENGTH:
        return {}, "there was no text" if not text else "it was far too long"
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError):
        return {}, "it was no JSON"
    if not isinstance(entries, list):
        return {}, "it was no list"
    found: dict[str, dict[str, Any]] = {}
    twice: set[str] = set()
    for entry in entries[: 4 * len(asked)]:
        identifier = entry.get("id") if isinstance(entry, dict) else None
        if isinstance(identifier, str) and identifier in asked:
            if identifier in found:
                twice.add(identifier)
            found[identifier] = entry
    return {name: entry for name, entry in found.items() if name not in twice}, (
        "it was there twice" if twice else "it was missing"
    )


def tagging_of(entry: dict[str, Any], bpm: float | None) -> Tagging | str:
    """Return the tags and the text of one entry, or why it can't be used."""
    try:
        tags: dict[str, str | list[str]] = {name: _phrases(name, entry.get(name)) for name in _MAX_COUNT}
        tags |= {name: _choice(name, entry.get(name)) for name in _CHOICES}
        tags["description"] = _description(entry.get("description"))
    except _UnusableError as error:
        return str(error)
    return Tagging(_sentence(tags, bpm), tags, {})


def _phrases(name: str, value: object) -> list[str]:
    """Return the distinct words of a list, in their order, in lower case."""
    if not isinstance(value, list):
        raise _UnusableError(f"{name} is no list")
    found: dict[str, None] = {}
    for word in value[: 4 * _MAX_COUNT[name]]:
        if not isinstance(word, str):
            raise _UnusableError(f"{name} holds what is no text")
        clean = " ".join(word.split()).strip(" ,.;").lower()
        if reason := unfit(clean):
            raise _UnusableError(f"{name}: {reason}")
        if len(clean) > _MAX_TAG_LENGTH:
            raise _UnusableError(f"{name} holds more than {_MAX_TAG_LENGTH} characters in one entry")
        if clean and not _NUMBERED_TEMPO.search(clean):
            found.setdefault(clean.replace(",", ""))
    if len(found) < _LEAST[name]:
        raise _UnusableError(f"{name} is empty")
    return list(found)[: _MAX_COUNT[name]]


def _choice(name: str, value: object) -> str:
    if not isinstance(value, str) or value not in list(_CHOICES[name]):
        raise _UnusableError(f"{name} is none of the given values")
    return value


def _description(value: object) -> str:
    if not isinstance(value, str):
        raise _UnusableError("the description is missing")
    clean = " ".join(value.translate(_QUOTES).split()).strip(" .;,")
    if reason := unfit(clean):
        raise _UnusableError(f"the description: {reason}")
    if _NUMBERED_TEMPO.search(clean):
        raise _UnusableError("the description states a tempo in numbers")
    if not _MIN_DESCRIPTION_LENGTH <= len(clean) <= _MAX_DESCRIPTION_LENGTH:
        raise _UnusableError(
            f"the description has {len(clean)} characters instead of "
            f"{_MIN_DESCRIPTION_LENGTH} to {_MAX_DESCRIPTION_LENGTH}"
        )
    return clean


def _sentence(tags: dict[str, str | list[str]], bpm: float | None) -> str:
    """Return one line in the order of a caption: style, feeling, tempo, sounds, voices, and what happens.

    The tempo is the project's; it stands between commas, as captions expect it.
    """
    parts = [*tags["genre"], *tags["mood"], str(tags["energy"])]
    parts += [f"{round(bpm, 2):g} BPM"] if bpm else [str(tags["tempo_feel"])]
    description = str(tags["description"])
    parts += [*tags["instruments"], str(tags["vocals"]), description[0].lower() + description[1:]]
    return ", ".join(dict.fromkeys(parts))
