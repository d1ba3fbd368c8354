"""The `import_lora` job: an adapter that another program trained becomes a run's files, if it fits the base.

What it is and how strong was found where its file lay (`modal_app/adapters/foreign.py`); here it is put on the base, as
strictly as an adapter of ours is, before anything says that it is there.
"""

from collections.abc import Callable

from modal_app.adapters.card import AdapterCard
from modal_app.adapters.tensor_file import read_arrays
from modal_app.backends.ace_step.backend import AceStepBackend
from modal_app.backends.base import BaseModel
from modal_app.config import BackendKind
from modal_app.data_root.digests import sha256_file
from modal_app.data_root.layout import DataRoot
from modal_app.data_root.scratch import discard, scratch_folder, sweep
from modal_app.errors import AdapterError, InputError, WrongBaseError
from modal_app.protocol.base import Event
from modal_app.protocol.training import ImportLoraRequest, ImportLoraResult, TrainParameters

IMPORTED = "imported.safetensors"
"""The folded weights by diffusers' names, which whoever asks has put into the run's folder."""


def import_lora(request: ImportLoraRequest, root: DataRoot, emit: Callable[[Event], None]) -> ImportLoraResult:
    """Make the run's files. Where the adapter does not fit, nothing of it is left.

    Raises:
        InputError: it is for another generator than ACE-Step, or does not fit the base: its first wrong key is named.
        MissingBaseError: the base can't be loaded.
    """
    import torch

    sweep(root.scratch())
    if request.backend is not BackendKind.ACE_STEP:
        raise InputError(f"{request.backend}: only adapters of ACE-Step can be imported; set DAWA_BACKEND=ace_step")
    run = root.run(request.run_id)
    weights = {name: torch.from_numpy(array) for name, array in read_arrays(run / IMPORTED).items()}
    emit(Event(kind="log", message=f"loading {request.backend} ({request.base})"))
    backend = AceStepBackend.load(request.base)
    _require_base(request, backend.base)
    card = _card(request, backend.base, backend.versions(), sum(weight.numel() for weight in weights.values()))
    place = run.relative_to(root.root).as_posix()
    with scratch_folder(root.scratch()) as folder:
        adapter = backend.adopt(folder, weights, card)[0]
        try:
            backend.attach(adapter, 1.0)
        except AdapterError as error:
            discard(run, root.scratch())
            reason = str(error).removeprefix(f"{adapter}: ").rpartition("; ")[0]
            raise InputError(f"{_name(request)}: does not fit {request.base}: {reason}; name another file") from None
        (folder / "card.json").write_text(card.model_dump_json(indent=2) + "\n")
        names = sorted(path.name for path in folder.iterdir())
        for name in names:
            (folder / name).replace(run / name)
    (run / IMPORTED).unlink()
    emit(Event(kind="log", message=f"{_name(request)}: fits {request.base}, {len(weights) // 2} modules"))
    return ImportLoraResult(
        files={f"{place}/{name}": sha256_file(run / name) for name in names},
        trainable_parameters=card.trainable_parameters,
    )


def _require_base(request: ImportLoraRequest, base: BaseModel) -> None:
    """Where the adapter says which weights it needs, those are the base's."""
    wanted = (request.origin.base, request.base_revision)
    if request.base_revision is not None and wanted != (base.name, base.revision):
        raise WrongBaseError(
            f"{_name(request)}: was trained on {wanted[0]} ({wanted[1]}), not on {base.name} ({base.revision}); "
            "set DAWA_BASE to its own base"
        )


def _card(request: ImportLoraRequest, base: BaseModel, versions: dict[str, str], numbers: int) -> AdapterCard:
    return AdapterCard(
        run_id=request.run_id,
        producer_id=request.producer_id,
        model_name=request.model_name,
        backend=request.backend,
        base=base.name,
        base_revision=base.revision,
        base_licence=base.licence,
        dataset_fingerprint="",
        recipe="",
        examples=0,
        songs=0,
        trigger_word=request.trigger_word,
        parameters=TrainParameters(
            steps=0, batch_size=0, learning_rate=0.0, rank=request.rank, alpha=request.rank, seed=0
        ),
        first_loss=None,
        final_loss=None,
        trainable_parameters=numbers,
        targets=request.targets,
        imported=request.origin,
        versions=versions,
    )


def _name(request: ImportLoraRequest) -> str:
    return next(iter(request.origin.files), request.run_id)
