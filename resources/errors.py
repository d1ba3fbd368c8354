"""Errors of the ports: databases, buckets, prompt writers and compute that don't answer as they should.

The whole tree and the rule for messages are in `modal_app/errors.py`.
"""

from modal_app.errors import DawaError, InputError


class SettingsError(InputError):
    """A setting is missing or has a value that can't be used."""


class DatabaseError(DawaError):
    """The database can't be started, reached, or migrated."""


class BucketError(DawaError):
    """The bucket refused or did not answer."""


class InvalidKeyError(BucketError):
    """An object key that no bucket may be asked for: traversal, absolute, empty, or with a NUL."""


class ObjectNotFoundError(BucketError):
    """No object has this key."""


class ReplacedObjectError(BucketError):
    """The object was replaced while it was being read, and the connection to its old bytes is gone."""


class PromptWriterError(DawaError):
    """The prompt writer can't be used at all (one prompt that fails is an answer, not an error)."""


class NotNowError(DawaError):
    """A paid service is not asked now, for a reason that passes: a budget, an outage."""


class StorageRefusalError(Exception):
    """An answer of Storage that is an error, with its real code.

    Attributes:
        status: the HTTP status that is meant.
        code: Storage's name of the error; empty where the answer has none.
        retry_after: seconds after which the server asks to be tried again, if it said so.
    """

    def __init__(self, status: int, code: str, message: str, retry_after: float | None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.retry_after = status, code, message, retry_after

    @property
    def no_object(self) -> bool:
        """No object has this key."""
        return self.status == 404 and (self.code == "NoSuchKey" or self.message == "Object not found")

    @property
    def name_too_long(self) -> bool:
        """The server keeps objects on a disk, whose file system takes no such name."""
        return "ENAMETOOLONG" in self.message

    @property
    def no_bucket(self) -> bool:
        """There is no bucket of this name."""
        return self.status == 404 and (self.code == "NoSuchBucket" or self.message == "Bucket not found")
