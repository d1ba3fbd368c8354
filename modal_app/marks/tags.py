"""What a generated file says of itself in plain words: a `LIST INFO` chunk in WAV; other formats take the same texts.

The samples stay as they are: the chunk is appended behind them.
"""

import struct
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from modal_app.errors import JobError
from modal_app.protocol.training import GenerateResult

SOFTWARE = "DAWA assets"
DIGITAL_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC's term for media that a trained model made; C2PA and the EU's code of practice use it."""

_MAX_RIFF = 0xFFFFFFFF


@dataclass(frozen=True)
class Provenance:
    """By what a file was generated; nothing of what it was asked for."""

    generator: str
    """The kind of generator, e.g. `ace_step`."""
    base: str
    lora: str | None = None
    """The adapter, `producer:model`; None for the base alone."""
    run: str | None = None
    """The training that the adapter is of."""

    @property
    def maker(self) -> str:
        """Who made it, in words."""
        by = f"the music generator {self.generator} (base {self.base})"
        if self.lora is None:
            return by
        return f"{by} with the LoRA {self.lora}" + (f" (training run {self.run})" if self.run else "")

    @property
    def sentence(self) -> str:
        """What the comment of a file says."""
        return (
            f"AI-generated audio (digital source type trainedAlgorithmicMedia). Made with {software()} "
            f"by {self.maker}. "
            "Not to be used for AI training or data mining."
        )


def provenance_of(result: GenerateResult) -> Provenance:
    """Return by what a rendering of the worker's was generated."""
    return Provenance(
        generator="unknown" if result.backend is None else result.backend.value,
        base=result.base or "unknown",
        lora=result.lora_id if result.lora is not None else None,
        run=result.run_id,
    )


def software() -> str:
    """Return this software's name with its version."""
    return f"{SOFTWARE} {software_version()}"


def software_version() -> str:
    """Return the version that is installed; `0` for sources that are not, as in a container of Modal's."""
    try:
        return version("dawa-assets")
    except PackageNotFoundError:
        return "0"


def texts_of(provenance: Provenance) -> dict[str, str]:
    """Return the tags of a file by FFmpeg's names for them."""
    return {"comment": provenance.sentence}


def append_info(wav: Path, provenance: Provenance) -> None:
    """Append a `LIST INFO` chunk to a WAV: who made it (`ISFT`) and the sentence (`ICMT`), in UTF-8.

    Raises:
        JobError: it is no WAV that a chunk can be appended to.
    """
    entries = b"".join(
        _chunk(name, text.encode("utf-8") + b"\0")
        for name, text in ((b"ISFT", software()), (b"ICMT", provenance.sentence))
    )
    info = _chunk(b"LIST", b"INFO" + entries)
    with wav.open("r+b") as file:
        header = file.read(12)
        end = file.seek(0, 2)
        if header[:4] != b"RIFF" or header[8:] != b"WAVE" or struct.unpack("<I", header[4:8])[0] + 8 != end:
            raise JobError(f"{wav.name}: is no whole WAV; render it again")
        if end % 2 or end + len(info) - 8 > _MAX_RIFF:
            raise JobError(f"{wav.name}: has no room for a mark; render less at once")
        file.write(info)
        file.seek(4)
        file.write(struct.pack("<I", end + len(info) - 8))


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
