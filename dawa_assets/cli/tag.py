"""`dawa tag`: what the tagger hears in the segments of audio files, without an artist or a database."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from modal_app.config import DataRoot
    from modal_app.protocol import PreparedAudio, SegmentTags


def tag(
    files: Annotated[list[Path], typer.Argument(help="Audio files: WAV, AIFF, FLAC, MP3, Ogg, M4A.")],
    bpm: Annotated[
        float | None, typer.Option(min=20, max=999, help="The tempo of their Live Set; the audio confirms it or not.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Describe the 15 s segments of audio files in words that a prompt can use.

    A file that can't be read is named at the end (exit code 2); the others are described all the same.
    """
    import tempfile

    from rich.console import Console

    from modal_app.config import DataRoot
    from modal_app.errors import InputError

    problems: list[str] = []
    described: list[tuple[Path, PreparedAudio, list[SegmentTags]]] = []
    with tempfile.TemporaryDirectory(prefix="dawa-tag-") as folder, Console(stderr=True).status("listening …"):
        for path in files:
            try:
                described.append((path, *_describe(path, bpm, DataRoot(Path(folder)))))
            except InputError as error:
                problems.append(str(error))
    if as_json:
        _print_json(described)
    else:
        _print(described)
    if problems:
        raise InputError("; ".join(problems))


def _describe(path: Path, bpm: float | None, root: "DataRoot") -> "tuple[PreparedAudio, list[SegmentTags]]":
    from modal_app.audio.cache import keep
    from modal_app.audio.prepare import segment_local_file
    from modal_app.audio.scratch import scratch_folder
    from modal_app.errors import JobError
    from modal_app.protocol import SegmentToTag, TagRequest
    from modal_app.tagging.tag import tag as tag_segments

    with scratch_folder(root.scratch()) as folder:
        prepared = keep(root, folder, segment_local_file(path, folder))
    wanted = [
        SegmentToTag(audio_hash=prepared.audio_hash, index=part.index, sha256=part.sha256, bpm=bpm)
        for part in prepared.segments
    ]
    result = tag_segments(TagRequest(segments=wanted), root, lambda _event: None)
    if result.failed:
        raise JobError(f"{path.name}: {result.failed[0].reason}")
    by_hash = {tags.sha256: tags for tags in result.tagged}
    return prepared, [by_hash[part.sha256] for part in prepared.segments]


def _print_json(described: "list[tuple[Path, PreparedAudio, list[SegmentTags]]]") -> None:
    import json

    shown = [
        {
            "file": str(path),
            "duration_seconds": prepared.duration_seconds,
            "warnings": prepared.warnings,
            "segments": [
                {"index": part.index, "start_seconds": part.start_seconds, **tags.model_dump(mode="json")}
                for part, tags in zip(prepared.segments, all_tags, strict=True)
            ],
        }
        for path, prepared, all_tags in described
    ]
    typer.echo(json.dumps(shown, indent=2, ensure_ascii=False))


def _print(described: "list[tuple[Path, PreparedAudio, list[SegmentTags]]]") -> None:
    for path, prepared, all_tags in described:
        typer.echo(path.name)
        for part, tags in zip(prepared.segments, all_tags, strict=True):
            typer.echo(f"  {part.start_seconds:7.1f} s  {tags.text}")
        for warning in prepared.warnings:
            typer.echo(f"dawa: {path.name}: {warning}", err=True)
