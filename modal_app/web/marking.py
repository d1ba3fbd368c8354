"""How audio is marked before an endpoint answers with it. Here: tags in plain words; whoever serves may do more."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from modal_app.marks.tags import Provenance, append_info
from modal_app.protocol.training import GenerateResult

Mark = Callable[[BinaryIO, GenerateResult, str | None], BinaryIO]
"""Takes the audio, what is known of it and whose adapter it is (a slug); gives the same sound with its mark."""


def tagged(audio: BinaryIO, result: GenerateResult, _producer: str | None) -> BinaryIO:
    """Return a WAV that says in its tags that it was generated, and by what."""
    provenance = Provenance(
        generator="unknown" if result.backend is None else result.backend.value,
        base=result.base or "unknown",
        lora=result.lora_id if result.lora is not None else None,
        run=result.run_id,
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rendered.wav"
        with audio, path.open("wb") as copy:
            shutil.copyfileobj(audio, copy)
        append_info(path, provenance)
        return path.open("rb")  # stays readable though its name is gone
