"""What it costs to refuse Live Sets that are bombs where no ratio of sizes tells: elements, names, tags, members."""

import gzip
from pathlib import Path

WHAT = "refusing nine hostile Live Sets: 4 million elements, 400,000 names, a tag of 3 million attributes, and the like"
PEER = "the bare parser (expat without a handler) over the same, up to the size that we read to"
FLOOR = "reading the files"

_LIMIT = 96 * 2**20


def setup(folder: Path) -> None:
    """Write the bombs."""
    head = b"<Ableton><LiveSet>"
    bombs = {
        "elements": head + b"<a/>" * 4_000_000,
        "text": head + b"x" * 110_000_000,
        "names": head + b"".join(b"<n%x/>" % number for number in range(400_000)),
        "attributes": b"<Ableton " + b" ".join(b'a%x=""' % number for number in range(3_000_000)) + b"/>",
        "comment": b"<Ableton><!--" + b"x" * 30_000_000,
        "members": gzip.compress(b"<Ableton>") + gzip.compress(b"") * 1_000_000,
        "zeros": gzip.compress(b"<Ableton/>") + b"\0" * 110_000_000,
        "tracks": head + b"<Tracks><MidiTrack></MidiTrack></Tracks>" * 6_000,
        "depth": head + b"<a>" * 1_000_000,
    }
    for name, content in bombs.items():
        (folder / f"{name}.als").write_bytes(content)


def ours(folder: Path) -> None:
    """Refuse each."""
    from dawa_assets.ableton.reader import read_live_set
    from dawa_assets.errors import UnreadableLiveSetError

    refused = 0
    for path in sorted(folder.glob("*.als")):
        try:
            read_live_set(path)
        except UnreadableLiveSetError:
            refused += 1
    assert refused == 9


def peer(folder: Path) -> None:
    """Parse each."""
    from contextlib import suppress
    from itertools import takewhile
    from xml.parsers import expat

    for path in sorted(folder.glob("*.als")):
        parser, fed = expat.ParserCreate(), 0
        packed = path.read_bytes()[:2] == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as file, suppress(expat.ExpatError):
            for chunk in takewhile(bool, iter(lambda: file.read(65_536), b"")):
                fed += len(chunk)
                if fed > _LIMIT:
                    break
                parser.Parse(chunk)


def floor(folder: Path) -> None:
    """Read each."""
    assert sum(len(path.read_bytes()) for path in folder.glob("*.als")) > 200_000_000
