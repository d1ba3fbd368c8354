"""The `train` and `generate` jobs on a tiny base: what is learnt, what is left on disk, what others can load."""

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile

from modal_app.adapters.publish import install, resolve_lora
from modal_app.audio.prepare import prepare
from modal_app.audio.segment_cache import segment_path
from modal_app.backends.ace_step.backend import AceStepBackend
from modal_app.backends.ace_step.tiny import build_tiny_pipeline
from modal_app.backends.base import Conditioning, ValidationGrid
from modal_app.data_root.layout import DataRoot
from modal_app.errors import AdapterError, InputError, JobError, MissingBaseError
from modal_app.protocol.audio import AudioSource, PrepareRequest
from modal_app.protocol.training import GenerateRequest, InstallRequest, MusicalFacts
from modal_app.training.caption_rule import RULE, caption_parts
from modal_app.training.data import load_examples, read_signal
from modal_app.training.generate import generate
from modal_app.training.track_audio import track_gain_db
from modal_app.training.train import train
from tests.modal_app.training.conftest import RATE, Trained, ignore, parameters, track, train_request

GRID = ValidationGrid()


@pytest.fixture(scope="module")
def reference(trained: Trained) -> float:
    """The validation loss with the adapter, measured where it was trained: before any file was written or read."""
    from safetensors.torch import load_file

    backend = AceStepBackend.load("tiny")
    backend.inject(trained.request.parameters)
    folded = load_file(trained.run / "test-artist_lora.safetensors")
    backend.load_adapter_state(
        {
            name.replace("transformer.", "base_model.model."): weight / 2 if ".lora_B." in name else weight
            for name, weight in folded.items()
        }
    )
    return backend.val_loss(load_examples(trained.request, backend, trained.root, ignore), GRID)


def test_the_loss_falls_to_less_than_half(trained: Trained) -> None:
    assert trained.result.final_loss < 0.5 * trained.result.first_loss
    assert len(trained.result.losses) == trained.result.steps == 50


def test_every_step_tells_its_loss_and_what_time_is_left(trained: Trained) -> None:
    steps = [event for event in trained.events if "loss" in event.figures]

    assert [(event.done, event.total) for event in steps] == [(step, 50) for step in range(1, 51)]
    assert [event.figures["loss"] for event in steps] == trained.result.losses
    assert steps[-1].figures["seconds_left"] == 0


def test_a_run_leaves_adapter_card_losses_and_picture(trained: Trained) -> None:
    names = {path.removeprefix("runs/run-1/") for path in trained.result.files}
    milestones = {f"milestones/{step:06d}.safetensors" for step in trained.result.milestones}

    assert len(milestones) >= 6
    assert names - milestones == {
        "test-artist_lora.safetensors",
        "adapter_model.safetensors",
        "adapter_config.json",
        "card.json",
        "events.jsonl",
        "loss.png",
    }
    lines = [json.loads(line) for line in (trained.run / "events.jsonl").read_text().splitlines()]
    assert [line["loss"] for line in lines if line["event"] == "step"] == trained.result.losses
    assert lines[-1]["event"] == "end"
    assert not (trained.run / "checkpoint").exists()
    assert list(trained.root.scratch().iterdir()) == []


def test_a_finished_run_is_not_trained_again(trained: Trained) -> None:
    events = []

    again = train(trained.request, trained.root, events.append)

    assert again.files == trained.result.files
    assert [event.message for event in events] == ["run run-1 is there already, nothing is trained again"]


def test_a_finished_run_is_not_taken_for_another_training(trained: Trained) -> None:
    other = train_request(trained.examples, parameters=parameters(seed=1))

    with pytest.raises(JobError, match="run run-1 is there already and was asked for with another request"):
        train(other, trained.root, ignore)


def test_diffusers_loads_the_adapter_as_it_is(trained: Trained, reference: float) -> None:
    pipeline = build_tiny_pipeline()
    pipeline.load_lora_weights(trained.lora)
    backend = AceStepBackend(pipeline, AceStepBackend.load("tiny").base)

    assert backend.val_loss(load_examples(trained.request, backend, trained.root, ignore), GRID) == pytest.approx(
        reference, rel=1e-5
    )


@pytest.mark.parametrize("name", ["test-artist_lora.safetensors", "adapter_model.safetensors"])
def test_both_files_attach_with_the_same_effect(
    trained: Trained, backend: AceStepBackend, reference: float, name: str
) -> None:
    examples = load_examples(trained.request, backend, trained.root, ignore)
    base = backend.val_loss(examples, GRID)

    card = backend.attach(trained.run / name, 1.0)
    attached = backend.val_loss(examples, GRID)
    backend.attach(trained.run / name, 0.0)
    without_scale = backend.val_loss(examples, GRID)
    backend.detach()

    assert card.run_id == "run-1"
    assert attached == pytest.approx(reference, rel=1e-5)
    assert without_scale == base
    assert backend.val_loss(examples, GRID) == base


