"""Cutting decoded frames: the filling that encoders put before and behind the music, and parts of frames."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from av import AudioFrame


class Trimmed:
    """Frames without the filling before the music, and behind it where that is no more than `filling` samples.

    More than that is no filling: all of it is kept, as is what reaches beyond the music by `slack` samples or fewer.
    `given` counts what came out. `lost` has the places of what was lost (first sample, samples), counted from the first
    of these frames; in the end they are counted from what came out.
    """

    def __init__(
        self,
        frames: "Iterator[AudioFrame]",
        lost: list[tuple[int, int]],
        delay: int,
        music: int | None,
        filling: int,
        slack: int = 0,
    ) -> None:
        self._frames, self._lost = frames, lost
        self._delay, self._music, self._filling, self._slack = delay, music, filling, slack
        self.given = 0

    def __iter__(self) -> "Iterator[AudioFrame]":
        skipped, music, delay = 0, self._music, self._delay
        held: list[AudioFrame] = []
        holding = 0
        for frame in self._frames:
            if skipped >= delay and not held and (music is None or self.given + frame.samples <= music):
                self.given += frame.samples
                yield frame
                continue
            left = [frame]
            if skipped < delay:
                cut = min(delay - skipped, frame.samples)
                skipped += cut
                left = without_first(left, cut)
            for rest in left:
                if music is None or (not held and self.given + rest.samples <= music):
                    self.given += rest.samples
                    yield rest
                    continue
                held.append(rest)
                holding += rest.samples
                if self.given + holding - music > self._filling:
                    self.given += holding
                    yield from held
                    held, holding, music = [], 0, None
        self._lost[:] = [(max(0, at - skipped), samples) for at, samples in self._lost]
        if held and music is not None:
            beyond = self.given + holding - music
            kept = held if beyond <= self._slack else first_samples(held, music - self.given)
            self.given += sum(frame.samples for frame in kept)
            yield from kept


def without_first(frames: "list[AudioFrame]", samples: int) -> "list[AudioFrame]":
    """Frames without so many samples at their beginning."""
    kept = []
    for frame in frames:
        if samples >= frame.samples:
            samples -= frame.samples
        else:
            kept.append(_part(frame, samples, frame.samples) if samples > 0 else frame)
            samples = 0
    return kept


def first_samples(frames: "list[AudioFrame]", samples: int) -> "list[AudioFrame]":
    """Return so many samples from the beginning of frames."""
    kept = []
    for frame in frames:
        if samples > 0:
            kept.append(frame if frame.samples <= samples else _part(frame, 0, samples))
        samples -= frame.samples
    return kept


def _part(frame: "AudioFrame", first: int, end: int) -> "AudioFrame":
    from av import AudioFrame

    array: Any = frame.to_ndarray()
    step = 1 if frame.format.is_planar else len(frame.layout.channels)
    cut = AudioFrame.from_ndarray(
        np.ascontiguousarray(array[:, first * step : end * step]), format=frame.format.name, layout=frame.layout
    )
    cut.sample_rate = frame.sample_rate
    return cut
