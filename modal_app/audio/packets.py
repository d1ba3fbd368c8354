"""What FFmpeg makes of a file: its streams, packets and frames. Whatever PyAV raises becomes the reader's own error.

Files come from strangers: only the demuxer that the bytes call for is opened, only from the one file handle (a playlist
or a reference inside a file opens nothing). No timeline here: what is lost is told, not filled.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from modal_app.audio.flac_frames import StreamInfo, split_frames
from modal_app.audio.identify import Container
from modal_app.audio.mpeg_frames import adts_size, is_adts_at
from modal_app.audio.timeline import Decoded
from modal_app.audio.window import Window
from modal_app.errors import DawaError, UndecodableError


@contextmanager
def undecodable_errors() -> Iterator[None]:
    """Make whatever PyAV raises, or leaves unset and so raises later, an `UndecodableError`.

    A disk that fails is not the file's fault: its error passes.
    """
    import av

    try:
        yield
    except (DawaError, UndecodableError):
        raise
    except av.FFmpegError as error:  # what a damaged header wants of memory, and does not get, is one too
        raise UndecodableError(f"it can't be decoded ({error.strerror or type(error).__name__})") from None
    except (MemoryError, OSError):
        raise
    except Exception as error:
        raise UndecodableError(f"it can't be decoded ({type(error).__name__})") from None


def open_container(file: Window, container: Container) -> Any:
    """Return an open container of PyAV; close it.

    Raises:
        UndecodableError: its header can't be read.
    """
    import av

    with undecodable_errors():
        return av.open(
            file.part(),  # others read the same file meanwhile
            mode="r",  # else a file that may be written to, as an upload's is, is taken for an output
            format=container.value,
            container_options={"format_whitelist": _WHITELIST, "protocol_whitelist": "none"},
            metadata_errors="ignore",
            io_open=_open_nothing_else,
            buffer_size=_BUFFER,
        )


_BUFFER = 1 << 17  # bytes that are read at once: each time costs a call into Python

# Containers that hold music and refer to no other file. Playlists (hls, concat, dash, sdp, image2 …) are left out on
# purpose: opened as audio they make FFmpeg read other files and URLs.
_WHITELIST = "wav,w64,aiff,flac,mp3,ogg,mov,mp4,m4a,3gp,3g2,mj2,aac,caf"


def check_decoder(stream: Any) -> None:
    """Refuse a stream without a decoder: PyAV leaves its attributes unset.

    Raises:
        UndecodableError: there is none.
    """
    with undecodable_errors():
        context = stream.codec_context
        if context is None or not context.name:
            raise UndecodableError(f"there is no decoder for its codec{_tag_of(stream)}")


def decoded(container: Any, stream: Any, info: StreamInfo | None = None) -> Iterator[Decoded]:
    """Yield every packet of a stream with what it decodes to. A file that breaks off ends here, without an error.

    Args:
        container: an open one.
        stream: which of its streams.
        info: of a FLAC file; bytes that no parser could cut into frames are then cut by the frames' own numbers.
    """
    import av

    # Once: consumers' errors don't come in here, and a block a packet would cost more than decoding.
    with undecodable_errors():
        packets = container.demux(stream)
        scale = float(stream.time_base * stream.rate) if stream.time_base and stream.rate else 1.0
        while True:
            try:
                packet = next(packets)
            except (StopIteration, av.FFmpegError):
                return
            if info is not None and packet.pts is None and packet.size:
                yield from _split(stream, bytes(packet), info)
                continue
            try:
                frames, failed = packet.decode(), False
            except (av.FFmpegError, ValueError, TypeError, AttributeError, OverflowError):
                frames, failed = [], True
            yield Decoded(packet, frames, failed, scale)


def adts_frames(file: Window, stream: Any) -> Iterator[Decoded]:
    """The frames of a raw AAC file, cut by their own headers: FFmpeg does not tell what it left out between two."""
    import av

    at, size = 0, len(file)
    with undecodable_errors():
        while at < size:
            length = adts_size(file.at(at, 7))
            if length is None or not is_adts_at(file, at):
                ahead = file.at(at + 1, _ADTS_SEARCHED)
                found = ahead.find(b"\xff")
                at += 1 + (found if found >= 0 else len(ahead))
                continue
            packet = av.Packet(file.at(at, length))
            try:
                frames, failed = list(stream.codec_context.decode(packet)), False
            except av.FFmpegError:
                frames, failed = [], True
            yield Decoded(packet, frames, failed, 1.0, offset=at)
            at += length


_ADTS_SEARCHED = 65_536


def _split(stream: Any, data: bytes, info: StreamInfo) -> Iterator[Decoded]:
    import av

    for sample, piece in split_frames(data, info):
        packet = av.Packet(piece)
        try:
            frames, failed = list(stream.codec_context.decode(packet)), False
        except av.FFmpegError:
            frames, failed = [], True
        if len(frames) > 1:
            frames, failed = [], True  # one frame's bytes, with another's hidden behind damage
        yield Decoded(packet, frames, failed, 1.0, sample)


def _tag_of(stream: Any) -> str:
    try:
        tag = str(stream.codec_context.codec_tag).strip("\0 ") if stream.codec_context else ""
    except (AttributeError, ValueError, UnicodeError):
        tag = ""
    return f" ({ascii(tag)[1:-1]})" if tag else ""


def _open_nothing_else(url: str, _flags: int, _options: dict[str, str]) -> NoReturn:
    raise PermissionError(f"a file may not make the decoder open {url}")
