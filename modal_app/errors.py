"""The root of the project's error tree, and the errors of the worker.

Every error that a person may meet is a `DawaError`: its message is one line that names the thing, the reason
and the way out. `InputError` marks what the user can mend (exit code 2 on the command line); everything else
is ours or a machine's (exit code 1). `resources/errors.py` and `dawa_assets/errors.py` add their layers'.
"""


class DawaError(Exception):
    """Anything this project raises on purpose. The message is one line: the thing, the reason, the way out."""


class InputError(DawaError):
    """What the user gave can't be used; they can mend it."""


class ConflictError(InputError):
    """What is asked for would take the place of something that is there and is another's."""


class UnreadableAudioError(InputError):
    """A file that can't be decoded as audio."""


class AdapterError(DawaError):
    """An adapter that does not fit: wrong base, missing keys, wrong format, or without effect."""


class MissingLoraError(AdapterError, InputError):
    """A LoRA that is asked for by its name, and is not there in any usable file."""


class WrongBaseError(AdapterError, InputError):
    """An adapter that is put on another base than its own; the user can name that one."""


class JobError(DawaError):
    """A job of the worker ended without a result."""


class RefusedJobError(JobError, InputError):
    """A job that can't be done as it was asked for; the user can mend it."""


class ConflictingJobError(RefusedJobError, ConflictError):
    """A job that was refused because of what is there already."""


class JobCancelledError(JobError):
    """A job was told to stop."""


class UnreachableError(JobError):
    """No answer now; the same may be asked again."""


class ServiceError(DawaError):
    """A paid service that can't be used at all: a wrong key, no credit, no such model, no answer."""


class MissingBaseError(InputError):
    """A base model that is neither on this machine nor to be had."""


class LicenceError(InputError):
    """A base model whose licence nobody agreed to."""
