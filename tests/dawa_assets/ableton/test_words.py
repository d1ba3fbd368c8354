"""Names in their sense: what the lexicon hears in them, and what plugins and Live's own devices are."""

from itertools import pairwise

import pytest

from dawa_assets.ableton.devices import live_device, sound_of_live_instrument
from dawa_assets.ableton.lexicon import lexicon, named
from dawa_assets.ableton.plugins import known_plugin
from dawa_assets.prompting.instruments import NamedTrack, heard_on, instruments
from resources.prompt_writer.phrases import Dice, Material, compose


@pytest.mark.parametrize(
    ("name", "heard"),
    [
        ("Clap-808.aif", {"claps"}),
        ("808 Hihat Open", {"hi-hats"}),
        ("Kit-Core 808", {"drums"}),
        ("808_Long_C", {"808"}),
        ("Ride Cymbal Bell 2", {"ride cymbal"}),
        ("Ride_Bell-Tip.wav", {"ride cymbal"}),
        ("Crash Bell", {"crash cymbal"}),
        ("Glass Bell", {"bells"}),
        ("Lead Vocal", {"vocals"}),
        ("Lead Synth", {"lead lines", "synth"}),
        ("Lead Guitar", {"guitar"}),
        ("Bass Guitar DI", {"bass"}),
        ("Snare Noise Layer", {"snare"}),
        ("Pink Noise", {"noise"}),
        ("Bass Clarinet", {"clarinet"}),
        ("SideStick Acoustified 01", {"rim"}),
        ("Powerhouse", set()),
        ("Clapton", set()),
    ],
)
def test_words_are_heard_in_their_sense(name: str, heard: set[str]) -> None:
    assert named(name) == heard


def test_the_lexicon_lists_each_instrument_once() -> None:
    words = lexicon()
    for name, particular in words.general.items():
        assert {name, *particular} <= set(words.role_of)
    roles = list(words.role_of.values())
    assert len([one for one, other in pairwise(roles) if one != other]) == len(set(roles)) - 1
    assert all(name in named(name) for name in words.role_of)


_EFFECTS = "RVox|Noise Gate|Guitar Rig 6|Vocal Rider|RBass|Z-Noise|Massive Passive|FabFilter Pro-Q 3|Ozone 11"


@pytest.mark.parametrize("name", [*_EFFECTS.split("|"), "ValhallaRoom"])
def test_effects_are_no_instruments(name: str) -> None:
    plugin = known_plugin(name)
    assert plugin is None or not plugin.is_instrument
    assert name.startswith("Valhalla") or plugin is not None


@pytest.mark.parametrize(
    ("name", "sound"),
    [
        ("Serum", "synth"),
        ("Serum_x64", "synth"),
        ("Serum 2", "synth"),
        ("Massive X", "synth"),
        ("Diva(x64)", "synth"),
        ("Kontakt 7", ""),
        ("Keyscape", "keys"),
        ("SubLab", "808"),
        ("Addictive Drums 2", "drums"),
        ("Stage-73 V2", "electric piano"),
    ],
)
def test_well_known_instruments_are_heard_as_what_they_are(name: str, sound: str) -> None:
    plugin = known_plugin(name)
    assert plugin is not None
    assert (plugin.is_instrument, plugin.sound) == (True, sound)


@pytest.mark.parametrize("name", ["", "Some Bass Synth", "Tidewater Sub", "Serumizer", "Vitality", "🎹", "x" * 400])
def test_what_no_table_knows_is_neither(name: str) -> None:
    assert known_plugin(name) is None


def test_lives_own_devices_have_the_names_that_live_shows() -> None:
    names = {tag: device.name for tag in ("UltraAnalog", "LoungeLizard", "InstrumentVector", "Eq8", "OriginalSimpler") if (device := live_device(tag))}  # fmt: skip  # noqa: E501
    assert list(names.values()) == ["Analog", "Electric", "Wavetable", "EQ Eight", "Simpler"]
    assert (sound_of_live_instrument("Electric"), sound_of_live_instrument("EQ Eight")) == ("electric piano", "")


def test_a_pads_name_counts_else_its_sample() -> None:
    pads = ((("Slice 1", "vocal_loop.wav"), 0.5), (("Hat", "kick.wav"), 0.5))
    assert set(heard_on(NamedTrack("1-Kit", sounds=pads, clips=1))) == {"vocals", "hi-hats"}


def test_clip_group_and_preset_names_count_only_as_a_fallback() -> None:
    assert set(heard_on(NamedTrack("5-MIDI", instead=("verse", "Warm Pad", "synth")))) == {"pads"}
    assert set(heard_on(NamedTrack("Bass", instead=("Warm Pad", "synth")))) == {"bass"}


def test_the_two_most_played_drums_are_always_included() -> None:
    others = [NamedTrack(name, clips=1) for name in ("Conga", "Bongo", "Shaker", "Tamb", "Clave", "Rim")]
    kit = NamedTrack("Kit", clips=1, sounds=((("Snare",), 0.9), (("Cowbell",), 0.1)), hits={"Snare": 90, "Cowbell": 10})
    told = instruments([*others, *others, kit], 3)["rhythm"]
    assert len(told) == 3
    assert {"snare", "cowbell"} <= set(told)


@pytest.mark.parametrize(
    ("material", "wrong"),
    [
        (Material(bass=("bass",)), r"Bass (drive|carry|define|shape) "),
        (Material(bass=("sub bass",)), r"Sub bass (drive|carry|define|shape) "),
        (Material(tonal=("brass",)), r"Brass (drive|carry|define|shape) "),
        (Material(rhythm=("claps",)), r"Claps (drives|carries|defines|shapes) "),
        (Material(tonal=("keys",)), r"Keys (drives|carries|defines|shapes) "),
    ],
)
def test_subject_and_verb_agree(material: Material, wrong: str) -> None:
    import re

    texts = [compose(material, Dice(str(seed), 0)) for seed in range(120)]
    assert not [text for text in texts if re.search(wrong, text)]
    assert [text for text in texts if re.match(r"\w+( \w+)? (drives?|carr(y|ies)|defines?|shapes?) ", text)]
