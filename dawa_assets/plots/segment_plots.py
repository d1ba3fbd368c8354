"""Waveforms of the current dataset's segments with what plays in them, and a spectrogram, drawn where the segments are.

The worker keeps what it drew: a dataset that did not change is not drawn again, and no job is started for it.
"""

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory

from dawa_assets.pipeline.job_progress import logged
from dawa_assets.tables.alignments import BounceTimeline, bounce_timeline
from dawa_assets.tables.artists import get_artist
from dawa_assets.tables.audio_segments import SegmentedTrack, segmented_tracks
from modal_app.errors import JobError
from modal_app.protocol.pictures import MAX_TRACKS, DepictRequest, PicturedSegment, PicturedTrack
from resources.ports import Ports

TITLES = ("spectrogram", "waveforms")
_DRAWING = "2"  # raise it when the worker draws differently


def plan_pictures(ports: Ports, slug: str) -> DepictRequest | None:
    """Return what is to be drawn; another name for other pictures. None where there is no segment.

    Raises:
        UnknownArtistError: there is no artist of this slug.
    """
    with ports.database.transaction() as connection:
        artist = get_artist(connection, slug)
        tracks = segmented_tracks(connection, artist.id, MAX_TRACKS)
        songs = [bounce_timeline(connection, artist.id, track.parse_id, track.audio_hash) for track in tracks]
    return _request(slug, tracks, songs) if tracks else None


def draw_segments(ports: Ports, request: DepictRequest) -> dict[str, bytes]:
    """Draw the first tracks' waveforms and the spectrogram of the loudest segment of the first: PNGs by their titles.

    Raises:
        JobError: the worker could not draw them.
    """
    folder = f"pictures/{request.producer_id}/{request.name}"
    paths = {"waveforms": f"{folder}-waveforms.png", "spectrogram": f"{folder}-spectrogram.png"}
    try:
        return _fetched(ports, paths)
    except JobError:
        done = ports.compute.run(request, logged("pictures"))
    return _fetched(ports, {"waveforms": done.waveforms, "spectrogram": done.spectrogram})


def _request(slug: str, tracks: list[SegmentedTrack], songs: list[BounceTimeline | None]) -> DepictRequest:
    first = tracks[0]
    shown = [
        PicturedTrack(audio_hash=track.audio_hash, name=track.name, timeline=song.timeline if song else None)
        for track, song in zip(tracks, songs, strict=True)
    ]
    segment = PicturedSegment(audio_hash=first.audio_hash, index=first.loudest_first[0], name=first.name)
    content = repr((_DRAWING, first.of_tracks, shown, segment))
    return DepictRequest(
        producer_id=slug,
        name=hashlib.sha256(content.encode()).hexdigest()[:16],
        tracks=shown,
        of=first.of_tracks,
        segment=segment,
    )


def _fetched(ports: Ports, paths: dict[str, str]) -> dict[str, bytes]:
    with TemporaryDirectory(prefix="dawa-") as folder:
        pictures = {}
        for title, path in paths.items():
            ports.compute.fetch(path, Path(folder) / "picture.png")
            pictures[title] = (Path(folder) / "picture.png").read_bytes()
    return pictures
