"""`dawa item`: which training items an artist has, leaving some out of what comes next, and taking them in again."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dawa_assets.cli.prompt import Author, OfArtist, login_name

if TYPE_CHECKING:
    from dawa_assets.tables.item_exclusions import ListedItem

app = typer.Typer(help="Training items: list them, leave them out, take them in again.", no_args_is_help=True)

_Items = Annotated[
    list[str], typer.Argument(metavar="ITEM…", help="Items: their ids, keys (project/set) or Live Sets' names.")
]
_Json = Annotated[bool, typer.Option("--json", help="Print as JSON.")]


@app.command("list")
def list_(
    artist: Annotated[str, typer.Argument(help="The artist: slug, id or name (`dawa status` lists them).")],
    as_json: _Json = False,
) -> None:
    """List an artist's training items, oldest first, and since when and why some are left out."""
    import dataclasses
    import json

    from dawa_assets.items.exclusions import list_items
    from resources.ports import open_database
    from resources.settings import Settings

    items = list_items(open_database(Settings.load()), artist)
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(each) for each in items], default=str, ensure_ascii=False))
        return
    for each in items:
        typer.echo(_line(each))
        if each.alignment is not None:
            typer.echo(f"    bounce: {each.alignment.words}: {each.alignment.reasons[0]}")
        for finding in each.findings:
            typer.echo(f"    audio: {finding}")
    if not items:
        typer.echo(f"{artist} has no training item yet; `dawa upload --artist {artist}` brings Live Sets and bounces.")


@app.command("exclude")
def exclude(
    items: _Items,
    reason: Annotated[str, typer.Option(help="Why, in one line; kept with the item.")] = "",
    author: Author = None,
    artist: OfArtist = None,
    as_json: _Json = False,
) -> None:
    """Leave items out of the next datasets, segments and trainings. Nothing of them is deleted.

    Adapters that were trained on them are named; the next build trains one without.
    """
    _set(items, excluded=True, reason=reason, author=author, artist=artist, as_json=as_json)


@app.command("include")
def include(items: _Items, author: Author = None, artist: OfArtist = None, as_json: _Json = False) -> None:
    """Take items in again that were left out."""
    _set(items, excluded=False, reason="", author=author, artist=artist, as_json=as_json)


def _set(
    items: list[str], *, excluded: bool, reason: str, author: str | None, artist: str | None, as_json: bool
) -> None:
    import dataclasses
    import json

    from dawa_assets.items.exclusions import set_excluded, trained_on_line
    from resources.ports import open_database
    from resources.settings import Settings

    changes, heard = set_excluded(
        open_database(Settings.load()),
        items,
        excluded=excluded,
        reason=reason,
        author=author or login_name(),
        artist=artist,
    )
    if as_json:
        shown: dict[str, list[dict[str, Any]]] = {
            "items": [dataclasses.asdict(each) for each in changes],
            "heard": [dataclasses.asdict(each) for each in heard],
        }
        typer.echo(json.dumps(shown, default=str, ensure_ascii=False))
        return
    state = "excluded" if excluded else "included"
    for each in changes:
        typer.echo(f"{each.item} of {each.artist}: {state if each.changed else f'was {state} already'}")
    for lora in heard:
        published = " (published)" if lora.published else ""
        typer.echo(
            f"run {str(lora.run)[:8]} of {lora.artist}:{lora.model_name}{published} {trained_on_line(lora.items)}"
        )
    for slug in sorted({each.artist for each in changes if each.changed}):
        typer.echo(f"Next: dawa build --artist {slug}")


def _line(item: "ListedItem") -> str:
    seconds = "no audio" if item.seconds is None else f"{item.seconds:.1f} s"
    line = f"{item.id}  {item.item}  {item.status}  {seconds}"
    if item.excluded_at is None:
        return f"{line}  {item.superseded}" if item.superseded else line
    by = f" by {item.author}" if item.author else ""
    return f"{line}  excluded {item.excluded_at:%Y-%m-%d}{by}{f': {item.reason}' if item.reason else ''}"
