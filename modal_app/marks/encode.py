"""A rendered WAV in another format, with the tags of its mark: MP3, FLAC or M4A by FFmpeg."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from modal_app.errors import InputError, JobError
from modal_app.marks.tags import Provenance, texts_of

if TYPE_CHECKING:
    from av import AudioStream

_CODECS: dict[str, tuple[str, int | None]] = {
    ".mp3": ("libmp3lame", 256_000),
    ".flac": ("flac", None),
    ".m4a": ("aac", 256_000),
}
_LAYOUTS = {1: "mono", 2: "stereo"}  # a WAV need not say which; nothing is rendered in more channels
SUFFIXES = (".wav", *_CODECS)
"""What a rendering can be written as."""


def check_suffix(out: Path) -> None:
    """Refuse a name by which nothing can be written.

    Raises:
        InputError: it has no suffix of `SUFFIXES`.
    """
    if out.suffix.lower() not in SUFFIXES:
        raise InputError(f"{out}: what is rendered is written as {', '.join(SUFFIXES)}; name a file that ends so")


def encode(wav: Path, target: Path, provenance: Provenance | None) -> None:
    """Write a WAV as what the target's suffix says (not `.wav`); the samples of a FLAC are those of the WAV.

    Args:
        wav: 16 bit.
        target: is written in place; the caller renames it.
        provenance: what the tags say; None: no tag.

    Raises:
        JobError: it can't be encoded.
    """
    import av

    codec, bit_rate = _CODECS[target.suffix.lower()]
    try:
        with av.open(str(wav)) as source, av.open(str(target), "w") as out:
            rendered = source.streams.audio[0]
            stream = cast("AudioStream", out.add_stream(codec, rate=rendered.rate, layout=_LAYOUTS[rendered.channels]))
            if bit_rate is not None:
                stream.bit_rate = bit_rate
            if provenance is not None:
                out.metadata.update(texts_of(provenance))
            _pump(source.decode(rendered), stream.encode, out.mux)
    except (av.FFmpegError, ValueError, LookupError) as error:
        raise JobError(f"{target.name}: can't be encoded from {wav.name}: {error}; write a .wav") from None


def _pump(frames: Any, encode_frame: Callable[[Any], Any], mux: Callable[[Any], None]) -> None:
    for frame in frames:
        frame.pts = None
        mux(encode_frame(frame))
    mux(encode_frame(None))
