"""The rules that every prompt must meet, whoever wrote it: a model, the offline writer, or a person's import.

A prompt ends up in a text file beside the audio and in a trainer's caption, so it must be plain and short, carry the
set's own tempo, and keep to what the artist allows. Each broken rule is one line that starts with the rule's name.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from dawa_assets.prompting.phrase_matching import Phrase, contains, no_go_phrases, phrase_of, words_of
from dawa_assets.prompting.profile_facts import ProfileFacts

MAX_LENGTH = 700
SHORTEST = 15
MAX_WORDS = 90
_TOO_LONG_TO_READ = 10_000

_BPM_LINE = re.compile(r"\s*\bBPM:[ \t]*(?P<number>[0-9]+(?:\.[0-9]+)?)[ \t]*\n?\Z")
_BPM_ANYWHERE = re.compile(r"\bBPM\s*:", re.IGNORECASE)
_MARKUP = re.compile(
    r"```|^\s{0,3}(?:#{1,6}\s|[-*+•]\s|>\s|\d{1,2}[.)]\s)|\*\*|__|`|~~|\]\(|<[/!a-z][^>]*>|^\s*[{\[]|[}\]]\s*$|\"\s*:",
    re.IGNORECASE | re.MULTILINE,
)
_QUOTED = re.compile(r"\A\s*([\"'“‘«]).*[\"'”’»]\s*\Z", re.DOTALL)
_LINK = re.compile(r"https?:|www\.|\S@\S+\.\S", re.IGNORECASE)
_CHATTER = re.compile(
    r"\A\W*(?:sure|certainly|of course|okay|here(?:'s| is| are)|prompt\s*:|caption\s*:|i\s|i'|as an ai\b)"
    r"|\b(?:ignore|disregard|forget)\b.{0,40}\b(?:instruction|prompt|rule|above|previous)"
    r"|\b(?:system prompt|language model|openai|chatgpt|in the style of)\b",
    re.IGNORECASE | re.DOTALL,
)
_SENTENCE_END = re.compile(r"(?P<word>[^\s。！？]*?)(?P<mark>[.!?…。！？]+)[\"'”’»)\]]*(?=\s|\Z)|[。！？](?=\S)")
_ABBREVIATIONS = frozenset(
    re.findall(r"\S+", "feat ft vs approx ca etc no nr st mr mrs ms dr jr sr vol pt op e.g i.e a.k.a incl min max")
)
_HARMLESS_FORMAT = "\u200c\u200d"


@dataclass(frozen=True)
class PromptRules:
    """The rules for one track's prompt."""

    tempo: float
    no_go: tuple[Phrase, ...] = ()
    names: tuple[Phrase, ...] = ()

    def broken(self, text: str) -> list[str]:
        """Return the rules that the text breaks, one line each, in a fixed order; empty where it is fine."""
        if len(text) > _TOO_LONG_TO_READ:
            return [f"length: has {len(text):,} characters; at most {MAX_LENGTH}"]
        body = _BPM_LINE.sub("", text)
        return [
            f"{name}: {reason}"
            for name, rule in _RULES.items()
            if (reason := rule(self, text if name in _OF_THE_WHOLE else body))
        ]


def rules_for(profile: ProfileFacts, tempo: float, *, artist_name: str = "", context: str = "") -> PromptRules:
    """Return the rules that follow from an artist's profile and a set's tempo.

    A name that is among the words of the context anyway (an artist called "Bass") is an ordinary word and allowed.
    """
    known = words_of(context)
    names = [phrase for name in profile.names(artist_name) if (phrase := phrase_of(name))]
    return PromptRules(
        tempo=tempo,
        no_go=tuple(no_go_phrases(profile.no_go_zones)),
        names=tuple(phrase for phrase in names if not contains(known, phrase)),
    )


def bpm_line(tempo: float) -> str:
    """Return the line that every prompt ends with."""
    return f"BPM: {tempo:.2f}".rstrip("0").rstrip(".")


