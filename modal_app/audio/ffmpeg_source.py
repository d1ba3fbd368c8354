"""Sound that FFmpeg decodes, on the file's own timeline, and what its container promised held against it."""

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from modal_app.audio.caf import PacketTable
from modal_app.audio.flac_frames import stream_info
from modal_app.audio.frames import SampleChecksum, gathered
from modal_app.audio.identify import Container
from modal_app.audio.itunes_gapless import itunes_gapless
from modal_app.audio.layouts import Unpacked, seconds, truncated
from modal_app.audio.mpeg_frames import find_mp3, frame_header, gapless_of, tag_size
from modal_app.audio.ogg import Link
from modal_app.audio.packets import adts_frames, check_decoder, decoded, open_container, undecodable_errors
from modal_app.audio.pcm import Signal
from modal_app.audio.timeline import Decoded, Timeline, by_bytes, by_length, by_number, by_page
from modal_app.audio.trimming import Trimmed, first_samples
from modal_app.audio.window import Window
from modal_app.errors import UndecodableError

if TYPE_CHECKING:
    from av import AudioFrame

_FILLING = 4_096  # encoders fill their last frame up; AAC's is the longest, 2048 samples with one of lookahead
_PACKET = 1_024
_HEAD = 2_048


@dataclass(frozen=True)
class Promise:
    """How many samples a header states, how far from that is nothing, and what filling is cut off for it."""

    samples: int | None = None
    tolerance: int = 0
    delay: int = 0
    filling: int | None = None
    """Samples behind the stated ones that are filling and cut off; None where FFmpeg knows better."""
    slack: int = 0
    """Samples behind the stated ones that are kept: some headers count in milliseconds."""
    by_hand: bool = False
    """Whether FFmpeg is to leave all filling where it is."""
    about: int | None = None
    """Without a number that can be held to the sample: what it should be near, by the bytes a second."""
    is_cut: bool = False
    """Whether bytes are missing at its end."""
    contradiction: str | None = None
    """What is to be said where the container contradicts itself, whatever is decoded."""


