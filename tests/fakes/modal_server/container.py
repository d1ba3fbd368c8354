"""A container: `python -m tests.fakes.modal_server.container ROOT CALL_ID` runs the body of one call's function."""

import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from types import FrameType

from modal_app.modal_runtime.claim_store import FolderClaimStore
from modal_app.modal_runtime.container import Container, run_call
from tests.fakes.modal_server.machine import ENDED, RAISED, Machines, write_whole
from tests.fakes.modal_server.volume import VolumeCopy


class InputCancellation(BaseException):
    """As Modal's: no `Exception`."""


def main(root: Path, call_id: str) -> None:
    machines = Machines(root)
    asked = machines.asked(call_id)
    on_gpu = asked["function"].partition("_")[0] in ("train", "evaluate", "generate")
    # as long as it takes to leave a checkpoint; a thread in a dead download is not waited for
    _cancelled_after(20.0 if on_gpu else 1.0)
    local = machines.call(call_id) / f"data-{os.getpid()}"
    container = Container(
        local,
        VolumeCopy(machines.volume, local),
        FolderClaimStore(machines.claim_store),
        has_gpu=on_gpu,
        commit_seconds=0.1,
    )
    try:
        said = run_call(asked["request"], asked["key"], call_id, container)
    except InputCancellation:
        return
    except BaseException as error:
        traceback.print_exc()
        write_whole(machines.call(call_id) / RAISED, f"{type(error).__name__}: {error}")
        raise
    write_whole(machines.call(call_id) / ENDED, said)


def _cancelled_after(seconds: float) -> None:
    """Raise on SIGTERM, and end the hard way if the way out takes longer."""

    def cancel(_signum: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        hard_end = threading.Timer(seconds, os._exit, (1,))
        hard_end.daemon = True
        hard_end.start()
        raise InputCancellation

    signal.signal(signal.SIGTERM, cancel)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
