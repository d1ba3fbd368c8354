"""Bases by what their configuration says: each form of MusicGen and ACE-Step, and folders that are not whole.

Each form is a small model of the true architecture, as it would lie in a folder. The name says nothing, or a lie.
"""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modal_app.backends.ace_step.backend import AceStepBackend
from modal_app.backends.base import Conditioning, TrainExample, ValidationGrid
from modal_app.backends.musicgen.backend import MusicGenBackend
from modal_app.backends.musicgen.base_model import halve, is_too_large
from modal_app.backends.musicgen.delay_pattern import delayed, delays_of
from modal_app.backends.musicgen.sampling import Sampling
from modal_app.errors import MissingBaseError
from modal_app.protocol.training import TrainParameters
from tests.modal_app.backends.musicgen_forms import FORMS, example, musicgen, saved

GRID = ValidationGrid()


@pytest.fixture(scope="module", params=sorted(FORMS))
def form(request: pytest.FixtureRequest) -> MusicGenBackend:
    """Nobody changes it."""
    return musicgen(*FORMS[request.param])


def test_each_forms_loss_is_the_one_transformers_computes(form: MusicGenBackend) -> None:
    import torch

    said, model = example(form, "a slow dub"), form._model
    config = model.config.decoder
    labels = delayed(said.encoded["codes"].long(), delays_of(config.num_codebooks, form.channels), config.pad_token_id)[
        None
    ]
    config.decoder_start_token_id = config.bos_token_id
    text = form._tokenizer("a slow dub", return_tensors="pt")

    with torch.no_grad():
        theirs = float(model(input_ids=text["input_ids"], attention_mask=text["attention_mask"], labels=labels).loss)

    assert config.num_codebooks == 4 * form.channels
    assert float(form.loss([said], [0])) == pytest.approx(theirs, rel=1e-6)


def test_a_batch_of_each_form_equals_its_samples_alone(form: MusicGenBackend) -> None:
    captions = ("a slow dub", None, "fast and loud, with a very long description of everything that is heard")
    batch = [example(form, caption) for caption in captions]

    alone = [float(form.loss([part], [0])) for part in batch]

    assert len(set(alone)) == 3
    assert float(form.loss(batch, [0, 1, 2])) == pytest.approx(sum(alone) / 3, rel=1e-6)


def test_each_form_renders_its_sides_for_as_long_as_asked(form: MusicGenBackend) -> None:
    first = form.generate(Conditioning("wide"), 0.333, 1)

    assert first.shape == (form.channels, 10_656)
    assert form.generate(Conditioning("wide"), 0.333, 1).tolist() == first.tolist()
    assert form.generate(Conditioning("narrow"), 0.333, 1).tolist() != first.tolist()
    assert form.generate(Conditioning(None), 0.1, 1).shape == (form.channels, 3_200)


def test_melodys_likeliest_codes_equal_those_of_transformers() -> None:
    own = musicgen(1, True)
    own._sampling = Sampling(most_likely=1)
    text = own._tokenizer("a slow dub", return_tensors="pt")
    special = own._model.config.decoder.pad_token_id

    theirs = own._model.generate(
        **text,
        do_sample=False,
        guidance_scale=3.0,
        max_new_tokens=25 + 3,
        decoder_start_token_id=special,
        pad_token_id=special,
        bos_token_id=special,
    )[0]

    np.testing.assert_allclose(own.generate(Conditioning("a slow dub"), 0.5, 0), theirs.numpy(), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", ["mono", "melody"])
def test_a_frozen_base_in_16_bits_learns_nearly_the_same(name: str) -> None:
    """`pytest -s` says how much less memory, and how near."""
    import torch

    found = []
    for is_halved in (False, True):
        own = musicgen(*{"mono": (1, False), **FORMS}[name])
        if is_halved:
            halve(own._model)
        weights = own.inject(TrainParameters(steps=1, batch_size=2, learning_rate=1e-3, rank=4, alpha=8))
        assert {weight.dtype for weight in weights} == {torch.float32}
        loss = own.loss([example(own, "a slow dub"), example(own, None)], [0, 1])
        loss.backward()
        frozen = [part for part in own._decoder.parameters() if not part.requires_grad]
        size = sum(part.numel() * part.element_size() for part in frozen)
        assert np.isfinite(own.generate(Conditioning("dub"), 0.1, 0)).all()
        found.append((float(loss.detach()), torch.cat([weight.grad.flatten() for weight in weights]), size))

    (exact, exact_gradient, size), (rounded, gradient, half) = found
    near = float(torch.nn.functional.cosine_similarity(gradient, exact_gradient, dim=0))
    print(f"{name}: {size} and {half} bytes, loss {exact:.4f} and {rounded:.4f}, gradients {near:.4f} alike")  # noqa: T201
    assert half == size / 2
    assert rounded == pytest.approx(exact, rel=1e-2)
    assert near > 0.98


def test_only_a_base_that_would_fill_a_gpu_is_in_16_bits() -> None:
    import torch

    decoder = torch.nn.Linear(1000, 1000, bias=False)  # 4 MB
    assert is_too_large(decoder, 13_000_000)
    assert not is_too_large(decoder, 14_000_000)


def half_weights(folder: Path) -> None:
    """A download that was stopped."""
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])


