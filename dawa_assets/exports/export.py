"""Handing the current dataset to other trainers: its tracks as files, and the description that a trainer reads.

The audio comes out of the dataset's own zip, so that what is exported is the dataset, whatever was uploaded since.
"""

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dawa_assets.artists.paths import own_object
from dawa_assets.datasets.zip import entry_names
from dawa_assets.errors import BadTrackError
from dawa_assets.exports.destination import new_folder
from dawa_assets.exports.formats import (
    Described,
    ace_step_manifest,
    audiocraft_info,
    audiocraft_line,
    audiofolder_line,
    sidecars,
)
from dawa_assets.segments.tagger import tagger_of
from dawa_assets.tables import datasets
from dawa_assets.tables.artists import Artist, resolve_artist
from dawa_assets.tables.datasets import Dataset, ExportedTrack
from dawa_assets.tables.segment_tags import segment_texts
from modal_app.audio.decode import probe
from modal_app.errors import InputError, UnreadableAudioError
from resources.ports import Ports

Format = Literal["ace-step", "audiocraft", "audiofolder", "sidecar"]

_CHUNK = 1 << 20


@dataclass(frozen=True)
class ExportReport:
    """What was written, and which tracks were left out and why."""

    format: Format
    artist: str
    fingerprint: str
    folder: Path
    manifest: Path
    tracks: int
    audio_seconds: float
    audio_bytes: int
    left_out: list[tuple[str, str]]


def export_dataset(ports: Ports, name: str, form: Format, out: Path) -> ExportReport:
    """Write an artist's (slug, id or name) current dataset into the folder `out`, which is there whole or not at all.

    Raises:
        UnknownArtistError: there is no such artist.
        InputError: there is no dataset, its zip is gone, no track of it can be decoded, or the folder can't be
            written or has something in it.
        BadTrackError: a track in the zip is not the one on record.
    """
    with ports.database.transaction() as connection:
        artist = resolve_artist(connection, name)
        dataset = datasets.current_dataset(connection, artist.id)
        if dataset is None:
            raise InputError(f"{artist.slug}: has no dataset yet; `dawa build --artist {artist.slug}` makes one")
        tracks = datasets.exported_tracks(connection, dataset.id)
        tagger = tagger_of(ports.settings)
        texts = segment_texts(connection, dataset.id, tagger)
    if dataset.pruned_at is not None or own_object(ports.bucket, artist.slug, dataset.storage_path) is None:
        raise InputError(f"{dataset.storage_path}: is not there any more; `dawa build --artist {artist.slug}` mends it")
    target = out.absolute()
    with new_folder(target) as folder:
        described, left_out = _write_audio(ports, dataset, tracks, texts, folder, target)
        if not described:
            raise InputError(f"{artist.slug}: no track of the dataset can be exported: {left_out[0][1]}")
        size = sum(path.stat().st_size for path in (folder / "audio").iterdir())
        manifest = _write_description(form, artist, described, folder)
    return ExportReport(
        format=form,
        artist=artist.slug,
        fingerprint=dataset.fingerprint,
        folder=target,
        manifest=target / manifest,
        tracks=len(described),
        audio_seconds=round(sum(track.seconds for track in described), 3),
        audio_bytes=size,
        left_out=left_out,
    )


def _write_audio(
    ports: Ports,
    dataset: Dataset,
    tracks: list[ExportedTrack],
    texts: dict[int, list[str]],
    folder: Path,
    target: Path,
) -> tuple[list[Described], list[tuple[str, str]]]:
    """Write every track of the zip that can be decoded to `audio/track-0001.*`, a megabyte at a time.

    Returns:
        What is known of those, and titles and reasons of the tracks that are left out.
    """
    archive_path = folder / "dataset.zip"
    ports.bucket.fetch(dataset.storage_path, archive_path)
    (folder / "audio").mkdir()
    described: list[Described] = []
    left_out: list[tuple[str, str]] = []
    with zipfile.ZipFile(archive_path) as archive:
        for track in tracks:
            entry, _ = entry_names(track.position, track.audio_format)
            path = folder / "audio" / Path(entry).name
            digest = hashlib.sha256()
            try:
                with archive.open(entry) as source, path.open("wb") as sink:
                    while chunk := source.read(_CHUNK):
                        digest.update(chunk)
                        sink.write(chunk)
            except (KeyError, zipfile.BadZipFile):
                raise BadTrackError(track.position) from None
            if digest.hexdigest() != track.audio_hash:
                raise BadTrackError(track.position)
            try:
                info = probe(path)
            except UnreadableAudioError as error:
                left_out.append((track.title, str(error).removeprefix(f"{path}: ").removeprefix(f"{path.name}: ")))
                path.unlink()
                continue
            place = target / "audio" / path.name
            described.append(
                Described(track, place, info.duration_seconds, info.sample_rate, texts.get(track.position, []))
            )
    archive_path.unlink()
    return described, left_out


def _write_description(form: Format, artist: Artist, tracks: list[Described], folder: Path) -> str:
    """Write what the trainer reads; return the name of the file or folder to point it at."""
    if form == "ace-step":
        (folder / "dataset.json").write_text(ace_step_manifest(artist.slug, tracks), encoding="utf-8")
        return "dataset.json"
    if form == "audiofolder":
        with (folder / "metadata.jsonl").open("w", encoding="utf-8") as lines:
            lines.writelines(map(audiofolder_line, tracks))
        return "metadata.jsonl"
    if form == "sidecar":
        for track in tracks:
            for ending, text in sidecars(track).items():
                (folder / "audio" / f"{track.path.stem}{ending}").write_text(text, encoding="utf-8")
        return "audio"
    with (folder / "data.jsonl").open("w", encoding="utf-8") as lines:
        for track in tracks:
            lines.write(audiocraft_line(track))
            info = folder / "audio" / f"{track.path.stem}.json"
            info.write_text(audiocraft_info(artist.name, track), encoding="utf-8")
    return "data.jsonl"
