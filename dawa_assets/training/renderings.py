"""A prompt as the base alone, the published adapter and a candidate render it by one seed, to be heard side by side.

What was asked for is a row, and what is rendered lies in the bucket: whoever is killed on the way leaves a rendering
that the next one finishes.
"""

import hashlib
import json
import logging
from dataclasses import dataclass
from uuid import UUID

from dawa_assets.errors import UnknownItemError
from dawa_assets.pipeline.step import artist_step
from dawa_assets.rights.marks import Marker, Occasion
from dawa_assets.rights.permissions import refusal, require_permitted
from dawa_assets.tables import renderings, training_runs
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.leases import Lease, report_progress
from dawa_assets.tables.listens import Who
from dawa_assets.tables.renderings import Part, Rendering
from dawa_assets.tables.training_runs import Run
from dawa_assets.training.adapters import ask_with_files, temporary_folder
from modal_app.config import BackendKind
from modal_app.errors import DawaError, InputError, JobCancelledError
from modal_app.marks.tags import provenance_of
from modal_app.protocol.training import GenerateRequest
from resources.database.base import Connection
from resources.ports import Ports
from resources.settings import Settings

log = logging.getLogger(__name__)

KEPT = 60
"""How many renderings of an artist are kept, beside those that somebody listened to."""


@dataclass(frozen=True)
class Asked:
    """What is to be rendered: `scale` is how strongly an adapter acts, `run_id` the candidate."""

    prompt: str
    seed: int
    seconds: float
    who: tuple[Who, ...] = ("base", "published", "candidate")
    run_id: UUID | None = None
    scale: float = 1.0


def begin_rendering(ports: Ports, artist: Artist, asked: Asked) -> Rendering:
    """Return the rendering of this request: what there is of it, or a new one; what failed is to be tried again.

    Who can't be heard is in it with the reason.

    Raises:
        UnknownItemError: the artist has no such run.
        InputError: the prompt is empty, or nobody who was asked for can be heard.
    """
    prompt = asked.prompt.replace("\r\n", "\n").replace("\r", "\n").strip()
    if not prompt:
        raise InputError("prompt: is empty; say what the music should be like")
    with ports.database.transaction() as connection:
        published = training_runs.promoted_run(connection, artist, ports.settings.model_name)
        candidate = _candidate(ports, training_runs.list_runs(connection, artist), asked, artist, published)
        parts = [
            _if_permitted(connection, ports.settings, _part(who, published, candidate))
            for who in dict.fromkeys(asked.who)
        ]
        if all(part.missing for part in parts):
            why = ", ".join(f"{part.who}: {part.missing}" for part in parts)
            raise InputError(f"who: {why}; name another, or train first")
        content = [str(artist.id), prompt, asked.seed, asked.seconds, asked.scale]
        content += [f"{part.who} {part.run_id}" for part in parts if not part.missing]
        rendering_id = f"r-{hashlib.sha256(json.dumps(content).encode()).hexdigest()[:24]}"
        return renderings.claim_rendering(
            connection,
            artist,
            Rendering(rendering_id, prompt, asked.seed, asked.seconds, asked.scale, parts, created_at=None),
        )


def render_open(ports: Ports, artist: Artist) -> str:
    """Render what was asked for and is not there yet, the oldest first; gives a headline.

    Raises:
        BusyError: another process renders for this artist and did not end in time.
    """
    done, failed = 0, 0
    with artist_step(ports, artist, "renderings") as step:
        while (left := _open_parts(ports, artist)) is not None:
            rendering, part, number = left
            report_progress(ports.database, step.held, number, len(rendering.parts), f"{part.who} renders")
            try:
                rendered = _render(ports, artist, rendering, part)
                done += 1
            except JobCancelledError:
                raise
            except DawaError as error:
                log.warning("%s of %s can't be rendered: %s", part.who, rendering.id, error)
                rendered = part.with_error(" ".join(str(error).split()))
                failed += 1
            with ports.database.transaction() as connection:
                step.held.check(connection)
                renderings.keep_part(connection, rendering.id, rendered)
        _forget_old(ports, artist, step.held)
    return f"{done} rendered" + (f", {failed} failed" if failed else "")


