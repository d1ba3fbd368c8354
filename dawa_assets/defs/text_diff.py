"""Texts before and after a run, as markdown in which the words that changed stand out."""

import difflib
from collections.abc import Sequence

import dagster as dg

from dawa_assets.defs.metadata import escaped
from dawa_assets.prompting.refresh import PromptExample

_MAX_LENGTH = 2_000  # characters of a text that are shown


def before_and_after(examples: Sequence[PromptExample]) -> dg.MetadataValue:
    """Each prompt that was rewritten: why, its old text with what went struck out, its new text with what came bold."""
    parts = []
    for example in examples:
        before, after = marked(example.before, example.after)
        title = f"**{escaped(example.item)}** ({escaped(example.because)})"
        lines = [title, f"- old: {before}", f"- new: {after}"] if example.before else [title, f"- new: {after}"]
        parts.append("\n".join(lines))
    return dg.MetadataValue.md("\n\n".join(parts) or "nothing was rewritten")


def marked(before: str, after: str) -> tuple[str, str]:
    """Both texts as markdown on one line each: words only in the old one struck out, only in the new one bold."""
    old, new = before[:_MAX_LENGTH].split(), after[:_MAX_LENGTH].split()
    if not old:
        return "", escaped(" ".join(new))
    gone: list[str] = []
    come: list[str] = []
    for what, old_from, old_to, new_from, new_to in difflib.SequenceMatcher(
        None, old, new, autojunk=False
    ).get_opcodes():
        went, came = escaped(" ".join(old[old_from:old_to])), escaped(" ".join(new[new_from:new_to]))
        if went:
            gone.append(went if what == "equal" else f"~~{went}~~")
        if came:
            come.append(came if what == "equal" else f"**{came}**")
    return " ".join(gone), " ".join(come)
