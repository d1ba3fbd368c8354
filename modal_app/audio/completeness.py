"""Is a file all there? What its headers promise, and the marks that a finished file ends with.

FFmpeg plays what exists and says nothing when a file was cut off in transfer. No decoding here.
"""

import os
import struct
from typing import Any, BinaryIO

_OGG_END_OF_STREAM = 4
_OGG_LONGEST_PAGE = 65_307
_ONE_FRAME_A_BLOCK = (1, 3, 0xFFFE)  # PCM, float, extensible; ADPCM and MP3 in a wav count otherwise
_UNKNOWN_SIZES = (0, 0xFFFFFFFF)  # what a program writes that streams a wav and never comes back to its header


def declared_samples(file: BinaryIO, format_name: str, stream: Any) -> int | None:
    """How many frames the headers promise, or None where they promise nothing that can be trusted."""
    if format_name == "wav":
        return _wav_frames(file)
    if format_name == "mp3" and not _has_xing(file):
        return None  # without a Xing header the length is FFmpeg's guess from the first frame's bit rate
    if format_name in ("ogg", "aac") or not stream.duration:
        return None
    samples: int = round(stream.duration * stream.time_base * stream.rate)
    return samples


def missing_end(file: BinaryIO, format_name: str) -> bool:
    """Whether an Ogg file lacks the flag that its last page carries; other formats have no such mark."""
    if format_name != "ogg":
        return False
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _OGG_LONGEST_PAGE))
    tail = file.read()
    page = tail.rfind(b"OggS")
    return page < 0 or page + 5 >= len(tail) or not tail[page + 5] & _OGG_END_OF_STREAM


def _wav_frames(file: BinaryIO) -> int | None:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if file.read(4) != b"RIFF":
        return None
    position, block = 12, 0
    while position + 8 <= size:
        file.seek(position)
        name, length = struct.unpack("<4sI", file.read(8))
        if name == b"fmt " and length >= 14:
            kind, block = struct.unpack("<H10xH", file.read(14))
            block *= kind in _ONE_FRAME_A_BLOCK
        if name == b"data":
            return length // block if block and length not in _UNKNOWN_SIZES else None
        position += 8 + length + length % 2
    return None


def _has_xing(file: BinaryIO) -> bool:
    """Whether the first frame after the ID3v2 tag carries the table that tells the file's length."""
    file.seek(0)
    head = file.read(10)
    start = 0
    if head[:3] == b"ID3" and len(head) == 10:
        start = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
    file.seek(start)
    frame = file.read(2048)
    return b"Xing" in frame or b"Info" in frame
