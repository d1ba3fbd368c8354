"""What is compared, as it lies in the bucket: Live Sets that are read, bounces that are decoded once."""

from functools import cached_property

from dawa_assets.ableton.alignment import Alignment, heard_tempo
from dawa_assets.ableton.live_set import LiveSet
from dawa_assets.ableton.reader import read_live_set
from dawa_assets.artists.own_files import own_audio
from dawa_assets.artists.paths import is_own, shown_path
from dawa_assets.errors import UnreadableLiveSetError
from dawa_assets.pipeline.file_transfer import local_copy
from dawa_assets.pipeline.step import Step
from dawa_assets.tables.alignments import StoredAlignment
from modal_app.audio.alignment_features import AlignmentFeatures, measure_features


class Bounce:
    """An item's audio."""

    def __init__(self, step: Step, path: str, audio_hash: str) -> None:
        self.audio_hash = audio_hash
        self._step = step
        self._path = path

    @cached_property
    def features(self) -> AlignmentFeatures:
        """What is compared of it; it is fetched and decoded when that is first asked for.

        Raises:
            UnreadableAudioError: it can't be decoded, or is not what was taken in.
            ObjectNotFoundError: it is gone.
        """
        with own_audio(self._step.ports.bucket, self._step.artist.slug, self._path, self.audio_hash) as local:
            return measure_features(local.path)

    @cached_property
    def heard_tempo(self) -> float:
        """The tempo that is heard in it, in BPM; 0 where nothing begins in it. Raises as `features` does."""
        return heard_tempo(self.features)

    def stored(self, found: Alignment, parse_id: str, set_tempo: float) -> StoredAlignment:
        """Return the answer for it and a save as it is stored; with its tempo where it was decoded."""
        return StoredAlignment(
            audio_hash=self.audio_hash,
            parse_id=parse_id,
            answer=found.answer,
            confidence=found.confidence,
            reasons=list(found.reasons),
            offset_seconds=found.offset_seconds,
            bar=found.bar,
            tempo=found.tempo,
            set_tempo=set_tempo,
            score=found.score,
            margin=found.margin,
            version=found.version,
            heard_tempo=self.heard_tempo if "features" in self.__dict__ else None,
        )


def read_save(step: Step, source_key: str, als_filename: str) -> LiveSet:
    """Read a Live Set of the artist's, with its onsets.

    Raises:
        UnreadableLiveSetError: it can't be read, or is not the artist's.
        ObjectNotFoundError: it is gone.
    """
    if not is_own(step.artist.slug, source_key):
        raise UnreadableLiveSetError(f"{shown_path(source_key)}: is no file of the artist's own; it is not read")
    with local_copy(step.ports.bucket, source_key, als_filename) as local:
        return read_live_set(local.path, with_onsets=True)
