"""MusicGen's backend by itself: codes, the delay pattern, losses against transformers' own, sampling, bases."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modal_app.backends.base import Conditioning, TrainExample, ValidationGrid
from modal_app.backends.musicgen.backend import MusicGenBackend
from modal_app.backends.musicgen.delay_pattern import delayed, delays_of, undelayed
from modal_app.backends.musicgen.sampling import Sampling
from modal_app.backends.musicgen.tiny import build_tiny
from modal_app.errors import JobError, MissingBaseError
from modal_app.protocol.training import TrainParameters

PARAMETERS = TrainParameters(steps=1, batch_size=1, learning_rate=1e-3, rank=4, alpha=8, seed=0)
PAD = 2048


@pytest.fixture(scope="module")
def backend() -> MusicGenBackend:
    """Nobody changes it."""
    return MusicGenBackend.load("tiny")


def sound(samples: int, channels: int = 1) -> np.ndarray:
    time = np.arange(samples) / 32_000
    pulse = np.sin(2 * np.pi * 110 * time) * np.exp(-5 * (2 * time % 1))
    return np.stack([pulse * (0.8 - 0.3 * channel) for channel in range(channels)]).astype(np.float32)


def example(backend: MusicGenBackend, caption: str | None, seconds: float = 1.0) -> TrainExample:
    codes = backend.encode(sound(round(seconds * 32_000), backend.channels))
    return TrainExample(f"{caption}", codes, Conditioning(caption, 120.0, "A minor"), seconds)


# --- codes and how they are said ---


def test_fifteen_seconds_are_750_frames_and_753_tokens(backend: MusicGenBackend) -> None:
    import torch

    codes = backend.encode(sound(15 * 32_000))["codes"]
    said = delayed(codes, delays_of(4, 1), PAD)

    assert (codes.shape, codes.dtype) == ((750, 4), torch.int16)
    assert said.shape == (753, 4)
    assert [(said[:, codebook] == PAD).nonzero().flatten().tolist() for codebook in range(4)] == [
        [750, 751, 752],
        [0, 751, 752],
        [0, 1, 752],
        [0, 1, 2],
    ]
    assert len(codes.unique(dim=0)) > 25  # the pulse comes every 25 frames, and it hears each of them apart


def test_encoding_is_the_same_twice_and_begun_frames_count_whole(backend: MusicGenBackend) -> None:
    for samples, frames in ((1, 1), (640, 1), (641, 2), (31_999, 50)):
        codes = backend.encode(sound(samples))["codes"]
        assert codes.shape == (frames, 4)
        assert codes.equal(backend.encode(sound(samples))["codes"])


@given(st.integers(0, 20), st.sampled_from([(4, 1), (8, 2), (1, 1)]))
def test_what_was_delayed_comes_back(frames: int, shape: tuple[int, int]) -> None:
    import torch

    codes = torch.arange(frames * shape[0]).reshape(frames, shape[0])
    delays = delays_of(*shape)

    said = delayed(codes, delays, PAD)

    assert said.shape == (frames + max(delays), shape[0])
    assert int((said == PAD).sum()) == max(delays) * shape[0]
    assert undelayed(said, delays).equal(codes)


# --- losses ---


def test_the_loss_equals_the_one_transformers_computes(backend: MusicGenBackend) -> None:
    import torch

    said = example(backend, "a slow dub")
    model = backend._model
    labels = delayed(said.encoded["codes"].long(), delays_of(4, 1), model.config.decoder.pad_token_id)[None]
    text = backend._tokenizer("a slow dub", return_tensors="pt")
    model.config.decoder.decoder_start_token_id = model.config.decoder.bos_token_id

    def theirs(mask: torch.Tensor) -> float:
        with torch.no_grad():
            return float(model(input_ids=text["input_ids"], attention_mask=mask, labels=labels).loss)

    with_text = float(backend.loss([said], [0]))
    without = float(backend.loss([dataclasses.replace(said, conditioning=Conditioning(None))], [0]))
    assert with_text == pytest.approx(theirs(text["attention_mask"]), rel=1e-6)
    assert without == pytest.approx(theirs(torch.zeros_like(text["attention_mask"])), rel=1e-6)
    assert with_text != without


def test_a_batch_from_a_bucket_equals_its_samples_alone(backend: MusicGenBackend) -> None:
    captions = ("a slow dub", None, "fast and loud, with a very long description of everything that is heard")
    batch = [example(backend, caption) for caption in captions]

    together = float(backend.loss(batch, [0, 1, 2]))
    alone = [float(backend.loss([part], [0])) for part in batch]

    assert len({backend.bucket_key(part) for part in batch}) == 1
    assert len(set(alone)) == 3
    assert together == pytest.approx(sum(alone) / 3, rel=1e-6)
    assert backend.val_loss(batch, ValidationGrid()) == pytest.approx(sum(alone) / 3, rel=1e-12)


def test_examples_of_different_length_do_not_share_a_batch(backend: MusicGenBackend) -> None:
    assert backend.bucket_key(example(backend, "x", 1.0)) != backend.bucket_key(example(backend, "x", 1.1))


def test_only_the_decoders_attention_is_trained() -> None:
    import torch

    own = MusicGenBackend.load("tiny")

    weights = own.inject(PARAMETERS)

    trained = [name for name, weight in own._model.named_parameters() if weight.requires_grad]
    assert len(weights) == len(trained) == 32
    assert all(name.startswith("decoder.model.decoder.layers.") and "_attn." in name for name in trained)
    assert all(weight.dtype == torch.float32 for weight in weights)


def test_the_feed_forward_layers_are_trained_where_asked_for() -> None:
    own = MusicGenBackend.load("tiny")

    own.inject(PARAMETERS.model_copy(update={"targets": "attention+mlp"}))

    trained = {name for name, weight in own._model.named_parameters() if weight.requires_grad}
    assert {name.split(".layers.")[1].split(".lora_")[0] for name in trained if ".fc" in name} == {
        "0.fc1",
        "0.fc2",
        "1.fc1",
        "1.fc2",
    }
    assert len(trained) == 32 + 8
    assert all(name.startswith("decoder.model.decoder.layers.") for name in trained)
    own._lora.take_out()
    assert not any("lora" in name for name, _ in own._model.named_parameters())


def test_checkpointed_gradients_are_the_same_gradients() -> None:
    import torch

    gradients = []
    for checkpointed in (False, True):
        own = MusicGenBackend.load("tiny")
        weights = own.inject(PARAMETERS)
        batch = [example(own, "a slow dub"), example(own, None)]
        runs: list[int] = []
        own._decoder.model.decoder.layers[0].fc1.register_forward_pre_hook(lambda *_, runs=runs: runs.append(1))
        if checkpointed:
            own.checkpoint_gradients()
        own.loss(batch, [0, 1]).backward()
        gradients.append([weight.grad.clone() for weight in weights])
        assert len(runs) == 1 + checkpointed  # done again on the way back
    for plain, again in zip(*gradients, strict=True):
        torch.testing.assert_close(again, plain)


def test_a_text_that_was_rendered_can_be_trained_on() -> None:
    own = MusicGenBackend.load("tiny")
    own.generate(Conditioning("a slow dub"), 0.1, 0)
    weights = own.inject(PARAMETERS)

    own.loss([example(own, "a slow dub")], [0]).backward()

    assert any(weight.grad.any() for weight in weights)


def test_in_16_bits_losses_and_gradients_are_nearly_the_same() -> None:
    """As on a GPU: autocast around a base in 32 bits."""
    import torch

    own = MusicGenBackend.load("tiny")
    weights = own.inject(PARAMETERS)
    batch = [example(own, "a slow dub"), example(own, None)]
    found = []
    for wide in (True, False):
        for weight in weights:
            weight.grad = None
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=not wide):
            loss = own.loss(batch, [0, 1])
        loss.backward()
        found.append((loss.detach(), torch.cat([weight.grad.flatten() for weight in weights])))

    (exact, exact_gradient), (rounded, gradient) = found
    assert rounded.dtype == gradient.dtype == torch.float32
    assert float(rounded) == pytest.approx(float(exact), rel=1e-2)
    assert float(torch.nn.functional.cosine_similarity(gradient, exact_gradient, dim=0)) > 0.98


# --- rendering ---


@settings(max_examples=15, deadline=None)
@given(seconds=st.floats(0.001, 0.3))
def test_durations_are_exact_to_a_sample(backend: MusicGenBackend, seconds: float) -> None:
    assert backend.generate(Conditioning("x"), seconds, 0).shape == (1, round(seconds * 32_000))


@pytest.mark.slow
def test_more_than_one_true_window_is_exact_too(backend: MusicGenBackend) -> None:
    assert backend.generate(Conditioning("x"), 31.0, 0).shape == (1, 992_000)


def test_a_seed_is_a_piece_of_music_and_nothing_else_is(backend: MusicGenBackend) -> None:
    import torch

    first = backend.generate(Conditioning("dub"), 0.5, 1)
    torch.manual_seed(99)

    assert backend.generate(Conditioning("dub"), 0.5, 1).tolist() == first.tolist()
    assert backend.generate(Conditioning("dub"), 0.5, 2).tolist() != first.tolist()
    assert backend.generate(Conditioning("house"), 0.5, 1).tolist() != first.tolist()
    assert np.abs(first - first.mean()).max() > 1e-4


def test_the_likeliest_codes_equal_those_of_transformers(backend: MusicGenBackend) -> None:
    own = MusicGenBackend(backend._model, backend._tokenizer, backend.base)
    own._sampling = Sampling(most_likely=1)
    text = own._tokenizer("a slow dub", return_tensors="pt")
    special = own._model.config.decoder.pad_token_id

    theirs = own._model.generate(
        **text,
        do_sample=False,
        guidance_scale=3.0,
        max_new_tokens=50 + 3,
        decoder_start_token_id=special,
        pad_token_id=special,
        bos_token_id=special,
    )[0]

    assert theirs.shape == (1, 32_000)
    np.testing.assert_allclose(own.generate(Conditioning("a slow dub"), 1.0, 0), theirs.numpy(), rtol=1e-3, atol=1e-6)


def test_what_is_longer_than_a_window_goes_on_from_its_end(backend: MusicGenBackend) -> None:
    whole, windows = (MusicGenBackend(backend._model, backend._tokenizer, backend.base) for _ in range(2))
    whole._sampling = Sampling(most_likely=1)
    windows._sampling = Sampling(most_likely=1, window=40, heard=30)

    long, short = whole.generate(Conditioning("dub"), 1.5, 0), windows.generate(Conditioning("dub"), 1.5, 0)

    assert short.shape == long.shape == (1, 48_000)
    assert short[:, : 30 * 640] == pytest.approx(long[:, : 30 * 640], abs=1e-6)  # of the first window


def test_numbers_that_are_no_audio_are_an_error() -> None:
    own = MusicGenBackend.load("tiny")
    own._decoder.lm_heads[0].weight.data[:] = float("nan")

    with pytest.raises(JobError, match="no audio"):
        own.generate(Conditioning("dub"), 0.2, 0)


def test_a_stereo_base_is_heard_trained_and_rendered_in_stereo(backend: MusicGenBackend) -> None:
    from transformers import MusicgenForCausalLM, MusicgenForConditionalGeneration

    model, tokenizer = build_tiny()
    config = model.config.decoder
    config.num_codebooks, config.audio_channels = 8, 2
    stereo = MusicgenForConditionalGeneration(
        text_encoder=model.text_encoder, audio_encoder=model.audio_encoder, decoder=MusicgenForCausalLM(config)
    )
    own = MusicGenBackend(stereo.eval(), tokenizer, backend.base)

    said = example(own, "wide")
    left, right = (backend.encode(side[None])["codes"] for side in sound(32_000, 2))

    assert own.channels == 2
    assert said.encoded["codes"][:, ::2].equal(left)
    assert said.encoded["codes"][:, 1::2].equal(right)
    assert delays_of(8, 2) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert np.isfinite(float(own.loss([said], [0])))
    assert own.generate(Conditioning("wide"), 0.333, 0).shape == (2, 10_656)


# --- bases ---


def test_a_tiny_base_is_the_same_every_time() -> None:
    first, second = (build_tiny()[0].state_dict() for _ in range(2))
    assert all(weight.equal(second[name]) for name, weight in first.items())


def test_a_base_in_a_folder_is_loaded_by_its_path(backend: MusicGenBackend, tmp_path: Path) -> None:
    backend._model.save_pretrained(tmp_path / "my-base")
    backend._tokenizer.save_pretrained(tmp_path / "my-base")

    written = json.loads((tmp_path / "my-base" / "config.json").read_text())
    written["decoder"]["dropout"] = 0.1  # as in Meta's
    (tmp_path / "my-base" / "config.json").write_text(json.dumps(written))

    local = MusicGenBackend.load(str(tmp_path / "my-base"))

    examples = [example(backend, "a slow dub")]
    assert (local.base.name, local.base.licence) == ("my-base", "CC-BY-NC-4.0")
    assert local.base.revision.startswith("folder-")
    assert example(local, "a slow dub").encoded["codes"].equal(examples[0].encoded["codes"])
    local.inject(PARAMETERS)
    local.checkpoint_gradients()  # would switch dropout on, were there any
    assert local.val_loss(examples, ValidationGrid()) == pytest.approx(backend.val_loss(examples, ValidationGrid()))


@pytest.mark.parametrize("base", ["/nowhere/musicgen", "not a model id", "facebook/musicgen-small"])
def test_a_missing_base_is_reported_with_what_to_download(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)

    with pytest.raises(MissingBaseError, match=f"^{base}: .*download it with `hf download {base}`") as caught:
        MusicGenBackend.load(base)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_suitable_model_is_reported(tmp_path: Path) -> None:
    with pytest.raises(MissingBaseError, match=r"no MusicGen model is in this folder \(config.json is missing\)"):
        MusicGenBackend.load(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bark"}))
    (tmp_path / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    with pytest.raises(MissingBaseError, match="no MusicGen model but one of the type bark"):
        MusicGenBackend.load(str(tmp_path))
