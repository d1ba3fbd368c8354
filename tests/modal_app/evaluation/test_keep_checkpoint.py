"""Milestones of a real training: each attached, judged and kept; and distances where songs enough are held out.

A training and 28 renderings on the tiny base: twenty seconds of CPU, for the one test of the whole way.
"""

import hashlib
import shutil
from pathlib import Path

import pytest
import soundfile

from modal_app.adapters.file_format import read_adapter, read_card
from modal_app.adapters.publish import install
from modal_app.audio.prepare import prepare
from modal_app.backends.ace_step.backend import AceStepBackend
from modal_app.backends.base import Conditioning
from modal_app.config import BackendKind
from modal_app.data_root.layout import DataRoot
from modal_app.errors import AdapterError
from modal_app.evaluation.evaluate import evaluate
from modal_app.evaluation.keep_checkpoint import keep_checkpoint
from modal_app.protocol.audio import AudioSource, PrepareRequest
from modal_app.protocol.evaluation import EvaluateRequest, EvaluationPrompt, KeepCheckpointRequest, OtherSong
from modal_app.protocol.training import CaptionPart, Example, InstallRequest, MusicalFacts
from modal_app.training.milestones import milestone_name
from modal_app.training.train import train
from tests.modal_app.training.conftest import RATE, Trained, ignore, parameters, track, train_request

MAIN = "test-artist_lora.safetensors"


@pytest.fixture
def root(trained: Trained, tmp_path: Path) -> DataRoot:
    shutil.copytree(trained.root.root, tmp_path / "data")
    return DataRoot(tmp_path / "data")


def asked(step: int, strength: float = 1.0) -> KeepCheckpointRequest:
    return KeepCheckpointRequest(
        run_id="run-1",
        producer_id="test-artist",
        model_name="lora",
        backend=BackendKind.ACE_STEP,
        step=step,
        strength=strength,
    )


def test_strength_is_baked_in_exactly(trained: Trained, root: DataRoot, backend: AceStepBackend) -> None:
    step = trained.result.milestones[1]
    milestone = root.run("run-1") / milestone_name(step)

    found = keep_checkpoint(asked(step, 0.75), root, ignore)

    assert set(found.files) == {
        f"runs/run-1/{name}" for name in (MAIN, "adapter_model.safetensors", "adapter_config.json", "card.json")
    }
    assert keep_checkpoint(asked(step, 0.75), root, ignore) == found
    card, baked = read_adapter(root.run("run-1") / MAIN)
    _, plain = read_adapter(milestone)
    assert (card.kept_step, card.strength) == (step, 0.75)
    for name, weight in plain.items():
        assert (baked[name] == (0.75 * weight if ".lora_B." in name else weight)).all()
    words = Conditioning("Dub techno.")
    backend.attach(milestone, 0.75)
    by_scale = backend.generate(words, 0.5, 1)
    backend.attach(root.run("run-1") / MAIN, 1.0)
    assert backend.generate(words, 0.5, 1) == pytest.approx(by_scale, abs=1e-4)


def test_every_milestone_can_be_kept_and_published(trained: Trained, root: DataRoot, backend: AceStepBackend) -> None:
    seen = set()
    for step in trained.result.milestones:
        keep_checkpoint(asked(step), root, ignore)
        install(InstallRequest(run_id="run-1", producer_id="test-artist", model_name="lora"), root, ignore)
        for path in (root.lora("test-artist", "lora"), root.peft_model("test-artist") / "adapter_model.safetensors"):
            card = backend.attach(path, 1.0)
            assert (card.kept_step, card.strength) == (step, 1.0)
        assert (root.run("run-1") / MAIN).read_bytes() == (root.run("run-1") / milestone_name(step)).read_bytes()
        seen.add((root.run("run-1") / MAIN).read_bytes())
    assert len(seen) == len(trained.result.milestones)


def test_a_milestone_that_is_gone_or_damaged_is_refused(root: DataRoot, trained: Trained) -> None:
    before = (root.run("run-1") / MAIN).read_bytes()
    with pytest.raises(AdapterError, match="000007"):
        keep_checkpoint(asked(7), root, ignore)
    path = root.run("run-1") / milestone_name(trained.result.milestones[0])
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(AdapterError, match="cut off"):
        keep_checkpoint(asked(trained.result.milestones[0]), root, ignore)
    assert (root.run("run-1") / MAIN).read_bytes() == before


def songs(root: DataRoot, folder: Path, count: int) -> list[Example]:
    """So many songs of a second, each with its prompt and tempo."""
    sources = []
    for number in range(count):
        path = folder / f"{number}.wav"
        soundfile.write(path, track(80.0 + 11 * number, 1.0), RATE)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        sources.append(AudioSource(audio_hash=digest, url=path.as_uri(), name=path.name))
    return [
        Example(
            audio_hash=audio.audio_hash,
            index=0,
            sha256=audio.segments[0].sha256,
            song=f"{'abcdefghijklmnop'[number]} tune",
            parts=[CaptionPart(kind="prompt", text=f"Tune {number}.")],
            gain_db=audio.segments[0].gain_db,
            bpm=120.0,
        )
        for number, audio in enumerate(prepare(PrepareRequest(sources=sources), root, ignore).prepared)
    ]


def test_candidates_are_held_against_the_held_out_songs(tmp_path: Path) -> None:
    root = DataRoot(tmp_path / "data")
    examples = songs(root, tmp_path, 14)
    others = [OtherSong(audio_hash=example.audio_hash) for example in examples[12:]]
    request = train_request(
        examples[:12],
        parameters=parameters(steps=6, validate_every=3, validation_share=0.5, milestones=2, learning_rate=1e-2),
    )
    trained = train(request, root, ignore)
    assert len(trained.held_out) == 6
    prompts = [
        EvaluationPrompt(kind="held out", text="Tune.", facts=MusicalFacts(bpm=120.0), song=song)
        for song in trained.held_out
    ]
    prompts.append(EvaluationPrompt(kind="foreign", text="A ballad."))

    found = evaluate(
        EvaluateRequest(
            training=request,
            milestones=trained.milestones,
            prompts=prompts,
            seeds=[0],
            others=[*others, OtherSong(audio_hash="0" * 64)],
            duration_seconds=0.5,
        ),
        root,
        ignore,
    )

    assert found.evidence is not None
    assert (found.evidence.space, found.evidence.songs, found.evidence.is_evidence) == ("latents", 6, True)
    assert found.evidence.other_music == "2 songs of other artists"
    assert found.chosen_step in trained.milestones
    names = [candidate.name for candidate in found.candidates]
    assert names[:-1] == ["base", *(f"step {step}" for step in trained.milestones)]
    assert names[-1] == f"step {found.chosen_step} at 0.75"
    for candidate in found.candidates:
        assert candidate.trouble is None
        assert candidate.distance is not None
        assert candidate.foreign_distance is not None
        assert candidate.distance_low is not None
        assert candidate.loss is not None
        assert candidate.tempo_share is not None
        assert candidate.file is not None
        assert f"runs/run-1/{candidate.file}" in found.files
    assert all(candidate.verdict for candidate in found.candidates[1:])
    assert found.choice
    assert read_card(root.run("run-1") / milestone_name(found.chosen_step)).kept_step == found.chosen_step
    # random weights make noise: the other artist's music is nearer than what any of them renders
    assert found.evidence.other_distance is not None
    assert all(found.evidence.other_distance < (candidate.distance or 0.0) for candidate in found.candidates)
