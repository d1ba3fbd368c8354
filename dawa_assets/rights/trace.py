"""Whether a file was made here, with what, and trained on whom: by its samples, its landmarks and its mark."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dawa_assets.rights import content_credentials
from dawa_assets.rights.content_credentials import Credentials
from dawa_assets.rights.fingerprints import FoundPassage, can_fingerprint, search, sha256_of_samples
from dawa_assets.rights.marks import signing_identity
from dawa_assets.tables.rendered_audio import (
    RenderedAudio,
    count_rendered,
    find_rendered,
    pages_of_landmarks,
    songs_trained_on,
)
from modal_app.audio.decode import probe
from modal_app.errors import DawaError
from resources.database.base import Database
from resources.settings import Settings


@dataclass(frozen=True)
class TracedSound:
    """A sound on record that is in the file: all of it unchanged (`is_exact`), or the passages that were found."""

    sound: RenderedAudio
    is_exact: bool
    passages: list[FoundPassage]
    trained_on: list[str]
    """The songs that its adapter was trained on, as far as that is on record; empty for the base alone."""

    @property
    def seconds(self) -> float:
        """How many seconds of the file are in this sound; of an unchanged one all of them."""
        if self.is_exact:
            return self.sound.seconds
        total, end = 0.0, 0.0
        for passage in self.passages:
            total += max(0.0, passage.end_seconds - max(end, passage.start_seconds))
            end = max(end, passage.end_seconds)
        return round(total, 2)


@dataclass(frozen=True)
class Trace:
    """What is known of a file."""

    file: str
    sounds: list[TracedSound]
    """Those on record that are in it, the one with most of the file first."""
    credentials: Credentials | None
    """Its C2PA manifest; None where it has none, or none can be read here."""
    on_record: int
    notes: list[str] = field(default_factory=list)
    """What could not be looked at."""

    @property
    def was_made_here(self) -> bool:
        """Whether it, or a passage of it, is on record here."""
        return bool(self.sounds)


def trace(settings: Settings, database: Database, file: Path) -> Trace:
    """Look for a file, or passages of it, among everything that was generated.

    Raises:
        UnreadableAudioError: it can't be decoded.
        DatabaseError: the record can't be read.
    """
    notes = []
    samples = sha256_of_samples(file)
    with database.transaction() as connection:
        exact = [] if samples is None else find_rendered(connection, ids=[], audio_sha256=samples)
        on_record, bare = count_rendered(connection)
    passages: list[FoundPassage] = []
    if not exact:
        if can_fingerprint():
            passages = search(file, lambda: _pages(database))
        else:
            probe(file)  # a file that is no sound is not one that is unknown here
            notes.append("changed copies were not looked for: the extra `marks` is not installed")
        if bare:
            notes.append(f"{bare} of {on_record} sounds on record have no landmarks: only unchanged copies are found")
    by_sound: dict[str, list[FoundPassage]] = {}
    for passage in passages:
        by_sound.setdefault(passage.id, []).append(passage)
    with database.transaction() as connection:
        found = exact or find_rendered(connection, ids=list(by_sound))
        sounds = [
            TracedSound(
                sound,
                bool(exact),
                by_sound.get(sound.id, []),
                [] if sound.run is None else songs_trained_on(connection, sound.run),
            )
            for sound in found
        ]
    sounds.sort(key=lambda each: -each.seconds)
    return Trace(file.name, sounds, _credentials(settings, file, notes), on_record, notes)


def _pages(database: Database) -> Iterator[Mapping[str, bytes]]:
    for page in pages_of_landmarks(database):
        yield {each.id: each.landmarks for each in page}


def _credentials(settings: Settings, file: Path, notes: list[str]) -> Credentials | None:
    if not content_credentials.is_installed():
        notes.append("a C2PA manifest was not looked for: the extra `marks` is not installed")
        return None
    try:
        own = signing_identity(settings).certificates
    except DawaError as error:
        notes.append(f"the own certificate can't be read, so that nobody's signature is known: {error}")
        own = None
    return content_credentials.read(file, own)
