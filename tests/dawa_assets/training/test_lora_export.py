"""`dawa lora export`: which run is written, to where, and what is refused.

That each program loads what is written exactly is held in `tests/modal_app/adapters`.
"""

import hashlib
import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from psycopg.types.json import Jsonb
from typer.testing import CliRunner

from dawa_assets.cli.lora import app
from dawa_assets.training.lora_export import export_lora
from modal_app.adapters import peft_pair
from modal_app.adapters.ace_step_names import by_diffusers, by_original, fold
from modal_app.adapters.card import CARD_KEY, AdapterCard
from modal_app.adapters.file_format import read_card
from modal_app.adapters.other_programs import FOLDERS, FORMS, Form
from modal_app.adapters.tensor_file import read_arrays, read_header, write_arrays
from modal_app.config import BackendKind
from modal_app.errors import DawaError, InputError, JobError
from modal_app.protocol.training import TrainParameters
from resources.ports import Ports
from tests.dawa_assets.training.catalogue import Catalogue, open_catalogue

MAIN, LAYER = "adapter.safetensors", "layers.0.self_attn.{}.lora_{}.weight"
WEIGHTS = {
    LAYER.format("to_q", part): np.random.default_rng(seed).standard_normal((6, 6)).astype(np.float32)
    for seed, part in enumerate("AB")
}


@pytest.fixture
def catalogue(ports: Ports) -> Catalogue:
    return open_catalogue(ports, f"Artist {uuid4().hex[:8]}")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder of the user's, with nothing in it."""
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


def card_of(backend: BackendKind, trigger_word: str) -> AdapterCard:
    return AdapterCard(
        run_id="run-1",
        producer_id="test-artist",
        model_name="nawfside_lora",
        backend=backend,
        base="tiny",
        base_revision="1",
        base_licence="none",
        dataset_fingerprint="abc",
        recipe="stereo48",
        examples=1,
        songs=1,
        trigger_word=trigger_word,
        parameters=TrainParameters(steps=1, batch_size=1, learning_rate=1.0, rank=6, alpha=8, seed=0),
        first_loss=1.0,
        final_loss=1.0,
        trainable_parameters=1,
        versions={},
    )