def test_texts_of_different_length_in_a_batch_are_independent(trained: Trained, backend: AceStepBackend) -> None:
    import torch

    examples = load_examples(trained.request, backend, trained.root, ignore)[:2]
    noise = torch.randn(2, *examples[0].encoded["mean"].shape)
    latents = torch.stack([example.encoded["mean"] for example in examples])
    times = torch.tensor([0.3, 0.7])

    together = backend._velocity_errors(examples, latents, noise, times)
    alone = [
        backend._velocity_errors([examples[i]], latents[i : i + 1], noise[i : i + 1], times[i : i + 1])
        for i in range(2)
    ]

    assert len(examples[0].conditioning.caption or "") != len(examples[1].conditioning.caption or "")
    assert together.tolist() == pytest.approx([float(error) for error in alone], rel=1e-5)


@pytest.mark.parametrize("words", [2, 400], ids=["short", "too-long"])
def test_training_and_rendering_encode_the_same_text(
    trained: Trained, backend: AceStepBackend, monkeypatch: pytest.MonkeyPatch, words: int
) -> None:
    prompt = f"{', '.join(['Dub techno'] * (words // 2))}.\nBPM: 124"
    encoded: list[tuple[str, str]] = []
    pipeline = backend._pipeline
    format_prompt = pipeline._format_prompt

    def recorded(*args: object, **kwargs: object) -> tuple[str, str]:
        text = format_prompt(*args, **kwargs)
        if "lyrics" in kwargs:  # else a caption is only measured
            encoded.append(text)
        return text

    monkeypatch.setattr(pipeline, "_format_prompt", recorded)
    monkeypatch.setattr("modal_app.training.generate.load_infer_backend", lambda *_: backend)
    example = trained.request.examples[0].model_copy(
        update={
            "parts": caption_parts(prompt, "A minor", 124.0, sections=("build", "pre-chorus")),
            "bpm": 124.0,
            "musical_key": "A minor",
            "time_signature": "3/4",
            "sections": ("build", "pre-chorus"),
        }
    )
    request = trained.request.model_copy(update={"examples": [example], "caption_rule": RULE})
    (loaded,) = load_examples(request, backend, trained.root, ignore)
    backend.val_loss([loaded], GRID)
    asked = GenerateRequest(
        job_id="same-text",
        prompt=prompt,
        facts=MusicalFacts(musical_key="A minor", time_signature="3/4", sections=("build", "pre-chorus")),
        duration_seconds=loaded.seconds,
    )
    generate(asked, trained.root, ignore)

    assert len(encoded) == 2
    assert encoded[0] == encoded[1]
    text, lyrics = encoded[0]
    assert "# Lyric\n[Build]\n[Pre-Chorus]<|endoftext|>" in lyrics
    assert len(pipeline.tokenizer(text).input_ids) <= backend._max_text
    assert "Dub techno" in text
    assert "build" not in text
    assert "- bpm: 124\n- timesignature: 3\n- keyscale: A minor\n" in text
    assert text.count("124") == text.count("A minor") == 1


def test_fifteen_seconds_are_375_latents(backend: AceStepBackend) -> None:
    def latents(seconds: int) -> int:
        return len(backend.encode(np.zeros((2, seconds * 48_000), np.float32))["mean"])

    assert (latents(15), latents(6)) == (375, 150)


def test_an_intro_stays_quieter_than_the_drop(tmp_path: Path) -> None:
    root, path = DataRoot(tmp_path / "data"), tmp_path / "long.wav"
    soundfile.write(path, track(110.0, 21.0), RATE)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    source = AudioSource(audio_hash=digest, url=path.as_uri(), name=path.name)
    (manifest,) = prepare(PrepareRequest(sources=[source]), root, ignore).prepared
    gain = track_gain_db(manifest)
    peaks = [
        np.abs(read_signal(segment_path(root, digest, "mono44", part.index), gain - part.gain_db, 48_000, 2)).max()
        for part in manifest.segments
    ]

    assert peaks[1] == pytest.approx(10 ** (-1 / 20), abs=0.01)
    assert peaks[0] / peaks[1] == pytest.approx(
        10 ** ((manifest.segments[0].peak_dbfs - manifest.segments[1].peak_dbfs) / 20), rel=0.02
    )


def test_a_damaged_latent_in_the_cache_is_made_again(trained: Trained, backend: AceStepBackend) -> None:
    whole = load_examples(trained.request, backend, trained.root, ignore)
    of_segments = {example.sha256 for example in trained.examples}
    latents = (trained.root.latents() / "ace_step").rglob("*.safetensors")  # a test before this one may have others
    damaged = next(path for path in latents if path.name[:64] in of_segments)
    beginning = damaged.read_bytes()[:100]
    damaged.unlink()  # what was read is mapped memory of the old file
    damaged.write_bytes(beginning)

    again = load_examples(trained.request, backend, trained.root, ignore)

    assert all(one.encoded["mean"].equal(other.encoded["mean"]) for one, other in zip(whole, again, strict=True))
    assert len(damaged.read_bytes()) > 100


def test_a_segment_that_is_another_one_now_is_not_trained_on(trained: Trained) -> None:
    other = trained.examples[0].model_copy(update={"sha256": "0" * 64})

    with pytest.raises(JobError, match="another one now"):
        train(train_request([other], "run-2"), trained.root, ignore)
    assert not trained.root.run("run-2").exists()


