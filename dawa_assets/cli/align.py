"""`dawa als align`: where in a Live Set's arrangement a bounce begins, and whether it is that arrangement at all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dawa_assets.ableton.alignment import Alignment


def align(
    live_set: Annotated[Path, typer.Argument(metavar="SET.als", help="A Live Set of Live 8 to 12.")],
    bounce: Annotated[Path, typer.Argument(metavar="BOUNCE", help="The sound: WAV, AIFF, FLAC, MP3, Ogg, M4A.")],
    tempo: Annotated[
        list[float] | None,
        typer.Option(min=20, max=999, help="A tempo that an earlier save had: it may have been rendered at that."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Tell where in a set's arrangement a bounce begins, and whether it is a bounce of it at all.

    The answer is one of three: aligned, not this arrangement, or can't be told, with the reasons. Whichever it
    is, the exit code is 0; it is 2 where a file can't be read.
    """
    from dawa_assets.ableton.alignment import align as aligned
    from dawa_assets.ableton.onsets import song_onsets
    from dawa_assets.ableton.reader import read_live_set
    from modal_app.audio.alignment_features import measure_features

    song = song_onsets(read_live_set(live_set, with_onsets=True))
    found = aligned(song, measure_features(bounce), tempo or ())
    if as_json:
        _print_json(live_set, bounce, found)
    else:
        _print(bounce, found)


def _print_json(live_set: Path, bounce: Path, found: Alignment) -> None:
    import json
    from dataclasses import asdict

    from dawa_assets.ableton.reader import shown_name

    plain = {"live_set": shown_name(live_set), "bounce": shown_name(bounce), **asdict(found)}
    typer.echo(json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False))


def _print(bounce: Path, found: Alignment) -> None:
    from rich.console import Console
    from rich.text import Text

    from dawa_assets.ableton.reader import shown_name

    console = Console()
    sure = f" (confidence {found.confidence:.2f})" if found.confidence else ""
    console.print(Text(f"{shown_name(bounce)}: {found.answer}{sure}", style="bold"), soft_wrap=True)
    lines = {
        "begins": _where(found),
        "score": "" if found.score is None else f"{found.score:.3f}, {found.margin:.3f} above the next place",
        "by": found.version,
    }
    for heading, text in [*lines.items(), *(("reason", reason) for reason in found.reasons)]:
        if text:
            console.print(Text.assemble((f"{heading}: ", "dim"), text), soft_wrap=True)


def _where(found: Alignment) -> str:
    if found.offset_seconds is None or found.bar is None:
        return ""
    if found.offset_seconds < -0.1:
        return f"{-found.offset_seconds:.2f} s before the arrangement"
    return f"at {found.offset_seconds:.2f} s of the arrangement, bar {found.bar:.4g}"
