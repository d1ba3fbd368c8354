"""Whether a candidate plays what it was trained on: more renderings, made for that, held against those songs.

Captions that it was trained with are where a copy comes first. Of a generator with codes of its own (MusicGen) the
longest run that a rendering shares with a song is counted too.
"""

from collections.abc import Callable
from typing import TypedDict, cast

import numpy as np

from modal_app.audio.landmarks import SAMPLE_RATE
from modal_app.backends.base import Signal, TrainBackend, frames_per_second
from modal_app.data_root.layout import DataRoot
from modal_app.errors import JobError
from modal_app.evaluation.code_runs import longest_run
from modal_app.evaluation.copies import Material, as_landmarks_hear, find_copies
from modal_app.evaluation.measured import Bench, Measured
from modal_app.protocol.base import Event
from modal_app.protocol.evaluation import CopyFindings
from modal_app.training.caption_rule import conditioning_of_parts, kinds_in_metadata
from modal_app.training.data import load_examples
from modal_app.training.split import Split
from modal_app.training.train import evenly


class Looked(TypedDict):
    """What was found, and the rendering to hear it in: the one with the longest passage."""

    copies: CopyFindings | None
    copied: Signal | None


def look_for_copies(
    bench: Bench, found: Measured, split: Split, root: DataRoot, emit: Callable[[Event], None]
) -> Looked:
    """Hold what the adapter that is on renders against its songs: what was asked for, and training captions."""
    request, training = bench.request, bench.request.training
    in_metadata = kinds_in_metadata(training.caption_rule, bench.backend.metadata)
    heard, held_out = ([training.examples[index] for index in side] for side in (split.training, split.held_out))
    signals: list[Signal] = []
    chosen = evenly(range(len(heard)), request.copy_renderings or 0)
    for number, index in enumerate(chosen, 1):
        message = f"renders a caption that it was trained with, {number}"
        emit(Event(kind="progress", message=message, done=number, total=len(chosen)))
        conditioning = conditioning_of_parts(heard[index].parts, heard[index], in_metadata)
        try:
            signals.append(bench.backend.generate(conditioning, request.copy_seconds, request.seeds[0] + number))
        except JobError as error:
            emit(Event(kind="log", level="warning", message=str(error)))
    asked = [mono[None] for mono in found.for_copies]
    mono = [*asked, *(as_landmarks_hear(signal, bench.backend.sample_rate)[None] for signal in signals)]
    copies = find_copies(mono, SAMPLE_RATE, Material(heard, held_out, training.recipe), root, emit)
    if not bench.has_latents and signals:
        seconds, song = _longest_code_run(bench, signals, split, root, emit)
        copies = copies.model_copy(update={"code_seconds": seconds, "code_song": song})
    passages = [passage for passage in copies.passages if not passage.is_shared]
    longest = max(passages, key=lambda passage: passage.end_seconds - passage.start_seconds, default=None)
    if longest is None:
        return Looked(copies=copies, copied=None)
    if longest.rendering >= len(asked):
        return Looked(copies=copies, copied=signals[longest.rendering - len(asked)])
    prompt, seed = list(bench.asked())[longest.rendering]
    return Looked(copies=copies, copied=bench.render(prompt, seed))


def _longest_code_run(
    bench: Bench, signals: list[Signal], split: Split, root: DataRoot, emit: Callable[[Event], None]
) -> tuple[float, str | None]:
    """Return the longest run of a song's first codes in any rendering, in seconds, and the song."""
    backend = cast("TrainBackend", bench.backend)
    heard = [bench.request.training.examples[index] for index in split.training]
    encoded = load_examples(bench.request.training.model_copy(update={"examples": heard}), backend, root, emit)
    rendered = [np.asarray(backend.encode(signal)["codes"])[:, 0] for signal in signals]
    best, song = 0, None
    for example, known in zip(heard, encoded, strict=True):
        codes = np.asarray(known.encoded["codes"])[:, 0]
        for stream in rendered:
            length = longest_run(stream, codes)
            if length > best:
                best, song = length, example.song
    return round(best / frames_per_second(backend), 2), song
