"""The `keep_checkpoint` job: a milestone becomes the adapter of its run, with its strength baked in.

What an adapter adds to a layer is linear in one of its two matrices, so that multiplying that one is exact. The files
are functions of milestone and strength: whoever is killed in between is followed by somebody who writes the same bytes.
"""

from collections.abc import Callable

from modal_app.adapters.file_format import read_adapter
from modal_app.backends.registry import write_adapter_files
from modal_app.data_root.digests import sha256_file
from modal_app.data_root.layout import DataRoot
from modal_app.data_root.scratch import locked, scratch_folder, sweep
from modal_app.errors import AdapterError
from modal_app.protocol.base import Event
from modal_app.protocol.evaluation import KeepCheckpointRequest, KeepCheckpointResult
from modal_app.training.milestones import milestone_name


def keep_checkpoint(
    request: KeepCheckpointRequest, root: DataRoot, emit: Callable[[Event], None]
) -> KeepCheckpointResult:
    """Write the run's adapter in all its formats from a milestone; the milestone stays as it is.

    Raises:
        AdapterError: the milestone is missing, damaged, or another run's.
    """
    sweep(root.scratch())
    run = root.run(request.run_id)
    path = run / milestone_name(request.step)
    card, weights = read_adapter(path)
    if (card.run_id, card.producer_id, card.model_name) != (request.run_id, request.producer_id, request.model_name):
        raise AdapterError(f"{path}: belongs to another run; train it again")
    card = card.model_copy(update={"strength": request.strength})
    baked = {name: part * request.strength if ".lora_B." in name else part for name, part in weights.items()}
    place = run.relative_to(root.root).as_posix()
    with locked(run), scratch_folder(root.scratch()) as folder:
        write_adapter_files(card.backend, folder, baked, card)
        (folder / "card.json").write_text(card.model_dump_json(indent=2) + "\n")
        names = sorted(path.name for path in folder.iterdir())
        for name in names:
            (folder / name).replace(run / name)
    emit(Event(kind="log", message=f"run {request.run_id}: its adapter is step {request.step} now"))
    return KeepCheckpointResult(files={f"{place}/{name}": sha256_file(run / name) for name in names})
