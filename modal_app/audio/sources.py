"""Which reader reads a file: by its bytes and its header, not by its name, and with what must be said of that."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Protocol

from modal_app.audio.aiff import read_aiff
from modal_app.audio.caf import PacketTable, read_caf
from modal_app.audio.ffmpeg_source import FFmpegSource
from modal_app.audio.identify import Container, Identity
from modal_app.audio.layouts import Unpacked, seconds
from modal_app.audio.ogg import Link, links_of
from modal_app.audio.packets import open_container, undecodable_errors
from modal_app.audio.pcm import PcmLayout, Signal, UsedBits, read_pcm, used_bits
from modal_app.audio.riff import read_w64, read_wav
from modal_app.audio.window import Window
from modal_app.errors import UndecodableError

_PAIR_TOLERANCE = 2_048  # samples by which two sides may differ in length


class Source(Protocol):
    """Sound in a file. `lost` and `findings` are complete once a pass has ended."""

    sample_rate: int
    channels: int
    codec: str

    @property
    def positions(self) -> tuple[str, ...] | None:
        """The loudspeakers of the channels, as FFmpeg calls them; None where nothing is known."""

    @property
    def lost(self) -> list[tuple[int, int]]:
        """Where something was lost and how much, in samples."""

    def arrays(self) -> Iterator[Signal]:
        """Return the sound as float32 of shape (channels, n)."""

    def findings(self) -> Iterator[str]:
        """Return what differs from what the container says."""

    def close(self) -> None:
        """Let go of what it holds."""


def open_source(file: Window, identity: Identity, *, verify: bool = False) -> Source:
    """Return the reader for a file's sound; `verify` also holds it against a checksum that covers all of it.

    Raises:
        HeaderError: its header can't be followed.
        UndecodableError: nothing here decodes it.
    """
    kind = identity.container
    whole = file.part(identity.start)
    header: PcmLayout | Unpacked | PacketTable | None = None
    if kind is Container.WAV:
        header = read_wav(whole)
    elif kind is Container.W64:
        header = read_w64(whole)
    elif kind is Container.AIFF:
        header = read_aiff(whole)
    elif kind is Container.CAF:
        header = read_caf(whole)
    elif kind is Container.OGG:
        return ChainSource(whole, links_of(whole))
    elif kind is Container.MP4:
        return _mp4_source(whole)
    if isinstance(header, PcmLayout):
        return PcmSource(whole, header)
    return FFmpegSource(whole, kind, header, verify=verify)


class PcmSource:
    """Linear PCM, read as its header says."""

    def __init__(self, file: Window, layout: PcmLayout) -> None:
        self._file, self._layout = file, layout
        self.sample_rate, self.channels, self.codec = layout.sample_rate, layout.channels, layout.codec
        self.lost: list[tuple[int, int]] = []

    @property
    def positions(self) -> tuple[str, ...] | None:
        """See `Source`."""
        return self._layout.positions

    def arrays(self) -> Iterator[Signal]:
        """See `Source`."""
        return read_pcm(self._file, self._layout)

    def findings(self) -> Iterator[str]:
        """See `Source`."""
        layout = self._layout
        yield from layout.findings
        used, bits = used_bits(self._file, layout), 8 * layout.width
        if used is UsedBits.LOWER:
            yield (
                f"header and data contradict each other: the {layout.valid_bits} bits of its samples are the lower "
                f"ones of {bits}; they were read so"
            )
        elif used is UsedBits.ALL:
            yield (
                f"header and data contradict each other: its samples are said to have {layout.valid_bits} bits and "
                f"use all {bits}; they were read so"
            )

    def close(self) -> None:
        """See `Source`."""


class ChainSource:
    """The links of an Ogg file, those of the first one's form joined to the sample."""

    def __init__(self, file: Window, links: list[Link]) -> None:
        if not links:
            raise UndecodableError("it holds no sound that is known (Vorbis, Opus, FLAC or Speex)")
        form = links[0].form
        self._links = [link for link in links if _is_like(link, links[0])]
        self._others = [link for link in links if not _is_like(link, links[0])]
        self._parallel = sum(link.others for link in links)
        self._file = file
        self._first: FFmpegSource | None = self._open(self._links[0])
        self.sample_rate, self.channels, self.codec = form.sample_rate, self._first.channels, self._first.codec
        if form.codec == "speex":
            self.sample_rate = self._first.sample_rate
        self._positions = self._first.positions
        self.lost: list[tuple[int, int]] = []
        self._found: list[str] = []

    @property
    def positions(self) -> tuple[str, ...] | None:
        """See `Source`."""
        return self._positions

    def arrays(self) -> Iterator[Signal]:
        """See `Source`."""
        begun = 0
        for number, link in enumerate(self._links):
            source = self._first if self._first is not None and number == 0 else self._open(link)
            self._first = None
            try:
                yield from source.arrays()
                self.lost += [(begun + at, samples) for at, samples in source.lost]
                self._found += source.findings()
                begun += source.given
            finally:
                source.close()

    def findings(self) -> Iterator[str]:
        """See `Source`."""
        yield from dict.fromkeys(self._found)
        for link in self._others:
            form = link.form
            yield (
                f"a part of another form was left out: {seconds(link.samples, form.sample_rate)} of {form.codec}, "
                f"{form.sample_rate} Hz, {form.channels} channels"
            )
        if self._parallel:
            yield left_out(self._parallel)

    def close(self) -> None:
        """See `Source`."""
        if self._first is not None:
            self._first.close()

    def _open(self, link: Link) -> FFmpegSource:
        return FFmpegSource(self._file.part(link.start, link.end), Container.OGG, link=link)


