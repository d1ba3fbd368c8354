"""Texts that people give and rows keep: a name, a reason, a territory."""

from modal_app.errors import InputError


def one_line(text: str, what: str, most: int, *, is_needed: bool = False) -> str:
    """Return a text without the space around it.

    Args:
        text: as it was given.
        what: what messages call it: an option or a field.
        most: how many characters it may have.
        is_needed: whether an empty one is refused.

    Raises:
        InputError: it is no single line of printable characters, or too long, or it is needed and empty.
    """
    clean = text.strip()
    if len(clean) > most or not clean.isprintable():
        raise InputError(f"{what}: must be one line of at most {most} printable characters; give another")
    if is_needed and not clean:
        raise InputError(f"{what}: is empty; give one")
    return clean
