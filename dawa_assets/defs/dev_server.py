"""Dagster's UI and daemon on this machine, as `dagster dev` starts them, with nothing in the terminal but trouble."""

import logging
import signal
import warnings
from pathlib import Path

import dagster as dg

_ENDS = (dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.RUN_SUCCESS)
_WORKSPACE = Path(__file__).resolve().parents[2] / "workspace.yaml"


def run_dev_server(instance: dg.DagsterInstance, port: int) -> None:
    """Serve the code location on this instance, which is that of DAGSTER_HOME, until it is interrupted."""
    from dagster._cli.dev import dev_command

    _begin_with_what_comes(instance)
    instance.dispose()
    # A shell that starts something in the background has it ignore Ctrl-C, and Dagster takes the signal that ends other
    # programs for Ctrl-C: nothing but SIGKILL would end it, which leaves the daemon behind.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    is_checkout = _WORKSPACE.is_file()
    location = ["--workspace", str(_WORKSPACE)] if is_checkout else ["--module-name", "dawa_assets.definitions"]
    logging.getLogger("dagster").addFilter(_is_trouble)
    with warnings.catch_warnings():
        # `dg dev`, which takes its place, does the same and brings twenty packages that nothing else here needs.
        warnings.simplefilter("ignore", dg.SupersessionWarning)
        # Each tick of each sensor is a line at a lower level.
        dev_command.main(["--port", str(port), "--log-level", "warning", *location], standalone_mode=False)


def _is_trouble(record: logging.LogRecord) -> bool:
    """Return whether a line says more than that the checkout's dagster.yaml is not read: the instance has a copy."""
    return "file will not be used to configure Dagster" not in record.getMessage()


def _begin_with_what_comes(instance: dg.DagsterInstance) -> None:
    """Let the daemon look for runs to try again among those that end from now on.

    It does so by itself on a new instance, and warns of it.
    """
    kept = instance.daemon_cursor_storage
    names = {f"EVENT_LOG_CONSUMER_CURSOR-{kind.value}" for kind in _ENDS}
    if missing := names - set(kept.get_cursor_values(names)):
        latest = instance.event_log_storage.get_maximum_record_id() or 0
        kept.set_cursor_values(dict.fromkeys(missing, str(latest)))
