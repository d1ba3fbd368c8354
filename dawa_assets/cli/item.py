"""`dawa item`: which training items an artist has, leaving some out of what comes next, and taking them in again."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dawa_assets.cli.prompt import Author, OfArtist, login_name

if TYPE_CHECKING:
    from dawa_assets.tables.item_exclusions import ListedItem

app = typer.Typer(
    help="Training items: list them, what is wrong with them, leave them out or in.",
    no_args_is_help=True,
)

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
        if each.best_save is not None:
            typer.echo(f"    fits best: {each.best_save.words}")
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


@app.command("findings")
def findings(
    artist: Annotated[str, typer.Argument(help="The artist: slug, id or name (`dawa status` lists them).")],
    as_json: _Json = False,
) -> None:
    """List what the quality gate found of an artist's audio: what blocks, what warns, what was accepted."""
    import dataclasses
    import json

    from dawa_assets.items.findings import list_findings
    from resources.ports import open_database
    from resources.settings import Settings

    found = list_findings(open_database(Settings.load()), artist)
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(each) for each in found], default=str, ensure_ascii=False))
        return
    for each in found:
        typer.echo(f"{each.finding.item}: {each.finding.line}")
        for line in each.elsewhere:
            typer.echo(f"    {line}")
    if not found:
        typer.echo(f"{artist}: nothing was found; `dawa build --artist {artist}` looks at audio that is new.")
    blocking = next((each.finding for each in found if each.finding.blocks), None)
    if blocking is not None:
        how = f"dawa item accept {blocking.item_id} --finding {blocking.kind} --reason '…'"
        typer.echo(f"What blocks keeps its item waiting. To use it all the same: {how}")


@app.command("accept")
def accept(
    item: Annotated[str, typer.Argument(metavar="ITEM", help="Its id, key (project/set) or Live Set's name.")],
    finding: Annotated[str, typer.Option(help="Which kind of finding, as `dawa item findings` names it.")],
    reason: Annotated[str, typer.Option(help="Why, in one line; kept with the item.")] = "",
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Take back what was accepted.")] = False,
    author: Author = None,
    artist: OfArtist = None,
    as_json: _Json = False,
) -> None:
    """Use an item in spite of what was found of its audio. Another bounce of it is looked at anew."""
    import dataclasses
    import json

    from dawa_assets.items.acceptances import set_accepted
    from resources.ports import open_database
    from resources.settings import Settings

    done = set_accepted(
        open_database(Settings.load()),
        item,
        finding,
        accepted=not withdraw,
        reason=reason,
        author=author or login_name(),
        artist=artist,
    )
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(done), default=str, ensure_ascii=False))
        return
    state = "no longer accepted" if withdraw else "accepted"
    typer.echo(f"{done.item} of {done.artist}: {finding} {'is' if done.changed else 'was already'} {state}")
    for each in done.findings:
        if each.blocks:
            typer.echo(f"It still waits: {each.line}")
    if done.changed:
        typer.echo(f"Next: dawa build --artist {done.artist}")


def _set(
    items: list[str], *, excluded: bool, reason: str, author: str | None, artist: str | None, as_json: bool
) -> None:
    import dataclasses
    import json

    from dawa_assets.items.exclusions import set_excluded, trained_on_line
    from resources.ports import open_database
    from resources.settings import Settings

    changes, trained = set_excluded(
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
            "heard": [dataclasses.asdict(each) for each in trained],
        }
        typer.echo(json.dumps(shown, default=str, ensure_ascii=False))
        return
    state = "excluded" if excluded else "included"
    for each in changes:
        typer.echo(f"{each.item} of {each.artist}: {state if each.changed else f'was {state} already'}")
    for lora in trained:
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
