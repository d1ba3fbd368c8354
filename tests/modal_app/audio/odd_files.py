"""Audio files with known faults and known right answers, made here: chirps that any wrong reading would show."""

import io
import random
import struct
from pathlib import Path

import numpy as np
import soundfile

RATE = 44_100
PCM_GUID = bytes.fromhex("0100000000001000800000aa00389b71")


def chirps(samples: int, rate: int = RATE) -> np.ndarray:
    """Stereo (n, 2): left 200 → 6000 Hz at 0.5, right 4800 → 300 Hz at 0.3, faded in and out."""
    time = np.arange(samples) / rate

    def chirp(begin: float, end: float, level: float) -> np.ndarray:
        wave = level * np.sin(2 * np.pi * (begin * time + (end - begin) * time * time / (2 * samples / rate)))
        edge = min(441, samples // 2)
        wave[:edge] *= np.linspace(0, 1, edge)
        wave[samples - edge :] *= np.linspace(1, 0, edge)
        return wave

    return np.stack([chirp(200, 6_000, 0.5), chirp(4_800, 300, 0.3)], axis=1)


def integers(signal: np.ndarray, bits: int, container: int, order: str = "<", *, right: bool = False) -> bytes:
    """Samples of `bits` bits in containers of `container` bits, in their upper part (or, against the rule, lower)."""
    values = np.rint(signal * (2 ** (bits - 1) - 1)).astype(np.int64)
    values <<= 0 if right else container - bits
    width = container // 8
    octets = values.reshape(-1, 1).astype("<i8").view(np.uint8)[:, :width]
    return (octets if order == "<" else octets[:, ::-1]).tobytes()


def chunk(name: bytes, data: bytes, order: str = "<", *, pad: bool = True) -> bytes:
    return name + struct.pack(f"{order}I", len(data)) + data + b"\0" * (len(data) % 2 * pad)


def pcm_format(channels: int, bits: int, rate: int = RATE, tag: int = 1, order: str = "<") -> bytes:
    block = channels * -(-bits // 8)
    return chunk(b"fmt ", struct.pack(f"{order}HHIIHH", tag, channels, rate, rate * block, block, bits), order)


def extensible(channels: int, container: int, valid: int, rate: int = RATE, guid: bytes = PCM_GUID) -> bytes:
    block = channels * container // 8
    mask = {1: 4, 2: 3, 6: 0x3F}[channels]
    fields = (0xFFFE, channels, rate, rate * block, block, container, 22, valid, mask)
    return chunk(b"fmt ", struct.pack("<HHIIHHHHI", *fields) + guid)


def riff(*chunks: bytes, form: bytes = b"RIFF", size: int | None = None) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return form + struct.pack(">I" if form == b"RIFX" else "<I", len(body) if size is None else size) + body


def wav(signal: np.ndarray, rate: int = RATE) -> bytes:
    """A plain 16-bit WAV."""
    return riff(pcm_format(signal.shape[1], 16, rate), chunk(b"data", integers(signal, 16, 16)))


def w64(data: bytes, kind: bytes, declared: int | None = -1) -> bytes:
    """A Wave64 of a fmt chunk's content; `declared` bytes are stated, None as a program writes it into a pipe."""
    tail = bytes.fromhex("f3acd3118cd100c04f8edb8a")
    fmt = b"fmt " + tail + struct.pack("<Q", 24 + len(kind)) + kind
    size = 0 if declared is None else 24 + (len(data) if declared < 0 else declared)
    body = b"wave" + tail + fmt + b"data" + tail + struct.pack("<Q", size) + data
    whole = struct.pack("<Q", 0 if declared is None else 24 + len(body))
    return b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000") + whole + body


def extended(rate: int) -> bytes:
    """A sample rate as AIFF's 80-bit float."""
    shift = rate.bit_length() - 1
    return struct.pack(">HQ", 16_383 + shift, rate << (63 - shift))


def aiff(
    data: bytes, frames: int, channels: int, bits: int, compression: bytes | None = None, *, sizes: bool = True
) -> bytes:
    """An AIFF, or AIFF-C of a compression type; without `sizes` as a program writes it into a pipe."""
    comm = struct.pack(">HIH", channels, frames if sizes else 0, bits) + extended(RATE)
    if compression:
        comm += compression + b"\0\0"
    sound = b"SSND" + struct.pack(">III", 8 + len(data) if sizes else 0, 0, 0) + data
    body = (b"AIFC" if compression else b"AIFF") + chunk(b"COMM", comm, ">") + sound
    return b"FORM" + struct.pack(">I", len(body) if sizes else 0) + body


def damaged(data: bytes, seed: int = 1, length: int = 64, place: float = 0.5) -> bytes:
    """Some bytes overwritten with others."""
    out, at = bytearray(data), int(len(data) * place)
    out[at : at + length] = random.Random(seed).randbytes(length)  # noqa: S311
    return bytes(out)


def unreadable() -> dict[str, tuple[bytes, str]]:
    """One file of each kind that is refused: its bytes, and a word of the reason."""
    nothing = chunk(b"data", bytes(20_000))
    flac = io.BytesIO()
    soundfile.write(flac, chirps(3 * RATE), RATE, format="FLAC", subtype="PCM_16")
    return {
        "half": (riff(pcm_format(2, 16, tag=3), nothing), "half floats"),
        "guid": (riff(extensible(2, 16, 16, guid=bytes(range(16))), nothing), "unknown sub-format"),
        "tag": (riff(pcm_format(2, 16, tag=0x1234), nothing), "no decoder"),
        "text": (b"Dear all, the bounces are on the other disk.\n" * 100, "no audio format"),
        "empty": (b"", "the file is empty"),
        "zeros": (bytes(5_000), "nothing but zeros"),
        "hollow": (riff(pcm_format(2, 16), chunk(b"data", b"")), "a header but no audio"),
        "contradiction": (riff(pcm_format(2, 16)[:-2] + b"\x18\0", nothing), "contradict"),
        "rate": (riff(pcm_format(2, 16, rate=1_000), nothing), "outside"),
        "channels": (riff(pcm_format(65, 16), nothing), "65 channels"),
        "index": (b"\0\0\0\x18ftypM4A \0\0\0\0M4A isom\0\0\x10\x08mdat" + bytes(range(1, 256)) * 16, "its index"),
        "damaged": (damaged(flac.getvalue()), "too much of 3.0 s"),
    }


def write_ogg(path: Path, signal: np.ndarray, rate: int, subtype: str) -> Path:
    """Ogg Vorbis or Opus by libsndfile, in small blocks: it crashes on large ones."""
    with soundfile.SoundFile(path, "w", rate, signal.shape[1], format="OGG", subtype=subtype) as file:
        for start in range(0, len(signal), rate):
            file.write(signal[start : start + rate])
    return path


def write_mp4(path: Path, tracks: list[np.ndarray], codec: str = "alac", default: int | None = None) -> Path:
    """An MP4 with several tracks; `default` is the only one that is enabled, all are without it."""
    import av

    layouts = {1: "mono", 2: "stereo"}
    with av.open(str(path), "w", format="mp4") as container:
        streams = [container.add_stream(codec, rate=RATE, layout=layouts[track.shape[1]]) for track in tracks]
        for number, stream in enumerate(streams):
            stream.disposition = av.stream.Disposition.default if default in (None, number) else 0
        for stream, track in zip(streams, tracks, strict=True):
            wanted = stream.codec_context.format.name if stream.codec_context.format else "s16p"
            for start in range(0, len(track), RATE):
                block = np.ascontiguousarray(track[start : start + RATE].T)
                kind = {"s16p": np.int16, "s32p": np.int32, "fltp": np.float32}[wanted]
                scaled = block if wanted == "fltp" else np.rint(block * (np.iinfo(kind).max * 0.999))
                frame = av.AudioFrame.from_ndarray(scaled.astype(kind), format=wanted, layout=layouts[track.shape[1]])
                frame.sample_rate, frame.pts = RATE, start
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path
