"""Which examples a step is trained on, and the seeds of what is drawn for it.

Nothing here has a state that would have to be saved: batch number n and the seeds of step n are functions of n, so a
training that goes on at step n goes on exactly.
"""

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Sequence


def seed_of(*parts: str | int) -> int:
    """Return a seed of 56 bits for what the parts name; others for other parts."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:7])


class BatchOrder:
    """Endless batches of indices: each of examples with one key, every example once a round, in a seeded order."""

    def __init__(self, keys: Sequence[Hashable], size: int, seed: int) -> None:
        self._keys, self._size, self._seed = list(keys), size, seed
        self._round: tuple[int, list[list[int]]] = (0, self._shuffled(0))

    def batch(self, number: int) -> list[int]:
        """Return the batch of this number, from 0; any of them at any time."""
        wanted, place = divmod(number, len(self._round[1]))  # all rounds are equally long
        if self._round[0] != wanted:
            self._round = (wanted, self._shuffled(wanted))
        return self._round[1][place]

    def _shuffled(self, number: int) -> list[list[int]]:
        import torch

        generator = torch.Generator().manual_seed(seed_of("order", self._seed, number))
        buckets: dict[Hashable, list[int]] = defaultdict(list)
        for index in torch.randperm(len(self._keys), generator=generator).tolist():
            buckets[self._keys[index]].append(index)
        cut = [
            bucket[start : start + self._size]
            for bucket in buckets.values()
            for start in range(0, len(bucket), self._size)
        ]
        return [cut[place] for place in torch.randperm(len(cut), generator=generator).tolist()]
