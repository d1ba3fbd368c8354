"""The rule `caption-v4`: what a caption is made of, and what of it stands in the text."""

import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from dawa_assets.datasets.build import build_dataset
from dawa_assets.training.runs import train_lora
from modal_app.protocol.song_timeline import Change, Sounding, SpanFacts
from modal_app.protocol.training import Example, MusicalFacts, TrainRequest
from modal_app.training.caption_rule import (
    caption_parts,
    conditioning_of_parts,
    conditioning_of_prompt,
    facts_line,
    key_in,
    kinds_in_metadata,
    knows_sections,
    trigger_word_in,
)
from tests.dawa_assets.training.catalogue import Catalogue, RecordingCompute, caption_of, tone

FACTS = SpanFacts(
    version="test",
    start=0,
    end=15,
    first_bar=1,
    last_bar=8,
    sections=("intro", "build"),
    instruments=[
        Sounding(instrument="kick", role="rhythm", share=0.5),
        Sounding(instrument="sub bass", role="bass", share=0.3),
        Sounding(instrument="pads", role="harmony", share=1),
        Sounding(instrument="plucks", role="melody", share=0.4),
        Sounding(instrument="impacts", role="texture", share=0.05),
    ],
    enters=[Change(instrument="kick", seconds=7.4), Change(instrument="sub bass", seconds=10.6)],
    leaves=[Change(instrument="plucks", seconds=6.1)],
    density=0.5,
    musical_key="A minor",
    time_signature="4/4",
)


def caption(prompt: str, tags: str | None, bpm: float | None) -> str:
    return " ".join(part.text for part in caption_parts(prompt, tags, bpm))


def test_key_and_tempo_at_the_end_replace_the_prompts_bpm_line() -> None:
    assert (
        caption("Dark dub techno with rolling bass.\nBPM: 124", "driving, A minor, heavy bass", 124.0)
        == "Dark dub techno with rolling bass. driving, heavy bass. Key: A minor. BPM: 124"
    )


def test_each_part_has_a_kind_so_that_training_can_drop_it() -> None:
    parts = caption_parts("Slow.\nBPM: 80", "calm, F# major", 80, trigger_word="nawfside")
    assert [(part.kind, part.text) for part in parts] == [
        ("trigger", "nawfside."),
        ("prompt", "Slow."),
        ("tags", "calm."),
        ("key", "Key: F# major."),
        ("tempo", "BPM: 80"),
    ]


def test_what_is_not_known_is_no_part() -> None:
    assert [part.kind for part in caption_parts("Slow", "A minor, 80 BPM", None)] == ["prompt", "key"]
    assert caption_parts("  ", None, None) == []


def test_the_live_sets_tempo_goes_before_the_prompts() -> None:
    assert caption("Slow. BPM: 80", None, 87.5) == "Slow. BPM: 87.5"


def test_without_a_tempo_of_the_set_the_prompts_own_is_kept() -> None:
    assert caption("Slow. BPM: 80", "calm", None) == "Slow. calm. BPM: 80"
    assert caption("Slow", "calm", None) == "Slow. calm."


def test_the_tempo_among_the_tags_is_not_said_again() -> None:
    assert caption("Slow.\nBPM: 80", "calm, 80 BPM, sparse", 80) == "Slow. calm, sparse. BPM: 80"
    assert caption("Slow.\nBPM: 80", "about 80 BPM", 80) == "Slow. BPM: 80"


def test_of_two_keys_the_text_names_both_and_metadata_none() -> None:
    parts = caption_parts("Slow.", "calm, C major or A minor, sparse", None)
    assert [part.text for part in parts] == ["Slow.", "calm, sparse.", "Key: C major or A minor."]
    assert key_in("calm, C major or A minor") is None


def test_what_metadata_tell_is_not_in_the_text_too() -> None:
    facts = MusicalFacts(bpm=124.0, musical_key="A minor", time_signature="3/4")
    parts = caption_parts("Slow.\nBPM: 124", "calm, A minor", 124.0)
    found = conditioning_of_parts(parts, facts, {"tempo", "key"})
    assert (found.caption, found.bpm, found.musical_key, found.time_signature) == (
        "Slow. calm.",
        124.0,
        "A minor",
        "3/4",
    )
    assert conditioning_of_parts(parts, facts, ()).caption == "Slow. calm. Key: A minor. BPM: 124"
    # what is left out is told in no way
    without = conditioning_of_parts([part for part in parts if part.kind == "prompt"], facts, {"tempo", "key"})
    assert (without.caption, without.bpm, without.musical_key, without.time_signature) == ("Slow.", None, None, None)


def test_what_the_set_knows_stands_between_style_and_tags() -> None:
    parts = caption_parts("Slow.\nBPM: 80", "calm, A minor", 80, trigger_word="nova", facts=FACTS)
    assert [(part.kind, part.text) for part in parts] == [
        ("trigger", "nova."),
        ("prompt", "Slow."),
        ("section", "Section: intro, build."),
        ("facts", "Sparse: pads and plucks; kick enters at 7 s, sub bass at 11 s; plucks leave at 6 s."),
        ("tags", "calm."),
        ("key", "Key: A minor."),
        ("tempo", "BPM: 80"),
    ]


def test_facts_say_what_is_known_and_no_more() -> None:
    none = FACTS.model_copy(update={"instruments": [], "enters": [], "leaves": []})
    assert facts_line(none) == ""
    full = FACTS.model_copy(update={"density": 1.4, "enters": [], "leaves": []})
    assert facts_line(full) == "Full: kick, sub bass, pads and plucks."
    together = [Change(instrument=name, seconds=5.2) for name in ("snare", "rim")]
    assert facts_line(none.model_copy(update={"enters": together})) == "Sparse: snare and rim enter at 5 s."


