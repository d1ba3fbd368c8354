"""The errors of all three layers on one page, the rule for their messages, and the classes of the worker.

Every error that a person may meet is a `DawaError`. An `InputError` is one that the user can fix: exit code 2 on the
command line and a status of 4xx over HTTP. Everything else is the project's or a machine's: exit code 1, and 5xx. The
classes of a layer stand in its own `errors.py`: (w) here, (p) the ports' in `resources/`, (d) the domain's in
`dawa_assets/`. A class with two bases stands below the first; the other is named beside it.

    DawaError (w)
      InputError (w)
        ConflictError (w)
          ReplayedJobError (w)
          FileTakenError (w)
        BadRequestError (w)
        UnreadableAudioError (w)
        UnknownJobError (w)
        MissingBaseError (w)
        LicenceError (w)
        SettingsError (p)
        UnknownArtistError (d)
          ArtistBeingDeletedError (d)
        UnknownLiveSetError (d)
        UnknownItemError (d)
        UnauthorizedError (d)
        UnreadableLiveSetError (d)
        InvalidProfileError (d)
      AdapterError (w)
        MissingLoraError (w), InputError
        WrongBaseError (w), InputError
      JobError (w)
        RefusedJobError (w), InputError
          ConflictingJobError (w), ConflictError
        JobCancelledError (w)
        InterruptedJobError (w)
        UnreachableError (w)
        DamagedSegmentError (w)
      QueueFullError (w)
      ServiceError (w)
      TryLaterError (w)
      RefusedQuestionError (w)
      DatabaseError (p)
      BucketError (p)
        InvalidKeyError (p)
        ObjectNotFoundError (p)
        ReplacedObjectError (p)
      PromptWriterError (p)
      NotNowError (p)
      BusyError (d)
      LostLeaseError (d)
      BadTrackError (d)
      AlertError (d)

Reasons: they say why, without the thing, and whoever catches them makes one of the above of them. No person meets one.

    HeaderError (w)
    UndecodableError (w)
      RateChangeError (w)
    StorageRefusalError (p)
    RefusedLiveSetError (d)

`RefusedRequestError` is an answer of the HTTP face, of Starlette's class, and stands in `dawa_assets/http/errors.py`.
An exception that never leaves its module is private and stays there.

A message is one line: `thing: reason; way out`, as in `DAWA_BASE: no model of this name; set another one`. The thing
may be the subject of a sentence, as in `the prompt is empty; say what the music should be like`. Two kinds are free of
it, as others complete them: what is said of a key of the bucket (`InvalidKeyError`, `ObjectNotFoundError`), for only
the caller knows what was to be found there; and what is said of one question to a paid service (`TryLaterError`,
`RefusedQuestionError`), which becomes the reason why a prompt or a tag is not there. A message that ends in another's
(`thing: {error}`) has that one's way out.
"""

from http import HTTPStatus


class DawaError(Exception):
    """Anything this project raises on purpose. The message is one line: the thing, the reason, the way out."""


class InputError(DawaError):
    """What the user gave can't be used; they can fix it."""


class ConflictError(InputError):
    """What is asked for would take the place of something that is there and is another's."""


class ReplayedJobError(ConflictError):
    """A job's id was used before, for another request."""


class FileTakenError(ConflictError):
    """Another file has this name already."""


class BadRequestError(InputError):
    """A request that is answered with a status of its own."""

    def __init__(self, status: HTTPStatus, line: str) -> None:
        super().__init__(line)
        self.status = status


class UnreadableAudioError(InputError):
    """A file that can't be decoded as audio."""


class UnknownJobError(InputError):
    """No job has this id, or its result is no longer kept."""


class MissingBaseError(InputError):
    """A base model that is neither on this machine nor to be had."""


class LicenceError(InputError):
    """A base model whose licence nobody agreed to."""


class AdapterError(DawaError):
    """An adapter that does not fit: wrong base, missing keys, wrong format, or without effect."""


class MissingLoraError(AdapterError, InputError):
    """A LoRA that is asked for by its name, and is not there in any usable file."""


class WrongBaseError(AdapterError, InputError):
    """An adapter that is put on another base than its own; the user can name that one."""


class JobError(DawaError):
    """A job of the worker ended without a result."""


class RefusedJobError(JobError, InputError):
    """A job that can't be done as it was asked for; the user can fix it."""


class ConflictingJobError(RefusedJobError, ConflictError):
    """A job that was refused because of what is there already."""


class JobCancelledError(JobError):
    """A job was told to stop."""


class InterruptedJobError(JobError):
    """A job that ended by what was around it, or without an answer; handed in again, it is started again."""


class UnreachableError(JobError):
    """No answer now; the same may be asked again."""


class DamagedSegmentError(JobError):
    """A cached segment's bytes are not those of its hash."""


class QueueFullError(DawaError):
    """So many jobs wait that no other is taken; it may be handed in again after `retry_after` seconds."""

    def __init__(self, line: str, retry_after: int) -> None:
        super().__init__(line)
        self.retry_after = retry_after


class ServiceError(DawaError):
    """A paid service that can't be used at all: a wrong key, no credit, no such model, no answer."""


class TryLaterError(DawaError):
    """A call of a paid service failed in a way that passes: it is busy or broken, or the line was cut."""

    def __init__(self, reason: str, *, after_seconds: float | None = None, maybe_usd: float = 0.0) -> None:
        super().__init__(reason)
        self.after_seconds = after_seconds
        self.maybe_usd = maybe_usd
        """What a call without an answer may have cost all the same; counts against the budget."""


class RefusedQuestionError(DawaError):
    """A paid service will never answer this question; others it may."""


class HeaderError(ValueError):
    """A header that can't be followed; its text is the reason, without the file's name."""


class UndecodableError(ValueError):
    """Sound that can't be decoded; its text is the reason, without the file's name."""


class RateChangeError(UndecodableError):
    """Sound that goes on at another rate; its text says which and where."""