def a_pointer(folder: Path) -> None:
    """What git leaves without its large files."""
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 2\n")


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def a_shard_missing(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def a_broken_index(folder: Path) -> None:
    (folder / "model.safetensors.index.json").write_text("[1")


def a_layer_missing(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = {
        name: part for name, part in load_file(folder / "model.safetensors").items() if ".layers.1.fc1" not in name
    }
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def another_type(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "bark"}))


def a_broken_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def no_tokenizer(folder: Path) -> None:
    for path in folder.glob("*token*"):
        path.unlink()


@pytest.fixture(scope="module")
def melody(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(musicgen(1, True), tmp_path_factory.mktemp("bases") / "melody")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (half_weights, r"model\.safetensors is cut off \(\d+ bytes of \d+\); download it again"),
        (a_pointer, r"model\.safetensors is a placeholder or cut off \(\d+ bytes\); download it again"),
        (no_weights, r"no weights \(\.safetensors\) are in it; download it again"),
        (a_shard_missing, r"model-00002-of-00002\.safetensors is missing; download it again"),
        (a_broken_index, r"model\.safetensors\.index\.json can't be read; download it again"),
        (a_layer_missing, r"1 weights are missing in it, the first is decoder\.model\.decoder\.layers\.1\.fc1\.weight"),
        (another_type, "no MusicGen model but one of the type bark; name another base"),
        (a_broken_config, "the base model can't be loaded .*; download it with"),
        (no_tokenizer, r"its tokenizer \(tokenizer\.json or .*\) is missing; download it again"),
    ],
)
def test_a_musicgen_folder_that_is_not_whole_is_one_line(
    melody: Path, tmp_path: Path, spoil: Callable[[Path], None], says: str
) -> None:
    folder = shutil.copytree(melody, tmp_path / "base")
    spoil(folder)

    with pytest.raises(MissingBaseError, match=f"^{folder}: .*{says}") as caught:
        MusicGenBackend.load(str(folder))
    assert "\n" not in str(caught.value)


# --- ACE-Step ---


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ace-step") / "my-base"
    AceStepBackend.load("tiny")._pipeline.save_pretrained(folder)
    return folder


def with_config(folder: Path, **changes: Any) -> Path:
    path = folder / "transformer" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


@pytest.mark.parametrize(
    ("changes", "is_turbo"),
    [({}, False), ({"is_turbo": True}, True), ({"model_version": "turbo"}, True), ({"model_version": "sft"}, False)],
    ids=["base", "turbo", "turbo by version", "sft"],
)
def test_each_variant_of_ace_step_is_known_by_its_configuration(
    pipeline: Path, tmp_path: Path, changes: dict[str, Any], is_turbo: bool
) -> None:
    folder = with_config(shutil.copytree(pipeline, tmp_path / "turbo-xl-sft"), **changes)

    own = AceStepBackend.load(str(folder))

    assert (own.base.name, own.base.licence) == ("turbo-xl-sft", "MIT")
    assert own.caption_dropout == (0.0 if is_turbo else 0.15)
    assert own._sampling().steps == (8 if is_turbo else 50)
    said = TrainExample("a", own.encode(np.zeros((2, 48_000), np.float32)), Conditioning("dub"), 1.0)
    times = {float(own._draw(said, seed)[2]) for seed in range(40)}
    assert (len(times) <= 8) == is_turbo  # the eight that turbo samples at, or any
    assert np.isfinite(own.val_loss([said], dataclasses.replace(GRID, times=(0.5,))))


def cut_transformer(folder: Path) -> None:
    (path,) = (folder / "transformer").glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-1])


def no_vae(folder: Path) -> None:
    shutil.rmtree(folder / "vae")


def no_encoder_weights(folder: Path) -> None:
    (path,) = (folder / "text_encoder").glob("*.safetensors")
    path.unlink()


def no_ace_step_tokenizer(folder: Path) -> None:
    for path in (folder / "tokenizer").iterdir():
        path.unlink()


def another_pipeline(folder: Path) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {"_class_name": "StableAudioPipeline"}))


def a_broken_model_index(folder: Path) -> None:
    (folder / "model_index.json").write_text('{"_class_name": ["x"], "vae": 3}')


def the_authors_layout(folder: Path) -> None:
    (folder / "model_index.json").unlink()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (cut_transformer, r"transformer/.*\.safetensors is cut off \(\d+ bytes of \d+\); download it again"),
        (no_vae, "its part 'vae' is missing; download it again"),
        (no_encoder_weights, r"no weights \(\.safetensors\) are in text_encoder; download it again"),
        (no_ace_step_tokenizer, r"its tokenizer \(tokenizer\.json or .*\) is missing; download it again"),
        (another_pipeline, "no ACE-Step model but a 'StableAudioPipeline'; name another base"),
        (a_broken_model_index, r"its model_index\.json can't be read; download it again"),
        (
            the_authors_layout,
            r"model_index\.json is missing; the authors' own layout is another.* diffusers' layout",
        ),
    ],
)
def test_an_ace_step_folder_that_is_not_whole_is_one_line(
    pipeline: Path, tmp_path: Path, spoil: Callable[[Path], None], says: str
) -> None:
    folder = shutil.copytree(pipeline, tmp_path / "base")
    spoil(folder)

    with pytest.raises(MissingBaseError, match=f"^{folder}: .*{says}") as caught:
        AceStepBackend.load(str(folder))
    assert "\n" not in str(caught.value)
