"""Puts right in a model's text what needs no new answer: wrapping, markup, line breaks, and the line with the BPM.

Nothing is added but the tempo, which is known, and no word of the description is changed: a text that says what it
must not is for the model to write again. The rules themselves are in `rules.py`.
"""

import json
import re
import unicodedata

from dawa_assets.prompting.rules import bpm_line

_MAX_LENGTH = 4_000  # beyond this nothing is a caption, and nothing is worth mending

_FENCE = re.compile(r"\A\s*```[\w-]*\s*\n(?P<inside>.*?)\n?\s*```\s*\Z", re.DOTALL)
_LABEL = re.compile(
    r"\A[\s*_#>]*(?:(?:here(?:'s| is)|sure|certainly)\b[^\n:]{0,60}"
    r"|(?:final |music |track )?(?:prompt|caption|description))[\s*_]*:[\s*_]*(?=\S)",
    re.IGNORECASE,
)
_MARKS = r"[\s*_]{0,6}"
_NUMBER = r"[~≈]?\s?\d{1,9}(?:[.,]\d{1,9})?"
_BPM_LINE = re.compile(
    rf"^[\s*_#>`\-•]{{0,9}}(?:BPM|tempo){_MARKS}[:=]?{_MARKS}{_NUMBER}\s?(?:BPM)?[\s*_`.]{{0,9}}$", re.IGNORECASE
)
_BPM_END = re.compile(rf"[\s*_`(\[]{{0,9}}\bBPM{_MARKS}:{_MARKS}{_NUMBER}[\s*_`.)\]]{{0,9}}\Z", re.IGNORECASE)
_BPM_BEGIN = re.compile(rf"\A[\s*_`]{{0,9}}BPM{_MARKS}:{_MARKS}{_NUMBER}[\s*_`.,;:–—-]+", re.IGNORECASE)
_LINE_MARK = re.compile(r"^\s*(?:#{1,6}\s+|[-*+•]\s+|>\s*|\d{1,2}[.)]\s+(?=\S))")
_LINK = re.compile(r"!?\[(?P<text>[^\]\n]{0,300})\]\([^)\n]{0,600}\)")
_TAG = re.compile(r"</?[a-z][a-z0-9]{0,12}(?:\s[^<>\n]{0,200})?/?>", re.IGNORECASE)
_EMPHASIS = re.compile(r"(\*{1,3}|_{2,3}|~~|`+)(?=\S)(?P<text>[^*_~`\n]{1,400}?)(?<=\S)\1")
_STRAY = re.compile(r"\*{2,}|_{2,}|`+|~~")
_QUOTES = {'"': '"', "“": "”", "„": "“", "«": "»", "'": "'", "‘": "’"}
_HARMLESS_FORMAT = "\u200c\u200d"


def fixed(text: str, tempo: float) -> str:
    """Return the text as one plain paragraph and the line `BPM: <tempo>`; mending it again changes nothing.

    A text in which nothing is left, or that is far too long, is given back as it is, for the rules to refuse.
    """
    if len(text) > _MAX_LENGTH:
        return text
    body = _described(_readable(text))
    return f"{body}\n{bpm_line(tempo)}" if body else text


def _readable(text: str) -> str:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u2029", "\n")
    kept = "".join(" " if character == "\t" else character for character in lines if _is_kept(character))
    return re.sub(" {2,}", " ", kept).strip()


def _is_kept(character: str) -> bool:
    return (
        character in ("\n", "\t")
        or character in _HARMLESS_FORMAT
        or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co")
    )


def _described(text: str) -> str:
    """Return what is left as description.

    Each step may uncover what the one before it hid, so they go round until still.
    """
    while True:
        before = text
        text = _unwrapped(text)
        lines = [_without_marks(line) for line in text.split("\n") if not _BPM_LINE.match(line)]
        text = " ".join(" ".join(lines).split())
        text = _BPM_BEGIN.sub("", _BPM_END.sub("", text)).strip()
        if text == before:
            return text


def _unwrapped(text: str) -> str:
    """Without a code fence, a JSON object of one text, a label, or quotation marks around all of it."""
    if fenced := _FENCE.match(text):
        text = fenced.group("inside").strip()
    if text.startswith("{") and text.endswith("}"):
        text = _only_text_of(text)
    text = _LABEL.sub("", text).strip()
    closing = _QUOTES.get(text[:1])
    inside = text[1:-1]
    if len(text) > 2 and closing and text.endswith(closing) and closing not in inside and text[0] not in inside:
        text = inside.strip()
    return text


def _only_text_of(text: str) -> str:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    texts = [value for value in found.values() if isinstance(value, str)] if isinstance(found, dict) else []
    return texts[0].strip() if len(texts) == 1 else text


def _without_marks(line: str) -> str:
    line = _LINE_MARK.sub("", line)
    line = _LINK.sub(lambda link: link.group("text"), line)
    line = _TAG.sub("", line)
    line = _EMPHASIS.sub(lambda emphasis: emphasis.group("text"), line)
    return _STRAY.sub("", line)
