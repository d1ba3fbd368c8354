"""Errors of the domain. The whole tree and the rule for messages are in `modal_app/errors.py`."""

from modal_app.errors import DawaError, InputError


class UnknownArtistError(InputError):
    """No artist has this slug or name."""


class UnauthorizedError(InputError):
    """Who asks did not say who they are, or may not ask for this."""


class UnknownLiveSetError(InputError):
    """The artist has no Live Set of this parse id."""


class UnknownItemError(InputError):
    """The artist has no such item, run, upload or rendering."""


class UnreadableLiveSetError(InputError):
    """A file that is no Live Set, or one that can't be read safely."""


class InvalidProfileError(InputError):
    """A master_schema that does not follow the interface of the specification."""


class ArtistBeingDeletedError(UnknownArtistError):
    """An artist who is being deleted, or was a moment ago."""


class BusyError(DawaError):
    """Another process is working on the same artist and step."""


class LostLeaseError(DawaError):
    """The lease ran out and somebody else took over; nothing of this attempt was committed."""


class BadTrackError(DawaError):
    """A track's audio in the bucket is not what its row says: the bytes' hash differs."""

    def __init__(self, position: int) -> None:
        super().__init__(f"track {position}: the bytes in the bucket are not those on record; upload the file again")
        self.position = position


class AlertError(DawaError):
    """A message that could not be delivered."""


class RefusedLiveSetError(Exception):
    """Why a file is not taken and what its owner can do; the reader adds the file's name."""

    def __init__(self, reason: str, way_out: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.way_out = way_out
