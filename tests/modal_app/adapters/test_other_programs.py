"""What diffusers, PEFT, the official interface and ComfyUI make of published adapters, against what was trained."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from modal_app.adapters import peft_pair
from modal_app.adapters.file_format import read_adapter, read_card, write_adapter
from modal_app.adapters.other_programs import FOLDERS, FORMS, TRIGGER_KEY, Form, write_for
from modal_app.adapters.publish import install, resolve_lora
from modal_app.adapters.tensor_file import read_arrays, read_header, write_arrays
from modal_app.backends.ace_step.backend import AceStepBackend
from modal_app.data_root.layout import DataRoot
from modal_app.errors import AdapterError
from modal_app.protocol.training import InstallRequest
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
