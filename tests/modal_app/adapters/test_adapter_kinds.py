"""rsLoRA and DoRA in other programs: exact where a program takes them, refused in one line where it does not."""

import json
from pathlib import Path

import numpy as np
import pytest

from modal_app.adapters import peft_pair
from modal_app.adapters.file_format import read_card
from modal_app.adapters.foreign import read_foreign
from modal_app.adapters.other_programs import FOLDERS, FORMS, Form, write_for
from modal_app.adapters.publish import install
from modal_app.backends.ace_step.backend import AceStepBackend
from modal_app.data_root.layout import DataRoot
from modal_app.errors import InputError
from modal_app.protocol.training import AdapterKind, InstallRequest
from tests.modal_app.adapters.travelling import Adapter, Deltas, in_comfyui, in_diffusers, in_peft, make_adapter
from tests.modal_app.training.conftest import ignore

REQUEST = InstallRequest(run_id="run-1", producer_id="test-artist", model_name="lora")
KINDS: list[AdapterKind] = ["rslora", "dora"]


@pytest.fixture(scope="module", params=KINDS)
def adapter(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Adapter:
    root = DataRoot(tmp_path_factory.mktemp("kinds"))
    return make_adapter(root.run("run-1"), "attention+mlp", request.param)


def assert_same(found: tuple[Deltas, set[str]], wanted: Deltas) -> None:
    deltas, unused = found
    assert unused == set()
    assert deltas.keys() == wanted.keys()
    for name, delta in wanted.items():
        assert np.linalg.norm(deltas[name] - delta) <= 1e-6 * np.linalg.norm(delta), name


def test_what_is_published_is_exact_in_diffusers_and_peft(adapter: Adapter) -> None:
    root = DataRoot(adapter.run.parent.parent)
    install(REQUEST, root, ignore)
    folder = root.peft_model("test-artist")

    assert len(adapter.deltas) == 22
    assert_same(in_diffusers(root.lora("test-artist", "lora")), adapter.deltas)
    assert_same(in_diffusers(folder / peft_pair.WEIGHTS), adapter.deltas)
    assert_same(in_peft(folder), adapter.deltas)


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_exact_or_refused_in_one_line(adapter: Adapter, tmp_path: Path, form: Form) -> None:
    out = tmp_path / ("folder" if form in FOLDERS else "lora.safetensors")
    if form in FOLDERS:
        out.mkdir()
    files = adapter.run / "test-artist_lora.safetensors", adapter.run / peft_pair.CONFIG
    kind = adapter.card.parameters.adapter_kind

    if kind == "dora" and form == "comfyui":
        with pytest.raises(InputError, match=r"^comfyui: takes DoRA for something else .* name --format peft$"):
            write_for(form, *files, out)
        assert not out.exists()
        return
    write_for(form, *files, out)

    weights = out / peft_pair.WEIGHTS if form in FOLDERS else out
    assert read_card(weights).parameters.adapter_kind == kind
    assert_same(in_diffusers(weights), adapter.deltas)
    if form in FOLDERS:
        assert_same(in_peft(out), adapter.deltas)
    if form == "comfyui" or (form == "peft" and kind == "rslora"):
        assert_same(in_comfyui(weights), adapter.deltas)


def test_both_files_attach_as_what_was_trained(adapter: Adapter) -> None:
    backend = AceStepBackend.load("tiny")
    for name in ("test-artist_lora.safetensors", peft_pair.WEIGHTS):
        assert backend.attach(adapter.run / name, 1.0) == adapter.card
        state = backend.adapter_state()
        for key, part in adapter.state.items():
            folded = part * adapter.card.parameters.scaling if ".lora_B." in key else part
            assert state[key].equal(folded), key
    backend.detach()
    assert not [name for name, _ in backend._transformer.named_parameters() if "lora" in name]


def test_rslora_is_plain_elsewhere_and_dora_is_not_taken_in(adapter: Adapter) -> None:
    config = json.loads((adapter.run / peft_pair.CONFIG).read_text())
    kind = adapter.card.parameters.adapter_kind
    assert (config["use_rslora"], config["use_dora"]) == (False, kind == "dora")
    assert config["lora_alpha"] == config["r"] == 6
    if kind == "rslora":
        assert read_foreign(adapter.run).scale == "times 1 at rank 6, by adapter_config.json"
    else:
        with pytest.raises(InputError, match="is of a DoRA, and only plain LoRA can be taken in"):
            read_foreign(adapter.run)
