"""The rule by which texts are made for a generator: the same one for a segment that is trained on and for a rendering.

The rule has a name: captions decide a training's fingerprint, so a change of the rule is a new name. An adapter's card
names the rule that it was trained by, and renders by it. Which parts a training leaves out now and then is the
trainer's affair. Pure text.
"""

import itertools
import re
from collections.abc import Collection, Sequence

from modal_app.backends.base import Conditioning
from modal_app.protocol.song_timeline import Change, Section, SpanFacts
from modal_app.protocol.training import CaptionPart, Example, MusicalFacts

RULE = "caption-v4"

_FIRST_RULE = "caption-v2"
"""Tempo and key stood in every caption, also beside metadata that tell them; the length stated was the segment's."""
_WITHOUT_SECTIONS = frozenset({_FIRST_RULE, "caption-v3"})
"""They knew nothing of what a Live Set knows of a segment."""

_LEAST_SHARE = 0.1  # of a segment: what sounds for less is told where it comes or goes, or not at all
_SPARSE, _FULL = 0.6, 1.3  # of the song's own mean density
_MAX_INSTRUMENTS, _MAX_CHANGES = 9, 4

_KEY = r"[A-G][#b♯♭]? (?:major|minor)"
_TAGGED_TEMPO = re.compile(r"(?:about )?\d+(?:\.\d+)? BPM")
_TAGGED_KEY = re.compile(_KEY)
_TWO_KEYS = re.compile(f"{_KEY} or {_KEY}")
_BPM_LINE = re.compile(r"\s*\bBPM:\s*(\d+(?:\.\d+)?)\s*$", re.IGNORECASE)


def caption_parts(
    prompt: str,
    tags: str | None,
    bpm: float | None,
    *,
    key: str | None = None,
    trigger_word: str | None = None,
    facts: SpanFacts | None = None,
    sections: Sequence[Section] = (),
) -> list[CaptionPart]:
    """Return a caption's parts: each one line, none empty, in the order in which they are told.

    Trigger word, prompt, sections, what the Live Set knows of the segment, the tagger's words, key, tempo. The prompt
    comes without its closing BPM line, and the tags without tempo and key: both are said once, at the end
    (`Key: A minor. BPM: 124`), or in a generator's metadata where it has any.

    Args:
        prompt: the track's.
        tags: of the segment.
        bpm: the Live Set's; where that is unknown, the one that the prompt ends with; else nothing is said of it.
        key: the Live Set's, else the one that can be heard in the segment.
        trigger_word: what calls the style.
        facts: of the segment, where its bounce is aligned.
        sections: where there are no facts.
    """
    found = _BPM_LINE.search(prompt)
    body = " ".join((prompt[: found.start()] if found else prompt).split())
    tempo = f"{round(bpm, 2):g}" if bpm else found.group(1) if found else None
    key = key or next((tag for tag in _split(tags) if _TAGGED_KEY.fullmatch(tag) or _TWO_KEYS.fullmatch(tag)), None)
    named = facts.sections if facts else sections
    parts = [
        CaptionPart(kind="trigger", text=_sentence(" ".join((trigger_word or "").split()))),
        CaptionPart(kind="prompt", text=_sentence(body)),
        *_of_live_set(named, facts),
        CaptionPart(kind="tags", text=_sentence(", ".join(plain_tags(tags)))),
        CaptionPart(kind="key", text=f"Key: {key}." if key else ""),
        CaptionPart(kind="tempo", text=f"BPM: {tempo}" if tempo else ""),
    ]
    return [part for part in parts if part.text]


def with_facts(example: Example, facts: SpanFacts | None) -> Example:
    """Return an example as it is told of another stretch of its song, by what the Live Set knows of that one."""
    sections = facts.sections if facts else ()
    before = [part for part in example.parts if part.kind in ("trigger", "prompt")]
    behind = [part for part in example.parts if part.kind in ("tags", "key", "tempo")]
    of_live_set = [part for part in _of_live_set(sections, facts) if part.text]
    metre = (facts.time_signature if facts else None) or example.time_signature
    changes = {"parts": [*before, *of_live_set, *behind], "sections": sections, "time_signature": metre}
    return example.model_copy(update=changes)


def _of_live_set(sections: Sequence[Section], facts: SpanFacts | None) -> list[CaptionPart]:
    return [
        CaptionPart(kind="section", text=f"Section: {', '.join(sections)}." if sections else ""),
        CaptionPart(kind="facts", text=facts_line(facts) if facts else ""),
    ]


