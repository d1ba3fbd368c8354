"""`dawa als`: what is in a Live Set, as a table, as the `AlsSummary` that the pipeline stores, or as a picture.

`dawa als align` is in `align.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from dawa_assets.cli.align import align

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from dawa_assets.ableton.live_set import LiveSet
    from dawa_assets.ableton.summary import AlsSummary, HierarchyChild, HierarchyEntry


class _ShowUnlessAsked(TyperGroup):
    """Takes what names no sub-command as the files to show, so that `dawa als SET.als` needs none."""

    unnamed = "show"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See click."""
        if args and args[0] not in self.commands and args != ["--help"]:
            args = [self.unnamed, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_ShowUnlessAsked,
    help="Show what is in Live Sets (`dawa als SET.als …`), or hold one against a bounce (`dawa als align`).",
    no_args_is_help=True,
)


@app.command(_ShowUnlessAsked.unnamed)
def show(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Live Sets (.als) of Live 8 to 12.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the AlsSummary; an array of them if there are several files.")
    ] = False,
    png: Annotated[
        Path | None,
        typer.Option(help="Draw the timeline to this file; for several sets, a folder to draw them into."),
    ] = None,
) -> None:
    """Show what is in Live Sets: tempo, tracks, clips, plugins, samples.

    The word `show` may be left out. A file that can't be read is named on one line with the reason; the others go on,
    and the exit code is 2.
    """
    from dawa_assets.ableton.reader import read_live_set
    from modal_app.errors import InputError

    pictures = _pictures(files, png) if png is not None else {}
    summaries: list[AlsSummary] = []
    refused = 0
    for file in files:
        try:
            live_set = read_live_set(file)
            if file in pictures:
                _draw(live_set, pictures[file])
        except InputError as error:
            refused += 1
            typer.echo(f"dawa: {error}", err=True)
            continue
        summary = summary_of(file, live_set)
        summaries.append(summary)
        if not as_json:
            _print_table(summary, pictures.get(file))
    if as_json and summaries:
        _print_json(summaries if len(files) > 1 else summaries[0])
    if refused:
        raise typer.Exit(2)


app.command("align")(align)


def _pictures(files: list[Path], out: Path) -> dict[Path, Path]:
    """Return where each set is drawn to; sets of the same name in a folder get a number.

    Raises:
        InputError: several sets for one file, or no folder to draw into.
    """
    from dawa_assets.ableton.naming import unique_names
    from modal_app.errors import InputError

    if len(files) == 1 and not out.is_dir():
        if not out.parent.is_dir():
            raise InputError(f"{out}: its folder does not exist; make it or choose another")
        return {files[0]: out}
    if not out.is_dir():
        raise InputError(f"{out}: not a folder; give --png a folder that exists to draw several sets")
    stems = unique_names([file.stem for file in files])
    return {file: out / f"{stem}.png" for file, stem in zip(files, stems, strict=True)}


def _draw(live_set: LiveSet, target: Path) -> None:
    from dawa_assets.ableton.timeline import draw_timeline
    from modal_app.errors import InputError

    try:
        draw_timeline(live_set, target)
    except OSError as error:
        raise InputError(f"{target}: can't be written ({error.strerror}); choose another place") from None


def summary_of(file: Path, live_set: LiveSet) -> AlsSummary:
    """Return the `AlsSummary` of a set that lies where its artist keeps it."""
    from dawa_assets.ableton.project import project_folder, project_name
    from dawa_assets.ableton.reader import shown_name
    from dawa_assets.ableton.summary_builder import summarise

    project = project_name(project_folder(file))
    return summarise(live_set, als_filename=shown_name(file), project_folder=project, artist_name="")


def _print_json(result: AlsSummary | list[AlsSummary]) -> None:
    import json

    plain = (
        [each.model_dump(mode="json") for each in result]
        if isinstance(result, list)
        else result.model_dump(mode="json")
    )
    typer.echo(json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False))


def _print_table(summary: AlsSummary, picture: Path | None) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    console.print(Text(summary.als_filename, style="bold"))
    console.print(Text(_facts(summary), style="dim"), soft_wrap=True)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("track", "type"):
        table.add_column(heading, overflow="ellipsis", no_wrap=True)
    for heading in ("clips", "devices", "samples"):
        table.add_column(heading, justify="right")
    table.add_column("plugins", overflow="fold")
    for track in _rows(summary):
        details = summary.track_breakdown.get(track.name)
        figures = (details.clips, details.devices, len(details.sample_files)) if details else ("", "", "")
        plugins = ", ".join(summary.plugins_by_track.get(track.name, []))
        table.add_row(Text("  " * track.level + track.name), track.type, *map(str, figures), Text(plugins))
    console.print(table)
    _print_rest(console, summary, picture)


def _rows(summary: AlsSummary) -> Iterator[HierarchyEntry | HierarchyChild]:
    for entry in summary.track_hierarchy:
        yield entry
        yield from entry.children or ()


def _facts(summary: AlsSummary) -> str:
    overview = summary.overview
    facts = [
        f"{overview.tempo:g} BPM" + (" (automated)" if summary.tempo_changes else ""),
        overview.time_signature,
        f"{round(summary.length_bars, 2):g} bars",
        f"{overview.midi_tracks} MIDI, {overview.audio_tracks} audio, {overview.group_tracks} groups, "
        f"{overview.return_tracks} returns",
        f"{summary.arrangement_clips} clips in the arrangement, {summary.session_clips} in the session",
        f"Live {summary.live_version}",
    ]
    return " · ".join(facts)


def _print_rest(console: Console, summary: AlsSummary, picture: Path | None) -> None:
    """One line for each thing that the set has beside its tracks."""
    from rich.text import Text

    usage = (f"{name} ×{count}" if count > 1 else name for name, count in summary.plugin_usage.items())
    lines = {
        "plugins": ", ".join(usage),
        "on main": ", ".join(summary.main_plugins),
        "samples": f"{len(summary.sample_index)} files" if summary.sample_index else "",
        "scale": f"{summary.scale.root} {summary.scale.name}" if summary.scale else "",
        "locators": ", ".join(f"{locator.name} ({locator.bar:g})" for locator in summary.locators),
        "genres": "; ".join(summary.genre_indicators),
        "warning": "; ".join(summary.warnings),
        "picture": str(picture) if picture is not None else "",
    }
    for heading, text in lines.items():
        if text:
            console.print(Text.assemble((f"{heading}: ", "dim"), text), soft_wrap=True)
    console.print()
