"""What diffusers, PEFT, the official interface and ComfyUI make of published adapters, against what was trained."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modal_app.adapters import peft_pair
from modal_app.adapters.file_format import read_adapter, read_card, write_adapter
from modal_app.adapters.foreign import read_foreign
from modal_app.adapters.other_programs import FOLDERS, FORMS, TRIGGER_KEY, Form, write_for
from modal_app.adapters.publish import install, resolve_lora
from modal_app.adapters.tensor_file import read_arrays, read_header, write_arrays
from modal_app.backends.ace_step.backend import AceStepBackend
from modal_app.config import BackendKind
from modal_app.data_root.layout import DataRoot
from modal_app.errors import AdapterError, InputError, WrongBaseError
from modal_app.protocol.training import ImportLoraRequest, InstallRequest, Origin
from modal_app.training.import_lora import IMPORTED, import_lora
from tests.modal_app.adapters.travelling import (
    Adapter,
    Deltas,
    former_run,
    in_comfyui,
    in_diffusers,
    in_peft,
    make_adapter,
    original,
)
from tests.modal_app.training.conftest import ignore

REQUEST = InstallRequest(run_id="run-1", producer_id="test-artist", model_name="lora")


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Adapter:
    return make_adapter(tmp_path_factory.mktemp("adapter") / "run")


@pytest.fixture
def root(tmp_path: Path) -> DataRoot:
    return DataRoot(tmp_path / "data")


def assert_same(found: tuple[Deltas, set[str]], wanted: Deltas) -> None:
    deltas, unused = found
    assert unused == set()
    assert deltas.keys() == wanted.keys()
    for name, delta in wanted.items():
        assert np.linalg.norm(deltas[name] - delta) <= 1e-6 * np.linalg.norm(delta), name


def test_the_published_pair_is_exact_in_every_program(adapter: Adapter, root: DataRoot) -> None:
    shutil.copytree(adapter.run, root.run("run-1"))
    install(REQUEST, root, ignore)
    folder = root.peft_model("test-artist")

    assert len(adapter.deltas) == 16
    assert_same(in_diffusers(folder / peft_pair.WEIGHTS), adapter.deltas)
    assert_same(in_peft(folder), adapter.deltas)
    assert_same(in_comfyui(folder / peft_pair.WEIGHTS), adapter.deltas)


def test_feed_forward_layers_travel_too(root: DataRoot) -> None:
    adapter = make_adapter(root.run("run-1"), "attention+mlp")
    install(REQUEST, root, ignore)
    folder = root.peft_model("test-artist")

    assert len(adapter.deltas) == 22
    assert_same(in_diffusers(folder / peft_pair.WEIGHTS), adapter.deltas)
    assert_same(in_diffusers(root.lora("test-artist", "lora")), adapter.deltas)
    assert_same(in_peft(folder), adapter.deltas)
    assert_same(in_comfyui(folder / peft_pair.WEIGHTS), adapter.deltas)
    backend = AceStepBackend.load("tiny")
    for file in (root.lora("test-artist", "lora"), folder / peft_pair.WEIGHTS):
        assert backend.attach(file, 1.0) == adapter.card
    attention = adapter.card.model_copy(
        update={"parameters": adapter.card.parameters.model_copy(update={"targets": "attention"})}
    )
    write_adapter(root.scratch() / "lying.safetensors", read_adapter(folder / peft_pair.WEIGHTS)[1], attention)
    with pytest.raises(AdapterError, match="down_proj"):  # more than its card says
        backend.attach(root.scratch() / "lying.safetensors", 1.0)


def test_the_main_file_is_exact_in_diffusers(adapter: Adapter) -> None:
    assert_same(in_diffusers(adapter.run / "test-artist_lora.safetensors"), adapter.deltas)


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_exact_in_its_program(adapter: Adapter, tmp_path: Path, form: Form) -> None:
    out = tmp_path / ("folder" if form in FOLDERS else "lora.safetensors")
    if form in FOLDERS:
        out.mkdir()

    write_for(form, adapter.run / "test-artist_lora.safetensors", adapter.run / peft_pair.CONFIG, out)

    weights = out / peft_pair.WEIGHTS if form in FOLDERS else out
    assert_same(in_diffusers(weights), adapter.deltas)
    if form in FOLDERS:
        assert_same(in_peft(out), adapter.deltas)
    if form != "diffusers":
        assert_same(in_comfyui(weights), adapter.deltas)
    assert read_header(weights).metadata[TRIGGER_KEY] == "nova"
    assert read_card(weights) == adapter.card


def test_a_former_pair_is_published_as_it_would_be_written_now(adapter: Adapter, root: DataRoot) -> None:
    """By a machine without torch, which has nothing but what publishing needs."""
    run = former_run(adapter, root.run("run-1"))
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    published = root.peft_model("test-artist")
    shutil.copytree(run, published)  # as it was published then
    program = """if True:
        import sys
        from pathlib import Path
        from modal_app.adapters.publish import install
        from modal_app.data_root.layout import DataRoot
        from modal_app.protocol.training import InstallRequest
        request = InstallRequest.model_validate_json(sys.argv[1])
        results = [install(request, DataRoot(Path(sys.argv[2])), lambda _: None) for _ in range(2)]
        assert [result.changed for result in results] == [True, False]
        assert not {"torch", "safetensors", "peft"} & sys.modules.keys()"""
    subprocess.run([sys.executable, "-c", program, REQUEST.model_dump_json(), str(root.root)], check=True)

    for name in (peft_pair.WEIGHTS, peft_pair.CONFIG):
        assert (published / name).read_bytes() == (adapter.run / name).read_bytes()
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before  # their hashes are on record
    assert list(root.scratch().iterdir()) == []


@pytest.mark.parametrize("form", ["now", "former"])
def test_each_file_attaches_as_what_was_trained(adapter: Adapter, root: DataRoot, form: str) -> None:
    run = former_run(adapter, root.run("run-1")) if form == "former" else adapter.run
    backend = AceStepBackend.load("tiny")

    for name in ("test-artist_lora.safetensors", peft_pair.WEIGHTS):
        backend.attach(run / name, 1.0)
        layers = {
            original(name): layer.get_delta_weight("dawa").double().numpy(force=True)
            for name, layer in backend._transformer.named_modules()
            if hasattr(layer, "get_delta_weight")
        }
        assert_same((layers, set()), adapter.deltas)


def test_a_pair_of_both_forms_fits_nowhere(adapter: Adapter, tmp_path: Path) -> None:
    card, weights = read_adapter(adapter.run / peft_pair.WEIGHTS)
    former = {name.replace("layers.0.self_attn.q_proj", "layers.0.self_attn.to_q"): weights[name] for name in weights}
    write_adapter(tmp_path / "mixed.safetensors", former, card)

    with pytest.raises(AdapterError, match=r"keys are missing, the first is layers\.0\.cross_attn\.to_k"):
        AceStepBackend.load("tiny").attach(tmp_path / "mixed.safetensors", 1.0)


def test_a_former_pair_that_does_not_agree_with_its_card_stays(adapter: Adapter, root: DataRoot) -> None:
    config = former_run(adapter, root.run("run-1")) / peft_pair.CONFIG
    config.write_text(config.read_text().replace('"lora_alpha": 8', '"lora_alpha": 6'))

    with pytest.raises(AdapterError, match="says rank 6 and alpha 6, the adapter's card 6 and 8"):
        install(REQUEST, root, ignore)
    assert not root.peft_model("test-artist").exists()
    assert not root.lora("test-artist", "lora").exists()


def test_a_former_pair_is_found_where_the_main_file_is_lost(adapter: Adapter, root: DataRoot) -> None:
    former_run(adapter, root.peft_model("test-artist"))

    lora = resolve_lora(root, "test-artist:lora")

    assert lora.path == root.peft_model("test-artist") / peft_pair.WEIGHTS
    assert AceStepBackend.load("tiny").attach(lora.path, 1.0) == adapter.card


def foreign_folder(adapter: Adapter, folder: Path, **more: Any) -> Path:
    """The adapter as the official interface would have saved it, with two modules more in each layer."""
    import torch

    weights = {original(name): part.numpy() for name, part in adapter.state.items()}
    generator = torch.Generator().manual_seed(2)
    for layer in range(2):
        for module, widths in {"gate_proj": (64, 128), "down_proj": (128, 64)}.items():
            name = f"base_model.model.layers.{layer}.mlp.{module}"
            weights[f"{name}.lora_A.weight"] = torch.randn((6, widths[0]), generator=generator).numpy()
            weights[f"{name}.lora_B.weight"] = torch.randn((widths[1], 6), generator=generator).numpy()
    folder.mkdir()
    write_arrays(folder / peft_pair.WEIGHTS, weights | more, {"modelspec.trigger_phrase": "kite"})
    targets = [f"{part}_proj" for part in ("q", "k", "v", "o", "gate", "down")]
    config = {"r": 6, "lora_alpha": 8, "peft_type": "LORA", "target_modules": targets}
    (folder / peft_pair.CONFIG).write_text(json.dumps(config))
    return folder


def import_request(root: DataRoot, folder: Path) -> ImportLoraRequest:
    found = read_foreign(folder)
    root.run("run-2").mkdir(parents=True)
    write_arrays(root.run("run-2") / IMPORTED, found.weights, {})
    return ImportLoraRequest(
        run_id="run-2",
        producer_id="test-artist",
        model_name="lora",
        backend=BackendKind.ACE_STEP,
        base="tiny",
        rank=found.rank,
        targets=found.targets,
        trigger_word=found.trigger_word,
        origin=Origin(files=found.files, scale=found.scale, imported_by="me"),
    )


def test_an_imported_adapter_is_one_as_if_trained_here(adapter: Adapter, root: DataRoot, tmp_path: Path) -> None:
    """What it leaves alone in one layer and changes in another is zero."""
    name = "base_model.model.layers.1.mlp.up_proj.lora_{}.weight"
    only = {name.format("A"): np.ones((6, 64), np.float32), name.format("B"): np.ones((128, 6), np.float32)}
    request = import_request(root, foreign_folder(adapter, tmp_path / "foreign", **only))
    wanted = in_comfyui(tmp_path / "foreign" / peft_pair.WEIGHTS)[0]
    wanted = {module: delta * 8 / 6 for module, delta in wanted.items()}  # which takes no notice of alpha
    wanted["layers.0.mlp.up_proj"] = np.zeros((128, 64))

    result = import_lora(request, root, ignore)

    run = root.run("run-2")
    assert {Path(name).name for name in result.files} == {path.name for path in run.iterdir()}
    assert (len(wanted), wanted.keys() > adapter.deltas.keys()) == (22, True)
    assert_same(in_diffusers(run / "test-artist_lora.safetensors"), wanted)
    install(REQUEST.model_copy(update={"run_id": "run-2"}), root, ignore)
    published = root.peft_model("test-artist")
    assert_same(in_diffusers(published / peft_pair.WEIGHTS), wanted)
    assert_same(in_peft(published), wanted)
    assert_same(in_comfyui(published / peft_pair.WEIGHTS), wanted)
    card = AceStepBackend.load("tiny").attach(resolve_lora(root, "test-artist:lora").path, 1.0)
    assert (card.imported, card.trigger_word, card.first_loss) == (request.origin, "kite", None)


@pytest.mark.parametrize(
    ("name", "width", "says"),
    [
        (
            "layers.2.mlp.gate_proj",
            64,
            r"2 keys fit nowhere, the first is layers\.2\.mlp\.gate_proj",
        ),
        ("layers.1.mlp.gate_proj", 65, r"layers\.1\.mlp\.gate_proj\.lora_A\.weight has the shape \(6, 65\), not"),
    ],
)
def test_an_adapter_of_another_base_is_not_imported(
    adapter: Adapter, root: DataRoot, tmp_path: Path, name: str, width: int, says: str
) -> None:
    weights = {
        f"base_model.model.{name}.lora_A.weight": np.ones((6, width), np.float32),
        f"base_model.model.{name}.lora_B.weight": np.ones((128, 6), np.float32),
    }
    request = import_request(root, foreign_folder(adapter, tmp_path / "foreign", **weights))

    with pytest.raises(InputError, match=rf"adapter_model.safetensors: does not fit tiny: .*({says})"):
        import_lora(request, root, ignore)
    assert not root.run("run-2").exists()
    assert list(root.scratch().iterdir()) == []


def test_weights_that_a_card_asks_for_are_the_bases(adapter: Adapter, root: DataRoot) -> None:
    found = read_foreign(adapter.run / "test-artist_lora.safetensors")
    assert (found.base, found.card) == ("tiny", adapter.card)
    root.run("run-2").mkdir(parents=True)
    write_arrays(root.run("run-2") / IMPORTED, found.weights, {})
    origin = Origin(files=found.files, scale=found.scale, base=found.base, imported_by="me")
    request = ImportLoraRequest(
        run_id="run-2",
        producer_id="test-artist",
        model_name="lora",
        backend=BackendKind.ACE_STEP,
        base="tiny",
        rank=found.rank,
        targets=found.targets,
        origin=origin,
        base_revision="tiny-0",
    )

    with pytest.raises(WrongBaseError, match=r"was trained on tiny \(tiny-0\), not on tiny \(tiny-1\)"):
        import_lora(request, root, ignore)
    import_lora(request.model_copy(update={"base_revision": adapter.card.base_revision}), root, ignore)
    assert_same(in_diffusers(root.run("run-2") / "test-artist_lora.safetensors"), adapter.deltas)


def test_arrays_are_written_as_safetensors_writes_them(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    tensors = {f"ä.{size}": torch.arange(size, dtype=torch.float32).reshape(1, size) for size in (3, 0, 5)}
    notes = {"dawa_card": '{"name": "\u2028\x1f\\"ü"}'}
    save_file(tensors, tmp_path / "theirs", notes)
    write_arrays(tmp_path / "ours", {name: tensor.numpy() for name, tensor in tensors.items()}, notes)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()

    kinds = [torch.bfloat16, torch.float16, torch.float64]
    stored = {str(kind): torch.tensor([1.5, -2.0, 3e4], dtype=kind) for kind in kinds}
    save_file(stored, tmp_path / "kinds")
    read = read_arrays(tmp_path / "kinds")
    assert {name: array.tolist() for name, array in read.items()} == {
        name: tensor.float().tolist() for name, tensor in stored.items()
    }