def facts_line(facts: SpanFacts) -> str:
    """Return what plays in a stretch, in a line such as `Sparse: plucks and pads; shaker enters at 4 s, bass at 8 s`.

    What was there before comes first, by role; then who comes in, then who goes, to the second. Empty where nothing
    sounds that has a name.
    """
    coming = {change.instrument for change in facts.enters}
    there = [
        each.instrument for each in facts.instruments if each.instrument not in coming and each.share >= _LEAST_SHARE
    ]
    clauses = [_listed(there[:_MAX_INSTRUMENTS])] if there else []
    clauses += [line for line in (_changes(facts.enters, "enter"), _changes(facts.leaves, "leave")) if line]
    if not clauses:
        return ""
    density = facts.density or 1.0
    much = "Sparse: " if density <= _SPARSE else "Full: " if density >= _FULL else ""
    line = f"{much}{'; '.join(clauses)}."
    return line[0].upper() + line[1:]


def _changes(changes: Sequence[Change], verb: str) -> str:
    """Return `kick and snare enter at 6 s, rim at 11 s`; those of one second together, the first ones alone."""
    lines: list[str] = []
    for second, group in itertools.islice(
        itertools.groupby(changes, key=lambda change: round(change.seconds)), _MAX_CHANGES
    ):
        names = list(dict.fromkeys(change.instrument for change in group))
        does = "" if lines else f" {verb}{'' if len(names) > 1 or _is_plural(names[0]) else 's'}"
        lines.append(f"{_listed(names)}{does} at {second} s")
    return ", ".join(lines)


def _is_plural(name: str) -> bool:
    return name.endswith("s") and not name.endswith(("ss", "bass"))


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def kinds_in_metadata(rule: str, metadata: Collection[str]) -> frozenset[str]:
    """Return the kinds of parts that a generator's text leaves out, since its metadata tell them.

    Args:
        rule: by which the adapter was, or is, trained.
        metadata: the kinds that this generator takes as metadata.
    """
    return frozenset() if rule == _FIRST_RULE else frozenset(metadata)


def stated_seconds(rule: str, segment: float, song: float) -> float:
    """Return the length in seconds that a generator is told of a segment: that of its song.

    What is rendered is of the length that is asked for; were it given the segment's, 15 s would be all that it knows.
    """
    return segment if rule == _FIRST_RULE else song


def conditioning_of_parts(
    parts: Sequence[CaptionPart], facts: MusicalFacts, in_metadata: Collection[str]
) -> Conditioning:
    """Return what a generator is told by a caption's parts: its text, and what it takes as metadata.

    A section, a tempo or a key that is left out of the parts is told in no way; a metre comes and goes with a known
    tempo.

    Args:
        parts: of the caption, in order; some may be left out.
        facts: the music's tempo, key, metre and sections, as far as they are known.
        in_metadata: the kinds of parts that are left out of the text, of `kinds_in_metadata`.
    """
    kinds = {part.kind for part in parts}
    return Conditioning(
        caption=" ".join(part.text for part in parts if part.kind not in in_metadata),
        bpm=facts.bpm if "tempo" in kinds else None,
        musical_key=facts.musical_key if "key" in kinds else None,
        time_signature=facts.time_signature if "tempo" in kinds or facts.bpm is None else None,
        sections=facts.sections if "section" in kinds and "section" in in_metadata else (),
    )


def conditioning_of_prompt(
    prompt: str, facts: MusicalFacts, in_metadata: Collection[str], rule: str = RULE
) -> Conditioning:
    """Return what a generator is told by somebody's prompt, which may end with a BPM line, just as in training.

    Sections are left out where the rule doesn't know them, see `knows_sections`.
    """
    known = facts.model_copy(
        update={
            "bpm": facts.bpm or bpm_in(prompt),
            "sections": facts.sections if knows_sections(rule) else (),
        }
    )
    parts = caption_parts(prompt, None, known.bpm, key=known.musical_key, sections=known.sections)
    return conditioning_of_parts(parts, known, in_metadata)


def knows_sections(rule: str) -> bool:
    """Return whether captions by this rule tell of sections."""
    return rule not in _WITHOUT_SECTIONS


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
    """Return the tags without tempo and key: `driving`, `steady` of `driving, 122 BPM, A minor, steady`."""
    told_apart = (_TAGGED_TEMPO, _TAGGED_KEY, _TWO_KEYS)
    return [tag for tag in _split(tags) if not any(pattern.fullmatch(tag) for pattern in told_apart)]


def _split(tags: str | None) -> list[str]:
    return " ".join((tags or "").split()).split(", ")


def _sentence(text: str) -> str:
    return text if not text or text[-1] in ".!?…" else f"{text}."
