from pathlib import Path

import numpy as np
import pytest

from dawa_assets.example.compose import write_audio
from dawa_assets.example.mix import play
from dawa_assets.example.tracks import songs
from tests.prepared import made_once


@pytest.fixture(scope="session")
def bounces() -> dict[str, bytes]:
    """A song's bounce, `whole` and from ten seconds on (`late`), and an `other` song's."""
    song, other = songs()[1:3]

    def make(folder: Path) -> None:
        sound = play(song)
        write_audio(sound, folder / "whole.wav", 44_100)
        write_audio(np.ascontiguousarray(sound[:, 44_100 * 10 :]), folder / "late.wav", 44_100)
        write_audio(play(other), folder / "other.wav", 44_100)

    folder = made_once("bounces of one song", make)
    return {path.stem: path.read_bytes() for path in folder.glob("*.wav")}
