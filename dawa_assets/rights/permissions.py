"""Permissions: put on record, taken back, listed, and asked for before something is made or published.

With `DAWA_PERMISSIONS=required`, `enforce.py` sees that what is not permitted is left out and taken down.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from uuid import UUID

from dawa_assets.pipeline.one_line import one_line
from dawa_assets.pipeline.wording import first_of
from dawa_assets.prompting.item_lookup import find_item
from dawa_assets.tables import permissions as table
from dawa_assets.tables.artists import Artist, find_artist, require_staying, resolve_artist
from dawa_assets.tables.permissions import PURPOSES, Clock, NewPermission, Permission, Purpose
from dawa_assets.tables.training_runs import has_run, promoted_run
from modal_app.data_root.digests import sha256_file
from modal_app.errors import InputError
from resources.database.base import Connection, Database
from resources.ports import Ports
from resources.settings import Settings

_MAX_LINE = 500
_MAX_FILE = 50 * 2**20
_MAX_ROWS = 10_000
_COLUMNS = ("artist", "for", "by", "from", "until", "song", "item", "evidence", "territory")
_MAX_NAMED = 5


@dataclass(frozen=True)
class Grant:
    """What a person puts on record; names as they give them. Days are in the project's zone, the last one included."""

    artist: str
    purposes: tuple[str, ...]
    granted_by: str
    valid_from: date | None = None
    """None: from today on."""
    valid_until: date | None = None
    item: str | None = None
    song: str | None = None
    evidence: str = ""
    territory: str = ""


@dataclass(frozen=True)
class Granted:
    """A permission that is on record now; `changed` is false where the same one was there already."""

    id: UUID
    artist: Artist
    changed: bool


def clock_of(settings: Settings) -> Clock:
    """Return what says which day it is: the database's clock, in the project's zone."""
    return Clock(settings.timezone)


def grant(ports: Ports, given: Grant, *, recorded_by: str, evidence_file: Path | None = None) -> Granted:
    """Put a permission on record; the same again, at the same moment too, is the one that is there.

    A file of evidence lies in the bucket before the permission names it.

    Raises:
        UnknownArtistError: there is no such artist.
        ArtistBeingDeletedError: they are being deleted.
        InputError: something of it can't be kept, or no item, or several, are called so.
    """
    with ports.database.transaction() as connection:
        artist, new = _resolved(connection, ports.settings, given, recorded_by)
    evidence = None if evidence_file is None else _keep_evidence(ports, artist, evidence_file)
    with ports.database.transaction() as connection:
        table.record_one_at_a_time(connection)
        return _record(connection, artist, new, evidence)


def import_grants(ports: Ports, file: Path, *, recorded_by: str) -> list[Granted]:
    """Put the permissions of a CSV on record: all of them, or none where one can't be.

    Raises:
        InputError: the file, or a line of it, can't be used; the message says which.
    """
    grants = read_grants(file)
    done = []
    with ports.database.transaction() as connection:
        table.record_one_at_a_time(connection)
        for number, given in grants:
            try:
                done.append(_record(connection, *_resolved(connection, ports.settings, given, recorded_by), None))
            except InputError as error:
                raise InputError(f"{file.name}, line {number}: {error}") from None
    return done


