"""The length that iTunes writes into an MP4's metadata (`iTunSMPB`): the filling before and behind, and the music."""

from dataclasses import dataclass

_TAG = "iTunSMPB"
_LARGEST = 1 << 40


@dataclass(frozen=True)
class ItunesGapless:
    """Samples of filling before the music, behind it, and of the music itself."""

    priming: int
    remainder: int
    samples: int

    @property
    def total(self) -> int:
        """All that the packets hold."""
        return self.priming + self.samples + self.remainder

    def times(self, factor: int) -> "ItunesGapless":
        """Return the same, counted at a higher rate."""
        return ItunesGapless(self.priming * factor, self.remainder * factor, self.samples * factor)


def itunes_gapless(metadata: dict[str, str]) -> ItunesGapless | None:
    """Read the tag; None where there is none that can be read.

    It is hexadecimal: a zero, the priming, the remainder, the music, and zeros.
    """
    words = metadata.get(_TAG, "").split()[:4]
    try:
        _, priming, remainder, samples = (int(word, 16) for word in words)
    except ValueError:
        return None
    known = 0 <= priming < _LARGEST and 0 <= remainder < _LARGEST and 0 < samples < _LARGEST
    return ItunesGapless(priming, remainder, samples) if known else None
