"""What every candidate goes through: the same segments, prompts and seeds, and the figures of that.

Signals are long and candidates are many: of each only what is shown and what is compared is kept.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import cast

import numpy as np
import numpy.typing as npt

from modal_app.audio.segment_cache import find_prepared, segment_path
from modal_app.backends.base import (
    InferBackend,
    Signal,
    Tensor,
    TrainBackend,
    TrainExample,
    ValidationGrid,
    frames_per_second,
)
from modal_app.data_root.layout import DataRoot
from modal_app.errors import AdapterError, JobError
from modal_app.evaluation.adherence import keeps_to
from modal_app.evaluation.audio_metrics import look_at
from modal_app.evaluation.copies import as_landmarks_hear
from modal_app.evaluation.distance import Windows, by_song, diversity
from modal_app.evaluation.windows import latent_windows, log_mel_windows
from modal_app.protocol.base import Event
from modal_app.protocol.evaluation import CandidateFigures, EvaluateRequest, EvaluationPrompt, Rendering
from modal_app.protocol.training import Example, MusicalFacts
from modal_app.tagging.features import SAMPLE_RATE as LOUDNESS_RATE
from modal_app.tagging.features import loudness
from modal_app.training.caption_rule import conditioning_of_prompt, kinds_in_metadata
from modal_app.training.data import read_signal
from modal_app.training.track_audio import track_gain_db

_LOUDNESS_SEGMENTS = 8
_QUIETEST_LUFS = -60.0  # what is under it is silence, which no gain makes louder


@dataclass(frozen=True)
class Measured:
    """A candidate's figures and what they were made of."""

    figures: CandidateFigures
    losses: list[float] = field(default_factory=list)
    """Of each judged segment."""
    shown: dict[str, Signal] = field(default_factory=dict)
    """The first rendering of each kind of prompt."""
    windows: dict[str, Windows] = field(default_factory=dict)
    """Of the renderings of held-out songs' prompts, by song."""
    foreign: list[Windows] = field(default_factory=list)
    """Of the renderings of foreign prompts, each by itself."""
    for_copies: list[npt.NDArray[np.float32]] = field(default_factory=list)
    """Every rendering, mono at landmarks' rate."""


@dataclass(frozen=True)
class Judged:
    """What the losses are taken on: the held-out segments, or, where nothing is held out, trained ones."""

    examples: list[Example]
    held_out: list[str]
    line: str


