"""What is held out of a training to judge it by: whole songs with all their versions. Pure, and the same each time.

A song that is heard in training in another version, or in the same bytes under another name, says nothing about music
that the adapter does not know. Which names are versions of one song is `songs.py`'s affair.
"""

import hashlib
import math
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from modal_app.protocol.training import Example
from modal_app.training.song_titles import song_keys

_FEWEST_SEGMENTS = 4
_FEWEST_PLACES = 5  # of one song: one held out, one for the gap, three to learn from


@dataclass(frozen=True)
class Split:
    """Indices of the examples on each side; by time, those in the gap are on neither."""

    training: list[int]
    held_out: list[int]
    songs: list[str]  # names of the songs that were held out, whole or their end
    line: str  # what was done and why, for people


def split_by_song(examples: Sequence[Example], share: float, seed: int) -> Split:
    """Hold out whole songs: at least one, and at least `share` of the segments where that leaves half of them.

    Songs stand in a fixed order that depends on their names and the seed only, and the first ones are held out: when
    songs are added, others move at the border alone. Of one song alone the end is held out, with a gap of 15 s.
    """
    everything = list(range(len(examples)))
    if share <= 0:
        return Split(everything, [], [], "nothing is held out, as asked: the last adapter is kept")
    if len(examples) < _FEWEST_SEGMENTS:
        return Split(everything, [], [], f"too little to hold anything out ({len(examples)} segments): {_BLIND}")
    wanted = math.ceil(share * len(examples))
    groups = _groups(examples)
    if len(groups) == 1:
        return _split_by_time(examples, wanted)
    held_out: list[int] = []
    for group in sorted(groups, key=lambda group: _rank(examples, group, seed)):
        if len(held_out) < wanted and 2 * (len(held_out) + len(group)) <= len(examples):
            held_out += group
    held = set(held_out)
    songs = sorted({examples[index].song for index in held})
    return Split(
        training=[index for index in everything if index not in held],
        held_out=sorted(held),
        songs=songs,
        line=f"held out: {len(held)} of {len(examples)} segments ({', '.join(songs)})",
    )


_BLIND = "there is no validation and no early end, the last adapter is kept"


def _groups(examples: Sequence[Example]) -> list[list[int]]:
    """Indices that must stay together: by song, by identical file, by identical segment."""
    keys = song_keys([example.song for example in examples])
    parent = list(range(len(examples)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    first: dict[Hashable, int] = {}
    for index, example in enumerate(examples):
        marks = (("song", keys[example.song]), ("file", example.audio_hash), ("segment", example.sha256))
        for mark in marks:
            parent[root(index)] = root(first.setdefault(mark, index))
    groups: dict[int, list[int]] = defaultdict(list)
    for index in range(len(examples)):
        groups[root(index)].append(index)
    return list(groups.values())


def _rank(examples: Sequence[Example], group: Sequence[int], seed: int) -> bytes:
    """Return the place of a group in the fixed order; versions that are added leave it or bring it forward."""
    keys = song_keys([examples[index].song for index in group])
    return min(hashlib.sha256(f"{seed}:{key}".encode()).digest() for key in keys.values())


def _split_by_time(examples: Sequence[Example], wanted: int) -> Split:
    """Return the end of the only song, of all its versions from the same second on."""
    song = min(example.song for example in examples)
    places = sorted({example.index for example in examples}, reverse=True)
    start = next((place for place in places if sum(example.index >= place for example in examples) >= wanted), 0)
    held_out = [index for index, example in enumerate(examples) if example.index >= start]
    known = {examples[index].sha256 for index in held_out}  # a loop that comes back bit by bit
    training = [
        index for index, example in enumerate(examples) if example.index < start - 1 and example.sha256 not in known
    ]
    if len(places) < _FEWEST_PLACES or len(training) < 2:
        everything = list(range(len(examples)))
        return Split(everything, [], [], f"one short song ({len(examples)} segments) can't be divided: {_BLIND}")
    return Split(
        training=training,
        held_out=held_out,
        songs=[song],
        line=f"one song: its end is held out from {15 * start} s on ({len(held_out)} of {len(examples)} segments), "
        "after a gap of 15 s",
    )
