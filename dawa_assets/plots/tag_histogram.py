"""A picture of the commonest words in the tags of an artist's current segments."""

from collections.abc import Sequence
from io import BytesIO

from dawa_assets.ableton.fonts import drawable, families
from dawa_assets.tables.segment_tags import Word

DRAWING = "1"
"""Raise it when words are drawn differently."""


def draw_words(words: Sequence[Word]) -> bytes:
    """Draw a PNG with one bar a word, coloured by tag."""
    from matplotlib.figure import Figure

    tags = sorted({word.tag for word in words})
    figure = Figure(figsize=(8, 0.7 + 0.24 * len(words)), layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    for place, word in enumerate(words):
        colour = _COLOURS[tags.index(word.tag) % len(_COLOURS)]
        axes.barh(place, word.segments, color=colour, height=0.75)
        axes.text(word.segments, place, f" {word.segments}", va="center", fontsize=8)
    labels = [drawable(f"{word.tag}: {word.word}"[:48]).replace("$", r"\$") for word in words]
    axes.set_yticks(range(len(words)), labels, fontsize=8, family=families("".join(labels)))
    axes.invert_yaxis()
    axes.set(xlim=(0, words[0].of_segments * 1.06), xlabel=f"segments, of {words[0].of_segments}")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    file = BytesIO()
    figure.savefig(file, dpi=80, metadata={"Software": None})
    return file.getvalue()


_COLOURS = ("#1d4ed8", "#c2410c", "#15803d", "#7e22ce", "#b45309", "#0e7490", "#be123c", "#4d7c0f", "#6b7280")
