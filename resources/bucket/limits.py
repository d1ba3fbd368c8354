"""What a bucket's own settings have to let in, so that the pipeline can put everything it makes into it."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

MAX_UPLOAD_BYTES = 2**30
"""The largest file that a client may upload: an hour of 24-bit stereo at 48 kHz. Zips of datasets can be larger."""
WRITTEN_TYPES = (
    *("audio/mpeg", "audio/wav", "audio/x-wav", "audio/x-aiff", "audio/flac", "audio/ogg", "audio/mp4"),
    *("application/octet-stream", "application/json", "application/zip", "image/png", "text/plain"),
)
"""Content types that are written: audio of every kind, Live Sets and adapters, summaries, zips, pictures, prompts."""


def too_narrow(size_limit: int | None, types: Sequence[str] | None) -> str | None:
    """Return what a limit on sizes (bytes) or types keeps out, as `files of the type text/plain`; None: nothing."""
    reasons = []
    if size_limit and size_limit < MAX_UPLOAD_BYTES:
        reasons.append(f"files of more than {size_limit:,} bytes")
    if types:
        out = [kind for kind in WRITTEN_TYPES if not any(fnmatchcase(kind, allowed) for allowed in types)]
        if out:
            reasons.append(f"files of the types {', '.join(out)}")
    return " and ".join(reasons) or None