def store(
    catalogue: Catalogue,
    *,
    backend: BackendKind = BackendKind.ACE_STEP,
    trigger_word: str = "nova",
    former: bool = False,
    promoted: bool = False,
) -> str:
    """A done run with one layer, as a training leaves its files, or left them before."""
    run, folder = str(uuid4()), catalogue.ports.settings.home / "made"
    folder.mkdir(parents=True, exist_ok=True)
    note = {CARD_KEY: card_of(backend, trigger_word).model_dump_json()}
    config: dict[str, Any] = {"r": 6, "lora_alpha": 8, "target_modules": ["to_q"]}
    apart = {f"base_model.model.{name}": weight for name, weight in WEIGHTS.items()}
    if backend is BackendKind.MUSICGEN:
        write_arrays(folder / MAIN, apart, note)
        write_arrays(folder / peft_pair.WEIGHTS, apart, note)
    else:
        folded = fold(WEIGHTS, 8 / 6)
        write_arrays(folder / MAIN, by_diffusers(folded), note)
        write_arrays(folder / peft_pair.WEIGHTS, apart if former else by_original(folded), note)
        config = config if former else peft_pair.config_now(config, 6)
    (folder / peft_pair.CONFIG).write_text(peft_pair.config_text(config))
    files = {}
    for path in folder.iterdir():
        files[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
        catalogue.ports.bucket.put(f"artists/{catalogue.slug}/loras/{run}/{path.name}", path)
    catalogue.sql(
        "insert into training_runs (id, artist_id, fingerprint, backend, base, model_name, parameters, state, "
        "promoted, metrics, adapter_key, adapter_sha256) values (%s, %s, %s, %s, 'tiny', 'nawfside_lora', '{}', "
        "'done', %s, %s, %s, %s)",
        *(run, catalogue.artist.id, run, backend.value, promoted, Jsonb({"files": files})),
        *(f"artists/{catalogue.slug}/loras/{run}", files[MAIN]),
    )
    return run


def out_for(form: Form, folder: Path) -> Path:
    return folder / form if form in FOLDERS else folder / f"{form}.safetensors"


@pytest.mark.parametrize("form", FORMS)
def test_a_run_is_written_whole_and_reported(
    catalogue: Catalogue, place: Path, monkeypatch: pytest.MonkeyPatch, form: Form
) -> None:
    run = store(catalogue)
    monkeypatch.setattr("resources.ports.open_ports", lambda _: catalogue.ports)
    out = out_for(form, place)

    result = CliRunner().invoke(app, ["export", run[:13].upper(), "--format", form, "--out", str(out), "--json"])

    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    weights = out / peft_pair.WEIGHTS if form in FOLDERS else out
    files = [out / peft_pair.CONFIG, weights] if form in FOLDERS else [out]
    assert set(place.rglob("*")) == {*files, out}  # no temporary one
    assert [(file["path"], file["bytes"], file["sha256"]) for file in report["files"]] == [
        (str(path), path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files
    ]
    assert (report["run"], report["base"], report["trigger_word"]) == (run, "tiny", "nova")
    assert read_header(weights).metadata["modelspec.trigger_phrase"] == "nova"
    assert read_card(weights) == card_of(BackendKind.ACE_STEP, "nova")


def test_what_is_published_since_before_gives_the_same_bytes(catalogue: Catalogue, place: Path) -> None:
    run, old = store(catalogue), store(catalogue, former=True, promoted=True)
    (place / "new").mkdir()
    (place / "comfyui.safetensors").write_text("replaced")

    for form in FORMS:
        new = export_lora(catalogue.ports, run, catalogue.slug, form, out_for(form, place / "new"))
        published = export_lora(catalogue.ports, None, catalogue.artist.name, form, out_for(form, place))
        assert str(published.lora.run.id) == old
        assert [file.sha256 for file in published.files] == [file.sha256 for file in new.files]


def test_an_adapter_of_musicgen_travels_as_peft_s_pair_only(catalogue: Catalogue, place: Path) -> None:
    """As it is: its loader is PEFT, which reads alpha."""
    run = store(catalogue, backend=BackendKind.MUSICGEN)

    export_lora(catalogue.ports, run, None, "peft", place / "out")

    written = read_arrays(place / "out" / peft_pair.WEIGHTS)
    assert written.keys() == {f"base_model.model.{name}" for name in WEIGHTS}
    assert all((written[f"base_model.model.{name}"] == weight).all() for name, weight in WEIGHTS.items())
    config = json.loads((place / "out" / peft_pair.CONFIG).read_text())
    assert config == {"r": 6, "lora_alpha": 8, "target_modules": ["to_q"]}
    with pytest.raises(InputError, match="comfyui: loads no adapters of musicgen"):
        export_lora(catalogue.ports, run, None, "comfyui", place / "x.safetensors")


def test_what_can_t_be_exported_is_one_line_and_leaves_nothing(catalogue: Catalogue, place: Path) -> None:
    run = store(catalogue)
    (place / "full").mkdir()
    (place / "full" / "kept").write_text("kept")

    def refused(run: str | None, artist: str | None, form: Form, out: str) -> str:
        with pytest.raises(DawaError) as caught:
            export_lora(catalogue.ports, run, artist, form, place / out)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "no run's id begins so" in refused("ffffffff-0000", None, "diffusers", "x.safetensors")
    assert "no LoRA is named" in refused(None, None, "diffusers", "x.safetensors")
    assert "no LoRA is published" in refused(None, catalogue.slug, "diffusers", "x.safetensors")
    assert "ends in .safetensors" in refused(run, None, "diffusers", "x.bin")
    assert "in a folder that is there" in refused(run, None, "diffusers", "no/such/x.safetensors")
    assert "is there already and not empty" in refused(run, None, "peft", "full")
    key = f"artists/{catalogue.slug}/loras/{run}/{MAIN}"
    catalogue.ports.bucket.put(key, b"another one")
    with pytest.raises(JobError, match="is not the file on record"):
        export_lora(catalogue.ports, run, None, "peft", place / "out")
    catalogue.ports.bucket.delete([key])
    assert "is not there any more" in refused(run, None, "diffusers", "x.safetensors")
    catalogue.sql("update training_runs set state = 'failed' where id = %s", run)
    assert "is failed, there is no adapter" in refused(run, None, "diffusers", "x.safetensors")
    assert sorted(path.name for path in place.rglob("*")) == ["full", "kept"]


def test_without_a_trigger_word_none_is_named(catalogue: Catalogue, place: Path) -> None:
    before = card_of(BackendKind.ACE_STEP, "").model_dump_json(exclude={"trigger_word"})
    assert AdapterCard.model_validate_json(before).trigger_word == ""

    export_lora(catalogue.ports, store(catalogue, trigger_word=""), None, "comfyui", place / "x.safetensors")

    assert list(read_header(place / "x.safetensors").metadata) == ["dawa_card"]
