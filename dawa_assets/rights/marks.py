"""What is generated, marked before it leaves: put on record, tagged in plain words, and signed last.

The samples stay as they were rendered. What identifies a rendering is taken from them before any mark, since signed
bytes are other ones each time.
"""

import hashlib
import json
import logging
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from uuid import UUID

from dawa_assets.rights import content_credentials
from dawa_assets.rights.certificate import Identity, given_identity, own_identity
from dawa_assets.rights.fingerprints import can_fingerprint, landmarks_of, sha256_of_samples
from dawa_assets.tables.artists import find_artist
from dawa_assets.tables.rendered_audio import Origin, RenderedAudio, record_rendered
from modal_app.errors import InputError, JobError
from modal_app.marks.encode import encode
from modal_app.marks.tags import Provenance, append_info
from resources.database.base import Connection, Database
from resources.errors import DatabaseError, SettingsError
from resources.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Occasion:
    """Why something was generated, from which words, and for whom: an artist's id, or a slug that may be nobody's."""

    origin: Origin
    prompt: str
    seed: int | None
    artist_id: UUID | None = None
    producer: str | None = None


class Marker:
    """Marks what is generated, as the settings say. Safe across threads."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database

    @cached_property
    def _identity(self) -> Identity:
        return signing_identity(self._settings)

    def mark(self, wav: Path, target: Path, provenance: Provenance, occasion: Occasion) -> None:
        """Write a rendered WAV as `target`, marked; without marks (`DAWA_MARKS=off`) as it is.

        Where the database does not answer, the file is marked all the same, and a warning says that it is not on
        record.

        Args:
            wav: as the worker rendered it.
            target: another path; its suffix says the format (see `encode.SUFFIXES`).
            provenance: by what it was generated.
            occasion: for the record alone; nothing of it is in the file.

        Raises:
            JobError: it can't be marked or written as that format.
            InputError: the certificate can't be used.
        """
        if self._settings.marks == "off":
            self._write(wav, target, None)
            return
        samples = sha256_of_samples(wav)
        if samples is None:
            raise JobError(f"{wav.name}: is no WAV of 16 bits; render it again")
        made_at = datetime.now(UTC)
        self._record(wav, samples, made_at, provenance, occasion)
        if not content_credentials.is_installed():
            self._write(wav, target, provenance)
            return
        unsigned = target.with_name(f"unsigned-{target.name}")
        try:
            self._write(wav, unsigned, provenance)
            content_credentials.sign(unsigned, target, provenance, samples, made_at, self._identity)
        finally:
            unsigned.unlink(missing_ok=True)

    def _write(self, wav: Path, target: Path, provenance: Provenance | None) -> None:
        if target.suffix.lower() != ".wav":
            encode(wav, target, provenance)
            return
        shutil.copyfile(wav, target)
        if provenance is not None:
            append_info(target, provenance)

    def _record(self, wav: Path, samples: str, made_at: datetime, provenance: Provenance, occasion: Occasion) -> None:
        landmarks = landmarks_of(wav) if can_fingerprint() else None
        try:
            with self._database.transaction() as connection:
                artist_id = occasion.artist_id or _artist_id(connection, occasion.producer, provenance.lora)
                content = [str(artist_id), provenance.lora, provenance.run, samples]
                rendered = RenderedAudio(
                    id=f"a-{hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]}",
                    artist_id=artist_id,
                    audio_sha256=samples,
                    origin=occasion.origin,
                    generator=provenance.generator,
                    base=provenance.base,
                    lora=provenance.lora,
                    run=provenance.run,
                    prompt=occasion.prompt,
                    seed=occasion.seed,
                    seconds=_seconds(wav),
                    made_at=made_at,
                )
                record_rendered(connection, rendered, landmarks)
        except DatabaseError as error:
            log.warning("what was generated is marked, and not on record, so that nothing can trace it: %s", error)


def signing_identity(settings: Settings) -> Identity:
    """Return the project's key and certificate: those of the settings, or self-made ones under the home.

    Raises:
        SettingsError: one is set without the other.
        InputError: they can't be used.
    """
    certificate, key = settings.marks_certificate, settings.marks_key
    if certificate is None and key is None:
        return own_identity(settings.home / "marks")
    if certificate is None or key is None:
        name, other = "DAWA_MARKS_KEY", "DAWA_MARKS_CERTIFICATE"
        missing = name if key is None else other
        raise SettingsError(f"{missing}: is not set, and the other one is; set both {other} and {name}, or neither")
    return given_identity(certificate, key)


def marks_line(settings: Settings) -> str:
    """Return what is marked here, and how: for whoever starts something that generates.

    Raises:
        InputError: the certificate can't be used.
    """
    if settings.marks == "off":
        return "off (DAWA_MARKS=off): nothing that is generated says so, and none of it can be traced"
    traced = "" if can_fingerprint() else "; only unchanged copies can be traced (the extra `marks` is not installed)"
    if not content_credentials.is_installed():
        return f"tags in plain words, no C2PA manifest: the extra `marks` is not installed{traced}"
    signer = "a self-made certificate" if signing_identity(settings).is_self_made else "the certificate that is set"
    return f"tags in plain words, and C2PA manifests signed with {signer}{traced}"


def check_marks(settings: Settings) -> tuple[bool, str]:
    """Return whether marks are as they should be, and the line of `marks_line`."""
    try:
        return settings.marks == "on" and content_credentials.is_installed() and can_fingerprint(), marks_line(settings)
    except InputError as error:
        return False, str(error)


def _artist_id(connection: Connection, producer: str | None, lora: str | None) -> UUID | None:
    """Return the id of the artist whose slug is the producer's, else the LoRA's (`producer:model`)."""
    slugs = [slug for slug in (producer, (lora or "").partition(":")[0]) if slug]
    found = (find_artist(connection, slug, by=("slug",)) for slug in slugs)
    return next((artist.id for artist in found if artist is not None), None)


def _seconds(wav: Path) -> float:
    import soundfile

    return float(soundfile.info(wav).duration)
