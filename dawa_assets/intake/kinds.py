"""What a file is to the pipeline, told by its name alone: a Live Set, audio, or something else."""

import unicodedata
from pathlib import PurePosixPath

from dawa_assets.tables.uploads import Kind

LIVE_SET_SUFFIX = ".als"
AUDIO_SUFFIXES = frozenset(
    (".mp3", ".wav", ".wave", ".w64", ".flac", ".aif", ".aiff", ".ogg", ".oga", ".opus", ".m4a", ".aac", ".caf")
)


def kind_of(name: str) -> Kind:
    """Return what a file of this name is.

    Hidden files (macOS writes `._song.als` beside `song.als`) are never music.
    """
    suffix = PurePosixPath(name).suffix.lower()
    if name.startswith("."):
        return Kind.OTHER
    if suffix == LIVE_SET_SUFFIX:
        return Kind.LIVE_SET
    return Kind.AUDIO if suffix in AUDIO_SUFFIXES else Kind.OTHER


def stem_of(name: str) -> str:
    """Return the name without its last suffix."""
    return PurePosixPath(name).stem


def loose_stem(name: str) -> str:
    """Return the stem as pairing compares it: without case, spaces, `_` and `-`. Empty where nothing else is in it.

    `My_Song.als` and `my song.WAV` are the same; macOS' decomposed letters are those of everybody else.
    """
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", stem_of(name)).casefold())
    return "".join(letter for letter in folded if not letter.isspace() and letter not in "_-")
