"""`dawa tag`: what a tagger hears in the segments of audio files, without an artist or a database."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from modal_app.data_root.layout import DataRoot
    from modal_app.hosted_models.metered_requests import Usage
    from modal_app.protocol.audio import PreparedAudio
    from modal_app.protocol.tagging import TagRequest, TagResult
    from resources.settings import Settings


class TaggerChoice(StrEnum):
    """The taggers there are."""

    OFFLINE = "offline"
    GEMINI = "gemini"


@dataclass(frozen=True)
class _Described:
    path: Path
    prepared: "PreparedAudio"
    result: "TagResult"

    def failure(self, sha256: str) -> str:
        """Return why a segment has no tags."""
        return next(failed.reason for failed in self.result.failed if failed.sha256 == sha256)


def tag(
    files: Annotated[list[Path], typer.Argument(help="Audio files: WAV, AIFF, FLAC, MP3, Ogg, M4A.")],
    bpm: Annotated[
        float | None, typer.Option(min=20, max=999, help="The tempo of their Live Set; the audio confirms it or not.")
    ] = None,
    tagger: Annotated[
        TaggerChoice | None,
        typer.Option(help="Who listens; default: DAWA_TAGGER. Gemini is paid for, up to DAWA_TAG_BUDGET_USD."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Describe the 15 s segments of audio files in words that a prompt can use.

    A file that can't be read is named at the end (exit code 2); the others are described all the same. Nothing is
    kept: what a hosted tagger says here is paid for again when an artist's segments are tagged.
    """
    import tempfile

    from rich.console import Console

    from modal_app.data_root.layout import DataRoot
    from modal_app.errors import InputError, JobError
    from modal_app.hosted_models.metered_requests import Usage
    from resources.errors import SettingsError
    from resources.settings import Settings

    settings = Settings.load(**({} if tagger is None else {"tagger": tagger.value}))
    if settings.tagger == "gemini" and settings.gemini_api_key is None:
        raise SettingsError("GEMINI_API_KEY: is not set, and the tagger `gemini` needs it; set it, or --tagger offline")
    problems: list[str] = []
    described: list[_Described] = []
    used = Usage()
    with tempfile.TemporaryDirectory(prefix="dawa-tag-") as folder, Console(stderr=True).status("listening …"):
        for path in files:
            try:
                described.append(_describe(path, bpm, DataRoot(Path(folder)), settings, used))
            except InputError as error:
                problems.append(str(error))
            else:
                used += described[-1].result.used
    if as_json:
        _print_json(described)
    else:
        _print(described, used)
    if problems:
        raise InputError("; ".join(problems))
    for each in described:
        if each.result.failed:
            count, reason = len(each.result.failed), each.result.failed[0].reason
            raise JobError(
                f"{each.path.name}: {count} of {len(each.prepared.segments)} segments have no tags: {reason}"
            )


def _describe(path: Path, bpm: float | None, root: "DataRoot", settings: "Settings", used: "Usage") -> _Described:
    from dawa_assets.segments.tagger import hosted_model
    from modal_app.audio.prepare import segment_local_file
    from modal_app.audio.segment_cache import keep
    from modal_app.data_root.scratch import scratch_folder
    from modal_app.protocol.tagging import SegmentToTag, TagRequest

    with scratch_folder(root.scratch()) as folder:
        prepared = keep(root, folder, segment_local_file(path, folder))
    request = TagRequest(
        tagger=settings.tagger,
        model=hosted_model(
            settings,
            budget_usd=max(settings.tag_budget_usd - used.cost_usd, 0.0),
            calls=max(settings.calls_per_run - used.calls, 0),
        ),
        segments=[
            SegmentToTag(audio_hash=prepared.audio_hash, index=part.index, sha256=part.sha256, bpm=bpm)
            for part in prepared.segments
        ],
    )
    return _Described(path, prepared, _tag(request, root, settings))


def _tag(request: "TagRequest", root: "DataRoot", settings: "Settings") -> "TagResult":
    """In this process, except that a key is handed to a worker's process only."""
    if request.tagger == "offline":
        from modal_app.tagging.tag import tag as tag_segments

        return tag_segments(request, root, lambda _event: None)
    from resources.compute.local import LocalCompute

    return LocalCompute(root.root, gemini_api_key=settings.gemini_api_key).run(request, lambda _event: None)


def _print_json(described: list[_Described]) -> None:
    import json

    shown = []
    for each in described:
        tags = {tags.sha256: tags.model_dump(mode="json") for tags in each.result.tagged}
        segments = [
            {"index": part.index, "start_seconds": part.start_seconds}
            | (tags.get(part.sha256) or {"sha256": part.sha256, "failed": each.failure(part.sha256)})
            for part in each.prepared.segments
        ]
        shown.append(
            {
                "file": str(each.path),
                "duration_seconds": each.prepared.duration_seconds,
                "warnings": each.prepared.warnings,
                "calls": each.result.used.calls,
                "cost_usd": round(each.result.used.cost_usd, 6),
                "segments": segments,
            }
        )
    typer.echo(json.dumps(shown, indent=2, ensure_ascii=False))


def _print(described: list[_Described], used: "Usage") -> None:
    for each in described:
        typer.echo(each.path.name)
        texts = {tags.sha256: tags.text for tags in each.result.tagged}
        for part in each.prepared.segments:
            text = texts.get(part.sha256) or f"(no tags: {each.failure(part.sha256)})"
            typer.echo(f"  {part.start_seconds:7.1f} s  {text}")
        for warning in each.prepared.warnings:
            typer.echo(f"dawa: {each.path.name}: {warning}", err=True)
    if used.calls:
        tokens = f"{used.input_tokens:,} tokens in, {used.output_tokens:,} out"
        typer.echo(f"{used.calls} calls, {tokens}, ${used.cost_usd:.4f}", err=True)
