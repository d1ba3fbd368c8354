"""Where a Supabase project's Storage is reached. Nothing is asked here."""

import re

_PROJECT = re.compile(r"^(https://[a-z0-9]{20})\.supabase\.(co|in|red)(?=/|$)")


def direct_storage(url: str) -> str:
    """Return the address of the same project's Storage that large files go to past the API's gateway.

    Addresses that are not a hosted project's own (a domain of the owner's, a machine of theirs) have none beside it and
    are returned as they are.
    """
    return _PROJECT.sub(r"\1.storage.supabase.\2", url)
