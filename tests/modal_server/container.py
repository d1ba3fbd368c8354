"""A container: `python -m tests.modal_server.container ROOT CALL_ID` runs the body of one call's function."""

import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from types import FrameType

from modal_app.register import FolderRegister
from modal_app.remote import Container, run_call
from tests.modal_server.machine import ENDED, RAISED, Machines
from tests.modal_server.volume import VolumeCopy


class InputCancellation(BaseException):
    """As Modal's: no `Exception`."""


def main(root: Path, call_id: str) -> None:
    machines = Machines(root)
    signal.signal(signal.SIGTERM, _cancel)
    asked = machines.asked(call_id)
    on_gpu = asked["function"].partition("_")[0] in ("train", "evaluate", "generate")
    local = machines.call(call_id) / f"data-{os.getpid()}"
    container = Container(
        local,
        VolumeCopy(machines.volume, local),
        FolderRegister(machines.register),
        has_gpu=on_gpu,
        commit_seconds=0.1,
    )
    try:
        said = run_call(asked["request"], asked["key"], call_id, container)
    except InputCancellation:
        return
    except BaseException as error:
        traceback.print_exc()
        (machines.call(call_id) / RAISED).write_text(f"{type(error).__name__}: {error}")
        raise
    (machines.call(call_id) / ENDED).write_text(said)


def _cancel(_signum: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    hard_end = threading.Timer(1.0, os._exit, (1,))  # a thread in a dead download stays
    hard_end.daemon = True
    hard_end.start()
    raise InputCancellation


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