class FFmpegSource:
    """One stream of a container that FFmpeg demuxes. `findings` are complete once a pass has ended."""

    def __init__(
        self,
        file: Window,
        container: Container,
        header: Unpacked | PacketTable | None = None,
        link: Link | None = None,
        stream: int | None = None,
        verify: bool = False,
        opened: Any = None,
    ) -> None:
        """Open it.

        Args:
            file: the container alone.
            container: which.
            header: what was read of it before.
            link: of an Ogg file, its pages.
            stream: the index of the stream, the first of sound if left out.
            verify: whether a FLAC file's samples are held against its checksum: that costs a tenth of decoding.
            opened: the container as PyAV opened it; it becomes this one's to close.

        Raises:
            UndecodableError: it holds nothing that can be decoded.
        """
        self._file, self._container, self._link, self._verify = file, container, link, verify
        with ExitStack() as opening:
            self._av = opening.enter_context(opened or open_container(file, container))
            with undecodable_errors():
                streams = self._av.streams.audio
                if not streams:
                    raise UndecodableError("it holds no audio stream")
                self._stream = streams[0] if stream is None else self._av.streams[stream]
                check_decoder(self._stream)
                self.sample_rate: int = self._stream.rate or 0
                self.channels: int = self._stream.channels or 0
                self.codec: str = self._stream.codec_context.name
            self._info = stream_info(file) if container is Container.FLAC else None
            if container is Container.FLAC:  # else a damaged frame is noise as often as an error
                self._stream.codec_context.options = {"err_detect": "crccheck+explode"}
            if container is Container.MP3:
                self._read_mp3()
            else:
                self._promise = self._promised(header)
            if self._promise.by_hand:
                self._leave_filling()
            opening.pop_all()  # it stays open until `close`
        self._timeline = Timeline(self.sample_rate)

    def close(self) -> None:
        """Let go of FFmpeg's memory."""
        with suppress(Exception):  # nothing is lost that was read
            self._av.close()

    @property
    def lost(self) -> list[tuple[int, int]]:
        """Where something was lost and how much, in samples."""
        return self._timeline.lost

    @property
    def positions(self) -> tuple[str, ...] | None:
        """The loudspeakers of the channels, where they are known."""
        with undecodable_errors():
            names = tuple(channel.name for channel in self._stream.layout.channels)
        return names if "NONE" not in names else None

    def arrays(self) -> Iterator[Signal]:
        """Yield the sound as float32 of shape (channels, n); a block is overwritten by the next."""
        wanted = self._verify and self._info is not None and self._info.md5
        checksum = SampleChecksum(self._info) if wanted and self._info is not None else None
        with undecodable_errors():
            yield from gathered(self._frames(), None if checksum is None else checksum.add)
        if checksum is not None:
            self._matches = checksum.matches()

    _matches = True

    def findings(self) -> Iterator[str]:
        """Yield what differs from what the container says."""
        promise, given = self._promise, self.given
        stated = None if promise.samples is None else promise.samples - self._timeline.shift
        short = stated is not None and stated - given > promise.tolerance
        if short and stated is not None:
            yield truncated(given, stated, self.sample_rate)
        elif self._is_cut():
            yield f"truncated: only {given / self.sample_rate:.1f} s are there"
        elif stated is not None and given - stated > promise.tolerance:
            yield f"more audio than its header says: {seconds(given - stated, self.sample_rate)} were read too"
        elif stated is None and promise.about is not None and not _is_near(given, promise.about):
            yield (
                f"header and data contradict each other: {seconds(promise.about, self.sample_rate)} by the bytes a "
                f"second that are stated, {seconds(given, self.sample_rate)} were decoded"
            )
        if promise.contradiction is not None:
            yield promise.contradiction
        if not self._matches and not self._timeline.lost and not short:
            yield "its samples are not those that its checksum (MD5) was made of: it is damaged or was changed"

    @property
    def given(self) -> int:
        """How many samples came out, silence in place of lost ones included."""
        return self._timeline.position if self._promise.filling is None else self._cut.given

    def _frames(self) -> "Iterator[AudioFrame]":
        timeline, promise = self._timeline, self._promise
        if self._container is Container.AAC:
            packets = adts_frames(self._file, self._stream)
        else:
            packets = decoded(self._av, self._stream, self._info)
        if self._link is not None:
            return by_page(packets, timeline, self._link)
        if self._container is Container.FLAC:
            info = self._info
            return by_number(packets, timeline, info.samples if info else None, 0)
        if self._container in (Container.MP3, Container.AAC):
            frames = by_bytes(packets, timeline, self._frame_count, lambda at: self._file.at(at, 16))
        else:
            frames = by_length(self._without_filling(packets), timeline)
        if promise.filling is None:
            return frames
        self._cut = Trimmed(frames, timeline.lost, promise.delay, promise.samples, promise.filling, promise.slack)
        return iter(self._cut)

    _frame_count: int | None = None

    def _without_filling(self, packets: Iterator[Decoded]) -> Iterator[Decoded]:
        """Cut an MP4's last frame to the duration that the file states for it; an encoder fills it up."""
        if self._container is not Container.MP4:
            yield from packets
            return
        last: Decoded | None = None
        for packet in packets:
            if not packet.frames and not packet.failed:
                continue
            if last is not None:
                yield last
            last = packet
        if last is not None:
            if last.frames:
                last.frames[-1:] = _of_its_length(last.frames[-1])
            yield last

    def _leave_filling(self) -> None:
        """Have FFmpeg leave filling where it is: it cuts by what the header says, even in the middle of the music."""
        from av.codec.context import Flags2

        with undecodable_errors():
            self._stream.codec_context.flags2 |= Flags2.skip_manual

    def _read_mp3(self) -> None:
        """What the first frame says: the rate of all, and how many there are."""
        file = self._file
        first = find_mp3(file, tag_size(file.at(0, 10)))
        head = b"" if first is None else file.at(first, _HEAD)
        header, gapless = frame_header(head), gapless_of(head)
        if header is None:
            self._promise = Promise()
            return
        self.sample_rate = header.rate
        if gapless is None:
            self._promise = Promise()
            return
        self._frame_count = gapless.frames
        music = None if gapless.frames is None else gapless.frames * header.samples - gapless.delay - gapless.padding
        self._promise = Promise(music, 0, gapless.delay, gapless.padding, by_hand=True)

    def _promised(self, header: Unpacked | PacketTable | None) -> Promise:
        if self._link is not None:
            return Promise(self._link.samples)
        if self._info is not None:
            return Promise(self._info.samples)
        if isinstance(header, PacketTable):
            return Promise(header.valid_frames, 0, header.priming, header.remainder, by_hand=True)
        if isinstance(header, Unpacked):
            stated, filling = header.stated_frames, None if header.stated_frames is None else header.block_samples
            return Promise(stated, 0, 0, filling, about=header.frames_by_rate, is_cut=header.is_cut)
        if self._container is Container.MP4:
            return self._promised_mp4()
        return Promise()

    def _promised_mp4(self) -> Promise:
        """Return what the edit list says, or the index where there is none.

        Then iTunes' tag knows what of it is filling.
        """
        with undecodable_errors():
            stream = self._stream
            if not stream.duration or not stream.time_base:
                if stream.frames:  # those of a file in fragments are stated nowhere
                    reason = f"its index states {stream.frames} packets and no length"
                    return Promise(contradiction=f"header and data contradict each other: {reason}")
                return Promise()
            edited = round(stream.duration * stream.time_base * self.sample_rate)
            tag = itunes_gapless(self._av.metadata) if len(self._av.streams.audio) == 1 else None
        slack = self.sample_rate // 500
        tolerance = max(slack, _PACKET)
        by_index = Promise(edited, tolerance, 0, _FILLING, slack)
        if tag is None:
            return by_index
        for counted in (tag, tag.times(2)):  # some count HE-AAC at half its rate
            if abs(counted.samples - edited) <= tolerance:
                return by_index
            if abs(counted.total - edited) <= tolerance:  # FFmpeg takes the priming off itself
                return Promise(counted.samples, tolerance, 0, max(_FILLING, counted.remainder))
        reason = f"{seconds(tag.samples, self.sample_rate)} are stated by its iTunSMPB tag"
        reason += f", {seconds(edited, self.sample_rate)} by its index"
        return replace(by_index, contradiction=f"header and data contradict each other: {reason}")

    def _is_cut(self) -> bool:
        return self._promise.is_cut or (self._link is not None and not self._link.ends)


def _is_near(samples: int, about: int) -> bool:
    """Return whether a length agrees with one that was told by an average: to a quarter, or some packets."""
    return abs(samples - about) <= max(about // 4, _FILLING)


def _of_its_length(frame: "AudioFrame") -> "list[AudioFrame]":
    if not frame.duration or not frame.time_base:
        return [frame]
    stated = round(frame.duration * frame.time_base * frame.sample_rate)
    return first_samples([frame], min(stated, frame.samples) or frame.samples)