def _candidate(ports: Ports, runs: list[Run], asked: Asked, artist: Artist, published: Run | None) -> Run | None:
    done = [run for run in runs if run.state == "done"]
    if asked.run_id is not None:
        found = next((run for run in runs if run.id == asked.run_id), None)
        if found is None:
            raise UnknownItemError(f"run {asked.run_id}: {artist.slug} has none of this id; look the id up again")
        return found if found.state == "done" else None
    own = [run for run in done if run.model_name == ports.settings.model_name]
    chosen = next((run for run in own if run.candidate_at is not None), own[0] if own else None)
    return None if chosen is None or (published is not None and chosen.id == published.id) else chosen


def _part(who: Who, published: Run | None, candidate: Run | None) -> Part:
    if who == "published":
        return Part(who, None, missing="nothing is published yet") if published is None else Part(who, published.id)
    if who == "candidate":
        missing = "there is no training beside the published one that is done"
        return Part(who, None, missing=missing) if candidate is None else Part(who, candidate.id)
    known = candidate or published
    return Part(who, None, base_of=None if known is None else known.id)


def _if_permitted(connection: Connection, settings: Settings, part: Part) -> Part:
    """Return a part, or why nobody may hear it."""
    why = None if part.run_id is None else refusal(connection, settings, part.run_id, "generate")
    return part if why is None else Part(part.who, None, missing=why)


def _open_parts(ports: Ports, artist: Artist) -> tuple[Rendering, Part, int] | None:
    with ports.database.transaction() as connection:
        for rendering in renderings.open_renderings(connection, artist.id):
            for number, part in enumerate(rendering.parts):
                if part.is_open:
                    return rendering, part, number
    return None


def _render(ports: Ports, artist: Artist, rendering: Rendering, part: Part) -> Part:
    from modal_app.audio.waveform import measure_waveform

    of = part.run_id or part.base_of
    run = None
    if of is not None:
        with ports.database.transaction() as connection:
            run = training_runs.get_run(connection, of)
            if part.run_id is not None:
                require_permitted(connection, ports.settings, part.run_id, "generate")
    adapter_of = run if part.run_id is not None else None
    request = GenerateRequest(
        job_id=f"{rendering.id.replace('r-', 'rendering-')}-{part.who}",
        prompt=rendering.prompt,
        lora_id=None if adapter_of is None else f"{artist.slug}:{adapter_of.model_name}",
        run_id=None if adapter_of is None else str(adapter_of.id),
        duration_seconds=rendering.seconds,
        seed=rendering.seed,
        backend=BackendKind(ports.settings.backend if run is None else run.backend),
        base=ports.settings.base if run is None else run.base,
        scale=rendering.scale,
    )
    with_files = [] if adapter_of is None or "files" not in adapter_of.metrics else [adapter_of]
    result = ask_with_files(ports, artist.slug, request, with_files, "rendering")
    key = f"artists/{artist.slug}/renderings/{rendering.id}/{part.who}.wav"
    with temporary_folder(ports) as folder:
        if adapter_of is not None:
            with ports.database.transaction() as connection:  # it may have been revoked meanwhile
                require_permitted(connection, ports.settings, adapter_of.id, "generate")
        ports.compute.fetch(result.path, folder / "rendered.wav")
        loudness = measure_waveform(folder / "rendered.wav").loudness
        occasion = Occasion("rendering", rendering.prompt, rendering.seed, artist.id)
        Marker(ports.settings, ports.database).mark(
            folder / "rendered.wav", folder / "marked.wav", provenance_of(result), occasion
        )
        ports.bucket.put(key, folder / "marked.wav", content_type="audio/wav")
    return part.with_audio(key, loudness.integrated_lufs, loudness.true_peak_dbtp)


def _forget_old(ports: Ports, artist: Artist, held: Lease) -> None:
    """Drop renderings beyond the latest ones that nobody listened to: files first, so that no row is missed."""
    with ports.database.transaction() as connection:
        old = renderings.old_renderings(connection, artist.id, KEPT)
    for rendering in old:
        ports.bucket.delete([part.key for part in rendering.parts if part.key is not None])
    with ports.database.transaction() as connection:
        held.check(connection)
        renderings.forget(connection, [rendering.id for rendering in old])