def test_nothing_to_train_on_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no segments"):
        train(train_request([]), DataRoot(tmp_path), ignore)


@pytest.mark.parametrize("base", ["/nowhere/acestep", "not a model id"])
def test_a_missing_base_is_reported_with_what_to_download(
    trained: Trained, monkeypatch: pytest.MonkeyPatch, base: str
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    with pytest.raises(MissingBaseError, match="download it with") as caught:
        train(train_request(trained.examples, "run-3", base=base), trained.root, ignore)
    assert "\n" not in str(caught.value)


def test_a_base_in_a_folder_is_loaded_by_its_path(trained: Trained, tmp_path: Path, backend: AceStepBackend) -> None:
    build_tiny_pipeline().save_pretrained(tmp_path / "my-base")

    local = AceStepBackend.load(str(tmp_path / "my-base"))

    examples = load_examples(trained.request, backend, trained.root, ignore)
    assert local.base.name == "my-base"
    with pytest.raises(AdapterError, match="not on ace_step/my-base"):
        local.attach(trained.lora, 1.0)
    local._max_text = backend._max_text
    assert local.val_loss(examples, GRID) == pytest.approx(backend.val_loss(examples, GRID), rel=1e-5)


def test_an_adapter_with_wrong_keys_or_no_effect_is_refused(
    trained: Trained, tmp_path: Path, backend: AceStepBackend
) -> None:
    from safetensors.torch import save_file

    from modal_app.adapters.file_format import read_adapter, write_adapter

    card, weights = read_adapter(trained.lora)
    first = next(iter(weights))
    cases = {
        "keys are missing": {name: weight for name, weight in weights.items() if name != first},
        "fit nowhere": weights | {"transformer.layers.9.self_attn.to_q.lora_A.weight": weights[first].clone()},
        "has the shape": weights | {first: weights[first][:, :-1]},
        "every B is zero": {n: w * (0 if ".lora_B." in n else 1) for n, w in weights.items()},
        "NaN": weights | {first: weights[first] * math.nan},
    }
    for reason, tensors in cases.items():
        write_adapter(tmp_path / "bad.safetensors", tensors, card)
        with pytest.raises(AdapterError, match=reason):
            backend.attach(tmp_path / "bad.safetensors", 1.0)
    write_adapter(tmp_path / "bad.safetensors", weights, card.model_copy(update={"base_revision": "tiny-0"}))
    with pytest.raises(AdapterError, match="tiny-0"):
        backend.attach(tmp_path / "bad.safetensors", 1.0)
    save_file(weights, tmp_path / "bad.safetensors")
    with pytest.raises(AdapterError, match="no card"):
        backend.attach(tmp_path / "bad.safetensors", 1.0)


def test_generation_has_the_exact_length_and_is_reproducible(tmp_path: Path) -> None:
    root = DataRoot(tmp_path)
    request = GenerateRequest(job_id="one", prompt="dub techno", duration_seconds=1.2345, seed=3)

    result = generate(request, root, ignore)
    generate(request.model_copy(update={"job_id": "two"}), root, ignore)
    other = generate(request.model_copy(update={"job_id": "three", "seed": 4}), root, ignore)

    samples, rate = soundfile.read(tmp_path / result.path, dtype="int16")
    assert (rate, samples.shape, result.samples) == (48_000, (59_256, 2), 59_256)
    assert np.abs(samples.astype(int)).max() == 29_204
    assert result.lora is None
    assert (tmp_path / result.path).read_bytes() == (tmp_path / "outputs" / "two.wav").read_bytes()
    assert (tmp_path / result.path).read_bytes() != (tmp_path / other.path).read_bytes()


def test_a_published_lora_is_heard_and_scale_zero_is_the_base(trained: Trained) -> None:
    install(InstallRequest(run_id="run-1", producer_id="test-artist", model_name="lora"), trained.root, ignore)
    request = GenerateRequest(job_id="base", prompt="dub techno", duration_seconds=1.0)
    lora = request.model_copy(update={"job_id": "lora", "lora_id": "test-artist:lora", "with_base": True})

    results = [
        generate(part, trained.root, ignore)
        for part in (request, lora, lora.model_copy(update={"job_id": "zero", "scale": 0.0}))
    ]

    base, with_lora, zero = [(trained.root.root / result.path).read_bytes() for result in results]
    assert results[1].lora == "loras/test-artist_lora.safetensors"
    assert with_lora != base
    assert zero == base
    assert results[1].base_path == "outputs/lora-base.wav"
    assert (trained.root.root / results[1].base_path).read_bytes() == base
    assert resolve_lora(trained.root, "test-artist:lora").card.run_id == "run-1"


@pytest.mark.parametrize("frames", [2, 7, 14, 55, 375])
def test_durations_on_which_rounding_trips_are_exact(backend: AceStepBackend, frames: int) -> None:
    assert backend.generate(Conditioning("x"), frames / 25, 0).shape == (2, frames * 1920)
