"""Single fields of profiles: named by their path, listed, and changed for one artist or for many at once.

A path is what messages on a profile name: `artist.core_identities.tempo_center`, `catalog[2].tempo_bpm`.
"""

import copy
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from dawa_assets.artists.profile import profile_problems, validate_profile
from dawa_assets.errors import InvalidProfileError
from dawa_assets.tables.artist_profiles import held_profile, replace_profile
from dawa_assets.tables.artists import Artist, hold_artist
from modal_app.errors import ConflictError, InputError
from resources.database.base import Database

Steps = tuple[str | int, ...]

_NAME = r"[^.\[\]=]+(?:\[\d+\])*"
_PATH = re.compile(rf"{_NAME}(?:\.{_NAME})*")
_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


@dataclass(frozen=True)
class Assignment:
    """A field by its path and its steps from the top, and what it is to be, as it was typed."""

    field: str
    steps: Steps
    value: str

    @classmethod
    def parse(cls, text: str) -> "Assignment":
        """Return the assignment that `path=value` says.

        Raises:
            InputError: it says none.
        """
        path, equals, value = text.partition("=")
        path = path.strip()
        if not equals or not _PATH.fullmatch(path):
            raise InputError(
                f"--field {text[:80]!r}: is no path=value; write it like `artist.core_identities.tempo_center=124`, or "
                "`catalog[0].key_center=A minor`"
            )
        steps = tuple(int(index) if index else name for index, name in _STEP.findall(path))
        return cls(path, steps, value)


@dataclass(frozen=True)
class FieldChange:
    """One field that has another value now; `before` is None where it was not there."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True)
class ProfileChange:
    """What became of one artist's profile; no field where it had these values already.

    `is_for_prompts`: prompts are made from what changed, so that those written before are stale.
    """

    artist: Artist
    fields: Sequence[FieldChange]
    is_for_prompts: bool


def change_fields(
    database: Database, artists: Sequence[Artist], assignments: Sequence[Assignment]
) -> list[ProfileChange]:
    """Give these fields these values in the profiles of all of these artists, or, where one can't have them, of none.

    A value is taken as JSON where the field takes that, else as text. Who has no profile gets one.

    Raises:
        InvalidProfileError: a profile would not follow the interface; the first artist and the reason on one line.
        ConflictError: a profile came to be meanwhile where none was.
    """
    changes = []
    with database.transaction() as connection:
        for artist in artists:
            hold_artist(connection, artist.id)
            there = held_profile(connection, artist.id)
            profile = there.master_schema if there.content_hash else {}
            try:
                changed = validate_profile(_with_values(profile, assignments))
            except InvalidProfileError as error:
                raise InvalidProfileError(f"{artist.slug}: {error}; no profile was changed") from None
            fields = list(_differences(profile, changed, assignments))
            is_for_prompts = False
            if fields:
                now = replace_profile(connection, artist, changed, is_new=not there.content_hash)
                if now is None:
                    raise ConflictError(f"{artist.slug}: got a profile meanwhile; look at it, and change that")
                is_for_prompts = (now.content_hash, now.schema_version) != (there.content_hash, there.schema_version)
            changes.append(ProfileChange(artist, fields, is_for_prompts))
    return changes


def list_fields(value: object, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every field of a profile with its value, by its path; a list of texts is one value."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from list_fields(each, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and any(isinstance(each, dict) for each in value):
        for index, each in enumerate(value):
            yield from list_fields(each, f"{path}[{index}]")
    elif path:
        yield path, value


def _differences(before: Any, after: Any, assignments: Sequence[Assignment]) -> Iterator[FieldChange]:
    for field, steps in {each.field: each.steps for each in assignments}.items():
        was, now = _at(before, steps), _at(after, steps)
        if was != now or type(was) is not type(now):
            yield FieldChange(field, was, now)


def _with_values(profile: Any, assignments: Sequence[Assignment]) -> Any:
    """Return a copy of the profile with these values."""
    for each in assignments:
        as_text = _with_value(profile, each, each.value)
        try:
            as_json = _with_value(profile, each, json.loads(each.value, parse_constant=_refuse))
        except (ValueError, RecursionError):
            profile = as_text
        else:
            # `2.0` is a number for a tempo and a text for a version; where neither will do, the JSON is what is meant.
            profile = as_text if _is_wrong(as_json, each.steps) and not _is_wrong(as_text, each.steps) else as_json
    return profile


def _with_value(profile: Any, assignment: Assignment, value: Any) -> Any:
    """Return a copy with this value; objects on the way, and one more entry at a list's end, are made.

    Raises:
        InvalidProfileError: there is no such place in it.
    """
    changed = place = copy.deepcopy(profile)
    steps = assignment.steps
    for depth, step in enumerate(steps):
        is_last = depth == len(steps) - 1
        _refuse_no_place(place, assignment, depth)
        is_there = step in place if isinstance(step, str) else step < len(place)
        if is_last or not is_there:
            new = value if is_last else [] if isinstance(steps[depth + 1], int) else {}
            if isinstance(place, list) and not is_there:
                place.append(new)
            else:
                place[step] = new
        place = place[step]
    return changed


def _refuse_no_place(place: object, assignment: Assignment, depth: int) -> None:
    step = assignment.steps[depth]
    if isinstance(step, int) and isinstance(place, list):
        reason = f"the list ends before that; [{len(place)}] adds to it" if step > len(place) else ""
    elif isinstance(step, int):
        reason = "is no list; leave the number out"
    else:
        reason = "" if isinstance(place, dict) else f"what is to hold {step!r} is no object; name a field of one"
    if reason:
        raise InvalidProfileError(f"{assignment.field}: {reason}")


def _is_wrong(profile: Any, steps: Steps) -> bool:
    return any(problem.path[: len(steps)] == steps for problem in profile_problems(profile))


def _at(profile: Any, steps: Steps) -> Any:
    for step in steps:
        try:
            profile = profile[step]
        except (LookupError, TypeError):
            return None
    return profile


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)
