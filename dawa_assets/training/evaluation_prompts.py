"""What every candidate of an evaluation renders: held-out songs' own prompts, one of the artist's, a foreign one."""

from collections.abc import Sequence

from dawa_assets.prompting.profile_facts import ProfileFacts
from dawa_assets.tables.datasets import TrainingTrack
from dawa_assets.training.examples import facts_of
from modal_app.protocol.evaluation import EvaluationPrompt
from modal_app.protocol.training import MusicalFacts

SEEDS = 2
"""Renderings of each prompt: two show how much of it is the prompt's and how much chance."""

_FOREIGN = (
    EvaluationPrompt(
        kind="foreign",
        text="A slow country ballad for acoustic guitar and fiddle, recorded in one take in a wooden room.",
        facts=MusicalFacts(bpm=72.0, musical_key="G major", time_signature="3/4"),
    ),
)
"""Nobody's: with it a candidate shows what it makes of what it was not trained for."""

_MAX_PHRASES = 2
_LISTS = ("genres", "tone", "sound_design", "melody")  # of a profile, in the order of a prompt


def evaluation_prompts(
    tracks: Sequence[TrainingTrack], held_out: Sequence[str], profile: ProfileFacts, most_songs: int
) -> list[EvaluationPrompt]:
    """Return the prompts in a fixed order, the one that is shown first: a held-out song's, else the first track's.

    Args:
        tracks: of the dataset.
        held_out: names of the songs that were held out of the training.
        profile: the artist's; anything may be missing in it.
        most_songs: how many held-out songs' prompts there are at most, each song's once.
    """
    by_song: dict[str, TrainingTrack] = {}
    for track in tracks:
        if track.song in held_out:
            by_song.setdefault(track.song, track)
    songs = [by_song[name] for name in sorted(by_song)][: max(1, most_songs)]
    shown = [
        EvaluationPrompt(kind="held out", text=track.prompt_text, facts=facts_of(track), song=track.song)
        for track in songs
    ] or [EvaluationPrompt(kind="held out", text=tracks[0].prompt_text, facts=facts_of(tracks[0]))]
    own = profile_prompt(profile)
    return [
        *shown,
        *([] if own is None else [EvaluationPrompt(kind="profile", text=own, facts=shown[0].facts)]),
        *_FOREIGN,
    ]


def profile_prompt(profile: ProfileFacts) -> str | None:
    """Return a prompt of what a profile says of the artist's sound; None where it says nothing."""
    phrases = [phrase for name in _LISTS for phrase in profile.lists[name][:_MAX_PHRASES]]
    if not phrases:
        return None
    line = ", ".join(phrases)
    return f"{line[:1].upper()}{line[1:]}."
