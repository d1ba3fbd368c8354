"""Other music, as a control of distances: another artist's where some is at hand, else what the base makes of any."""

from modal_app.audio.segment_cache import find_prepared, segment_path
from modal_app.data_root.layout import DataRoot
from modal_app.evaluation.distance import Windows
from modal_app.evaluation.measured import Bench, Measured
from modal_app.training.data import read_signal

_MAX_SONGS = 8


def other_music(bench: Bench, base: Measured, root: DataRoot) -> tuple[list[Windows], str]:
    """Return the windows of other songs, and what they are in one line; none where there is no other music.

    Of each song the segment of the middle is taken. Another artist's songs are used as far as their segments are in
    the cache. What the base renders of foreign prompts is the next best: music that is not this artist's.
    """
    training, backend = bench.request.training, bench.backend
    songs: list[Windows] = []
    own = {example.audio_hash for example in training.examples}
    for other in bench.request.others:
        prepared = None if other.audio_hash in own else find_prepared(root, other.audio_hash, training.recipe)
        sounding = [] if prepared is None else [segment for segment in prepared.segments if not segment.silent]
        if not sounding or len(songs) == _MAX_SONGS:
            continue
        middle = sounding[len(sounding) // 2]
        path = segment_path(root, other.audio_hash, training.recipe, middle.index)
        signal = read_signal(path, -middle.gain_db, backend.sample_rate, backend.channels)
        songs.append(bench.features(signal, backend.sample_rate))
    if len(songs) > 1:
        return songs, f"{len(songs)} songs of other artists"
    return (base.foreign, "what the base renders of foreign prompts") if len(base.foreign) > 1 else ([], "")
