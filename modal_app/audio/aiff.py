"""The header of AIFF and AIFF-C: where the samples lie, and as what."""

import struct
from dataclasses import replace

from modal_app.audio.layouts import Unpacked, behind_its_end, seconds, short_of
from modal_app.audio.pcm import Encoding, PcmLayout, is_readable
from modal_app.audio.window import Window
from modal_app.errors import HeaderError

_LINEAR = {  # by compression type: what the samples are, and whether the big end comes first
    b"NONE": (Encoding.SIGNED, True, None),
    b"twos": (Encoding.SIGNED, True, None),
    b"sowt": (Encoding.SIGNED, False, None),
    b"raw ": (Encoding.UNSIGNED, True, None),
    b"in24": (Encoding.SIGNED, True, 3),
    b"in32": (Encoding.SIGNED, True, 4),
    b"42ni": (Encoding.SIGNED, False, 3),
    b"23ni": (Encoding.SIGNED, False, 4),
    b"fl32": (Encoding.FLOAT, True, 4),
    b"FL32": (Encoding.FLOAT, True, 4),
    b"fl64": (Encoding.FLOAT, True, 8),
    b"FL64": (Encoding.FLOAT, True, 8),
}
_PIPED = (0, 0x7FFFF000, 0x7FFFFFFF, 0xFFFFFFFF)
_PIPED_BYTES = 0x7F000000  # SoX states as many whole frames as fit in, where it writes into a pipe
_MAX_CHUNKS = 10_000
_POSITIONS = {1: ("FC",), 2: ("FL", "FR")}


def read_aiff(file: Window) -> PcmLayout | Unpacked:
    """Return the layout of an AIFF's samples; of one that is not linear PCM, what its header promises.

    Raises:
        HeaderError: the header can't be followed.
    """
    comm, sound, at = None, None, 12
    for _ in range(_MAX_CHUNKS):
        head = file.at(at, 8)
        if len(head) < 8 or (comm is not None and sound is not None):
            break
        name, size = head[:4], int.from_bytes(head[4:], "big")
        if name == b"COMM" and comm is None:
            comm = file.at(at + 8, min(size, 64))
        elif name == b"SSND":
            sound = (at + 8, size)
        end = at + 8 + size
        at = end if size % 2 and not file.at(end + 1, 4).isalnum() and file.at(end, 4).isalnum() else end + size % 2
    if comm is None or len(comm) < 18:
        raise HeaderError("its header says nothing of the samples (no COMM chunk)")
    if sound is None:
        raise HeaderError("its header leads to no samples (no SSND chunk)")
    return _layout(file, comm, *sound)


def _layout(file: Window, comm: bytes, start: int, size: int) -> PcmLayout | Unpacked:
    channels, stated, bits = struct.unpack(">HIH", comm[:8])
    rate = _extended(comm[8:18])
    compression = comm[18:22] if file.at(8, 4) == b"AIFC" and len(comm) >= 22 else b"NONE"
    offset = int.from_bytes(file.at(start, 4), "big")
    start += 8 + offset
    there = max(0, len(file) - start)
    if not channels:
        raise HeaderError("its header states no channels")
    if compression not in _LINEAR:
        return Unpacked(stated or None)
    encoding, big_endian, width = _LINEAR[compression]
    width = width or (8 if encoding is Encoding.FLOAT else -(-bits // 8))
    if not is_readable(encoding, width):
        raise HeaderError(f"its samples are {encoding} numbers of {bits} bits, which nothing here decodes")
    block, findings = width * channels, []
    piped = range(_PIPED_BYTES - block + 1, _PIPED_BYTES + 1)
    frames = None if stated in _PIPED or there < stated * block in piped else stated
    declared = None if frames is None else frames * block
    if size not in _PIPED and not there < size - 8 - offset in piped:
        declared = max(0, size - 8 - offset)
    data = there if declared is None else min(declared, there)
    if declared is not None:
        if frames is not None and declared // block != frames:
            findings.append(
                f"header and data contradict each other: {frames} samples are stated, "
                f"{declared // block} are the size of the data"
            )
        behind = behind_its_end(file, start + declared) if declared < there else 0
        if behind >= block and not file.at(start + declared + declared % 2, 4).strip().isalnum():
            more = seconds(behind // block, rate)
            findings.append(f"more audio than its header says: {more} lie behind its stated end and were left out")
        frames = declared // block
    layout = PcmLayout(
        start=start,
        size=data,
        sample_rate=rate,
        channels=channels,
        encoding=encoding,
        width=width,
        valid_bits=8 * width if encoding is not Encoding.SIGNED else min(bits or 8 * width, 8 * width),
        big_endian=big_endian,
        positions=_POSITIONS.get(channels),
        stated_frames=frames,
    )
    return replace(layout, findings=(*short_of(layout), *findings))


def _extended(data: bytes) -> int:
    """Return the 80-bit float of a sample rate, as the nearest whole number; 0 for what is none."""
    exponent, mantissa = (int(part) for part in struct.unpack(">HQ", data))
    power = (exponent & 0x7FFF) - 16_383 - 63
    if exponent & 0x8000 or not -64 <= power <= 0:
        return 0
    return round(float(mantissa) * 2.0**power)
