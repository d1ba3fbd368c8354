"""Waveforms and a spectrogram of the current dataset's segments, drawn by the worker, where the segments are.

The worker keeps what it drew: a dataset that did not change is not drawn again, and no job is started for it.
"""

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory

from dawa_assets.pipeline.job_progress import logged
from dawa_assets.tables.artists import get_artist
from dawa_assets.tables.audio_segments import SegmentedTrack, segmented_tracks
from modal_app.errors import JobError
from modal_app.protocol.pictures import MAX_TRACKS, DepictRequest, PicturedSegment, PicturedTrack
from resources.ports import Ports

_DRAWING = "1"  # raise it when the worker draws differently


def draw_segments(ports: Ports, slug: str) -> dict[str, bytes]:
    """Draw the first tracks' waveforms and the spectrogram of the loudest segment of the first: PNGs by their titles.

    Empty where there is no segment.

    Raises:
        UnknownArtistError: there is no artist of this slug.
        JobError: the worker could not draw them.
    """
    with ports.database.transaction() as connection:
        artist = get_artist(connection, slug)
        tracks = segmented_tracks(connection, artist.id, MAX_TRACKS)
    if not tracks:
        return {}
    request = _request(slug, tracks)
    folder = f"pictures/{slug}/{request.name}"
    paths = {"waveforms": f"{folder}-waveforms.png", "spectrogram": f"{folder}-spectrogram.png"}
    try:
        return _fetched(ports, paths)
    except JobError:
        done = ports.compute.run(request, logged("pictures"))
    return _fetched(ports, {"waveforms": done.waveforms, "spectrogram": done.spectrogram})


def _request(slug: str, tracks: list[SegmentedTrack]) -> DepictRequest:
    first = tracks[0]
    shown = [PicturedTrack(audio_hash=track.audio_hash, name=track.name) for track in tracks]
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
