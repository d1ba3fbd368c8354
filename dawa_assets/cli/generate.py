"""`dawa generate`: music from a text, with an artist's LoRA or by the base model alone."""

from pathlib import Path
from typing import Annotated, get_args

import typer


def generate(
    prompt: Annotated[str, typer.Option(help="What the music should be like.")],
    out: Annotated[Path, typer.Option(help="The .wav, .flac, .mp3 or .m4a to write; one that is there is replaced.")],
    lora: Annotated[
        str | None, typer.Option(metavar="PRODUCER:MODEL", help="The LoRA; without it the base model renders alone.")
    ] = None,
    duration: Annotated[float, typer.Option(min=0.1, max=600, help="Seconds, exactly.")] = 60.0,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="The same seed gives the same music.")] = 0,
    scale: Annotated[float, typer.Option(min=0, max=10, help="How strongly the LoRA acts; 0 is the base.")] = 1.0,
    bpm: Annotated[
        float | None, typer.Option(min=30, max=300, help="The tempo; else the one that closes the prompt (BPM: 124).")
    ] = None,
    key: Annotated[str | None, typer.Option(metavar="KEY", help='The key, e.g. "A minor" or Am.')] = None,
    time_signature: Annotated[
        str | None, typer.Option(metavar="METRE", help="The metre: 2/4, 3/4, 4/4 or 6/8.")
    ] = None,
    section: Annotated[
        list[str] | None,
        typer.Option(metavar="SECTION", help="A part of a song, e.g. intro or drop; several in their order."),
    ] = None,
    base_only: Annotated[bool, typer.Option("--base-only", help="Leave the LoRA off, to compare.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Render audio from a text: 16 bits with a peak of -1 dBFS, and a mark that it was generated.

    The LoRA is the first usable one of the two files that are published for its name. The base is that of
    DAWA_BACKEND and DAWA_BASE; a LoRA of another base is refused.
    """
    import hashlib
    import json
    import tempfile

    from rich.console import Console

    from dawa_assets.cli.progress import shown_progress
    from dawa_assets.pipeline.job_progress import logged
    from dawa_assets.rights.marks import Marker, Occasion, marks_line
    from dawa_assets.rights.permissions import require_lora_permitted
    from modal_app.config import BackendKind
    from modal_app.data_root.atomic_writes import scratch_path
    from modal_app.errors import InputError
    from modal_app.marks.encode import check_suffix
    from modal_app.marks.tags import provenance_of
    from modal_app.protocol.training import GenerateRequest
    from resources.ports import open_compute, open_database
    from resources.settings import Settings

    check_suffix(out)
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise InputError(f"{out}: no file can be written there; name one in a folder that is there")
    settings = Settings.load()
    marks = marks_line(settings)
    if settings.marks == "off":
        typer.echo(f"marks: {marks}", err=True)
    database, named = open_database(settings), None if base_only else lora
    if named is not None:
        require_lora_permitted(database, settings, named)
    compute = open_compute(settings, several_jobs=False)
    asked = {
        "prompt": prompt,
        "lora_id": named,
        "duration_seconds": duration,
        "seed": seed,
        "backend": BackendKind(settings.backend),
        "base": settings.base,
        "scale": scale,
        "facts": {
            "bpm": bpm,
            "musical_key": _key(key),
            "time_signature": _metre(time_signature),
            "sections": _sections(section or []),
        },
    }
    # one file for one question, so that asking it again leaves no second one in the cache
    producer = f"{named.partition(':')[0]}-" if named else ""  # by which a deletion finds it
    job_id = f"cli-{producer[:40]}{hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]}"
    with shown_progress(Console(stderr=True)):
        result = compute.run(GenerateRequest.model_validate(asked | {"job_id": job_id}), logged("generate"))
    try:
        with tempfile.TemporaryDirectory() as folder, scratch_path(out, out.absolute().parent) as marked:
            compute.fetch(result.path, Path(folder) / "rendered.wav")
            if named is not None:  # it may have been revoked meanwhile
                require_lora_permitted(database, settings, named, result.run_id)
            Marker(settings, database).mark(
                Path(folder) / "rendered.wav", marked, provenance_of(result), Occasion("command", prompt, seed)
            )
    except OSError as error:
        raise InputError(f"{out}: can't be written: {error.strerror or error}; name another file") from None
    if as_json:
        report = result.model_dump(mode="json", exclude={"kind", "path", "base_path"})
        typer.echo(json.dumps({"out": str(out), **report, "marks": marks}, ensure_ascii=False))
        return
    by = f"with {result.lora} (training {result.run_id})" if result.lora else f"by {settings.base} alone"
    typer.echo(f"{out}: {result.samples / result.sample_rate:.3f} s at {result.sample_rate} Hz, {by}")


def _key(given: str | None) -> str | None:
    from modal_app.errors import InputError
    from modal_app.protocol.musical_facts import spelled_key

    try:
        return None if given is None else spelled_key(given)
    except ValueError as error:
        raise InputError(f"--key {given}: {error}") from None


def _sections(given: list[str]) -> list[str]:
    from modal_app.errors import InputError
    from modal_app.protocol.song_timeline import SECTIONS

    for name in given:
        if name.lower() not in SECTIONS:
            raise InputError(f"--section {name}: is none the generator knows; write one of {', '.join(SECTIONS)}")
    return [name.lower() for name in given]


def _metre(given: str | None) -> str | None:
    from modal_app.errors import InputError
    from modal_app.protocol.musical_facts import TimeSignature

    known = get_args(TimeSignature)
    if given is None or given in known:
        return given
    raise InputError(f"--time-signature {given}: is none the generator knows; write one of {', '.join(known)}")
