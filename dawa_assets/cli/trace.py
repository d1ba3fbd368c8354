"""`dawa trace`: whether a file was made here, with what, and trained on whom."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dawa_assets.rights.content_credentials import Credentials
    from dawa_assets.rights.trace import Trace, TracedSound

_MAX_SHOWN = 8


def trace(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The sound: WAV, AIFF, FLAC, MP3, Ogg, M4A.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Tell whether a file was generated here, with what, and trained on whom.

    Also of a copy that was encoded again, cut, transposed by up to two semitones or played up to 6 % faster or
    slower, and of a passage of some seconds inside other music. It needs the record that DAWA_MARKS=on keeps.
    """
    import json
    from dataclasses import asdict

    from rich.console import Console

    from dawa_assets.cli.progress import shown_progress
    from dawa_assets.rights.trace import trace as traced
    from resources.ports import open_database
    from resources.settings import Settings

    settings = Settings.load()
    with shown_progress(Console(stderr=True)):
        found = traced(settings, open_database(settings), file)
    if as_json:
        sounds = [asdict(each) | {"seconds": each.seconds} for each in found.sounds]
        answer = asdict(found) | {"was_made_here": found.was_made_here, "sounds": sounds}
        typer.echo(json.dumps(answer, indent=2, default=str, ensure_ascii=False))
        return
    _print(found)


def _print(found: "Trace") -> None:
    typer.echo(f"{found.file}: {_verdict(found)}")
    for each in found.sounds[:_MAX_SHOWN]:
        _print_sound(each)
    if len(found.sounds) > _MAX_SHOWN:
        typer.echo(f"  … and {len(found.sounds) - _MAX_SHOWN} more; --json names all")
    typer.echo(f"  mark      {_mark(found.credentials)}")
    for note in found.notes:
        typer.echo(f"  note      {note}")


def _verdict(found: "Trace") -> str:
    from dawa_assets.pipeline.wording import counted

    if found.sounds:
        whole = found.sounds[0].is_exact
        return "was made here, unchanged" if whole else "has sound in it that was made here"
    return f"is not known here (held against {counted(found.on_record, 'sound')} on record)"


def _print_sound(each: "TracedSound") -> None:
    from dawa_assets.pipeline.wording import first_of, minutes
    from dawa_assets.prompting.json_access import text

    sound = each.sound
    by = f"{sound.lora} (training {sound.run})" if sound.lora else f"the base {sound.base} alone"
    typer.echo(f"  made      {sound.made_at:%Y-%m-%d %H:%M} UTC by {by}, {sound.generator} {sound.base}")
    typer.echo(f"  for       {sound.artist or 'no artist'}: {text(sound.prompt, 100)}")
    if each.trained_on:
        typer.echo(f"  songs     {first_of(each.trained_on, _MAX_SHOWN)}")
    for passage in each.passages[:_MAX_SHOWN]:
        changes = [f"{passage.semitones:+.1f} semitones"] if abs(passage.semitones) >= 0.5 else []
        changes += [f"{passage.speed - 1:+.1%} in tempo"] if passage.speed != 1 else []
        changed = f" ({', '.join(changes)})" if changes else ""
        span = f"{minutes(passage.start_seconds)} to {minutes(passage.end_seconds)}"
        typer.echo(
            f"  passage   {span} is its sound from {minutes(passage.sound_seconds)} on{changed}, "
            f"{passage.hits} landmarks"
        )


def _mark(credentials: "Credentials | None") -> str:
    if credentials is None:
        return "none that can be read"
    states = {
        "Trusted": "signed with this project's certificate, or one that the world trusts",
        "Valid": "whole, and signed by somebody unknown here",
    }
    state = states.get(credentials.state, f"not to be believed: {', '.join(credentials.problems) or 'it was changed'}")
    what = "generated" if credentials.is_generated else "not said to be generated"
    about = ", ".join(f"{name} {value}" for name, value in credentials.rendering.items() if name != "audio_sha256")
    line = f"C2PA by {credentials.made_by}, signer {credentials.signer}: {what}; {state}"
    return f"{line}; {about}" if about else line
