"""Texts that others wrote, as clean single lines: what a name in a profile or a model's answer may not hold."""

import re
import unicodedata

_JOINERS = "\u200c\u200d"
_MARKUP = re.compile(r"[<>{}\[\]|\\`*_#~]")
_LINK = re.compile(r"https?:|\bwww\.|\S@\S+\.\S|//", re.IGNORECASE)
_TALK = re.compile(
    r"\b(?:ignore|disregard|forget)\b.{0,40}\b(?:instruction|prompt|rule|above|previous)"
    r"|\b(?:system prompt|system instruction|language model|as an ai|i can(?:'t|not)|i am unable)\b",
    re.IGNORECASE,
)


def plain_line(text: str, longest: int) -> str:
    """Return the text on one line, without control and format characters, cut to `longest` characters."""
    normal = unicodedata.normalize("NFC", text[: 4 * longest])
    shown = "".join(" " if character.isspace() else character for character in normal if not _is_hidden(character))
    return " ".join(shown.split())[:longest].rstrip()


def unfit(text: str) -> str | None:
    """Return why a text can't stand in a caption; None where it can."""
    if any(map(_is_hidden, text)):
        return "it holds control characters"
    if _MARKUP.search(text):
        return "it holds markup"
    if _LINK.search(text):
        return "it holds a link"
    if _TALK.search(text):
        return "it talks about the task instead of the sound"
    return None


def _is_hidden(character: str) -> bool:
    return (
        character not in _JOINERS
        and not character.isspace()
        and unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn")
    )