def test_sections_are_told_as_metadata_or_in_the_text() -> None:
    known = MusicalFacts(sections=("intro", "build"))
    parts = caption_parts("Slow.", None, None, facts=FACTS)
    beside = conditioning_of_parts(parts, known, {"section"})
    assert beside.sections == ("intro", "build")
    assert "Section" not in (beside.caption or "")
    within = conditioning_of_parts(parts, known, ())
    assert (within.sections, "Section: intro, build." in (within.caption or "")) == ((), True)
    # what is left out is told in no way
    assert conditioning_of_parts(parts[:1], known, {"section"}).sections == ()


def test_who_asks_for_a_section_is_understood_as_a_training_is() -> None:
    facts = MusicalFacts(bpm=124, sections=("drop",))
    here = FACTS.model_copy(update={"sections": ("drop",), "instruments": [], "enters": [], "leaves": []})
    for metadata in (frozenset(), {"section", "tempo", "key"}):
        asked = conditioning_of_prompt("Dark dub.", facts, metadata)
        assert asked == conditioning_of_parts(caption_parts("Dark dub.", None, 124, facts=here), facts, metadata)


def test_an_adapter_of_a_rule_without_sections_gets_none() -> None:
    facts = MusicalFacts(sections=("drop",))
    assert not knows_sections("caption-v3")
    for metadata in (frozenset(), {"section"}):
        asked = conditioning_of_prompt("Dark dub.", facts, metadata, "caption-v3")
        assert (asked.caption, asked.sections) == ("Dark dub.", ())
    assert conditioning_of_prompt("Dark dub.", facts, {"section"}, "").sections == ("drop",)


def test_who_asks_is_understood_as_a_training_is() -> None:
    metadata = {"tempo", "key"}
    facts = MusicalFacts(musical_key="A minor", time_signature="4/4")
    asked = conditioning_of_prompt("Dark  dub.\nBPM: 124", facts, metadata)
    trained = MusicalFacts(bpm=124.0, musical_key="A minor", time_signature="4/4")
    assert asked == conditioning_of_parts(caption_parts("Dark dub.\nBPM: 124", "A minor", 124.0), trained, metadata)
    assert asked.bpm == 124.0
    assert conditioning_of_prompt("Dark dub. BPM: 124", MusicalFacts(bpm=90), ()).caption == "Dark dub. BPM: 90"
    assert conditioning_of_prompt("Dark dub", MusicalFacts(time_signature="6/8"), metadata).time_signature == "6/8"


def test_an_adapter_of_the_former_rule_is_told_as_it_was_trained() -> None:
    in_metadata = kinds_in_metadata("caption-v2", {"tempo", "key"})
    assert in_metadata == frozenset()
    assert conditioning_of_prompt("Dark dub. BPM: 124", MusicalFacts(), in_metadata).caption == "Dark dub. BPM: 124"
    assert kinds_in_metadata("caption-v3", {"tempo"}) == {"tempo"}


def test_a_key_is_known_by_its_form() -> None:
    assert key_in("calm, Eb minor, dark tone") == "Eb minor"
    assert key_in("a minor groove, calm") is None
    assert key_in(None) is None


@given(st.text(), st.none() | st.text(), st.none() | st.floats(20, 400), st.none() | st.text())
def test_a_part_is_one_line_and_the_bpm_comes_last(
    prompt: str, tags: str | None, bpm: float | None, trigger: str | None
) -> None:
    parts = caption_parts(prompt, tags, bpm, trigger_word=trigger)
    for part in parts:
        assert part.text
        assert part.text == " ".join(part.text.split())
    assert len({part.kind for part in parts}) == len(parts)
    if bpm is not None:
        assert re.fullmatch(r"BPM: [0-9.e+-]+", parts[-1].text)


def test_the_trigger_word_is_what_all_captions_begin_with() -> None:
    def examples(*words: str) -> list[Example]:
        parts = [caption_parts("Dub.", None, None, trigger_word=word) for word in words]
        return [Example(audio_hash="0" * 64, index=0, sha256="0" * 64, song="s", parts=p, gain_db=0) for p in parts]

    assert trigger_word_in(examples("nova kite", "nova kite")) == "nova kite"
    assert trigger_word_in(examples("nova!")) == "nova!"
    assert trigger_word_in(examples("nova", "")) == trigger_word_in(examples("nova", "kite")) == ""
    assert trigger_word_in([]) == trigger_word_in(examples("", "")) == ""


def test_every_caption_begins_with_the_trigger_word_that_is_set(worker: RecordingCompute, catalogue: Catalogue) -> None:
    catalogue.add("one", tone(20, 220), "Dark dub.\nBPM: 120")
    settings = catalogue.ports.settings.model_copy(
        update={"trigger_word": "novakite", "train_patience": 2, "train_validation_share": 0.2, "train_accumulation": 3}
    )
    changed = replace(catalogue.ports, settings=settings)
    build_dataset(changed, catalogue.slug)
    train_lora(changed, catalogue.slug)
    (request,) = [request for request in worker.requests if isinstance(request, TrainRequest)]
    assert all(caption_of(example).startswith("novakite. Dark dub.") for example in request.examples)
    asked = request.parameters
    assert (asked.patience, asked.validation_share, asked.accumulation) == (2, 0.2, 3)
