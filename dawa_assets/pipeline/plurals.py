"""Numbers with what they count, for messages to people."""


def counted(number: int, thing: str) -> str:
    """Return `1 prompt`, `2 prompts`, `1,200 prompts`; for what makes its plural by an `s`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
