"""What a file is, by its bytes: its container, where that begins, and what such files are called.

Names are not asked here: a name is what somebody wrote, and players follow the bytes.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath

from modal_app.audio.mpeg_frames import find_mp3, is_adts_at, is_mp3_at, tag_size
from modal_app.audio.window import Window

_MAX_TAGS = 4
_PREAMBLE = 65_536  # bytes of something else before a container that are looked through
_ATOMS = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_MAGIC = (b"RIFF", b"RF64", b"FORM", b"fLaC", b"OggS", b"caff")


class Container(StrEnum):
    """The containers that are read, named as FFmpeg's demuxers are."""

    WAV = "wav"
    W64 = "w64"
    AIFF = "aiff"
    FLAC = "flac"
    MP3 = "mp3"
    OGG = "ogg"
    MP4 = "mov"
    AAC = "aac"
    CAF = "caf"

    @property
    def extensions(self) -> tuple[str, ...]:
        """What such files are called, without the dot, as datasets take them; the first is the usual one."""
        return _EXTENSIONS[self]

    @property
    def other_extensions(self) -> tuple[str, ...]:
        """What they are called too, and are not kept as."""
        return _OTHER_EXTENSIONS.get(self, ())

    @property
    def mime_type(self) -> str:
        """As HTTP names it."""
        return _MIME_TYPES[self]

    @property
    def label(self) -> str:
        """As people call it."""
        return {Container.MP4: "MP4", Container.OGG: "Ogg", Container.W64: "Wave64"}.get(self, self.value.upper())

    def extension_for(self, name: str) -> str:
        """The extension for a file that is called `name`: its own one where that is right, else the usual one."""
        suffix = PurePosixPath(name).suffix.lower().removeprefix(".")
        return suffix if suffix in self.extensions else self.extensions[0]


_EXTENSIONS = {
    Container.WAV: ("wav", "wave"),
    Container.W64: ("w64",),
    Container.AIFF: ("aiff", "aif"),
    Container.FLAC: ("flac",),
    Container.MP3: ("mp3",),
    Container.OGG: ("ogg", "oga", "opus"),
    Container.MP4: ("m4a",),
    Container.AAC: ("aac",),
    Container.CAF: ("caf",),
}
_OTHER_EXTENSIONS = {
    Container.WAV: ("rf64", "bwf"),
    Container.AIFF: ("aifc",),
    Container.MP4: ("mp4", "mov", "m4b", "m4p", "3gp"),
}
_MIME_TYPES = {
    Container.WAV: "audio/wav",
    Container.W64: "audio/x-w64",
    Container.AIFF: "audio/aiff",
    Container.FLAC: "audio/flac",
    Container.MP3: "audio/mpeg",
    Container.OGG: "audio/ogg",
    Container.MP4: "audio/mp4",
    Container.AAC: "audio/aac",
    Container.CAF: "audio/x-caf",
}
MIME_TYPES = {extension: _MIME_TYPES[kind] for kind, names in _EXTENSIONS.items() for extension in names}
"""By extension, without the dot."""


@dataclass(frozen=True)
class Identity:
    """A file's container, and how many bytes of something else lie before it."""

    container: Container
    start: int


def identify(file: Window) -> Identity | None:
    """Return what the file is; None where it is nothing that is read."""
    start = _behind_tags(file)
    head = file.at(start, 16)
    container = _by_magic(head)
    if container is not None:
        return Identity(container, start)
    if is_mp3_at(file, start):
        return Identity(Container.MP3, 0)  # the tag before an mp3 belongs to it
    if is_adts_at(file, start):
        return Identity(Container.AAC, start)
    return _behind_something(file, start)


def _behind_tags(file: Window) -> int:
    start = 0
    for _ in range(_MAX_TAGS):
        size = tag_size(file.at(start, 10))
        if not size or start + size >= len(file):
            break
        start += size
    return start


def _by_magic(head: bytes) -> Container | None:
    form, kind = head[:4], head[8:12]
    if form in (b"RIFF", b"RIFX", b"RF64", b"BW64") and kind == b"WAVE":
        return Container.WAV
    if form == b"FORM" and kind in (b"AIFF", b"AIFC"):
        return Container.AIFF
    if head == b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00":
        return Container.W64
    if head[4:8] in _ATOMS:
        return Container.MP4
    return {b"fLaC": Container.FLAC, b"OggS": Container.OGG, b"caff": Container.CAF}.get(form)


def _behind_something(file: Window, start: int) -> Identity | None:
    """Return a container behind bytes that are none: the nearest that is there for certain."""
    head = file.at(start, _PREAMBLE)
    places = sorted(at for magic in _MAGIC if (at := head.find(magic)) >= 0)
    for at in places:
        container = _by_magic(file.at(start + at, 16))
        if container is not None:
            return Identity(container, start + at)
    at_frame = find_mp3(file, start)
    return None if at_frame is None else Identity(Container.MP3, at_frame)
