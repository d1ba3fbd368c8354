"""Numbers as messages and pages write them for people."""


def counted(number: int, thing: str) -> str:
    """Return `1 prompt`, `2 prompts`, `1,200 prompts`; for what makes its plural by an `s`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def minutes(seconds: float) -> str:
    """Return a time in a sound as players write it: `1:05`."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