def read_grants(file: Path) -> list[tuple[int, Grant]]:
    """Return the grants of a CSV with the number of each one's line; columns may stand in any order.

    Raises:
        InputError: the file, or a line of it, can't be used.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines, strict=True)
            named = [name.strip().lower() for name in reader.fieldnames or []]
            missing = [name for name in ("artist", "for", "by") if name not in named]
            unknown = [name for name in named if name not in _COLUMNS]
            if missing or unknown:
                what = f"lacks the column {missing[0]!r}" if missing else f"has the column {unknown[0]!r}"
                raise InputError(f"{file.name}: {what}; the columns are {', '.join(_COLUMNS)}, the first three a must")
            reader.fieldnames = named
            grants: list[tuple[int, Grant]] = []
            for row in reader:
                if len(grants) == _MAX_ROWS:
                    raise InputError(f"{file.name}: has more than {_MAX_ROWS} lines; import it in parts")
                try:
                    grants.append((reader.line_num, _grant_of(row)))
                except InputError as error:
                    raise InputError(f"{file.name}, line {reader.line_num}: {error}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{file}: can't be read: {reason}; give a CSV in UTF-8") from None
    return grants


def revoke(ports: Ports, beginning: str, *, reason: str, author: str) -> tuple[UUID, Artist, bool]:
    """Take a permission back, by the beginning of its id; gives it, whose it is, and whether it was in force yet.

    Raises:
        InputError: no permission's id, or several, begin so, or reason or author can't be kept.
    """
    with ports.database.transaction() as connection:
        permission_id, artist = find_permission(connection, beginning)
        changed = table.revoke_permission(
            connection,
            permission_id,
            reason=one_line(reason, "--reason", _MAX_LINE),
            author=one_line(author, "author", _MAX_LINE, is_needed=True),
        )
    return permission_id, artist, changed


def find_permission(connection: Connection, beginning: str) -> tuple[UUID, Artist]:
    """Return the permission whose id begins so, and its artist.

    Raises:
        InputError: there is none, or more than one.
    """
    found = table.permissions_by_id(connection, beginning) if beginning.strip() else []
    if len(found) != 1:
        what = "no permission's id begins so" if not found else "several permissions' ids begin so"
        raise InputError(f"permission {beginning!r}: {what}; `dawa rights list` names them")
    [(permission_id, artist_id)] = found
    return permission_id, resolve_artist(connection, str(artist_id))


def list_permissions(database: Database, settings: Settings, artist: str | None) -> list[Permission]:
    """Return every permission of an artist (slug, id or name), or of all, with what became of it.

    Raises:
        UnknownArtistError: there is no such artist.
    """
    with database.transaction() as connection:
        of = None if artist is None else resolve_artist(connection, artist).id
        return table.list_permissions(connection, clock_of(settings), of)


def require_permitted(connection: Connection, settings: Settings, run_id: UUID, purpose: Purpose) -> None:
    """Refuse what nobody permits of a run's adapter, where permissions are required.

    Raises:
        InputError: a song that it was trained on is not permitted for this now.
    """
    line = refusal(connection, settings, run_id, purpose)
    if line is not None:
        raise InputError(f"run {run_id}: {line}; `dawa rights grant` puts a permission on record")


def refusal(connection: Connection, settings: Settings, run_id: UUID, purpose: Purpose) -> str | None:
    """Return why a run's adapter may not be used for this, as a clause; None where it may."""
    if settings.permissions != "required":
        return None
    songs = table.not_permitted_in_run(connection, run_id, purpose, clock_of(settings))
    if not songs:
        return None
    return f"nobody permits now to {purpose} with {first_of(songs, _MAX_NAMED)}"


def require_lora_permitted(database: Database, settings: Settings, lora_id: str, run: str | None = None) -> None:
    """Refuse to generate with a LoRA (`producer:model`) that nobody permits to generate with.

    What is no artist's LoRA is nothing that permissions are about.

    Args:
        database: where permissions are.
        settings: whether they are required.
        lora_id: its name.
        run: the training that it is of, where that is known; else the published one.

    Raises:
        InputError: it is not permitted now.
    """
    if settings.permissions != "required":
        return
    slug, _, model_name = lora_id.partition(":")
    with database.transaction() as connection:
        artist = find_artist(connection, slug, by=("slug",))
        if artist is None:
            return
        if run is None:
            published = promoted_run(connection, artist, model_name)
            run_id = None if published is None else published.id
        else:  # what a training over HTTP was trained on is on no record
            run_id = UUID(run) if has_run(connection, artist, run) else None
        if run_id is not None:
            require_permitted(connection, settings, run_id, "generate")
        elif not table.is_permitted_as_a_whole(connection, artist.id, "generate", clock_of(settings)):
            raise InputError(
                f"{lora_id}: nobody permits now to generate with all that is {slug}'s; "
                "`dawa rights grant` puts a permission on record"
            )


