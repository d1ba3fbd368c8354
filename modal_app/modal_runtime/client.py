"""Modal itself, behind `Calls` and `ClaimStore`: the only place, beside `app.py`, that talks to its SDK.

Its errors become one line each, with the way out; a token that slips into one is taken out.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from modal_app.errors import JobError, UnreachableError
from modal_app.modal_runtime.claim_store import ClaimStore
from modal_app.modal_runtime.mounted_bucket.files import READ, AppFiles
from modal_app.modal_runtime.remote_calls import Calls, CallState, require_below
from modal_app.modal_runtime.routing import FUNCTIONS
from modal_app.worker.process import one_line

if TYPE_CHECKING:
    import modal

VOLUME = "nawfside-music-volume"
CLAIM_STORE = "nawfside-music-register"

_TOKEN = re.compile(r"\b(ak|as|wk|ws)-\w{8,}")
_MAX_REPORTED = 300


class ModalCalls(Calls):
    """The functions and the files of one deployed app, in one environment of the account whose token is set.

    Files are on the app's volume, or, where it was deployed with a bucket instead, behind functions of its own.

    `functions` are those of an app that is not deployed but runs for as long as its command.
    """

    def __init__(
        self,
        app: str,
        environment: str | None = None,
        functions: "Mapping[str, modal.Function[..., str, str]] | None" = None,
    ) -> None:
        self._app, self._environment, self._functions = app, environment, functions
        self._mounted: AppFiles | None = None
        self._knows_storage = False

    def spawn(self, function: str, request: str, key: str | None) -> str:
        """Start a function; see `Calls.spawn`."""
        with _modal_errors(f"the app {self._app} has no function {function}", _DEPLOY):
            return str(self._function(function).spawn(request, key).object_id)

    def poll(self, call_id: str, seconds: float) -> CallState:
        """Return how a call stands; see `Calls.poll`."""
        import modal
        from grpclib.exceptions import ProtocolError, StreamTerminatedError
        from modal import exception as of_modal

        try:
            modal.FunctionCall.from_id(call_id).get(timeout=seconds)
        except of_modal.InputCancellation:
            return CallState("cancelled")
        except (of_modal.OutputExpiredError, of_modal.NotFoundError, of_modal.InvalidError):
            return CallState("gone")
        except of_modal.FunctionTimeoutError:
            return CallState("failed", "took longer than its function may; train fewer steps")
        except (of_modal.TimeoutError, TimeoutError):  # the SDK raises the one or the other
            return CallState("running")
        except of_modal.RemoteError as error:
            is_cancelled = any(word in str(error).lower() for word in ("cancel", "terminated"))
            return CallState("cancelled") if is_cancelled else CallState("failed", f"was ended ({_line(error)})")
        except of_modal.InternalFailure as error:
            return CallState("failed", f"was lost by Modal ({_line(error)}); run it again")
        except (of_modal.Error, OSError, ProtocolError, StreamTerminatedError):
            with _modal_errors(f"the call {call_id} is not known", "start the job again"):
                raise
        except Exception as error:  # what the function raised; what it wanted to say is in the call's folder
            return CallState("failed", f"ended without an answer ({type(error).__name__}: {_line(error)})")
        return CallState("ended")

    def cancel(self, call_id: str) -> None:
        """Stop a call; see `Calls.cancel`."""
        import modal
        from modal.exception import InvalidError, NotFoundError

        with _modal_errors(f"the call {call_id} is not known", "start the job again"):
            try:
                modal.FunctionCall.from_id(call_id).cancel()
            except (NotFoundError, InvalidError):
                return

    def read(self, path: str, target: BinaryIO) -> None:
        """Write a file's content to `target`; see `Calls.read`."""
        if (files := self._files()) is not None:
            files.read(path, target)
            return
        with _modal_errors(f"the volume {VOLUME} is not there", _DEPLOY):
            for block in self._volume().read_file(require_below(path)):
                target.write(block)

    def write(self, path: str, source: Path) -> None:
        """Put a file below the data root; see `Calls.write`."""
        if (files := self._files()) is not None:
            files.write(path, source)
            return
        with (
            _modal_errors(f"the volume {VOLUME} is not there", _DEPLOY),
            self._volume().batch_upload(force=True) as batch,
        ):
            batch.put_file(source, f"/{require_below(path)}")

    def look(self) -> None:
        """Make sure that the app is deployed, without starting anything.

        Raises:
            JobError: it is not, or not with everything that is asked of it.
        """
        for function in sorted(FUNCTIONS):
            with _modal_errors(f"the app {self._app} has no function {function}", _DEPLOY):
                self._function(function).hydrate()
        if self._files() is None:
            with _modal_errors(f"the volume {VOLUME} is not there", _DEPLOY):
                self._volume().hydrate()

    def _function(self, name: str) -> Any:
        import modal

        if self._functions is not None:
            return self._functions[name]
        return modal.Function.from_name(self._app, name, environment_name=self._environment)

    def _files(self) -> AppFiles | None:
        """Return the app's own functions for files; None where they are on its volume. Which it is, is asked once."""
        from modal.exception import NotFoundError

        if not self._knows_storage:
            with _modal_errors(f"the app {self._app} is not there", _DEPLOY), suppress(NotFoundError, KeyError):
                self._function(READ).hydrate()
                self._mounted = AppFiles(self._ask)
            self._knows_storage = True
        return self._mounted

    def _ask(self, function: str, *arguments: object) -> Any:
        with _modal_errors(f"the app {self._app} has no function {function}", _DEPLOY):
            return self._function(function).remote(*arguments)

    def _volume(self) -> "modal.Volume":
        import modal

        return modal.Volume.from_name(VOLUME, environment_name=self._environment)


