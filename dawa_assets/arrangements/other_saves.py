"""Compares a bounce with other saves than its item's own, where that one doesn't surely fit: which may it be of?

Never all with all: of the artist's saves only those are read that are nearest to the bounce in tempo and length, so
many at most, and each pair once. Answers stand beside the item's own in `alignments`, kept after some seconds' work, so
what was killed goes on; `dawa_assets/tables/best_saves.py` says which fits best.
"""

import logging
import math
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import cached_property, partial
from uuid import UUID

from dawa_assets.ableton.alignment import (
    SHORTEST_SECONDS,
    VERSION,
    VERSION_AT_KNOWN_TEMPOS,
    Alignment,
    align_at_known_tempos,
)
from dawa_assets.ableton.onsets import SongOnsets, song_onsets
from dawa_assets.arrangements.sources import Bounce, read_save
from dawa_assets.errors import UnreadableLiveSetError
from dawa_assets.pipeline.batches import Batch
from dawa_assets.pipeline.step import Step
from dawa_assets.prompting.json_access import mapping, number, text
from dawa_assets.tables.alignments import StoredAlignment, keep_alignments
from dawa_assets.tables.best_saves import Save, UnsureItem, keep_heard_tempo, known_saves, unsure_items
from resources.database.base import Connection
from resources.errors import ObjectNotFoundError

log = logging.getLogger(__name__)

VERSIONS = (VERSION, VERSION_AT_KNOWN_TEMPOS)
SURE = 0.75
"""The confidence from which on a bounce is taken to be of its set, and only earlier saves of that are compared."""
MAX_SAVES = 24
"""How many saves a bounce is compared with at most, as its artist's sets are now."""

_MAX_FORMER_TEMPOS = 8
_BEATS_MISHEARD = (1.0, 1 / 2, 2.0, 2 / 3, 3 / 2, 3 / 4, 4 / 3)
_SAME_TEMPO = math.log2(1.015)
_TAIL_SECONDS = 10.0
_DEFAULT_TEMPO = 120.0
_MAX_CACHED_ONSETS = 1_000_000  # of all sets that are held: 32 MB


@dataclass(frozen=True)
class Shape:
    """What is known of a save without its file: tempo in BPM, length in seconds; None where its summary says none."""

    save: Save
    tempo: float | None = None
    seconds: float | None = None

    @classmethod
    def of(cls, save: Save) -> "Shape":
        """Return what its summary says."""
        overview = mapping(save.overview)
        tempo, bars = number(overview.get("tempo")), number(save.length_bars)
        if tempo is None or not 10 <= tempo <= 1_000:
            return cls(save)
        beats, _, unit = text(overview.get("time_signature"), 8).partition("/")
        is_metre = beats.isdecimal() and unit.isdecimal() and int(beats) > 0 and int(unit) > 0
        bar = int(beats) * 4 / int(unit) if is_metre else 4.0
        return cls(save, tempo, bars * bar * 60 / tempo if bars is not None and bars > 0 else None)


def nearest_saves(shapes: Iterable[Shape], item: UnsureItem, tempo: float) -> list[Save]:
    """Return which saves a bounce is to be compared with, the nearest first: those of its own set before all others.

    Of an item that is sure of its set, no others. How near one is: whether it has the tempo that is heard, then how
    much longer or shorter it is, then when it was taken in. A longer arrangement counts half, as sections are rendered
    and stray clips lie behind songs.

    Args:
        shapes: of all saves of the artist's; the item's own is left out.
        item: with its bounce's length.
        tempo: that is heard in the bounce, in BPM; 0 for none.
    """

    def rank(shape: Shape) -> tuple[bool, float, float, str]:
        apart = _apart_in_tempo(shape.tempo, tempo) + _apart_in_length(shape.seconds, item.audio_seconds)
        days = abs((shape.save.taken_in_at - item.created_at).total_seconds()) / 86_400
        return not _is_same_set(shape.save, item), round(apart, 2), days, shape.save.parse_id

    return [shape.save for shape in sorted((each for each in shapes if _is_eligible(each.save, item)), key=rank)][
        :MAX_SAVES
    ]


def _is_eligible(save: Save, item: UnsureItem) -> bool:
    return save.parse_id != item.parse_id and (not item.is_sure or _is_same_set(save, item))


def _is_same_set(save: Save, other: Save | UnsureItem) -> bool:
    return (save.als_filename, save.project_name) == (other.als_filename, other.project_name)


