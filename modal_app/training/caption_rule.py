"""The rule by which texts are made for a generator: the same one for a segment that is trained on and for a rendering.

The rule has a name: captions decide a training's fingerprint, so a change of the rule is a new name. An adapter's card
names the rule that it was trained by, and renders by it. Which parts a training leaves out now and then is the
trainer's affair. Pure text.
"""

import re
from collections.abc import Collection, Sequence

from modal_app.backends.base import Conditioning
from modal_app.protocol.training import CaptionPart, Example, MusicalFacts

RULE = "caption-v3"

_FORMER_RULE = "caption-v2"
"""Tempo and key stood in every caption, also beside metadata that tell them; the length stated was the segment's."""

_KEY = r"[A-G][#b♯♭]? (?:major|minor)"
_TAGGED_TEMPO = re.compile(r"(?:about )?\d+(?:\.\d+)? BPM")
_TAGGED_KEY = re.compile(_KEY)
_TWO_KEYS = re.compile(f"{_KEY} or {_KEY}")
_BPM_LINE = re.compile(r"\s*\bBPM:\s*(\d+(?:\.\d+)?)\s*$", re.IGNORECASE)


def caption_parts(
    prompt: str, tags: str | None, bpm: float | None, *, key: str | None = None, trigger_word: str | None = None
) -> list[CaptionPart]:
    """Return trigger word, prompt, the segment's tags, its key and its tempo; each part one line, none empty.

    The prompt comes without its closing BPM line, and the tags without tempo and key: both are said once, at the end
    (`Key: A minor. BPM: 124`), or in a generator's metadata where it has any. The BPM is the Live Set's; where that is
    unknown, the one that the prompt ends with; where that has none either, nothing is said of it. The key is the Live
    Set's (`key`), else the one that can be heard in the segment.
    """
    found = _BPM_LINE.search(prompt)
    body = " ".join((prompt[: found.start()] if found else prompt).split())
    tempo = f"{round(bpm, 2):g}" if bpm else found.group(1) if found else None
    key = key or next((tag for tag in _split(tags) if _TAGGED_KEY.fullmatch(tag) or _TWO_KEYS.fullmatch(tag)), None)
    parts = [
        CaptionPart(kind="trigger", text=_sentence(" ".join((trigger_word or "").split()))),
        CaptionPart(kind="prompt", text=_sentence(body)),
        CaptionPart(kind="tags", text=_sentence(", ".join(plain_tags(tags)))),
        CaptionPart(kind="key", text=f"Key: {key}." if key else ""),
        CaptionPart(kind="tempo", text=f"BPM: {tempo}" if tempo else ""),
    ]
    return [part for part in parts if part.text]


def kinds_in_metadata(rule: str, metadata: Collection[str]) -> frozenset[str]:
    """Return the kinds of parts that a generator's text leaves out, since its metadata tell them.

    Args:
        rule: by which the adapter was, or is, trained.
        metadata: the kinds that this generator takes as metadata.
    """
    return frozenset() if rule == _FORMER_RULE else frozenset(metadata)


def stated_seconds(rule: str, segment: float, song: float) -> float:
    """Return the length in seconds that a generator is told of a segment: that of its song.

    What is rendered is of the length that is asked for; were it given the segment's, 15 s would be all that it knows.
    """
    return segment if rule == _FORMER_RULE else song


def conditioning_of_parts(
    parts: Sequence[CaptionPart], facts: MusicalFacts, in_metadata: Collection[str]
) -> Conditioning:
    """Return what a generator is told by a caption's parts: its text, and what it takes as metadata.

    A tempo or a key that is left out of the parts is told in no way; a metre comes and goes with a known tempo.

    Args:
        parts: of the caption, in order; some may be left out.
        facts: the music's tempo, key and metre, as far as they are known.
        in_metadata: the kinds of parts that are left out of the text, of `kinds_in_metadata`.
    """
    kinds = {part.kind for part in parts}
    return Conditioning(
        caption=" ".join(part.text for part in parts if part.kind not in in_metadata),
        bpm=facts.bpm if "tempo" in kinds else None,
        musical_key=facts.musical_key if "key" in kinds else None,
        time_signature=facts.time_signature if "tempo" in kinds or facts.bpm is None else None,
    )


def conditioning_of_prompt(prompt: str, facts: MusicalFacts, in_metadata: Collection[str]) -> Conditioning:
    """Return what a generator is told by somebody's prompt, which may end with a BPM line, just as in training."""
    known = facts.model_copy(update={"bpm": facts.bpm or bpm_in(prompt)})
    return conditioning_of_parts(caption_parts(prompt, None, known.bpm, key=facts.musical_key), known, in_metadata)


def key_in(tags: str | None) -> str | None:
    """Return the key that the tags name, e.g. `A minor`; None where they leave open which of two it is."""
    return next((tag for tag in _split(tags) if _TAGGED_KEY.fullmatch(tag)), None)


def trigger_word_in(examples: Sequence[Example]) -> str:
    """Return the trigger word that all captions begin with, without the dot that closes it; empty where there is none.

    One that only some begin with calls nothing.
    """
    firsts = [example.parts[0] if example.parts else None for example in examples]
    words = {first.text if first is not None and first.kind == "trigger" else "" for first in firsts}
    return words.pop().removesuffix(".") if len(words) == 1 else ""


def bpm_in(prompt: str) -> float | None:
    """Return the tempo that a prompt ends with (`BPM: 124`), if it is one."""
    found = _BPM_LINE.search(prompt)
    return float(found.group(1)) or None if found else None


def plain_tags(tags: str | None) -> list[str]:
    """`driving, 122 BPM, A minor, steady` → `driving`, `steady`."""
    told_apart = (_TAGGED_TEMPO, _TAGGED_KEY, _TWO_KEYS)
    return [tag for tag in _split(tags) if not any(pattern.fullmatch(tag) for pattern in told_apart)]


def _split(tags: str | None) -> list[str]:
    return " ".join((tags or "").split()).split(", ")


def _sentence(text: str) -> str:
    return text if not text or text[-1] in ".!?…" else f"{text}."
