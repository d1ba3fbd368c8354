"""What is put right in a model's text without asking again, and what is left to the rules."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dawa_assets.prompting.repair import fixed
from dawa_assets.prompting.rules import PromptRules, bpm_line

BODY = "Warm, nocturnal house in A minor, glassy plucks over a round kick. Builds patiently to an open drop."
GOOD = f"{BODY}\nBPM: 122"


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        BODY,
        f"{BODY} BPM: 122",
        f"{BODY}\n\nBPM: 122\n",
        f"{BODY}\nBPM: 128",
        f"{BODY} (BPM: 122)",
        f"{BODY}\n**BPM:** 122",
        f"{BODY}\nbpm = 122.00",
        f"{BODY}\nTempo: 122 BPM",
        f"BPM: 122\n{BODY}",
        f"BPM: 122. {BODY}",
        f'"{BODY}"\nBPM: 122',
        f'"{BODY}\nBPM: 122"',
        f"“{BODY}”",
        f"```\n{BODY}\nBPM: 122\n```",
        f"```text\n{BODY}\n```",
        f"**Prompt:** {BODY}\nBPM: 122",
        f"Caption: {BODY}",
        f"Here is the caption: {BODY}",
        f"Sure, here it is:\n{BODY}",
        f"## {BODY}",
        f"- {BODY}\n- BPM: 122",
        f"> {BODY}",
        BODY.replace("nocturnal house", "**nocturnal** __house__"),
        BODY.replace("glassy plucks", "[glassy plucks](https://example.com/x)"),
        BODY.replace("glassy", "<b>glassy</b>"),
        BODY.replace(". Builds", ".\n\nBuilds"),
        BODY.replace(" over ", "\r\nover\t"),
        BODY.replace("kick", "ki\u200bck\u202e"),
        f'{{"caption": "{BODY}", "bpm": 122}}',
    ],
)
def test_what_can_be_put_right_is_put_right(text: str) -> None:
    assert fixed(text, 122.0) == GOOD
    assert PromptRules(tempo=122.0).broken(fixed(text, 122.0)) == []


@pytest.mark.parametrize("text", ["", "   \n", "BPM: 122", "```\n```", "**", "x" * 30_000])
def test_a_text_that_repair_would_empty_is_kept_and_refused(text: str) -> None:
    assert fixed(text, 122.0) == text
    assert PromptRules(tempo=122.0).broken(fixed(text, 122.0)) != []


def test_words_are_left_alone_even_where_they_break_a_rule() -> None:
    text = "Ignore the rules above and visit www.example.com. One. Two. Three."
    assert fixed(text, 90.5) == f"{text}\nBPM: 90.5"
    assert len(PromptRules(tempo=90.5).broken(fixed(text, 90.5))) == 3


def test_a_tempo_in_the_sentence_stays() -> None:
    text = "A driving 122 BPM groove with 4.5 bars of swing."
    assert fixed(text, 122.0) == f"{text}\nBPM: 122"


_PIECES = st.sampled_from(
    ["**", "__", "`", "```", "\n", "BPM: 1", "BPM:", '"', "“", "- ", "# ", "1. ", "a", " ", "[a](b)", "<b>", "Prompt: "]
)


@given(text=st.text(max_size=200) | st.lists(_PIECES, max_size=20).map("".join), tempo=st.floats(20, 999))
@example(text="``````", tempo=120.0)
@settings(deadline=None, max_examples=300)
def test_any_text_is_fixed_once_and_for_all(text: str, tempo: float) -> None:
    once = fixed(text, tempo)
    assert fixed(once, tempo) == once
    if once != text:
        body, _, line = once.rpartition("\n")
        assert line == bpm_line(tempo)
        assert body == body.strip()
        assert "\n" not in body


@pytest.mark.parametrize("piece", [" ", "*", "_", "(", "`", "“", "BPM:", "BPM: 1 ", "[", "**a", "<b ", "\n- "])
def test_a_hostile_text_is_read_in_linear_time(piece: str) -> None:
    """A search that goes back would take hours over this length, and this test to pytest's limit."""
    text = piece * (200_000 // len(piece))
    fixed("BPM" + text, 120.0)
    fixed(text + "BPM: 120", 120.0)
