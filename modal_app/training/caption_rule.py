"""The rule by which a segment's caption is made from its song's prompt and its own tags, part by part. Pure text.

The rule has a name: captions decide a training's fingerprint, so a change of the rule is a new name. Which parts a
training leaves out now and then is the trainer's affair.
"""

import re
from collections.abc import Sequence

from modal_app.protocol.training import CaptionPart, Example

RULE = "caption-v2"

_TAGGED_TEMPO = re.compile(r"(?:about )?\d+(?:\.\d+)? BPM")
_TAGGED_KEY = re.compile(r"[A-G][#b♯♭]? (?:major|minor)")
_BPM_LINE = re.compile(r"\s*\bBPM:\s*(\d+(?:\.\d+)?)\s*$", re.IGNORECASE)


def caption_parts(
    prompt: str, tags: str | None, bpm: float | None, *, trigger_word: str | None = None
) -> list[CaptionPart]:
    """`caption-v2`: trigger word, prompt, the segment's tags, its key and its tempo; each part one line, none empty.

    The prompt comes without its closing BPM line, and the tags without tempo and key: both are said once, at the end
    (`Key: A minor. BPM: 124`). The BPM is the Live Set's; where that is unknown, the one that the prompt ends with;
    where that has none either, nothing is said of it.
    """
    found = _BPM_LINE.search(prompt)
    body = " ".join((prompt[: found.start()] if found else prompt).split())
    tempo = f"{round(bpm, 2):g}" if bpm else found.group(1) if found else None
    key = key_in(tags)
    parts = [
        CaptionPart(kind="trigger", text=_sentence(" ".join((trigger_word or "").split()))),
        CaptionPart(kind="prompt", text=_sentence(body)),
        CaptionPart(kind="tags", text=_sentence(", ".join(plain_tags(tags)))),
        CaptionPart(kind="key", text=f"Key: {key}." if key else ""),
        CaptionPart(kind="tempo", text=f"BPM: {tempo}" if tempo else ""),
    ]
    return [part for part in parts if part.text]


def key_in(tags: str | None) -> str | None:
    """Return the key that the tags name, e.g. `A minor`."""
    return next((tag for tag in _split(tags) if _TAGGED_KEY.fullmatch(tag)), None)


def trigger_word_in(examples: Sequence[Example]) -> str:
    """Return the trigger word that all captions begin with, without the dot that closes it; empty where there is none.

    One that only some begin with calls nothing.
    """
    firsts = [example.parts[0] if example.parts else None for example in examples]
    words = {first.text if first is not None and first.kind == "trigger" else "" for first in firsts}
    return words.pop().removesuffix(".") if len(words) == 1 else ""


def plain_tags(tags: str | None) -> list[str]:
    """`driving, 122 BPM, A minor, steady` → `driving`, `steady`."""
    return [tag for tag in _split(tags) if not (_TAGGED_TEMPO.fullmatch(tag) or _TAGGED_KEY.fullmatch(tag))]


def _split(tags: str | None) -> list[str]:
    return " ".join((tags or "").split()).split(", ")


def _sentence(text: str) -> str:
    return text if not text or text[-1] in ".!?…" else f"{text}."