def purposes_of(given: Sequence[str]) -> tuple[Purpose, ...]:
    """Return what is permitted, in a fixed order; `all` is everything.

    Raises:
        InputError: nothing is, or something that there isn't.
    """
    wanted = {part.strip().lower() for each in given for part in each.split(",") if part.strip()}
    if wanted == {"all"}:
        return PURPOSES
    unknown = sorted(wanted - set(PURPOSES))
    if unknown or not wanted:
        what = f"{unknown[0]!r} is nothing that can be permitted" if unknown else "is empty"
        raise InputError(f"--for: {what}; name some of {', '.join(PURPOSES)}, or `all`")
    return tuple(purpose for purpose in PURPOSES if purpose in wanted)


def _resolved(
    connection: Connection, settings: Settings, given: Grant, recorded_by: str
) -> tuple[Artist, NewPermission]:
    if given.item and given.song:
        raise InputError("item and song: a permission is for one of them, or for all that is the artist's; name one")
    artist = resolve_artist(connection, given.artist)
    require_staying(connection, artist)
    item = None if not given.item else find_item(connection, given.item, artist.slug, excluded=True)
    new = NewPermission(
        artist_id=artist.id,
        purposes=purposes_of(given.purposes),
        granted_by=one_line(given.granted_by, "--by", _MAX_LINE, is_needed=True),
        recorded_by=one_line(recorded_by, "author", _MAX_LINE, is_needed=True),
        valid_from=given.valid_from or table.today(connection, clock_of(settings)),
        valid_until=given.valid_until,
        training_item_id=None if item is None else item.id,
        song=one_line(given.song, "--song", _MAX_LINE, is_needed=True) if given.song else None,
        evidence=one_line(given.evidence, "--evidence", _MAX_LINE),
        territory=one_line(given.territory, "--territory", _MAX_LINE),
    )
    if new.valid_until is not None and new.valid_until < new.valid_from:
        raise InputError(f"--until {new.valid_until}: lies before {new.valid_from}; give a later day")
    return artist, new


def _record(connection: Connection, artist: Artist, new: NewPermission, evidence: tuple[str, str] | None) -> Granted:
    same = table.find_same(connection, new, None if evidence is None else evidence[1])
    if same is not None:
        return Granted(same, artist, changed=False)
    return Granted(table.record_permission(connection, new, evidence), artist, changed=True)


def _keep_evidence(ports: Ports, artist: Artist, file: Path) -> tuple[str, str]:
    """Put a file into the bucket under its hash; gives key and SHA-256."""
    try:
        if not file.is_file():
            raise InputError(f"{file}: is no file; name the document that says so")
        if file.stat().st_size > _MAX_FILE:
            raise InputError(f"{file}: has more than {_MAX_FILE >> 20} MB; name a smaller document")
        digest = sha256_file(file)
    except OSError as error:
        raise InputError(f"{file}: can't be read: {error.strerror or error}; check the path") from None
    suffix = file.suffix.lower() if file.suffix[1:].isascii() and file.suffix[1:].isalnum() else ""
    key = f"artists/{artist.slug}/rights/{digest}{suffix[:12]}"
    if ports.bucket.stat(key) is None:
        ports.bucket.put(key, file)
    return key, digest


def _grant_of(row: dict[str, str]) -> Grant:
    if None in row or None in row.values():
        raise InputError("has more or fewer fields than the first line; quote texts with commas in them")
    texts = {name: value.strip() for name, value in row.items()}
    days = {name: _day(texts.get(name, ""), name) for name in ("from", "until")}
    return Grant(
        artist=texts["artist"],
        purposes=tuple(texts["for"].replace(" ", ",").replace("+", ",").split(",")),
        granted_by=texts["by"],
        valid_from=days["from"],
        valid_until=days["until"],
        item=texts.get("item") or None,
        song=texts.get("song") or None,
        evidence=texts.get("evidence", ""),
        territory=texts.get("territory", ""),
    )


def _day(text: str, name: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise InputError(f"{name} {text!r}: is no day; write it as 2026-12-31") from None


def parse_day(text: str | None, option: str) -> date | None:
    """Return the day that an option names.

    Raises:
        InputError: it is none.
    """
    return None if text is None else _day(text.strip(), option)
