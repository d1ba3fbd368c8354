"""The `depict` job: waveforms of tracks with their segments and what plays in them, one segment's spectrogram, as PNGs.

Drawn from the cached segments, at the level that the track had before they were normalised. Memory and time are the
same for a jingle and for a day of audio: each column of a waveform reads at most `_FRAMES_A_COLUMN` frames.
"""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from modal_app.audio.recipe import MONO44, WAV_HEADER_BYTES
from modal_app.audio.segment_cache import find_prepared, segment_path
from modal_app.audio.song_lanes import draw_bars, draw_lanes, lanes_inches
from modal_app.data_root.atomic_writes import scratch_path
from modal_app.data_root.layout import DataRoot
from modal_app.errors import JobError
from modal_app.protocol.audio import PreparedAudio, Segment
from modal_app.protocol.base import Event
from modal_app.protocol.pictures import DepictRequest, DepictResult, PicturedSegment

_COLUMNS = 900
_TITLE, _WAVE_INCHES, _CLOCK = 0.28, 0.7, 0.24  # inches
_LEFT, _LEFT_WITH_NAMES = 0.02, 0.1
_FRAMES_A_COLUMN = 8192
_MAX_MARKS = 60  # more would hide what they mark
_WINDOW, _HOP = 2048, 1024
_BINS_A_ROW = 4
_RANGE_DB = 80.0
_FULL_SCALE = 32_768.0

_MISSING = "\N{WHITE SQUARE}"
_WAVE, _MARK, _SILENT, _INK = "#1d4ed8", "#c2410c", "#e5e7eb", "#1f2937"


def depict(request: DepictRequest, root: DataRoot, emit: Callable[[Event], None]) -> DepictResult:
    """Draw both pictures.

    Raises:
        JobError: a track or the segment is not in the cache.
    """
    folder = root.pictures(request.producer_id)
    folder.mkdir(parents=True, exist_ok=True)
    waveforms, spectrogram = (folder / f"{request.name}-{kind}.png" for kind in ("waveforms", "spectrogram"))
    with scratch_path(waveforms, root.scratch()) as first, scratch_path(spectrogram, root.scratch()) as second:
        _draw_waveforms(request, root, first)
        _draw_spectrogram(request.segment, root, second)
    for old in set(folder.iterdir()) - {waveforms, spectrogram}:
        old.unlink(missing_ok=True)
    emit(Event(kind="log", message=f"{request.producer_id}: {len(request.tracks)} waveforms drawn"))
    return DepictResult(
        waveforms=waveforms.relative_to(root.root).as_posix(), spectrogram=spectrogram.relative_to(root.root).as_posix()
    )


def envelope(root: DataRoot, prepared: PreparedAudio, columns: int) -> npt.NDArray[np.float32]:
    """Lowest and highest sample of each column, `[2, columns]`, at the track's own level (±1 is full scale)."""
    segments = prepared.segments
    ends = np.cumsum([segment.samples for segment in segments])
    edges = np.linspace(0, int(ends[-1]), columns + 1).astype(int)
    found = np.zeros((2, columns), np.float32)
    for number, segment in enumerate(segments):
        begin = int(ends[number]) - segment.samples
        level = 10 ** (-segment.gain_db / 20) / _FULL_SCALE
        inside = np.flatnonzero((edges[:-1] < ends[number]) & (edges[1:] > begin))
        if not len(inside):
            continue
        with segment_path(root, prepared.audio_hash, prepared.recipe, segment.index).open("rb") as file:
            for column in inside:
                first = max(int(edges[column]), begin) - begin
                last = min(int(edges[column + 1]), int(ends[number])) - begin
                file.seek(WAV_HEADER_BYTES + 2 * first)
                frames = np.frombuffer(file.read(2 * min(last - first, _FRAMES_A_COLUMN)), "<i2")
                if len(frames):
                    found[0, column] = min(found[0, column], frames.min() * level)
                    found[1, column] = max(found[1, column], frames.max() * level)
    return found


