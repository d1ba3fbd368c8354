"""How audio is marked before an endpoint answers with it. Here: tags in plain words; whoever serves may do more."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from modal_app.marks.tags import append_info, provenance_of
from modal_app.protocol.training import GenerateResult

Mark = Callable[[BinaryIO, GenerateResult, str | None], BinaryIO]
"""Takes the audio, what is known of it and whose adapter it is (a slug); gives the same sound with its mark."""


def tagged(audio: BinaryIO, result: GenerateResult, _producer: str | None) -> BinaryIO:
    """Return a WAV that says in its tags that it was generated, and by what."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rendered.wav"
        with audio, path.open("wb") as copy:
            shutil.copyfileobj(audio, copy)
        append_info(path, provenance_of(result))
        return path.open("rb")  # stays readable though its name is gone
