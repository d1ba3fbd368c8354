"""Decoded frames on the file's own timeline: what was lost becomes silence of its length, so that the rest stays put.

Each rule knows how one kind of container counts: FLAC numbers its frames, Ogg states a position on each page, MPEG and
ADTS count by bytes, and in an index each packet has its length.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from modal_app.audio.ogg import Link, Page
from modal_app.audio.trimming import first_samples, without_first
from modal_app.errors import RateChangeError

if TYPE_CHECKING:
    from av import AudioFrame

_SUSTAINED = 8  # frames in a row of another rate are no damage, but another rate
_LOOKED_BACK = 64  # frames by whose size it is told how many were lost
_MAX_BLOCK = 8_192  # of Vorbis; what lies behind a stream's stated end is the rest of its last one
_TAGS = (b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3")


class Decoded:
    """One packet, decoded: its frames, or none where that failed. What is seldom asked for is worked out when it is."""

    __slots__ = ("_at", "_packet", "_scale", "failed", "frames", "offset")

    def __init__(
        self,
        packet: Any,
        frames: "list[AudioFrame]",
        failed: bool,
        scale: float,
        at: int | None = None,
        offset: int | None = None,
    ) -> None:
        self._packet, self._scale, self._at = packet, scale, at
        self.frames, self.failed = frames, failed
        self.offset: int | None = packet.pos if offset is None else offset
        """Where it lies in the file."""

    @property
    def at(self) -> int | None:
        """The number of its first sample, as its container counts."""
        if self._at is not None or self._packet.pts is None:
            return self._at
        return round(float(self._packet.pts) * self._scale)

    @property
    def length(self) -> int:
        """How many samples it should have."""
        return round((self._packet.duration or 0) * self._scale)

    @property
    def size(self) -> int:
        """Its bytes."""
        found: int = self._packet.size
        return found

    @property
    def samples(self) -> int:
        """How many samples came out."""
        return sum(frame.samples for frame in self.frames)


@dataclass
class Timeline:
    """What was put where. `position` counts samples from the beginning of the music."""

    sample_rate: int
    position: int = 0
    lost: list[tuple[int, int]] = field(default_factory=list)
    """Where something is missing and how many samples of it."""
    shift: int = 0
    """By how much the container's count is ahead of the music: it was cut from something longer."""
    _last: "AudioFrame | None" = None

    def put(self, frame: "AudioFrame") -> "AudioFrame":
        """Count a frame and hand it on."""
        self._last = frame
        self.position += frame.samples
        return frame

    def silence(self, samples: int, like: "AudioFrame | None") -> "Iterator[AudioFrame]":
        """Frames of silence in place of what was lost."""
        model = like or self._last
        if samples <= 0 or model is None:
            return
        if self.lost and sum(self.lost[-1]) == self.position:
            self.lost[-1] = (self.lost[-1][0], self.lost[-1][1] + samples)
        else:
            self.lost.append((self.position, samples))
        left = samples
        while left:
            frame = _silent_frame(min(left, self.sample_rate), model)
            left -= frame.samples
            yield self.put(frame)

    @property
    def last_samples(self) -> int:
        """How many samples the last frame had."""
        return 0 if self._last is None else self._last.samples


def by_length(packets: Iterator[Decoded], timeline: Timeline) -> "Iterator[AudioFrame]":
    """For containers with an index: a packet that can't be decoded is silent for its length, or for its neighbour's."""
    missing = unmeasured = 0
    for packet in packets:
        if packet.failed:
            length = packet.length
            missing, unmeasured = missing + length, unmeasured + (not length)
        for frame in packet.frames:
            if frame.sample_rate != timeline.sample_rate:
                unmeasured += 1
                continue
            if missing or unmeasured:
                yield from timeline.silence(missing + unmeasured * frame.samples, frame)
                missing = unmeasured = 0
            yield timeline.put(frame)
    yield from timeline.silence(missing + unmeasured * timeline.last_samples, None)


def by_number(packets: Iterator[Decoded], timeline: Timeline, total: int | None, first: int) -> "Iterator[AudioFrame]":
    """For FLAC: frames know their place. `first` is the number of the sample that the file begins with."""
    most = None if total is None else total + first
    for packet in packets:
        at = packet.at
        if packet.failed or at is None or (most is not None and at > most):
            continue  # the next frame tells how much is missing
        place = at - first
        if place < timeline.position:
            continue  # damage that looks like a frame
        yield from timeline.silence(place - timeline.position, packet.frames[0] if packet.frames else None)
        yield from map(timeline.put, _of_rate(packet, timeline))
    if total is not None and timeline.lost and total - timeline.position > 0:
        yield from timeline.silence(total - timeline.position, None)


def by_page(packets: Iterator[Decoded], timeline: Timeline, link: Link) -> "Iterator[AudioFrame]":
    """For Ogg: each page says what position the music has reached at its end."""
    pages = {page.offset - link.start: number for number, page in enumerate(link.pages)}
    group = _Group(timeline, link)
    at: int | None = None  # the page that packets begin on, and how many have
    number, page, begun = 0, None, 0
    for packet in packets:
        offset = packet.offset
        if offset != at or page is None:
            found = pages.get(-1 if offset is None else offset)
            if found is None:
                group.add(packet)
                continue
            at, number, page, begun = offset, found, link.pages[found], 0
        begun += 1
        ends = number + 1 if page.leaves_open and begun == page.begun else number
        if ends != group.number:
            yield from group.close()
            group.number = ends
        group.add(packet)
    yield from group.close()


