"""An artist's profile, `master_schema`: read from a file, held against the interface of the specification, stored.

Rows that the dashboard or other programs stored are not held against anything here: prompts use what is usable of
them (`dawa_assets/prompting/style.py`) and say what is not.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError

from dawa_assets.artists.schema import MasterSchema
from dawa_assets.errors import InvalidProfileError
from dawa_assets.tables.artist_profiles import observed_profile, profile_as_stored, save_profile
from dawa_assets.tables.artists import Artist, hold_artist
from modal_app.errors import ConflictError
from resources.ports import Ports

MAX_BYTES = 2_000_000  # a full profile with a hundred works has some 60 kB
_MAX_DEPTH = 32
_MAX_TEXT = 20_000
_MAX_ITEMS = 20_000
_MAX_NUMBER = 1e300
_MAX_PROBLEMS = 200


def load_profile(path: Path) -> dict[str, Any]:
    """Return the validated content of a JSON file.

    Raises:
        InvalidProfileError: it can't be read, is no JSON, or not a profile; one line with the field and the reason.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidProfileError(f"{path}: can't be read ({error.strerror}); name a JSON file") from None
    if len(content) > MAX_BYTES:
        raise InvalidProfileError(f"{path}: is larger than {MAX_BYTES:,} bytes; a profile is some pages of text")
    try:
        return validate_profile(_parsed(content))
    except InvalidProfileError as error:
        raise InvalidProfileError(f"{path}: {error}") from None


def validate_profile(data: object) -> dict[str, Any]:
    """`data` as it came, if it follows the interface. Every field may be missing; fields it has no name for stay.

    Raises:
        InvalidProfileError: one line: the field's path, the reason, the way out.
    """
    if not isinstance(data, dict):
        raise InvalidProfileError(f"the profile is {_kind(data)}; it must be a JSON object, at least {{}}")
    _refuse_what_no_database_takes(data)
    try:
        MasterSchema.model_validate(data)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=True)[0]
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise InvalidProfileError(f"{_path(problem['loc'])}: {_reason(dict(problem))}{more}") from None
    return data


@dataclass(frozen=True)
class Problem:
    """What is wrong at one place of a profile: names and indices from the top, the same as one text, and why."""

    path: tuple[str | int, ...]
    field: str
    message: str


def profile_problems(data: object) -> list[Problem]:
    """Return everything by which `data` does not follow the interface.

    What no database takes is told alone, if anything.
    """
    try:
        validate_profile(data)
    except InvalidProfileError as error:
        field, _, message = str(error).partition(": ")
        whole = [Problem((), field if message else "the profile", message or field)]
    else:
        return []
    try:
        MasterSchema.model_validate(data)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=True)[:_MAX_PROBLEMS]
        return [Problem(each["loc"], _path(each["loc"]), _reason(dict(each))) for each in problems]
    except RecursionError:
        return whole
    return whole


def set_profile(ports: Ports, artist: Artist, data: object, *, seen_hash: str | None = None) -> bool:
    """Store the artist's profile; whether it differs from what was stored (if not, nothing is written).

    With `seen_hash`, only in the place of the profile with this content hash ("": where there is none).

    Raises:
        InvalidProfileError: it does not follow the interface.
        ConflictError: another one is stored by now than the one that was seen.
    """
    profile = validate_profile(data)
    with ports.database.transaction() as connection:
        hold_artist(connection, artist.id)
        there = observed_profile(connection, artist.id).content_hash
        if seen_hash is not None and there not in (seen_hash, profile_as_stored(connection, profile).content_hash):
            raise ConflictError("the profile was changed meanwhile; look at it, and change that")
        return save_profile(connection, artist, profile)


