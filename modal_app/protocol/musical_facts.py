"""How tempo, key and metre are written by whoever tells them: one spelling, or a line that says why not."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from modal_app.protocol.song_timeline import Section

_KEY = re.compile(r"([A-Ga-g])([#b♯♭]?)\s*(major|maj|minor|min|m|M)?")

TimeSignature = Literal["2/4", "3/4", "4/4", "6/8"]
"""The metres that ACE-Step was trained on (`VALID_TIME_SIGNATURES` of its constants)."""

AskedBpm = Annotated[float, Field(ge=30, le=300, allow_inf_nan=False)]
"""A tempo to render at: ACE-Step's own range (`BPM_MIN`, `BPM_MAX`)."""


def spelled_key(text: str) -> str:
    """Return a key as tags and captions spell it: `Am`, `a min` and `A minor` are `A minor`; a tonic alone is major.

    Raises:
        ValueError: it is no key.
    """
    line = " ".join(text.split())
    found = _KEY.fullmatch(line) or _KEY.fullmatch(line.lower())
    if not found:
        raise ValueError('is no key; write e.g. "A minor"')
    tonic, accidental, mode = found.groups()
    return f"{tonic.upper()}{accidental} {'minor' if mode in ('m', 'min', 'minor') else 'major'}"


AskedSections = Section | Annotated[list[Section], Field(max_length=16)]
"""A part of a song, or several in their order."""


def listed_sections(asked: AskedSections | None) -> tuple[Section, ...]:
    """Return the sections that are asked for, none where there is no word of them."""
    return () if asked is None else (asked,) if isinstance(asked, str) else tuple(asked)


MusicalKey = Annotated[str, Field(max_length=20), AfterValidator(spelled_key)]
"""A key in any usual spelling, kept as `A minor`."""
