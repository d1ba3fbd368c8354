"""Marks on what an evaluation renders: each file says whose adapter made it, and of which prompt."""

from collections.abc import Callable
from pathlib import Path

from dawa_assets.rights.marks import Marker, Occasion
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.training_runs import Run
from modal_app.marks.tags import Provenance
from modal_app.protocol.evaluation import EvaluateRequest
from resources.ports import Ports


def marking_of(ports: Ports, artist: Artist, run: Run, request: EvaluateRequest) -> Callable[[str, Path], Path]:
    """Return what marks the audio among the files of an evaluation."""
    marker = Marker(ports.settings, ports.database)
    by_lora = Provenance(run.backend, run.base, f"{artist.slug}:{run.model_name}", str(run.id))
    prompts = {prompt.kind.replace(" ", "-"): prompt.text for prompt in reversed(request.prompts)}

    def finish(name: str, file: Path) -> Path:
        if not name.endswith(".wav"):
            return file
        marked = file.with_name("marked.wav")
        of = Provenance(run.backend, run.base) if name.startswith("evaluation-base") else by_lora
        kind = name.removesuffix(".wav").rpartition("-")[2]
        prompt = prompts.get(kind, request.prompts[0].text)
        marker.mark(file, marked, of, Occasion("evaluation", prompt, request.seeds[0], artist.id))
        return marked

    return finish
