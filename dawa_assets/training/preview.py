"""The asset `lora_preview`: a few seconds by the base alone and with the published adapter, by one seed.

It goes the way of whoever asks for music: by the LoRA's name, through the published files.
"""

import hashlib
import io
import time
from dataclasses import dataclass, replace
from typing import Literal

from dawa_assets.pipeline.job_progress import logged
from dawa_assets.pipeline.step import artist_step
from dawa_assets.rights.enforce import enforce
from dawa_assets.rights.fingerprints import sha256_of_samples
from dawa_assets.rights.marks import Marker, Occasion
from dawa_assets.rights.permissions import refusal
from dawa_assets.tables import training_runs
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.datasets import current_dataset, dataset_tracks
from dawa_assets.tables.training_runs import Run
from dawa_assets.training.adapters import run_folder, temporary_folder
from dawa_assets.training.examples import facts_of
from dawa_assets.training.gpu_usage import GpuMeter, cost_usd
from dawa_assets.training.promotion import ensure_published
from modal_app.config import BackendKind
from modal_app.errors import JobError
from modal_app.marks.tags import provenance_of
from modal_app.protocol.training import GenerateRequest, MusicalFacts
from resources.ports import Ports

Variant = Literal["base", "lora"]
_VARIANTS: tuple[Variant, ...] = ("base", "lora")


@dataclass(frozen=True)
class PreviewFile:
    """One rendered file: its key in the bucket, its size in bytes, its SHA-256, and that of its samples alone."""

    variant: str
    key: str
    size: int
    sha256: str
    samples_sha256: str | None


@dataclass(frozen=True)
class PreviewReport:
    """What was rendered. `differs` says whether the adapter changed anything at all.

    GPU seconds and cost are those of another machine that was paid for it now; None and 0 where there was none.
    """

    headline: str
    state: Literal["rendered", "unchanged", "no LoRA", "not permitted"]
    run_id: str | None
    prompt: str | None
    seed: int
    preview_seconds: float
    rendered: int
    differs: bool | None
    files: list[PreviewFile]
    seconds: float
    gpu_seconds: float | None = None
    cost_usd: float = 0.0


def render_preview(ports: Ports, slug: str) -> PreviewReport:
    """Render the published adapter's previews, with the first track's prompt, unless they are in the bucket.

    With no published LoRA, nothing happens and the report says so.

    Raises:
        UnknownArtistError: there is no artist of this slug.
        BusyError: another process renders this artist's previews and did not end in time.
        JobError: it can't be rendered, or the adapter was not attached.
    """
    started, meter = time.monotonic(), GpuMeter()
    settings = ports.settings
    with artist_step(ports, slug, "preview") as step:
        enforce(ports, step.artist)
        with ports.database.transaction() as connection:
            run = training_runs.promoted_run(connection, step.artist, settings.model_name)
            refused = None if run is None else refusal(connection, settings, run.id, "generate")
        if refused is not None:
            nothing = _report(ports, None, None, 0, [], time.monotonic() - started)
            return replace(nothing, state="not permitted", headline=f"preview: {refused}")
        if run is None:
            return _report(ports, None, None, 0, [], time.monotonic() - started)
        prompt, facts = _rendered(ports, step.artist, run)
        missing = [variant for variant in _VARIANTS if ports.bucket.stat(preview_key(slug, run, variant)) is None]
        if missing:
            _render(ports, step.artist, run, prompt, facts, meter)
        files = [_file(ports, slug, run, variant) for variant in _VARIANTS]
    report = _report(ports, run, prompt, len(missing), files, time.monotonic() - started)
    return replace(report, gpu_seconds=meter.gpu_seconds, cost_usd=cost_usd(settings, meter.gpu_seconds))


def preview_key(slug: str, run: Run, variant: Variant) -> str:
    """Return where a preview lies in the bucket: `preview-base.wav` or `preview-lora.wav` beside the adapter."""
    return f"{run_folder(slug, run)}/preview-{variant}.wav"


def _rendered(ports: Ports, artist: Artist, run: Run) -> tuple[str, MusicalFacts]:
    """Return the prompt of the first track that the run was trained on, and what is known of that track."""
    with ports.database.transaction() as connection:
        current = current_dataset(connection, artist.id)
        dataset_id = run.dataset_id or (current.id if current else None)
        tracks = dataset_tracks(connection, dataset_id) if dataset_id else []
    return (tracks[0].prompt_text, facts_of(tracks[0])) if tracks else ("instrumental", MusicalFacts())


def _render(ports: Ports, artist: Artist, run: Run, prompt: str, facts: MusicalFacts, meter: GpuMeter) -> None:
    settings = ports.settings
    ensure_published(ports, artist, run.model_name)
    # both in one job: loading the libraries and the base costs more than rendering
    result = ports.compute.run(
        GenerateRequest(
            job_id=f"preview-{run.id}",
            prompt=prompt,
            facts=facts,
            lora_id=f"{artist.slug}:{run.model_name}",
            duration_seconds=settings.rendered_seconds,
            seed=settings.seed,
            backend=BackendKind(run.backend),
            base=run.base,
            with_base=True,
        ),
        logged("preview"),
        meter,
    )
    if result.run_id != str(run.id) or result.base_path is None:
        raise JobError(f"preview of run {run.id}: run {result.run_id} was published meanwhile; run it again")
    rendered: dict[Variant, str] = {"base": result.base_path, "lora": result.path}
    marker, occasion = Marker(settings, ports.database), Occasion("preview", prompt, settings.seed, artist.id)
    with temporary_folder(ports) as folder:
        for variant, path in rendered.items():
            ports.compute.fetch(path, folder / "preview.wav")
            by = result if variant == "lora" else result.model_copy(update={"lora": None, "run_id": None})
            marker.mark(folder / "preview.wav", folder / "marked.wav", provenance_of(by), occasion)
            ports.bucket.put(preview_key(artist.slug, run, variant), folder / "marked.wav", content_type="audio/wav")


def _file(ports: Ports, slug: str, run: Run, variant: Variant) -> PreviewFile:
    key = preview_key(slug, run, variant)
    with ports.bucket.open(key) as stream:
        content = stream.read()  # a minute at most
    samples = sha256_of_samples(io.BytesIO(content))
    return PreviewFile(variant, key, len(content), hashlib.sha256(content).hexdigest(), samples)


def _report(
    ports: Ports, run: Run | None, prompt: str | None, rendered: int, files: list[PreviewFile], seconds: float
) -> PreviewReport:
    state: Literal["rendered", "unchanged", "no LoRA"] = (
        "no LoRA" if run is None else "rendered" if rendered else "unchanged"
    )
    return PreviewReport(
        headline=f"preview: {state}",
        state=state,
        run_id=None if run is None else str(run.id),
        prompt=prompt,
        seed=ports.settings.seed,
        preview_seconds=ports.settings.rendered_seconds,
        rendered=rendered,
        differs=files[0].samples_sha256 != files[1].samples_sha256 if files else None,
        files=files,
        seconds=round(seconds, 3),
    )
