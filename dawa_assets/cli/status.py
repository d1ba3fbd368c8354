"""`dawa status`: what there is of each artist, what waits, and why."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from dawa_assets.observability.overview import ArtistLine, Overview
    from dawa_assets.observability.status import ArtistStatus
    from dawa_assets.tables.prompt_staleness import ItemPrompt, PromptCounts

_MAX_NAMED = 40
_SCREENFUL = 20
_RED = ("failed", "damaged")


def status(
    artist: Annotated[
        str | None, typer.Option(help="Only this artist, with all that is open (slug, id or name).")
    ] = None,
    everyone: Annotated[bool, typer.Option("--all", help="Every artist, however many there are.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything of every artist as JSON.")] = False,
) -> None:
    """Show what there is of each artist, those first of whom something failed or waits, and why.

    Of several artists, a line each and at most a screenful; `3/10` are the items that are ready. With --artist, or
    where there is but one, all of them: Live Sets, prompts, dataset, segments, LoRA, and what waits by its name.
    """
    from rich.console import Console
    from rich.text import Text

    from dawa_assets.intake.inbox import unclaimed_uploads
    from dawa_assets.observability.overview import overview
    from dawa_assets.observability.status import artist_statuses
    from resources.ports import open_ports
    from resources.settings import Settings

    ports = open_ports(Settings.load())
    statuses = artist_statuses(ports, artist)
    unclaimed = unclaimed_uploads(ports) if artist is None else []
    if as_json:
        _print_json(statuses)
        for each in unclaimed:
            typer.echo(f"{each.place}: {each.reason}", err=True)
        return
    console = Console()
    if not statuses:
        console.print("No artist yet. `dawa upload --artist NAME FOLDER` makes one, `dawa demo` shows one.")
    elif len(statuses) == 1:
        print_artist(console, statuses[0], None if artist else _SCREENFUL)
    else:
        _print_all(console, overview(ports, statuses), len(statuses) if everyone else _SCREENFUL)
    for each in unclaimed:
        console.print(Text(f"{each.place}: {each.files} uploaded, {each.size_bytes:,} bytes: {each.reason}", "yellow"))


def _print_all(console: "Console", shown: "Overview", limit: int) -> None:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("artist", "ready", "prompts", "tracks", "LoRA"):
        table.add_column(heading, no_wrap=True)
    table.add_column("open")
    for line in shown.lines[:limit]:
        of = line.status
        tracks = f"{of.dataset_items:,}" if of.dataset_key else "-"
        stale = sum(of.prompts.stale.values())
        written = of.prompts.current + of.prompts.human
        prompts = f"{written}, {stale} stale" if stale else f"{written or '-'}"
        lora = "-" if of.lora_key is None else "current" if of.lora_is_current else "behind"
        table.add_row(of.slug, f"{of.ready}/{of.items}", prompts, tracks, lora, _what_is_open(line))
    console.print(table)
    console.print(shown.totals, highlight=False)
    more = len(shown.lines) - limit
    rest = f"{more:,} more artists: `dawa status --all`. " if more > 0 else ""
    console.print(f"{rest}All of one: `dawa status --artist SLUG`.", style="dim", highlight=False)


def _what_is_open(line: "ArtistLine") -> "Text":
    """Return one line, cut off where the terminal ends."""
    from rich.text import Text

    style = "" if line.kind is None or line.kind == "behind" else "red" if line.kind in _RED else "yellow"
    return Text(line.open, style, no_wrap=True, overflow="ellipsis")


def _print_json(statuses: "list[ArtistStatus]") -> None:
    import dataclasses
    import json

    typer.echo(json.dumps([dataclasses.asdict(each) for each in statuses], default=str, indent=2, ensure_ascii=False))


def print_artist(console: "Console", shown: "ArtistStatus", limit: int | None = None) -> None:
    """Print what there is of one artist, and what waits or failed by its name, at most so many."""
    from rich.table import Table
    from rich.text import Text

    console.print(Text.assemble((shown.name, "bold"), f"  {shown.slug}"))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column()
    counts = ", ".join(f"{count} {name}" for name, count in sorted(shown.by_status.items()))
    others = f", {shown.superseded} superseded" if shown.superseded else ""
    others += f", {shown.excluded} excluded" if shown.excluded else ""
    grid.add_row("items", f"{shown.ready}/{shown.items} ready" + (f" ({counts}{others})" if counts else others))
    grid.add_row("Live Sets", str(shown.live_sets))
    grid.add_row("prompts", _prompts(shown.prompts))
    grid.add_row("dataset", _dataset(shown))
    grid.add_row("segments", f"{shown.segments}, {shown.tagged} tagged")
    grid.add_row("LoRA", _lora(shown))
    if shown.uploads_waiting or shown.uploads_rejected:
        grid.add_row("uploads", f"{shown.uploads_waiting} waiting, {shown.uploads_rejected} rejected")
    console.print(grid)
    for notice in shown.notices[:limit]:
        console.print(Text(f"  {notice.what}: {notice.name}: {notice.reason}", style="yellow"))
    if limit is not None and (left := len(shown.notices) - limit) > 0:
        console.print(Text(f"  … and {left} more: dawa status --artist {shown.slug}", style="yellow"))
    for stale in (shown.stale_prompts or [])[:_MAX_NAMED]:
        console.print(Text(f"  prompt: {stale.name}: {_why(stale)}", style="yellow"))
    if (more := len(shown.stale_prompts or []) - _MAX_NAMED) > 0:
        console.print(Text(f"  … and {more} more prompts; --json names all", style="yellow"))
    console.print()


def _prompts(counts: "PromptCounts") -> str:
    parts = [f"{counts.current} current"] if counts.current else []
    parts += [f"{number} stale ({reason})" for reason, number in counts.stale.items()]
    parts += [f"{counts.human} by people"] if counts.human else []
    parts += [f"{counts.impossible} impossible"] if counts.impossible else []
    return ", ".join(parts) or "none yet"


def _why(prompt: "ItemPrompt") -> str:
    from dawa_assets.tables.prompts import PROMPT_ERROR

    if prompt.state != "impossible":
        return f"stale ({prompt.state})"
    return (prompt.error or "it can't be written").removeprefix(PROMPT_ERROR)


def _dataset(shown: "ArtistStatus") -> str:
    if shown.dataset_key is None:
        return "none yet"
    earlier = f", {shown.datasets - 1} earlier" if shown.datasets > 1 else ""
    tracks = "1 track" if shown.dataset_items == 1 else f"{shown.dataset_items} tracks"
    return f"{tracks}, {shown.dataset_key}{earlier}"


def _lora(shown: "ArtistStatus") -> str:
    if shown.lora_key is None:
        return "none yet"
    return shown.lora_key + ("" if shown.lora_is_current else " (trained on an earlier dataset)")