def _parsed(content: bytes) -> object:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidProfileError(f"byte {error.start} is not UTF-8; save the file as UTF-8") from None
    try:
        return json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise InvalidProfileError(
            f"line {error.lineno}, column {error.colno}: no JSON here ({error.msg.lower()}); mend it or export it anew"
        ) from None
    except RecursionError:
        raise InvalidProfileError(f"is nested more than {_MAX_DEPTH} deep; a profile has six levels") from None
    except ValueError:
        raise InvalidProfileError("holds a number of thousands of digits; no field takes one") from None


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise InvalidProfileError(f"the field {_shown(name)} stands twice in one object; keep one")
        found[name] = value
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidProfileError(f"holds {name}, which is no JSON number; write a number or leave the field out")


def _refuse_what_no_database_takes(data: dict[str, Any]) -> None:
    """Walks everything, unknown fields too, without recursion: a database must take it and give it back."""
    left: list[tuple[tuple[str | int, ...], object]] = [((), data)]
    while left:
        path, value = left.pop()
        if len(path) > _MAX_DEPTH:
            raise InvalidProfileError(f"{_path(path[:6])}: is nested more than {_MAX_DEPTH} deep; flatten it")
        if isinstance(value, dict):
            for name in value:
                if not isinstance(name, str):
                    raise InvalidProfileError(f"{_path(path)}: has {_kind(name)} as a field's name; names are text")
                _refuse_text((*path, name), name)
            left += [((*path, name), each) for name, each in value.items()]
        elif isinstance(value, list):
            if len(value) > _MAX_ITEMS:
                raise InvalidProfileError(f"{_path(path)}: has {len(value):,} entries; at most {_MAX_ITEMS:,}")
            left += [((*path, index), each) for index, each in enumerate(value)]
        elif isinstance(value, str):
            _refuse_text(path, value)
        elif isinstance(value, float) and not math.isfinite(value):
            raise InvalidProfileError(f"{_path(path)}: is no finite number; write a number or leave the field out")
        elif isinstance(value, int | float) and abs(value) > _MAX_NUMBER:
            raise InvalidProfileError(f"{_path(path)}: is a number out of all range; mend it")
        elif value is not None and not isinstance(value, bool | int | float):
            raise InvalidProfileError(f"{_path(path)}: is {_kind(value)}, which JSON does not have; leave it out")


def _refuse_text(path: tuple[str | int, ...], text: str) -> None:
    if len(text) > _MAX_TEXT:
        raise InvalidProfileError(f"{_path(path)}: has {len(text):,} characters; at most {_MAX_TEXT:,}")
    if "\x00" in text:
        raise InvalidProfileError(f"{_path(path)}: holds a NUL character, which the database refuses; take it out")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidProfileError(f"{_path(path)}: holds half a character (a lone surrogate); write it anew")


def _path(parts: tuple[str | int, ...]) -> str:
    """`catalog[2].tempo_bpm`; what JavaScript would call it."""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{_shown(part, quoted=False)}" for part in parts)
    return path.lstrip(".") or "the profile"


def _shown(name: str, *, quoted: bool = True) -> str:
    short = name if len(name) <= 60 else f"{name[:60]}…"
    printable = "".join(character if character.isprintable() else "�" for character in short)
    return f"{printable!r}" if quoted else printable


def _reason(problem: dict[str, Any]) -> str:
    kind, value = problem["type"], problem["input"]
    wanted = {
        "string_type": "text",
        "float_type": "a number",
        "int_type": "a whole number",
        "list_type": "a list",
        "dict_type": "an object",
        "model_type": "an object",
        "model_attributes_type": "an object",
    }.get(kind)
    if wanted is not None:
        way_out = "leave the field out" if value is None else "mend it or leave it out"
        return f"must be {wanted}, is {_kind(value)}; {way_out}"
    message = str(problem["msg"]).removeprefix("Value error, ")
    message = message.replace("Input should be", "must be")
    return f"{message}, is {_shown(str(value))}; mend it or leave it out"


def _kind(value: object) -> str:
    if value is None:
        return "null"
    names = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "an object"}
    return names.get(type(value), f"a {type(value).__name__}")
