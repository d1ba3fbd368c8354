"""How audio is cut for what listens to it: rate and channels of each recipe. Cuts are at the same times in all.

A recipe's numbers are a contract with everything that reads its segments: another recipe gets another name.
"""

from dataclasses import dataclass

from modal_app.config import BackendKind
from modal_app.protocol.base import RecipeName

WAV_HEADER_BYTES = 44
_SHORTEST_TAIL_SECONDS = 5


@dataclass(frozen=True)
class Recipe:
    """Segments as int16: of 15 s and normalised to −1 dBFS each, or longer ones at the level of their file."""

    name: RecipeName
    sample_rate: int
    channels: int
    seconds: int = 15
    normalised: bool = True

    @property
    def segment_samples(self) -> int:
        """Frames of a whole segment."""
        return self.seconds * self.sample_rate

    @property
    def shortest_tail(self) -> int:
        """Frames that the last segment must have, where it is not the only one."""
        return _SHORTEST_TAIL_SECONDS * self.sample_rate

    def file_bytes(self, samples: int) -> int:
        """Return the size of a segment's file of so many frames."""
        return WAV_HEADER_BYTES + 2 * self.channels * samples

    def resampled_length(self, samples: int, sample_rate: int) -> int:
        """Return how many frames a signal of `samples` at `sample_rate` becomes: the nearest whole number."""
        return (2 * samples * self.sample_rate + sample_rate) // (2 * sample_rate)

    def segment_lengths(self, samples: int) -> list[int]:
        """Return how a signal of so many frames is cut. A tail under 5 s is dropped unless it is all there is."""
        whole, tail = divmod(samples, self.segment_samples)
        keep_tail = tail >= self.shortest_tail or (tail > 0 and whole == 0)
        return [self.segment_samples] * whole + [tail] * keep_tail


MONO44 = Recipe("mono44", 44_100, 1)
"""The contract's: what is tagged, published and trained on by most."""
STEREO48 = Recipe("stereo48", 48_000, 2)
"""For generators of 48 kHz stereo; a mono file has the same in both channels."""
WHOLE32 = Recipe("whole32", 32_000, 1, seconds=30, normalised=False)
"""For MusicGen, which hears no more than 30 s: a file as it is."""
WHOLE48 = Recipe("whole48", 48_000, 2, seconds=240, normalised=False)
"""For ACE-Step: a file as it is, uncut, at its own level."""
RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (MONO44, STEREO48, WHOLE32, WHOLE48)}


def recipe_for(kind: BackendKind) -> Recipe:
    """Return what a generator is trained on."""
    return STEREO48 if kind is BackendKind.ACE_STEP else MONO44


def whole_recipe_for(kind: BackendKind) -> Recipe:
    """Return what a generator is trained on where files are neither cut nor normalised.

    A longer file is cut all the same.
    """
    return WHOLE48 if kind is BackendKind.ACE_STEP else WHOLE32