def sentences(text: str) -> int:
    """Return how many sentences a text has. Decimals ("12.5"), abbreviations ("feat.") and initials ("J.") end none."""
    ends = [match for match in _SENTENCE_END.finditer(text) if not _is_abbreviation(match)]
    rest = text[ends[-1].end() :] if ends else text
    return len(ends) + bool(re.search(r"\w", rest))


def _is_abbreviation(match: re.Match[str]) -> bool:
    word = (match.group("word") or "").lstrip("(\"'“‘«").casefold()
    return match.group("mark") == "." and (word in _ABBREVIATIONS or (len(word) == 1 and word.isalpha()))


def _plain_text(_: PromptRules, body: str) -> str:
    found = _MARKUP.search(body)
    if found:
        return f"holds markup ({found.group().strip()!r}); write plain text"
    return "stands in quotation marks; leave them out" if _QUOTED.match(body) else ""


def _clean_characters(_: PromptRules, text: str) -> str:
    for character in text:
        if character == "\n" or character in _HARMLESS_FORMAT:
            continue
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp"):
            return f"holds the control character U+{ord(character):04X}"
    return ""


def _one_paragraph(_: PromptRules, body: str) -> str:
    return "has line breaks before its BPM" if "\n" in body.strip() else ""


def _length(_: PromptRules, body: str) -> str:
    letters, words = len(body.strip()), len(body.split())
    if letters < SHORTEST or words < 3:
        return f"has {words} words; describe the track"
    if letters > MAX_LENGTH or words > MAX_WORDS:
        return f"has {words} words and {letters} characters; at most {MAX_WORDS} and {MAX_LENGTH}"
    return ""


def _one_or_two_sentences(_: PromptRules, body: str) -> str:
    number = sentences(body)
    return "" if 1 <= number <= 2 else f"has {number} sentences; one or two are wanted"


def _ends_with_bpm(rules: PromptRules, text: str) -> str:
    wanted = bpm_line(rules.tempo)
    found = _BPM_LINE.search(text)
    if found is None or f"BPM: {found.group('number')}" != wanted or not text.rstrip("\n").endswith(wanted):
        return f"does not end with {wanted!r}"
    return "says its BPM more than once" if len(_BPM_ANYWHERE.findall(text)) > 1 else ""


def _no_go_zones(rules: PromptRules, body: str) -> str:
    words = words_of(body)
    found = next((phrase for phrase in rules.no_go if contains(words, phrase)), None)
    return f"mentions {' '.join(found)!r}, which the artist's profile forbids" if found else ""


def _no_names(rules: PromptRules, body: str) -> str:
    words = words_of(body)
    found = next((phrase for phrase in rules.names if contains(words, phrase)), None)
    return f"names {' '.join(found)!r}; describe the sound, not who made it" if found else ""


def _no_links(_: PromptRules, body: str) -> str:
    return "holds a link or an address" if _LINK.search(body) else ""


def _only_the_description(_: PromptRules, body: str) -> str:
    found = _CHATTER.search(body)
    return f"says {found.group().strip()!r}; only the description is wanted" if found else ""


_RULES: dict[str, Callable[[PromptRules, str], str]] = {
    "plain-text": _plain_text,
    "clean-characters": _clean_characters,
    "one-paragraph": _one_paragraph,
    "length": _length,
    "one-or-two-sentences": _one_or_two_sentences,
    "ends-with-bpm": _ends_with_bpm,
    "no-go-zones": _no_go_zones,
    "no-names": _no_names,
    "no-links": _no_links,
    "only-the-description": _only_the_description,
}
_OF_THE_WHOLE = frozenset({"clean-characters", "ends-with-bpm"})


def rule_names() -> Iterable[str]:
    """Return the names of all rules, in the order in which they are reported."""
    return _RULES.keys()
