"""What a client says of the files to train on: a title, a prompt, tags, tempo and key for each.

It comes from a stranger: whatever can't be used is refused with one line that names it.
"""

import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from modal_app.errors import InputError
from modal_app.protocol.musical_facts import spelled_key

_MAX_FILES = 500
_MAX_TITLE_LENGTH, _MAX_PROMPT_LENGTH, _MAX_TAG_LENGTH, _MAX_TAGS = 200, 2_000, 100, 50
_BPM = (1.0, 1000.0)


@dataclass(frozen=True)
class DatasetFile:
    """One audio file and what is known of it."""

    title: str
    prompt: str | None = None
    tags: tuple[str, ...] = ()
    bpm: float | None = None
    musical_key: str | None = None  # e.g. `A minor`


def normalize_dataset(
    files: Sequence[str], metadata: Sequence[Mapping[str, object]] | None = None
) -> list[DatasetFile]:
    """Pair files (paths or URLs) with what is told of them, one object a file.

    Known are `title` (default: the file's name), `prompt`, `tags` (a list, or a string with commas), `bpm` (a number,
    or a string with one) and `key`. Whatever else is told is ignored.

    Raises:
        InputError: not one object a file, or a value that can't be used.
    """
    if not files:
        raise InputError("no files are named; name at least one")
    if len(files) > _MAX_FILES:
        raise InputError(f"{len(files)} files are named, {_MAX_FILES} are the most; use several model names")
    given = metadata or [{}] * len(files)
    if len(given) != len(files):
        raise InputError(f"metadata_per_file: has {len(given)} entries for {len(files)} files; give one for each file")
    return [
        _dataset_file(file, entry, f"metadata_per_file[{number}]")
        for number, (file, entry) in enumerate(zip(files, given, strict=True))
    ]


def _dataset_file(file: str, given: Mapping[str, object], where: str) -> DatasetFile:
    if not isinstance(given, Mapping):
        raise InputError(f'{where}: is no object; give one like {{"title": "Night"}}')
    return DatasetFile(
        title=_line(given.get("title"), f"{where}.title", _MAX_TITLE_LENGTH) or title_of(file),
        prompt=_line(given.get("prompt"), f"{where}.prompt", _MAX_PROMPT_LENGTH),
        tags=_tags(given.get("tags"), f"{where}.tags"),
        bpm=_bpm(given.get("bpm"), f"{where}.bpm"),
        musical_key=_musical_key(given.get("key", given.get("musical_key")), f"{where}.key"),
    )


def title_of(file: str) -> str:
    """Return what a file is called where nobody says it: its name without folders and suffix."""
    try:
        path = unquote(urlsplit(file).path) if "://" in file else file
    except ValueError:  # a URL that can't be read; whoever fetches it says so
        path = ""
    name = PurePosixPath(path).stem
    plain = "".join(letter if letter.isprintable() else " " for letter in name)
    return " ".join(plain.split())[:_MAX_TITLE_LENGTH] or "untitled"


def _line(value: object, where: str, longest: int) -> str | None:
    """Return a text as one line; None where nothing is said."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise InputError(f"{where}: is no text; write it in quotes")
    line = " ".join(value.split())
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in line):
        raise InputError(f"{where}: has control characters in it; leave them out")
    if len(line) > longest:
        raise InputError(f"{where}: has {len(line)} characters, {longest} are the most; shorten it")
    return line or None


def _tags(value: object, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    listed = value.split(",") if isinstance(value, str) else value
    if not isinstance(listed, Sequence) or isinstance(listed, bytes):
        raise InputError(f'{where}: is neither a list nor a text with commas; write e.g. ["dub", "deep"]')
    if len(listed) > _MAX_TAGS:
        raise InputError(f"{where}: has {len(listed)} tags, {_MAX_TAGS} are the most; leave some out")
    lines = (_line(tag, f"{where}[{number}]", _MAX_TAG_LENGTH) for number, tag in enumerate(listed))
    return tuple(dict.fromkeys(line for line in lines if line))


def _bpm(value: object, where: str) -> float | None:
    if value is None or value == "":
        return None
    try:
        bpm = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        bpm = math.nan
    if not _BPM[0] <= bpm <= _BPM[1]:
        raise InputError(f"{where}: is no tempo from {_BPM[0]:g} to {_BPM[1]:g}; write a number like 124")
    return bpm


def _musical_key(value: object, where: str) -> str | None:
    line = _line(value, where, 20)
    if line is None:
        return None
    try:
        return spelled_key(line)
    except ValueError as error:
        raise InputError(f"{where}: {error}") from None