class PairSource:
    """Two mono tracks as the two sides of a stereo file."""

    def __init__(self, left: FFmpegSource, right: FFmpegSource, others: int) -> None:
        self._sides, self._others = (left, right), others
        self.sample_rate, self.channels, self.codec = left.sample_rate, 2, left.codec
        self.positions: tuple[str, ...] | None = ("FL", "FR")

    @property
    def lost(self) -> list[tuple[int, int]]:
        """See `Source`."""
        return max((side.lost for side in self._sides), key=lambda lost: sum(samples for _, samples in lost))

    def arrays(self) -> Iterator[Signal]:
        """See `Source`."""
        import numpy as np

        left, right = (side.arrays() for side in self._sides)
        waiting = [np.empty(0, np.float32), np.empty(0, np.float32)]
        ended = [False, False]
        while not all(ended):
            for number, blocks in enumerate((left, right)):
                if not ended[number] and len(waiting[number]) <= len(waiting[1 - number]):
                    block = next(blocks, None)
                    ended[number] = block is None
                    if block is not None:
                        waiting[number] = np.concatenate([waiting[number], block[0]])
            ready = min(len(side) for side in waiting)
            if all(ended):  # one may be a little shorter
                ready = max(len(side) for side in waiting)
                waiting = [np.pad(side, (0, ready - len(side))) for side in waiting]
            if ready:
                yield np.stack([side[:ready] for side in waiting])
                waiting = [side[ready:] for side in waiting]

    def findings(self) -> Iterator[str]:
        """See `Source`."""
        yield from dict.fromkeys(line for side in self._sides for line in side.findings())
        if self._others:
            yield left_out(self._others)

    def close(self) -> None:
        """See `Source`."""
        for side in self._sides:
            side.close()


class _OneOfSeveral(FFmpegSource):
    """One track, with word of the others."""

    others = 0

    def findings(self) -> Iterator[str]:
        """See `Source`."""
        yield from super().findings()
        if self.others:
            yield left_out(self.others)


def left_out(tracks: int) -> str:
    """Return the finding of further tracks."""
    return f"{tracks} further audio {'track was' if tracks == 1 else 'tracks were'} left out"


def _mp4_source(file: Window) -> Source:
    """Return the enabled default track; two mono ones of one length as left and right."""
    with ExitStack() as opening:
        container = opening.enter_context(open_container(file, Container.MP4))
        with undecodable_errors():
            tracks = [_described(stream) for stream in container.streams.audio]
        if not tracks:
            raise UndecodableError("it holds no audio stream")
        enabled = [track for track in tracks if track["default"]] or tracks
        source: Source
        if len(tracks) == len(enabled) == 2 and _is_pair(*tracks):
            one, other = sorted(tracks, key=lambda track: track["side"])
            left = FFmpegSource(file, Container.MP4, stream=one["index"], opened=container)
            source = PairSource(left, FFmpegSource(file, Container.MP4, stream=other["index"]), 0)
        else:
            source = _OneOfSeveral(file, Container.MP4, stream=enabled[0]["index"], opened=container)
            source.others = len(tracks) - 1
        opening.pop_all()  # it is the source's to close
    return source


def _described(stream: Any) -> dict[str, Any]:
    context = stream.codec_context
    names = [channel.name for channel in stream.layout.channels] if context is not None else []
    return {
        "index": stream.index,
        "default": bool(stream.disposition & 1),
        "codec": None if context is None else context.name,
        "rate": None if context is None else stream.rate,
        "channels": len(names),
        "side": 1 if names == ["FR"] else 0,
        "samples": float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0,
    }


def _is_pair(one: dict[str, Any], other: dict[str, Any]) -> bool:
    alike = all(one[key] == other[key] for key in ("codec", "rate")) and one["channels"] == other["channels"] == 1
    near = abs(one["samples"] - other["samples"]) * (one["rate"] or 0) <= _PAIR_TOLERANCE
    return alike and near and one["codec"] is not None


def _is_like(link: Link, first: Link) -> bool:
    form, wanted = link.form, first.form
    return (form.codec, form.sample_rate, form.channels) == (wanted.codec, wanted.sample_rate, wanted.channels)
