"""Reading JSON that others wrote: whatever it holds, these give clean values or nothing, and never raise.

Rows come from this pipeline, from older parsers and from the dashboard, so no field can be relied on. What crosses
into a prompt is text on one line, without control characters, of bounded length.
"""

import json
import math
import unicodedata
from collections.abc import Iterator

_MAX_LENGTH = 400
_JOINERS = "\u200c\u200d"


class _Clean(dict[int, str]):
    """For `str.translate`: white space to spaces, control and format characters to nothing; looked up once each."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        if character.isspace():
            clean = " "
        else:
            shown = character in _JOINERS or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn")
            clean = character if shown else ""
        self[code] = clean
        return clean


_CLEAN = _Clean()


def parsed(json_text: str) -> object:
    """Return what a JSON text holds; None where it is nested or numbered beyond what can be read."""
    try:
        return json.loads(json_text)
    except (ValueError, RecursionError):
        return None


def mapping(value: object, *path: str) -> dict[str, object]:
    """Return the object at `path` below `value`, or an empty one."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def text(value: object, longest: int = _MAX_LENGTH) -> str:
    """`value` as one clean line of at most `longest` characters; empty unless it is text or a number."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    raw = value if isinstance(value, str) else f"{value:.12g}" if math.isfinite(value) else ""
    # Four times the length is enough for what cleaning takes away, and keeps a text of megabytes cheap.
    plain = unicodedata.normalize("NFC", raw[: longest * 4])
    return " ".join(plain.translate(_CLEAN).split())[:longest].rstrip()


def texts(value: object, most: int, longest: int = _MAX_LENGTH) -> list[str]:
    """Return the distinct texts of a list (or of one text), in order.

    At most `most`, looked for among ten times as many.
    """
    found: dict[str, None] = {}
    for item in [value] if isinstance(value, str) else value[: most * 10] if isinstance(value, list) else []:
        if len(found) >= most:
            break
        if cleaned := text(item, longest):
            found.setdefault(cleaned)
    return list(found)


def objects(value: object) -> Iterator[dict[str, object]]:
    """Yield the objects of a list."""
    yield from (item for item in value if isinstance(item, dict)) if isinstance(value, list) else ()


def without_empty(facts: dict[str, object]) -> dict[str, object]:
    """Return what is known, for JSON that is sent: no empty text, list or object, no 0, no False, no None."""
    return {name: fact for name, fact in facts.items() if fact}


def number(value: object) -> float | None:
    """Return a finite number, also one that was stored as text."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def count(value: object) -> int:
    """Return a whole number from 0; 0 for anything else."""
    found = number(value)
    return int(found) if found is not None and 0 < found < 1e9 else 0