class Bench:
    """A backend with what candidates are measured by; whatever adapter is on it is measured."""

    def __init__(
        self,
        backend: InferBackend,
        request: EvaluateRequest,
        judged: Judged,
        examples: Sequence[TrainExample],
        root: DataRoot,
        emit: Callable[[Event], None],
    ) -> None:
        """`examples` are the judged ones, encoded."""
        self.backend, self.request = backend, request
        self._judged, self._examples, self._root, self._emit = judged, examples, root, emit
        self._in_metadata = kinds_in_metadata(request.training.caption_rule, backend.metadata)
        self.expected_samples = round(request.duration_seconds * backend.sample_rate)
        self.has_latents = all("mean" in example.encoded for example in examples)
        self.songs = self._songs() if judged.held_out else {}
        self._target = self._loudness_of_songs() if self.is_compared else 0.0

    @property
    def is_compared(self) -> bool:
        """Whether there are songs enough for any distance."""
        return len(self.songs) > 1

    def measure(self, figures: CandidateFigures, put_on: Callable[[], object]) -> Measured:
        """Put an adapter on and measure what the backend is then; what can't be used is a finding."""
        losses: list[float] = []
        try:
            put_on()
            losses = self._losses()
            found = self._rendered(figures, losses)
        except (AdapterError, JobError) as error:
            trouble = str(error)
            loss = mean_of(losses)
            return Measured(figures.model_copy(update={"trouble": trouble, "loss": loss}), losses)
        self._emit(Event(kind="log", message=f"{figures.name}: measured"))
        return found

    def render(self, prompt: EvaluationPrompt, seed: int) -> Signal:
        """Render one prompt as every candidate does."""
        conditioning = conditioning_of_prompt(
            prompt.text, prompt.facts, self._in_metadata, self.request.training.caption_rule
        )
        return self.backend.generate(conditioning, self.request.duration_seconds, seed)

    def asked(self) -> Iterator[tuple[EvaluationPrompt, int]]:
        """Yield every prompt with every seed, in the order of rendering."""
        for prompt in self.request.prompts:
            for seed in self.request.seeds:
                yield prompt, seed

    def features(self, signal: Signal, rate: int) -> Windows:
        """Return the windows of audio, brought to the loudness of the held-out songs."""
        if not self.has_latents:
            return log_mel_windows(signal, rate)
        return self._latents(cast("TrainBackend", self.backend).encode(at_loudness(signal, rate, self._target)))

    def _losses(self) -> list[float]:
        """Return the validation loss of each example, as the training's loop takes it."""
        import torch

        model = cast("TrainBackend", self.backend)
        device = model.device.type
        bf16 = device == "cuda" and torch.cuda.is_bf16_supported()
        with torch.autocast(device, dtype=torch.bfloat16, enabled=bf16):
            return [model.val_loss([example], ValidationGrid()) for example in self._examples]

    def _rendered(self, figures: CandidateFigures, losses: list[float]) -> Measured:
        rate, wants_copies = self.backend.sample_rate, self.request.copy_renderings is not None
        looks: list[Rendering] = []
        by_prompt: list[list[Windows]] = []
        shown: dict[str, Signal] = {}
        songs: list[tuple[str, Windows]] = []
        foreign: list[Windows] = []
        for_copies: list[npt.NDArray[np.float32]] = []
        heard: list[tuple[Signal, int, MusicalFacts]] = []
        for prompt, seed in self.asked():
            signal = self.render(prompt, seed)
            looks.append(look_at(signal, rate, self.expected_samples))
            shown.setdefault(prompt.kind, signal)
            if self.is_compared or len(self.request.seeds) > 1:
                windows = self.features(signal, rate) if self.is_compared else log_mel_windows(signal, rate)
                if seed == self.request.seeds[0]:
                    by_prompt.append([])
                by_prompt[-1].append(windows.mean(axis=0, keepdims=True))
                if prompt.song is not None:
                    songs.append((prompt.song, windows))
                elif prompt.kind == "foreign":
                    foreign.append(windows)
            if wants_copies:
                for_copies.append(as_landmarks_hear(signal, rate))
            heard.append((signal.mean(axis=0, keepdims=True), rate, prompt.facts))
        tempo_share, key_share = keeps_to(heard)
        update = {
            "loss": mean_of(losses),
            "worst": max(looks, key=_badness),
            "tempo_share": tempo_share,
            "key_share": key_share,
            "diversity": diversity([np.concatenate(rows) for rows in by_prompt]),
        }
        return Measured(
            figures.model_copy(update=update),
            losses,
            shown,
            by_song(songs) if self.is_compared else {},
            foreign,
            for_copies,
        )

    def _songs(self) -> dict[str, Windows]:
        """Return the windows of the held-out songs whose prompts are rendered."""
        asked = {prompt.song for prompt in self.request.prompts}
        if len(asked - {None}) < 2:
            return {}
        found = []
        for example, encoded in zip(self._judged.examples, self._examples, strict=True):
            if example.song in asked:
                windows = (
                    self._latents(encoded.encoded)
                    if self.has_latents
                    else log_mel_windows(self._audio(example), self.backend.sample_rate)
                )
                found.append((example.song, windows))
        return by_song(found)

    def _latents(self, encoded: Mapping[str, Tensor]) -> Windows:
        rate = frames_per_second(cast("TrainBackend", self.backend))
        return latent_windows(np.asarray(encoded["mean"], dtype=np.float32), rate)

    def _audio(self, example: Example) -> Signal:
        """Return a segment at the level at which it is trained on."""
        recipe = self.request.training.recipe
        prepared = find_prepared(self._root, example.audio_hash, recipe)
        gain_db = -example.gain_db if prepared is None else track_gain_db(prepared) - example.gain_db
        path = segment_path(self._root, example.audio_hash, recipe, example.index)
        return read_signal(path, gain_db, self.backend.sample_rate, 1)

    def _loudness_of_songs(self) -> float:
        chosen = self._judged.examples[:: max(1, len(self._judged.examples) // _LOUDNESS_SEGMENTS)]
        return median(loudness_of(self._audio(example), self.backend.sample_rate) for example in chosen)


def loudness_of(signal: Signal, rate: int) -> float:
    """Return the loudness of audio `[channels, samples]` in LUFS, of its mono mix."""
    import soxr

    return loudness(soxr.resample(signal.mean(axis=0), rate, LOUDNESS_RATE).astype(np.float32))


def at_loudness(signal: Signal, rate: int, target: float) -> Signal:
    """Return audio at a loudness in LUFS, within ±1; silence stays what it is."""
    now = loudness_of(signal, rate)
    if now < _QUIETEST_LUFS:
        return signal
    louder: Signal = np.clip(signal * 10 ** ((target - now) / 20), -1.0, 1.0).astype(np.float32)
    return louder


def matched(signals: dict[str, Signal], rate: int) -> dict[str, Signal]:
    """Return signals that are equally loud, the one of most peaks with its highest at −1 dBFS."""
    peak_dbfs = -1.0
    levels = {name: loudness_of(signal, rate) for name, signal in signals.items()}
    heard = {name: level for name, level in levels.items() if level >= _QUIETEST_LUFS}
    room = [
        heard[name] + peak_dbfs - 20 * math.log10(float(np.abs(signals[name]).max()))
        for name in heard
        if float(np.abs(signals[name]).max()) > 0
    ]
    target = min(room, default=0.0)
    return {
        name: (signal * 10 ** ((target - levels[name]) / 20)).astype(np.float32) if name in heard else signal
        for name, signal in signals.items()
    }


def mean_of(losses: Sequence[float]) -> float | None:
    """Return None where there is nothing, or where it is no number."""
    mean = math.fsum(losses) / len(losses) if losses else math.nan
    return mean if math.isfinite(mean) else None


def _badness(rendering: Rendering) -> tuple[bool, float]:
    return rendering.samples != rendering.expected_samples, rendering.silent_share + rendering.clipped_share