def _draw_waveforms(request: DepictRequest, root: DataRoot, target: Path) -> None:
    from matplotlib.figure import Figure

    tracks = [(_prepared(root, track.audio_hash, track.name), track) for track in request.tracks]
    above = 0.3  # inches, as all of it: of each track the title, its wave, the clock, and the lanes
    rows = [(_TITLE, _WAVE_INCHES, _CLOCK, lanes_inches(track.timeline)) for _, track in tracks]
    height = above + sum(sum(row) for row in rows)
    figure = Figure(figsize=(9, height), facecolor="white")  # a layout that is worked out takes as long as the drawing
    left = _LEFT_WITH_NAMES if any(track.timeline for _, track in tracks) else _LEFT

    def room(top: float, high: float) -> Any:
        return figure.add_axes((left, 1 - (top + high) / height, 0.98 - left, high / height))

    top = above
    for (prepared, track), (title, wave, clock, lanes) in zip(tracks, rows, strict=True):
        axes = room(top + title, wave)
        low, high = envelope(root, prepared, _COLUMNS)
        seconds = sum(segment.samples for segment in prepared.segments) / prepared.sample_rate
        axes.fill_between(np.linspace(0, seconds, _COLUMNS), low, high, color=_WAVE, linewidth=0)
        _mark(axes, prepared.segments, prepared.sample_rate)
        axes.set(xlim=(0, seconds), ylim=(-1, 1), yticks=[])
        axes.set_title(
            _safe(f"{track.name}, {_clock(seconds)}, {len(prepared.segments)} segments"), fontsize=9, loc="left"
        )
        axes.xaxis.set_major_formatter(lambda value, _: _clock(value))
        axes.tick_params(labelsize=8)
        if track.timeline is not None:
            draw_bars(axes, track.timeline, seconds)
            draw_lanes(room(top + title + wave + clock, lanes), track.timeline, seconds)
        top += title + wave + clock + lanes
    shown = f"{len(tracks)} of {request.of} tracks" if request.of > len(tracks) else "every track"
    heading = f"{shown}; a line where a segment begins, grey where one is silent{_also(request)}"
    figure.suptitle(heading, fontsize=9, color=_INK, y=1 - 0.08 / height)
    figure.savefig(target, dpi=90, metadata={"Software": None})


def _also(request: DepictRequest) -> str:
    """Return what else there is to see where any track is aligned with its Live Set."""
    return "; bars, sections and instruments by the Live Set" if any(each.timeline for each in request.tracks) else ""


def _mark(axes: Any, segments: Sequence[Segment], sample_rate: int) -> None:
    every = -(-len(segments) // _MAX_MARKS)
    for segment in segments:
        if segment.silent:
            end = segment.start_seconds + segment.samples / sample_rate
            axes.axvspan(segment.start_seconds, end, color=_SILENT, linewidth=0, zorder=0)
        if segment.index % every == 0:
            axes.axvline(segment.start_seconds, color=_MARK, linewidth=1)


def _draw_spectrogram(segment: PicturedSegment, root: DataRoot, target: Path) -> None:
    from matplotlib.figure import Figure

    prepared = _prepared(root, segment.audio_hash, segment.name)
    if not 0 <= segment.index < len(prepared.segments):
        raise JobError(f"{segment.name}: there is no segment {segment.index} in the cache; prepare it again")
    content = segment_path(root, segment.audio_hash, prepared.recipe, segment.index).read_bytes()  # 15 s at most
    samples = np.frombuffer(content[WAV_HEADER_BYTES:], "<i2").astype(np.float32) / _FULL_SCALE
    padded = np.pad(samples, (0, max(0, _WINDOW - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    spectrum = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW), axis=1))
    decibels = 20 * np.log10(np.maximum(_pooled(spectrum), 1e-6))
    seconds, kilohertz = len(samples) / prepared.sample_rate, prepared.sample_rate / 2000
    figure = Figure(figsize=(8.4, 2.5), facecolor="white")
    axes, scale = figure.add_axes((0.06, 0.19, 0.8, 0.69)), figure.add_axes((0.88, 0.19, 0.015, 0.69))
    top = float(decibels.max())
    image = axes.imshow(
        decibels.T,
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=top - _RANGE_DB,
        vmax=top,
        extent=(0, seconds, 0, kilohertz),
    )
    figure.colorbar(image, cax=scale, label="dB below the loudest").ax.set_yticks(
        [top - _RANGE_DB, top - _RANGE_DB / 2, top], [f"−{_RANGE_DB:g}", f"−{_RANGE_DB / 2:g}", "0"]
    )
    begin = prepared.segments[segment.index].start_seconds
    axes.set(xlabel="seconds", ylabel="kHz")
    axes.set_title(_safe(f"{segment.name}, segment {segment.index} (from {_clock(begin)})"), fontsize=9, loc="left")
    figure.savefig(target, dpi=75, metadata={"Software": None})


def _pooled(spectrum: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the loudest of every few bins: what a picture of this height can show."""
    rows = spectrum.shape[1] // _BINS_A_ROW
    grouped = spectrum[:, : rows * _BINS_A_ROW].reshape(len(spectrum), rows, _BINS_A_ROW)
    return np.asarray(grouped.max(axis=2), dtype=np.float64)


def _prepared(root: DataRoot, audio_hash: str, name: str) -> PreparedAudio:
    prepared = find_prepared(root, audio_hash, MONO44.name)
    if prepared is None:
        raise JobError(f"{name}: its segments are not in the cache; prepare them again")
    return prepared


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def _safe(text: str) -> str:
    """One line that can be drawn as it is: a square for what the font has not, no `$` that would begin mathematics."""
    glyphs = _glyphs()
    line = "".join(letter if ord(letter) in glyphs else _MISSING for letter in " ".join(text.split()))
    return (line if len(line) <= 90 else f"{line[:89]}…").replace("$", r"\$")


@cache
def _glyphs() -> frozenset[int]:
    from matplotlib.font_manager import findfont, get_font

    return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())
