"""One name per track, for everything that is keyed by track name."""

from collections.abc import Sequence


def unique_names(names: Sequence[str]) -> list[str]:
    """`names` in order, a repeated one with ` (2)`, ` (3)` … added: the next number that gives a free name.

    A name that a later track bears itself is not free, so a track keeps its own name whenever it is the first
    with it.
    """
    taken = set(names)
    seen: set[str] = set()
    next_number: dict[str, int] = {}
    unique = []
    for name in names:
        if name not in seen:
            seen.add(name)
            unique.append(name)
            continue
        number = next_number.get(name, 2)
        while f"{name} ({number})" in taken:
            number += 1
        next_number[name] = number + 1
        taken.add(f"{name} ({number})")
        unique.append(f"{name} ({number})")
    return unique
