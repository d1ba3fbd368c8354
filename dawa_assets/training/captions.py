"""The rule by which a segment's caption is made from its song's prompt and its own tags. Pure text.

The rule has a name: captions decide a training's fingerprint, so a change of the rule is a new name.
"""

import re

RULE = "caption-v1"

_TAGGED_TEMPO = re.compile(r"\d+(?:\.\d+)? BPM")
_BPM_LINE = re.compile(r"\s*\bBPM:\s*(\d+(?:\.\d+)?)\s*$", re.IGNORECASE)


def caption(prompt: str, tags: str | None, bpm: float | None) -> str:
    """`caption-v1`: the prompt without its closing BPM line, the segment's tags without theirs, and the BPM at the end.

    The BPM is the Live Set's; where that is unknown, the one that the prompt ends with; where that has none either,
    nothing is said of it. Always one line.
    """
    found = _BPM_LINE.search(prompt)
    body = " ".join((prompt[: found.start()] if found else prompt).split())
    tempo = f"{round(bpm, 2):g}" if bpm else found.group(1) if found else None
    parts = [_sentence(body), _sentence(_without_tempo(" ".join((tags or "").split())))]
    if tempo is not None:
        parts.append(f"BPM: {tempo}")
    return " ".join(part for part in parts if part)


def _without_tempo(tags: str) -> str:
    """`driving, 122 BPM, steady` → `driving, steady`: the tempo is said once."""
    return ", ".join(part for part in tags.split(", ") if not _TAGGED_TEMPO.fullmatch(part))


def _sentence(text: str) -> str:
    return text if not text or text[-1] in ".!?…" else f"{text}."
