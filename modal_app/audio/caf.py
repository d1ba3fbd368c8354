"""The header of Apple's Core Audio Format: where linear samples lie, and what the packet table promises of others."""

import math
import struct
from dataclasses import dataclass, replace

from modal_app.audio.layouts import seconds, short_of
from modal_app.audio.pcm import Encoding, PcmLayout, is_readable
from modal_app.audio.window import Window
from modal_app.errors import HeaderError

_MAX_CHUNKS = 10_000
_IS_FLOAT, _IS_LITTLE_ENDIAN = 1, 2
_POSITIONS = {1: ("FC",), 2: ("FL", "FR")}


@dataclass(frozen=True)
class PacketTable:
    """What a packet table says: the samples of music, and those before and behind them."""

    valid_frames: int
    priming: int
    remainder: int
    packets: int


def read_caf(file: Window) -> PcmLayout | PacketTable | None:
    """Return the layout of a CAF's samples, or of other codecs its packet table, if there is one.

    Raises:
        HeaderError: the header can't be followed.
    """
    description, table, data, at = None, None, None, 8
    for _ in range(_MAX_CHUNKS):
        head = file.at(at, 12)
        if len(head) < 12:
            break
        name, size = head[:4], int(struct.unpack(">q", head[4:])[0])
        if name == b"desc":
            description = file.at(at + 12, 32)
        elif name == b"pakt":
            table = file.at(at + 12, 24)
        elif name == b"data":
            data = (at + 12, size)
        if size < 0:
            break
        at += 12 + size
    if description is None or len(description) < 32:
        raise HeaderError("its header says nothing of the samples (no desc chunk)")
    if data is None:
        raise HeaderError("its header leads to no samples (no data chunk)")
    if description[8:12] != b"lpcm":
        if table is None or len(table) < 24:
            return None
        packets, valid, priming, remainder = struct.unpack(">qqii", table)
        return PacketTable(valid, max(0, priming), max(0, remainder), packets)
    return _layout(file, description, *data)


def _layout(file: Window, description: bytes, start: int, size: int) -> PcmLayout:
    rate, flags, packet, per_packet, channels, bits = struct.unpack(">d4xIIIII", description)
    start += 4  # the count of edits
    there = max(0, len(file) - start)
    declared = None if size < 0 else max(0, size - 4)
    if not channels or per_packet != 1 or packet % channels:
        raise HeaderError(
            f"header and data contradict each other: packets of {packet} bytes for {channels} channels of {bits} bits"
        )
    width, encoding = packet // channels, Encoding.FLOAT if flags & _IS_FLOAT else Encoding.SIGNED
    if not width or 8 * width < bits or not is_readable(encoding, width):
        raise HeaderError(f"its samples are {encoding} numbers of {bits} bits in {width} bytes, which nothing decodes")
    findings = []
    if size < -1:
        findings.append(f"header and data contradict each other: a size of {size} bytes is stated; all was read")
    behind = 0 if declared is None else there - declared
    if behind >= packet and not file.at(start + (declared or 0), 4).strip().isalnum():
        more = seconds(behind // packet, round(rate) or 1)
        findings.append(f"more audio than its header says: {more} lie behind its stated end and were left out")
    layout = PcmLayout(
        start=start,
        size=there if declared is None else min(declared, there),
        sample_rate=round(rate) if math.isfinite(rate) else 0,
        channels=channels,
        encoding=encoding,
        width=width,
        valid_bits=8 * width if encoding is Encoding.FLOAT else min(bits or 8 * width, 8 * width),
        big_endian=not flags & _IS_LITTLE_ENDIAN,
        positions=_POSITIONS.get(channels),
        stated_frames=None if declared is None else declared // packet,
    )
    return replace(layout, findings=(*short_of(layout), *findings))
