"""Publishing adapters and finding them by name, on files of a real training."""

import shutil
from pathlib import Path

import pytest

from modal_app.adapters.file_format import read_adapter, read_card, write_adapter
from modal_app.adapters.publish import install, resolve_lora
from modal_app.data_root.layout import DataRoot
from modal_app.errors import AdapterError, InputError, MissingLoraError
from modal_app.protocol.training import InstallRequest
from tests.modal_app.training.conftest import Trained, ignore

REQUEST = InstallRequest(run_id="run-1", producer_id="test-artist", model_name="lora")
NAME = "test-artist:lora"


@pytest.fixture
def root(trained: Trained, tmp_path: Path) -> DataRoot:
    """A data root with nothing but the finished run."""
    shutil.copytree(trained.run, tmp_path / "data" / "runs" / "run-1")
    return DataRoot(tmp_path / "data")


def another_run(root: DataRoot, run_id: str, **changes: object) -> InstallRequest:
    """A run with other weights."""
    first = root.run("run-1")
    shutil.copytree(first, root.run(run_id))
    for name in ("test-artist_lora.safetensors", "adapter_model.safetensors"):
        card, weights = read_adapter(first / name)
        card = card.model_copy(update={"run_id": run_id, **changes})
        stem = f"{card.producer_id}_{card.model_name}.safetensors" if "_lora" in name else name
        write_adapter(root.run(run_id) / stem, {key: weight * 2 for key, weight in weights.items()}, card)
    return InstallRequest(run_id=run_id, producer_id=card.producer_id, model_name=card.model_name)


def test_an_adapter_is_published_under_both_specified_paths(root: DataRoot) -> None:
    result = install(REQUEST, root, ignore)

    assert result.lora_path == "loras/test-artist_lora.safetensors"
    assert result.peft_path == "models/test-artist/adapter_model.safetensors"
    assert result.changed
    for path in (result.lora_path, result.peft_path, "models/test-artist/adapter_config.json"):
        assert (root.root / path).read_bytes() == (root.run("run-1") / Path(path).name).read_bytes()


def test_publishing_the_same_again_changes_nothing(root: DataRoot) -> None:
    install(REQUEST, root, ignore)
    before = (root.lora("test-artist", "lora").stat().st_ino, root.peft_model("test-artist").readlink())

    assert not install(REQUEST, root, ignore).changed
    assert (root.lora("test-artist", "lora").stat().st_ino, root.peft_model("test-artist").readlink()) == before


def test_a_newer_adapter_replaces_the_older_in_one_step(root: DataRoot) -> None:
    install(REQUEST, root, ignore)
    held = root.peft_model("test-artist").resolve()

    assert install(another_run(root, "run-2"), root, ignore).changed

    assert read_card(root.lora("test-artist", "lora")).run_id == "run-2"
    assert read_card(root.peft_model("test-artist") / "adapter_model.safetensors").run_id == "run-2"
    assert root.peft_model("test-artist").resolve() != held
    assert list(root.scratch().iterdir()) == []


def test_a_plain_folder_and_a_damaged_file_are_replaced(root: DataRoot) -> None:
    root.peft_model("test-artist").mkdir(parents=True)
    (root.peft_model("test-artist") / "adapter_model.safetensors").write_text("placeholder")
    root.lora("test-artist", "lora").parent.mkdir(parents=True)
    root.lora("test-artist", "lora").write_text("placeholder")

    assert install(REQUEST, root, ignore).changed
    assert resolve_lora(root, NAME).card.run_id == "run-1"


@pytest.mark.parametrize(
    "missing", ["test-artist_lora.safetensors", "adapter_model.safetensors", "adapter_config.json"]
)
def test_a_run_with_a_file_missing_is_not_published(root: DataRoot, missing: str) -> None:
    (root.run("run-1") / missing).unlink()

    with pytest.raises(AdapterError, match=missing):
        install(REQUEST, root, ignore)
    assert not root.lora("test-artist", "lora").exists()
    assert not root.peft_model("test-artist").exists()


def test_a_run_of_another_artist_is_not_published(root: DataRoot) -> None:
    foreign = another_run(root, "run-2", producer_id="somebody-else")
    shutil.move(
        root.run("run-2") / "somebody-else_lora.safetensors", root.run("run-2") / "test-artist_lora.safetensors"
    )

    with pytest.raises(AdapterError, match="is somebody-else:lora, not test-artist:lora"):
        install(foreign.model_copy(update={"producer_id": "test-artist"}), root, ignore)


def test_equal_file_names_of_two_producers_are_not_overwritten(root: DataRoot) -> None:
    install(another_run(root, "run-2", producer_id="a_b", model_name="c"), root, ignore)
    second = another_run(root, "run-3", producer_id="a", model_name="b_c")

    with pytest.raises(AdapterError, match="is a_b:c, not a:b_c"):
        install(second, root, ignore)
    assert resolve_lora(root, "a_b:c").card.run_id == "run-2"


@pytest.mark.parametrize("content", [b"", b"placeholder", b"\0" * 64, b"\x02\0\0\0\0\0\0\0{}", b"{" * 5000])
def test_a_placeholder_is_passed_over_for_the_other_path(root: DataRoot, content: bytes) -> None:
    install(REQUEST, root, ignore)
    root.lora("test-artist", "lora").write_bytes(content)

    resolved = resolve_lora(root, NAME)

    assert resolved.path == root.peft_model("test-artist") / "adapter_model.safetensors"
    assert len(resolved.passed_over) == 1


def test_a_file_that_was_cut_off_is_passed_over(root: DataRoot) -> None:
    install(REQUEST, root, ignore)
    path = root.lora("test-artist", "lora")
    path.write_bytes(path.read_bytes()[:-10])

    assert "cut off" in resolve_lora(root, NAME).passed_over[0]


def test_a_file_with_another_name_on_its_card_is_passed_over(root: DataRoot) -> None:
    install(another_run(root, "run-2", model_name="other"), root, ignore)  # takes the folder, not the file

    with pytest.raises(AdapterError, match="is test-artist:other, not test-artist:lora"):
        resolve_lora(root, NAME)
    assert resolve_lora(root, "test-artist:other").card.run_id == "run-2"


def test_no_usable_adapter_is_one_line_with_both_reasons(root: DataRoot) -> None:
    with pytest.raises(AdapterError) as caught:
        resolve_lora(root, NAME)

    assert "\n" not in str(caught.value)
    assert "loras/test-artist_lora.safetensors" in str(caught.value)
    assert "models/test-artist/adapter_model.safetensors" in str(caught.value)


@pytest.mark.parametrize("lora_id", ["", "artist", ":m", "a:", "../a:m", "a:../m", "a:b:c", "a/b:m", "ä:m", "a:m\n"])
def test_a_malformed_lora_id_is_the_users_mistake(root: DataRoot, lora_id: str) -> None:
    with pytest.raises(InputError, match="producer:model"):
        resolve_lora(root, lora_id)


def test_a_run_is_found_by_its_id_before_it_is_published(root: DataRoot) -> None:
    install(REQUEST, root, ignore)
    another_run(root, "run-2")
    another_run(root, "run-3", model_name="other")

    assert resolve_lora(root, NAME, "run-2").path == root.run("run-2") / "test-artist_lora.safetensors"
    assert resolve_lora(root, NAME).card.run_id == "run-1"
    shutil.copy(root.run("run-2") / "test-artist_lora.safetensors", root.run("run-1"))
    for run_id in ("run-1", "run-3", "run-4"):
        with pytest.raises(MissingLoraError):
            resolve_lora(root, NAME, run_id)
