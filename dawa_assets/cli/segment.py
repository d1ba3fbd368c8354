"""`dawa segment`: one audio file to the 15 s segments that trainings use, without an artist or a database."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from modal_app.protocol.audio import PreparedAudio


def segment(
    file: Annotated[Path, typer.Argument(help="An audio file: WAV, AIFF, FLAC, MP3, Ogg, M4A.")],
    out: Annotated[Path, typer.Option(help="Folder for seg_0000.wav … and manifest.json; made if missing.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
) -> None:
    """Cut a file into 15 s segments: 44.1 kHz, mono, each normalised to -1 dBFS.

    Segments and manifest that are in the folder already are replaced; its other files are left alone. Nothing in
    the folder changes when the file can't be read.
    """
    from rich.console import Console

    with Console(stderr=True).status(f"cutting {file.name} …"):
        prepared = _segment_into(file, out)
    if as_json:
        typer.echo(prepared.model_dump_json(indent=2))
        return
    plural = "" if len(prepared.segments) == 1 else "s"
    typer.echo(
        f"{len(prepared.segments)} segment{plural} in {out}: {prepared.duration_seconds:.2f} s at "
        f"{prepared.source_sample_rate} Hz, {prepared.source_channels} channels"
    )
    for part in prepared.segments:
        state = "silent" if part.silent else f"{part.gain_db:+.2f} dB"
        typer.echo(f"  seg_{part.index:04d}.wav  {part.start_seconds:8.2f} s  {part.samples:7d} samples  {state}")
    for warning in prepared.warnings:
        typer.echo(f"dawa: {file.name}: {warning}", err=True)


def _segment_into(file: Path, out: Path) -> "PreparedAudio":
    from modal_app.audio.prepare import segment_local_file
    from modal_app.audio.segment_cache import MANIFEST
    from modal_app.audio.segments import segment_name
    from modal_app.data_root.scratch import scratch_folder
    from modal_app.errors import InputError, UnreadableAudioError

    is_new = not out.exists()
    try:
        with scratch_folder(out) as folder:
            prepared = segment_local_file(file, folder)
            (out / MANIFEST).unlink(missing_ok=True)  # present again when all segments are: it vouches for them
            for earlier in out.glob("seg_*.wav"):
                earlier.unlink()
            for part in prepared.segments:
                path = folder / segment_name(part.index)
                path.chmod(0o644)
                path.rename(out / path.name)
            manifest = folder / MANIFEST
            manifest.write_text(prepared.model_dump_json(indent=1) + "\n", encoding="utf-8")
            manifest.rename(out / MANIFEST)
    except UnreadableAudioError:
        if is_new:
            out.rmdir()
        raise
    except OSError as error:
        raise InputError(f"{out}: can't be written: {error.strerror}; name another folder with --out") from None
    return prepared
