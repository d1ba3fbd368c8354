"""`dawa rights`: who permitted what, by what evidence, and until when."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dawa_assets.cli.prompt import Author, login_name
from dawa_assets.pipeline.wording import counted

if TYPE_CHECKING:
    from dawa_assets.rights.enforce import Enforced
    from dawa_assets.tables.artists import Artist
    from dawa_assets.tables.permissions import Permission
    from resources.ports import Ports

app = typer.Typer(help="Permissions: who allowed what of an artist's music, and until when.", no_args_is_help=True)

_Json = Annotated[bool, typer.Option("--json", help="Print as JSON.")]


@app.command("grant")
def grant(
    artist: Annotated[str, typer.Argument(help="The artist: slug, id or name (`dawa status` lists them).")],
    by: Annotated[str, typer.Option("--by", help="Who permits it: the artist, a label, a publisher.")],
    purposes: Annotated[
        list[str] | None,
        typer.Option("--for", metavar="WHAT", help="train, publish, generate (commas between), or all."),
    ] = None,
    item: Annotated[str | None, typer.Option(help="One item: its id, key or Live Set's name.")] = None,
    song: Annotated[
        str | None, typer.Option(help="All items of a song: their key, their project or their Live Set's name.")
    ] = None,
    evidence: Annotated[str, typer.Option(help="What shows it, in one line: a contract's number, a mail.")] = "",
    evidence_file: Annotated[Path | None, typer.Option(help="The document; kept in the bucket.")] = None,
    from_: Annotated[str | None, typer.Option("--from", metavar="DAY", help="The first day; default: today.")] = None,
    until: Annotated[str | None, typer.Option(metavar="DAY", help="The last day; default: for good.")] = None,
    territory: Annotated[str, typer.Option(help="Where it holds, in words.")] = "",
    author: Author = None,
    as_json: _Json = False,
) -> None:
    """Put a permission on record: for an item, for a song, or for all that is the artist's.

    Days are those of DAWA_TIMEZONE, and the last one counts. The same permission again changes nothing.
    """
    import json

    from dawa_assets.rights.enforce import enforce
    from dawa_assets.rights.permissions import Grant, parse_day
    from dawa_assets.rights.permissions import grant as put_on_record
    from resources.ports import open_ports
    from resources.settings import Settings

    ports = open_ports(Settings.load())
    given = Grant(
        artist=artist,
        purposes=tuple(purposes or ["all"]),
        granted_by=by,
        valid_from=parse_day(from_, "--from"),
        valid_until=parse_day(until, "--until"),
        item=item,
        song=song,
        evidence=evidence,
        territory=territory,
    )
    done = put_on_record(ports, given, recorded_by=author or login_name(), evidence_file=evidence_file)
    followed = enforce(ports, done.artist)
    if as_json:
        shown = {"permission": str(done.id), "artist": done.artist.slug, "changed": done.changed}
        typer.echo(json.dumps(shown | _plain(followed), ensure_ascii=False))
        return
    state = "on record" if done.changed else "was on record already"
    typer.echo(f"permission {str(done.id)[:8]} for {done.artist.slug}: {state}")
    _print_enforced(ports, done.artist, followed)


@app.command("revoke")
def revoke(
    permission: Annotated[str, typer.Argument(help="Its id, or the beginning of it (`dawa rights list`).")],
    reason: Annotated[str, typer.Option(help="Why, in one line.")] = "",
    author: Author = None,
    as_json: _Json = False,
) -> None:
    """Take a permission back, at once. It stays on record, with who took it back and when.

    With DAWA_PERMISSIONS=required, items that nothing else permits are left out from now on, adapters that were trained
    on them are marked, and what may not be published any more is taken down.
    """
    import json

    from dawa_assets.rights.enforce import enforce
    from dawa_assets.rights.permissions import revoke as take_back
    from resources.ports import open_ports
    from resources.settings import Settings

    ports = open_ports(Settings.load())
    permission_id, artist, changed = take_back(ports, permission, reason=reason, author=author or login_name())
    followed = enforce(ports, artist)
    if as_json:
        shown = {"permission": str(permission_id), "artist": artist.slug, "changed": changed}
        typer.echo(json.dumps(shown | _plain(followed), ensure_ascii=False))
        return
    state = "is revoked" if changed else "was revoked already"
    typer.echo(f"permission {str(permission_id)[:8]} of {artist.slug}: {state}")
    _print_enforced(ports, artist, followed)


@app.command("list")
def list_(
    artist: Annotated[str | None, typer.Argument(help="Only this artist's (slug, id or name).")] = None,
    as_json: _Json = False,
) -> None:
    """List every permission, also those that ran out or were revoked, and what is not permitted to train on."""
    import dataclasses
    import json

    from dawa_assets.rights.enforce import permissions_line
    from dawa_assets.rights.permissions import list_permissions
    from resources.ports import open_database
    from resources.settings import Settings

    settings = Settings.load()
    database = open_database(settings)
    found = list_permissions(database, settings, artist)
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(each) for each in found], default=str, ensure_ascii=False))
        return
    for each in found:
        typer.echo(_line(each))
    typer.echo(permissions_line(database, settings)[1])


@app.command("import")
def import_(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="CSV", help="Columns: artist, for, by; also from, until, song, item, evidence, territory."
        ),
    ],
    author: Author = None,
    as_json: _Json = False,
) -> None:
    """Put the permissions of a file on record: all of them, or none where a line can't be used.

    Several purposes in one field have spaces between them. The same file again changes nothing.
    """
    import json

    from dawa_assets.rights.enforce import enforce
    from dawa_assets.rights.permissions import import_grants
    from resources.ports import open_ports
    from resources.settings import Settings

    ports = open_ports(Settings.load())
    done = import_grants(ports, file, recorded_by=author or login_name())
    followed = {
        artist.slug: enforce(ports, artist) for artist in {each.artist.slug: each.artist for each in done}.values()
    }
    new = sum(each.changed for each in done)
    if as_json:
        shown = {"permissions": [str(each.id) for each in done], "new": new}
        typer.echo(json.dumps(shown | {"artists": {slug: _plain(each) for slug, each in followed.items()}}))
        return
    typer.echo(f"{file.name}: {counted(len(done), 'permission')}, {new} of them new")
    for slug, each in followed.items():
        for line in each.lines:
            typer.echo(f"  {slug}: {line}")


@app.command("samples")
def samples(
    artist: Annotated[str, typer.Argument(help="The artist: slug, id or name (`dawa status` lists them).")],
    as_json: _Json = False,
) -> None:
    """List the samples inside an artist's songs, with where each comes from: those first that a person should look at.

    As their Live Sets name them. DAWA_UNCLEARED_SAMPLES has the patterns of those that nobody cleared.
    """
    import dataclasses
    import json

    from dawa_assets.rights.samples import list_samples
    from resources.ports import open_database
    from resources.settings import Settings

    settings = Settings.load()
    songs = list_samples(open_database(settings), settings, artist)
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(each) for each in songs], default=str, ensure_ascii=False))
        return
    for song in songs:
        typer.echo(f"{song.song}{' (left out)' if song.excluded else ''}: {counted(len(song.samples), 'sample')}")
        for each in song.samples:
            origin = f"not cleared ({each.uncleared})" if each.uncleared else each.origin
            typer.echo(f"  {origin:<14} {each.name}{f'  {each.path}' if each.path else ''}")
    uncleared = sum(bool(song.uncleared) for song in songs)
    typer.echo(f"{uncleared} of {len(songs)} songs use a sample that is not cleared")


def _line(each: "Permission") -> str:
    what = each.item or (f"song {each.song}" if each.song else "everything")
    until = f"until {each.valid_until}" if each.valid_until else "for good"
    parts = [f"{str(each.id)[:8]}  {each.artist}  {what}  {', '.join(each.purposes)}  by {each.granted_by}"]
    parts.append(f"from {each.valid_from} {until}")
    parts += [f"in {each.territory}"] if each.territory else []
    parts += [f"({each.evidence or each.evidence_key})"] if each.evidence or each.evidence_key else []
    state: str = each.state
    if each.revoked_at is not None:
        state = f"revoked {each.revoked_at:%Y-%m-%d} by {each.revoked_by}"
        state += f": {each.revocation}" if each.revocation else ""
    return "  ".join([*parts, state])


def _print_enforced(ports: "Ports", artist: "Artist", followed: "Enforced") -> None:
    for line in followed.lines:
        typer.echo(f"  {line}")
    if followed.left_out or followed.taken_in or followed.taken_down:
        typer.echo(f"Next: dawa build --artist {artist.slug}")
    elif ports.settings.permissions != "required":
        typer.echo(
            f"  note: DAWA_PERMISSIONS={ports.settings.permissions}; nothing is left out for want of a permission"
        )


def _plain(followed: "Enforced") -> dict[str, object]:
    return {
        "left_out": followed.left_out,
        "taken_in": followed.taken_in,
        "taken_down": [{"lora": lora, "reason": reason} for lora, reason in followed.taken_down],
    }
