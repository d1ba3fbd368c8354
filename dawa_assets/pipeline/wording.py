"""Numbers and lists as messages and pages write them for people."""

from collections.abc import Sequence


def counted(number: int, thing: str) -> str:
    """Return `1 prompt`, `2 prompts`, `1,200 prompts`; for what makes its plural by an `s`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def first_of(names: Sequence[str], most: int) -> str:
    """Return names with commas between them, and of those after the first `most` how many: `a, b and 3 more`."""
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")


def minutes(seconds: float) -> str:
    """Return a time in a sound as players write it: `1:05`."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
