"""Captions that the server gives, made from the question alone, and captions that break one rule each."""

import hashlib
import json
from typing import Any

_MOODS = ("Warm", "Wistful", "Restless", "Patient", "Bright", "Sombre", "Tender", "Wide-open")
_LEADS = ("slow pads", "a dry pulse", "round low notes", "brushed percussion", "a far-off lead", "soft chords")
_WAYS = ("builds by small steps", "keeps its calm", "opens up late", "circles one idea", "falls away at its end")
_USES = ("closing scenes", "a morning drive", "quiet montages", "city nights", "long shots")


def caption(question: str, kind: str) -> str:
    """The caption for a question with a context in it. The same question gives the same caption."""
    context = _context(question)
    tempo = context.get("tempo_bpm", 120)
    drawn = hashlib.sha256(question.encode("utf-8", "surrogatepass")).digest()
    mood, lead, way, use = (
        choices[byte % len(choices)] for choices, byte in zip((_MOODS, _LEADS, _WAYS, _USES), drawn, strict=False)
    )
    first, second = f"{mood} piece led by {lead} over a steady beat.", f"It {way}, made for {use}."
    bpm = f"BPM: {tempo}"
    match kind:
        case "markdown":
            return f"**Caption**\n\n{first} {second}\n\n{bpm}"
        case "quoted":
            return f'"{first} {second}"\n{bpm}'
        case "no_bpm":
            return f"{first} {second}"
        case "other_bpm":
            return f"{first} {second}\nBPM: {float(tempo) + 7:g}"
        case "three_sentences":
            return f"{first} {second} Nobody would ask for more.\n{bpm}"
        case "no_go":
            return f"{first[:-1]} with {_forbidden(context)}. {second}\n{bpm}"
        case "link":
            return f"{first} {second[:-1]}, see https://example.com/more.\n{bpm}"
        case "chatter":
            return f"Sure, here is the caption you asked for: {first}\n{bpm}"
        case "empty":
            return ""
        case _:
            return f"{first} {second}\n{bpm}"


def _context(question: str) -> dict[str, Any]:
    try:
        context = json.loads(question)
    except (ValueError, RecursionError):
        return {}
    return context if isinstance(context, dict) else {}


def _forbidden(context: dict[str, Any]) -> str:
    zones = context.get("no_go_zones")
    first = zones[0] if isinstance(zones, list) and zones and isinstance(zones[0], str) else "bootleg vocals"
    return first.rstrip(".")