class _Group:
    """The packets that end on one page, until all of them are there."""

    def __init__(self, timeline: Timeline, link: Link) -> None:
        self._timeline, self._link = timeline, link
        self._frames: list[AudioFrame] = []
        self._failed = False
        self._is_first = True
        self._checked = 0
        self.number = 0

    def add(self, packet: Decoded) -> None:
        rate = self._timeline.sample_rate
        for frame in packet.frames:
            if frame.sample_rate == rate:
                self._frames.append(frame)
        if packet.failed:
            self._failed = True

    def close(self) -> "Iterator[AudioFrame]":
        """Return the frames, with silence before them for what their page's position says is missing."""
        timeline, frames = self._timeline, self._frames
        page = self._page()
        samples = sum(frame.samples for frame in frames)
        if page is not None and page.granule >= 0 and (frames or self._failed):
            damaged = self._failed or self._hole_before()
            target = page.granule - self._link.form.pre_skip
            missing = target - timeline.shift - timeline.position - samples
            if self._is_first and missing > 0 and not damaged:
                timeline.shift = missing
            elif damaged and missing > 0:
                yield from timeline.silence(missing, frames[0] if frames else None)
            elif damaged and missing < 0:
                frames = without_first(frames, -missing)
            elif page.is_last and -_MAX_BLOCK <= missing < 0:  # FFmpeg leaves it where all is on one page
                frames = first_samples(frames, samples + missing)
            self._is_first = False
        yield from map(timeline.put, frames)
        if page is not None:
            self._frames, self._failed = [], False
            self._checked = self.number + 1

    def _page(self) -> Page | None:
        return self._link.pages[self.number] if self.number < len(self._link.pages) else None

    def _hole_before(self) -> bool:
        return any(not page.follows for page in self._link.pages[self._checked : self.number + 1])


def by_bytes(
    packets: Iterator[Decoded], timeline: Timeline, frames: int | None, tail: Callable[[int], bytes]
) -> "Iterator[AudioFrame]":
    """For MP3 and ADTS: frames follow each other without numbers, so bytes between two good ones are lost frames.

    Args:
        packets: in order.
        timeline: where they go.
        frames: how many there are, where the file says so.
        tail: the first bytes at an offset, to tell what lies behind the last good frame.
    """
    end: int | None = None
    sizes: deque[int] = deque(maxlen=_LOOKED_BACK)
    counted = bad = 0
    damaged = False
    others: list[int] = []
    last_size = 0
    rate, put = timeline.sample_rate, timeline.put
    for packet in packets:
        found, offset, size = packet.frames, packet.offset, packet.size
        wrong = bool(found) and found[0].sample_rate != rate
        if wrong:
            others.append(found[0].sample_rate)
            if len(others) >= _SUSTAINED:
                raise RateChangeError(
                    f"its sample rate changes from {rate} to {others[0]} Hz after {timeline.position / rate:.1f} s"
                )
        elif others:
            others = []
        if packet.failed or wrong or offset is None:
            damaged = damaged or size > 0
            bad += size > 0
            last_size = size or last_size
            continue
        if not found:
            continue
        if end is not None and (damaged or offset > end):
            number = _lost_frames(offset - end, sizes, size, bad)
            if frames is not None:
                number = min(number, max(0, frames - counted))
            counted += number
            yield from timeline.silence(number * packet.samples, found[0])
        damaged, bad, end = False, 0, offset + size
        counted += 1
        sizes.append(size)
        for frame in found:
            yield put(frame)
    if end is None:
        return
    missing = 0 if frames is None else frames - counted
    if damaged and not tail(end).startswith(_TAGS):
        number = _lost_frames(last_size, sizes, last_size, 1)
        missing = number if frames is None else max(0, min(missing, number))
    elif not 0 < missing <= len(timeline.lost):
        missing = 0  # else one of the holes was a frame longer than its bytes let think
    yield from timeline.silence(missing * timeline.last_samples, None)


def _lost_frames(between: int, sizes: deque[int], size: int, bad: int) -> int:
    """Return how many frames lay in so many bytes: by their size where all have one, else by what came out damaged."""
    mean = sum(sizes) / len(sizes) if sizes else size
    number = round(between / max(1.0, mean))
    is_constant = len(sizes) > 1 and max(sizes) - min(sizes) <= 1
    return bad if bad and not is_constant and abs(bad - number) <= 1 else number


def _of_rate(packet: Decoded, timeline: Timeline) -> "list[AudioFrame]":
    return [frame for frame in packet.frames if frame.sample_rate == timeline.sample_rate]


def _silent_frame(samples: int, like: "AudioFrame") -> "AudioFrame":
    from av import AudioFrame

    kind = like.format.name
    frame = AudioFrame(kind, like.layout, samples)
    value = b"\x80" if kind in ("u8", "u8p") else b"\0"
    for plane in frame.planes:
        plane.update(value * plane.buffer_size)
    frame.sample_rate = like.sample_rate
    return frame
