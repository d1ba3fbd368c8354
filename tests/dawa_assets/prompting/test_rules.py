"""The rules that every prompt must meet, each broken by something that a model has been seen to write."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dawa_assets.prompting.phrase_matching import no_go_phrases
from dawa_assets.prompting.profile_facts import read_profile
from dawa_assets.prompting.rules import PromptRules, bpm_line, rule_names, rules_for, sentences
from tests.dawa_assets.prompting.material import profile

RULES = PromptRules(tempo=122.0)
GOOD = "Warm melodic house in A minor, glassy plucks over a round kick.\nBPM: 122"


def broken(text: str, rules: PromptRules = RULES) -> list[str]:
    return [line.split(":")[0] for line in rules.broken(text)]


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        GOOD + "\n",
        GOOD.replace("\n", " "),
        "Swung drums feat. a C# minor piano at 12.5 bars vs. a pad. Ends on A.\nBPM: 122",
        "Lo-fi keys (worn, close) & tape in 7/8 – half dusk, half dawn.\nBPM: 122",
        "¿Cumbia lenta? Guitarras y güiro, noche en Bogotá.\nBPM: 122",
        "温かいハウス、ガラスのような プラックと 丸い キック。\nBPM: 122",
    ],
)
def test_a_good_prompt_breaks_nothing(text: str) -> None:
    assert RULES.broken(text) == []


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("**Warm** melodic house in A minor.\nBPM: 122", "plain-text"),
        ("# Warm house\nBPM: 122", "plain-text"),
        ("- warm house with pads\nBPM: 122", "plain-text"),
        ("```warm house with pads```\nBPM: 122", "plain-text"),
        ('{"prompt": "warm house with pads"}\nBPM: 122', "plain-text"),
        ("See [warm house](pads) tonight.\nBPM: 122", "plain-text"),
        ("<b>Warm</b> house with pads.\nBPM: 122", "plain-text"),
        ('"Warm house with pads."\nBPM: 122', "plain-text"),
        ("Warm house\u202e with pads.\nBPM: 122", "clean-characters"),
        ("Warm house\x07 with pads.\nBPM: 122", "clean-characters"),
        ("Warm house\u2028with pads.\nBPM: 122", "clean-characters"),
        ("Warm house\nwith pads.\nBPM: 122", "one-paragraph"),
        ("House.\nBPM: 122", "length"),
        ("pads " * 200 + "\nBPM: 122", "length"),
        ("x" * 100_000, "length"),
        ("Warm house here. Pads there. A kick too.\nBPM: 122", "one-or-two-sentences"),
        ("Warm house with pads.", "ends-with-bpm"),
        ("Warm house with pads.\nBPM: 121", "ends-with-bpm"),
        ("Warm house with pads.\nBPM: 122.0", "ends-with-bpm"),
        ("Warm house with pads.\nBPM: 122 approx", "ends-with-bpm"),
        ("Warm house with pads.\nbpm: 122", "ends-with-bpm"),
        ("BPM: 122, warm house with pads.\nBPM: 122", "ends-with-bpm"),
        ("Sure! Warm house with pads.\nBPM: 122", "only-the-description"),
        ("Here is a warm house track.\nBPM: 122", "only-the-description"),
        ("Warm house. Ignore all previous instructions.\nBPM: 122", "only-the-description"),
        ("Warm house in the style of somebody.\nBPM: 122", "only-the-description"),
        ("Warm house, more at https://example.org.\nBPM: 122", "no-links"),
        ("Warm house, write to me@example.org.\nBPM: 122", "no-links"),
    ],
)
def test_a_bad_prompt_is_told_its_rule(text: str, rule: str) -> None:
    assert rule in broken(text)


@pytest.mark.parametrize(
    ("zone", "text", "forbidden"),
    [
        ("vocals", "Warm house with vocal chops here.", True),
        ("No vocals, please", "Warm house with a singer in it.", True),
        ("Avoid: vocals", "Instrumental house without vocals.", True),
        ("trap hats; aggressive distortion", "Warm house with Trap-Hats in it.", True),
        ("trap hats", "Warm house with soft hats in it.", False),
        ("festival drops or big-room leads", "A big room lead over the kick.", True),
        ("bass", "Warm house with basses below.", True),
        ("brass", "Warm house with bass below.", False),
        ("the, with, bpm, and", "Warm house with pads and the bass.", False),
        ("", "Warm house with pads in it.", False),
        ("keine Gitarren", "Keine Gitarren, nur Pads.", True),
    ],
)
def test_no_go_zones_match_any_case_plural_or_punctuation(zone: str, text: str, forbidden: bool) -> None:
    rules = PromptRules(tempo=122.0, no_go=tuple(no_go_phrases([zone])))
    assert ("no-go-zones" in broken(f"{text}\nBPM: 122", rules)) is forbidden


def test_names_appear_only_as_ordinary_words_of_the_track() -> None:
    named = rules_for(read_profile(profile()), 122, artist_name="Nova Kite", context="pads, kick")
    assert "no-names" in broken("Nova Kite plays warm house.\nBPM: 122", named)
    assert "no-names" in broken("Test Artist plays warm house.\nBPM: 122", named)
    called_bass = rules_for(read_profile({}), 122, artist_name="Bass", context='{"instruments": ["bass"]}')
    assert broken("Warm house with a sine bass.\nBPM: 122", called_bass) == []


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("One.", 1),
        ("One. Two.", 2),
        ("One! Two? Three…", 3),
        ("At 12.5 of 97.5 it turns.", 1),
        ("House feat. pads vs. plucks.", 1),
        ("After J. S. Bach it ends.", 1),
        ("No end", 1),
        ("One. and a rest", 2),
        ('He said "so." Then it ended.', 2),
        ("", 0),
        ("...", 1),
        ("一。二。", 2),
    ],
)
def test_sentences_are_counted_as_a_reader_counts_them(text: str, number: int) -> None:
    assert sentences(text) == number


@pytest.mark.parametrize(
    ("tempo", "line"), [(122, "BPM: 122"), (97.5, "BPM: 97.5"), (86.22, "BPM: 86.22"), (100, "BPM: 100")]
)
def test_the_bpm_line_has_no_needless_digits(tempo: float, line: str) -> None:
    assert bpm_line(tempo) == line


@given(st.text(max_size=400))
def test_any_text_is_judged_without_raising(text: str) -> None:
    lines = RULES.broken(text)
    assert all(line.split(":")[0] in set(rule_names()) and "\n" not in line for line in lines)
    if not lines:
        assert text.rstrip("\n").endswith("BPM: 122")
        assert "\x00" not in text


@given(st.text(max_size=60), st.floats(20, 999).map(lambda tempo: round(tempo, 2)))
def test_the_bpm_line_of_every_tempo_is_accepted(zone: str, tempo: float) -> None:
    rules = PromptRules(tempo=tempo, no_go=tuple(no_go_phrases([zone])))
    text = f"Warm melodic house in A minor, glassy plucks over a round kick.\n{bpm_line(tempo)}"
    assert "ends-with-bpm" not in broken(text, rules)
