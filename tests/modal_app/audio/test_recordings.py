"""Real recordings: exactly the samples that their true length implies, the right level, the same bytes twice."""

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from modal_app.audio.decode import probe
from modal_app.audio.prepare import segment_local_file
from modal_app.audio.recipe import MONO44
from tests.shared_data import shared

# By SOURCES.md, where the headers of these formats can't tell.
STATED_SAMPLES = {
    "vibe_ace_vbr_v4_mono.mp3": 1_411_200,
    "vibe_ace_vbr_noxing.mp3": 1_412_352,
    "vibe_ace_aac.m4a": 32 * 44_100,
}
OFFSET = "a constant offset of 0.36 takes up the level; remove it (DC filter) before exporting"
WARNINGS = {"humpback_mono.ogg": (OFFSET,)}  # the hydrophone's
RECORDINGS = [
    *STATED_SAMPLES,
    "brahms_hungarian_5.ogg",
    "humpback_mono.ogg",
    "lets_go_fishin.ogg",
    "solo_trumpet_f_90bpm.ogg",
    "sonicpi_loop_compus.flac",
    "sonicpi_loop_garzul.flac",
    "sonicpi_loop_mika.flac",
    "sonicpi_loop_tabla.flac",
    "vibe_ace.ogg",
]


def true_samples(path: Path) -> int:
    """The length by the file's own bytes, read without any decoder."""
    data = path.read_bytes()
    if path.suffix == ".ogg":  # the last page's position, in samples (Vorbis)
        return int(struct.unpack_from("<q", data, data.rfind(b"OggS") + 6)[0])
    if path.suffix == ".flac":  # 36 bits of STREAMINFO
        return int.from_bytes(data[21:26], "big") & (2**36 - 1)
    return STATED_SAMPLES[path.name]


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_recording_is_cut_to_the_sample(tmp_path: Path, name: str) -> None:
    path = shared("audio", name)
    samples = true_samples(path)
    info = probe(path)
    assert (info.samples, info.sample_rate, info.warnings) == (samples, 44_100, WARNINGS.get(name, ()))
    folders = [tmp_path / "once", tmp_path / "twice"]
    for folder in folders:
        folder.mkdir()
    prepared, again = (segment_local_file(path, folder) for folder in folders)
    assert [segment.samples for segment in prepared.segments] == MONO44.segment_lengths(samples)
    assert prepared == again
    for segment in prepared.segments:
        wav = f"seg_{segment.index:04d}.wav"
        assert (folders[0] / wav).read_bytes() == (folders[1] / wav).read_bytes()
        signal, rate = soundfile.read(folders[0] / wav, dtype="int16")
        assert (rate, signal.shape) == (44_100, (segment.samples,))
        assert segment.silent or abs(int(np.abs(signal.astype(int)).max()) - 29_204) <= 1


def test_every_recording_there_is_was_looked_at() -> None:
    assert {path.name for path in shared("audio").iterdir()} - {"SOURCES.md"} == set(RECORDINGS)