class ModalClaimStore(ClaimStore):
    """A `modal.Dict`. An entry that nobody reads or writes for a week is forgotten."""

    def __init__(self, claim_store: "modal.Dict") -> None:
        self._dict = claim_store

    def get(self, key: str) -> str | None:
        """Return the value; None where there is none."""
        with _modal_errors("the register is not there", _DEPLOY):
            value = self._dict.get(key)
        return None if value is None else str(value)

    def put(self, key: str, value: str) -> None:
        """Write a value, whatever is there."""
        with _modal_errors("the register is not there", _DEPLOY):
            self._dict.put(key, value)

    def put_new(self, key: str, value: str) -> bool:
        """Write a value where there is none; false where there was one."""
        with _modal_errors("the register is not there", _DEPLOY):
            return bool(self._dict.put(key, value, skip_if_exists=True))


_DEPLOY = "deploy it with `modal deploy modal_app/app.py`, or name another with DAWA_MODAL_APP"


@contextmanager
def _modal_errors(not_found: str, way_out: str) -> Iterator[None]:
    """Say in one line what Modal's errors mean. A missing file goes on as it is."""
    from grpclib.exceptions import ProtocolError, StreamTerminatedError
    from modal import exception as of_modal

    try:
        yield
    except of_modal.AuthError:
        raise JobError(
            "modal: no account's token, or a wrong one; run `modal setup`, or set MODAL_TOKEN_ID and MODAL_TOKEN_SECRET"
        ) from None
    except of_modal.NotFoundError as error:
        raise JobError(f"modal: {not_found} ({_line(error)}); {way_out}") from None
    except of_modal.PermissionDeniedError as error:
        raise JobError(f"modal: the token may not do that ({_line(error)}); use another account's token") from None
    except of_modal.VersionError as error:
        raise JobError(f"modal: its SDK here is too old ({_line(error)}); install a newer one") from None
    except of_modal.ResourceExhaustedError as error:
        raise UnreachableError(f"modal: a limit of the account is reached ({_line(error)}); raise it or wait") from None
    except of_modal.InvalidError as error:
        raise JobError(f"modal: refused ({_line(error)}); look at DAWA_MODAL_APP and DAWA_MODAL_ENVIRONMENT") from None
    except (of_modal.Error, OSError, ProtocolError, StreamTerminatedError) as error:  # the last two: a broken line
        if isinstance(error, FileNotFoundError):
            raise
        raise UnreachableError(f"modal: no answer ({_line(error)}); try again later") from None
    except (ValueError, AssertionError, AttributeError) as error:  # an answer that the SDK can't read
        raise JobError(f"modal: an answer that is not understood ({_line(error)}); install the newest SDK") from None


def _line(error: Exception) -> str:
    line = _TOKEN.sub("(token)", one_line(error))
    return line[:_MAX_REPORTED]
