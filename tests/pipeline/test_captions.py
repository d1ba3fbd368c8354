"""The rule `caption-v1`."""

import re

from hypothesis import given
from hypothesis import strategies as st

from dawa_assets.training.captions import caption


def test_the_prompts_bpm_line_gives_way_to_one_at_the_end() -> None:
    assert (
        caption("Dark dub techno with rolling bass.\nBPM: 124", "driving, A minor, heavy bass", 124.0)
        == "Dark dub techno with rolling bass. driving, A minor, heavy bass. BPM: 124"
    )


def test_the_live_sets_tempo_goes_before_the_prompts() -> None:
    assert caption("Slow. BPM: 80", None, 87.5) == "Slow. BPM: 87.5"


def test_without_a_tempo_of_the_set_the_prompts_own_is_kept() -> None:
    assert caption("Slow. BPM: 80", "calm", None) == "Slow. calm. BPM: 80"
    assert caption("Slow", "calm", None) == "Slow. calm."


def test_the_tempo_among_the_tags_is_not_said_again() -> None:
    assert caption("Slow.\nBPM: 80", "calm, 80 BPM, A minor", 80) == "Slow. calm, A minor. BPM: 80"
    assert caption("Slow.\nBPM: 80", "80 BPM", 80) == "Slow. BPM: 80"


@given(st.text(), st.none() | st.text(), st.none() | st.floats(20, 400))
def test_a_caption_is_one_line_and_names_the_bpm_at_most_once_more(
    prompt: str, tags: str | None, bpm: float | None
) -> None:
    made = caption(prompt, tags, bpm)
    assert "\n" not in made
    assert made == made.strip()
    if bpm is not None:
        assert re.search(r"BPM: [0-9.]+$", made)
