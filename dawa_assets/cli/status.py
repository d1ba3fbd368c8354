"""`dawa status`: what there is of each artist, what waits, and why."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from dawa_assets.observability.status import ArtistStatus
    from dawa_assets.tables.prompt_staleness import ItemPrompt, PromptCounts

_MAX_NAMED = 40


def status(
    artist: Annotated[str | None, typer.Option(help="Only this artist (slug, id or name).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Show every artist: items as in "3/10 ready", what waits and why, prompts, datasets, segments, tags, LoRA.

    With --artist, the items whose prompts are stale are named.
    """
    from rich.console import Console
    from rich.text import Text

    from dawa_assets.intake.inbox import unclaimed_uploads
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
    for shown in statuses:
        _print(console, shown)
    for each in unclaimed:
        console.print(Text(f"{each.place}: {each.files} uploaded, {each.size_bytes:,} bytes: {each.reason}", "yellow"))


def _print_json(statuses: "list[ArtistStatus]") -> None:
    import dataclasses
    import json

    typer.echo(json.dumps([dataclasses.asdict(each) for each in statuses], default=str, indent=2, ensure_ascii=False))


def _print(console: "Console", shown: "ArtistStatus") -> None:
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
    for notice in shown.notices:
        console.print(Text(f"  {notice.what}: {notice.name}: {notice.reason}", style="yellow"))
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
