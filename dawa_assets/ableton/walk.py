"""Streaming walk over XML along a map of places, within limits.

A `Place` says which children matter and what to do on entering and leaving; everything else is passed over at
the cost of one dictionary look-up. Knows expat and nothing of Live: what matters in a set is `grammar.py`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol
from xml.parsers import expat

from dawa_assets.ableton.stream import COPY_AGAIN, GIVE_A_LIVE_SET, MAKE_SMALLER
from dawa_assets.errors import RefusedLiveSetError

# Real sets: depth 49, 614,000 elements, 2,000 different names, tags of a few hundred bytes.
MAX_DEPTH = 512
MAX_ELEMENTS = 16_000_000
# In real sets an element takes at least 38 bytes of XML; what is full of smaller ones is made to keep a parser busy.
MIN_BYTES_PER_ELEMENT = 20
ELEMENTS_AT_ANY_SIZE = 1_000_000
MAX_DIFFERENT_NAMES = 50_000
MAX_TAG_BYTES = 1024 * 1024
_TOO_DEEP = f"elements nested deeper than {MAX_DEPTH}, as in no set"

Enter = Callable[[Any, str, dict[str, str]], None]
Leave = Callable[[Any], None]
Text = Callable[[Any, str], None]


@dataclass(slots=True, eq=False)
class Place:
    """An element that matters.

    `inside` are its children by tag, `otherwise` is where every other child leads; None is nowhere. `enter` is
    called with the builder, the tag and the attributes, `leave` with the builder, `text` with the builder and what
    stands between the tags, in pieces. Of one that `is_value`, the attributes are all that matters. One that
    `is_collected` comes so often that a call for each would cost too much: its attributes are put into the builder's
    `collected`, which is told to empty it after every chunk.
    """

    inside: Mapping[str, Place | None] = field(default_factory=dict)
    otherwise: Place | None = None
    enter: Enter | None = None
    leave: Leave | None = None
    text: Text | None = None
    is_value: bool = False
    is_collected: bool = False


class Collecting(Protocol):
    """What a walk needs of its builder: a list that it fills, and a method that empties the list."""

    collected: list[dict[str, str]]

    def count_collected(self) -> None:
        """Count what has been collected and empty the list."""


def walk(chunks: Iterable[bytes], start_at: Place, builder: Collecting) -> None:
    """Parse a document from its chunks and call the places that it passes.

    Raises:
        RefusedLiveSetError: a DOCTYPE (so no entity is ever expanded), or more than the limits above allow.
        expat.ExpatError: not well-formed, or in an encoding that is not known.
    """
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = _refuse_doctype
    path: list[Place] = [start_at]
    elements = 0
    collected = builder.collected
    # How deep it is inside of an element that leads nowhere. Most elements are, so nothing is looked up for them.
    passed_over = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal elements, passed_over
        elements += 1
        if passed_over:
            passed_over += 1
            return
        here = path[-1]
        place = here.inside.get(name, here.otherwise)
        if place is None:
            passed_over = 1
            return
        if place.is_collected:
            passed_over = 1
            collected.append(attributes)
            return
        if place.is_value:
            passed_over = 1
        else:
            path.append(place)
            if len(path) > MAX_DEPTH:
                raise RefusedLiveSetError(_TOO_DEEP, GIVE_A_LIVE_SET)
            if place.text is not None:
                parser.CharacterDataHandler = partial(place.text, builder)
        if place.enter is not None:
            place.enter(builder, name, attributes)

    def end(_name: str) -> None:
        nonlocal passed_over
        if passed_over:
            passed_over -= 1
            return
        place = path.pop()
        if place.text is not None:
            parser.CharacterDataHandler = None
        if place.leave is not None:
            place.leave(builder)

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    fed = 0
    for chunk in chunks:
        _parse(parser, chunk, last=False)
        if collected:
            builder.count_collected()
        fed += len(chunk)
        if len(path) + passed_over > MAX_DEPTH:
            raise RefusedLiveSetError(_TOO_DEEP, GIVE_A_LIVE_SET)
        if elements > MAX_ELEMENTS:
            raise RefusedLiveSetError(f"more than {MAX_ELEMENTS:,} XML elements, more than any set has", MAKE_SMALLER)
        if elements > ELEMENTS_AT_ANY_SIZE + fed / MIN_BYTES_PER_ELEMENT:
            raise RefusedLiveSetError("more XML elements than a set of its size has", GIVE_A_LIVE_SET)
        if len(parser.intern) > MAX_DIFFERENT_NAMES:
            raise RefusedLiveSetError(f"more than {MAX_DIFFERENT_NAMES:,} different XML names", GIVE_A_LIVE_SET)
        if fed - parser.CurrentByteIndex > MAX_TAG_BYTES:
            raise RefusedLiveSetError(f"a single XML tag of more than {MAX_TAG_BYTES // 1024} KB", GIVE_A_LIVE_SET)
    _parse(parser, b"", last=True)


def _parse(parser: expat.XMLParserType, chunk: bytes, *, last: bool) -> None:
    try:
        parser.Parse(chunk, last)
    except (LookupError, UnicodeError, ValueError) as error:
        # The document names an encoding that Python does not have or that is no encoding of text.
        raise RefusedLiveSetError(f"XML error: {_one_line(error)}", COPY_AGAIN) from None


def _refuse_doctype(*_declaration: object) -> None:
    raise RefusedLiveSetError("it has a DOCTYPE, which Live never writes", GIVE_A_LIVE_SET)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
