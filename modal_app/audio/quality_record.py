"""The record of what was measured of a content, for whoever stores and judges it: needs no numpy, which measuring does.

How it is measured is in `quality.py` and `signal_checks.py`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

VERSION = "audio-v1"
"""Of all that is measured of a content, its fingerprint with it: another rule gets another name."""


class Notice(NamedTuple):
    """Something that is wrong with a signal: what kind of thing, how much of it, and a line for a person."""

    kind: str
    number: float | None
    line: str


@dataclass(frozen=True)
class AudioQuality:
    """Of one content. Levels are in dB of full scale; None where there is no sound to measure.

    `clipped_share` is the part of the samples that lie on a plateau at the file's peak; `side_db` how far the sides'
    difference lies under their mean, None for anything but stereo; `cutoff_hz` where the spectrum ends like a cliff.
    `notices` are what the reader's own checks say.
    """

    seconds: float
    sample_rate: int
    channels: int
    codec: str
    loudness_lufs: float | None
    peak_dbfs: float | None
    crest_db: float | None
    clipped_share: float
    side_db: float | None
    cutoff_hz: float | None
    notices: tuple[Notice, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as it is stored."""
        return {**asdict(self), "notices": [list(notice) for notice in self.notices]}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "AudioQuality":
        """Read what `to_json` gave."""
        return cls(**{**stored, "notices": tuple(Notice(*notice) for notice in stored["notices"])})
