"""Errors of the ports: databases, buckets, prompt writers and compute that don't answer as they should."""

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


class PromptWriterError(DawaError):
    """The prompt writer can't be used at all (one prompt that fails is an answer, not an error)."""


class NotNowError(DawaError):
    """A paid service is not asked now, for a reason that passes: a budget, an outage."""