def _apart_in_tempo(of_save: float | None, heard: float) -> float:
    if of_save is None or heard <= 0:
        return 0.5
    return 0.0 if any(abs(math.log2(of_save / (heard * part))) <= _SAME_TEMPO for part in _BEATS_MISHEARD) else 1.0


def _apart_in_length(of_save: float | None, of_bounce: float) -> float:
    if of_save is None or of_bounce <= 0:
        return 0.5
    if of_save <= of_bounce <= of_save + _TAIL_SECONDS:
        return 0.0
    ratio = math.log2(of_save / of_bounce)
    return min(ratio / 2 if ratio > 0 else -ratio, 1.0)


class OtherSaves:
    """The artist's saves in one step, each of them read once while there is room."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self._songs: OrderedDict[str, SongOnsets | str] = OrderedDict()

    @cached_property
    def _shapes(self) -> list[Shape]:
        with self._step.ports.database.transaction() as connection:
            return [Shape.of(save) for save in known_saves(connection, self._step.artist.id)]

    def unsure(self, items: Collection[UUID] | None = None) -> list[UnsureItem]:
        """Return the artist's items whose bounces other saves may fit better; of these alone where they are given."""
        with self._step.ports.database.transaction() as connection:
            return unsure_items(connection, self._step.artist.id, VERSIONS, SURE, items)

    def compare(self, item: UnsureItem, bounce: Bounce) -> int:
        """Compare a bounce with the saves that are nearest to it, and return with how many it was.

        A save that can't be read is kept as one that can't be told.

        Raises:
            UnreadableAudioError, ObjectNotFoundError: the bounce can't be had.
            LostLeaseError: somebody else took over this step.
        """
        shapes = [shape for shape in self._shapes if _is_eligible(shape.save, item)]
        if item.audio_seconds < SHORTEST_SECONDS or {shape.save.parse_id for shape in shapes} <= set(item.compared):
            return 0
        tempo = item.heard_tempo
        if tempo is None:
            tempo = bounce.heard_tempo
            self._keep(partial(keep_heard_tempo, audio_hash=item.audio_hash, tempo=tempo))
        if not tempo:
            return 0  # nothing begins in it: it can't be told of any save
        due = [save for save in nearest_saves(shapes, item, tempo) if save.parse_id not in item.compared]
        with Batch[StoredAlignment](lambda answers: self._keep(partial(keep_alignments, found=answers))) as batch:
            for save in due:
                log.info("comparing %s with %s", item.name, save.als_filename)
                found, set_tempo = self._compared(save, bounce)
                batch.add(bounce.stored(found, save.parse_id, set_tempo))
        return len(due)

    def _compared(self, save: Save, bounce: Bounce) -> tuple[Alignment, float]:
        """Return the answer for a save, and its tempo."""
        song = self._song(save)
        if isinstance(song, str):
            return Alignment("can't be told", 0.0, (song,), version=VERSION_AT_KNOWN_TEMPOS), _DEFAULT_TEMPO
        tempos = [shape.tempo for shape in self._shapes if _is_same_set(shape.save, save) and shape.tempo is not None]
        return align_at_known_tempos(song, bounce.features, tempos[:_MAX_FORMER_TEMPOS]), song.tempo

    def _song(self, save: Save) -> SongOnsets | str:
        """Return what begins when in a save, or why that can't be known."""
        found = self._songs.pop(save.parse_id, None) or self._read(save)
        self._songs[save.parse_id] = found
        while len(self._songs) > 1 and sum(map(_size, self._songs.values())) > _MAX_CACHED_ONSETS:
            self._songs.popitem(last=False)
        return found

    def _read(self, save: Save) -> SongOnsets | str:
        try:
            return song_onsets(read_save(self._step, save.source_key, save.als_filename))
        except (UnreadableLiveSetError, ObjectNotFoundError) as error:
            log.warning("%s is not compared: %s", save.als_filename, error)
            return str(error)
        except (ArithmeticError, LookupError, MemoryError, TypeError, ValueError) as error:
            # A fault of ours in one odd set must not hold up the artist.
            log.exception("%s: could not be read", save.als_filename)
            return f"a fault of the program ({type(error).__name__}: {error}); its log says how"

    def _keep(self, keep: Callable[[Connection, UUID], None]) -> None:
        with self._step.ports.database.transaction() as connection:
            self._step.held.check(connection)
            keep(connection, self._step.artist.id)


def _size(song: SongOnsets | str) -> int:
    return 0 if isinstance(song, str) else len(song.seconds)
