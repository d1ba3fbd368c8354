"""Answers that were paid for, kept below the data root the moment they come: a job that dies pays for them once.

`cache/tags/<model>/<tag prompt version>/<segment sha256>~<hint>.json`, each written once, whole or not at all. An
entry that can't be read counts as absent. The tables stay the truth; this may be deleted.
"""

import hashlib
import re
from pathlib import Path

from pydantic import BaseModel, ValidationError

from modal_app.data_root.atomic_writes import write_atomic
from modal_app.data_root.layout import DataRoot
from modal_app.hosted_models.metered_requests import Usage
from modal_app.protocol.tagging import SegmentTags

_FOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class CachedAnswer(BaseModel):
    """An answer with what it took, as far as it was its own share."""

    tags: SegmentTags
    paid: Usage


class AnswerCache:
    """The answers of one model to one version of the instruction."""

    def __init__(self, root: DataRoot, model: str, tag_prompt_version: str, scratch: Path) -> None:
        """`scratch`: a folder of the caller's own, on the same file system."""
        self._model, self._version, self._scratch = model, tag_prompt_version, scratch
        self._folder = root.tags() / _folder_name(model) / _folder_name(tag_prompt_version)

    def find(self, sha256: str, hint: str) -> CachedAnswer | None:
        """Return the answer that was kept for a segment with these known facts."""
        try:
            kept = CachedAnswer.model_validate_json(self._path(sha256, hint).read_bytes())
        except (OSError, ValidationError):
            return None
        tags = kept.tags
        known = (tags.sha256, tags.hint, tags.model, tags.tag_prompt_version)
        return kept if known == (sha256, hint, self._model, self._version) else None

    def keep(self, answer: CachedAnswer) -> None:
        """Write an answer down."""
        path = self._path(answer.tags.sha256, answer.tags.hint)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, answer.model_dump_json(), self._scratch)

    def _path(self, sha256: str, hint: str) -> Path:
        return self._folder / sha256[:2] / f"{sha256}~{hint}.json"


def _folder_name(name: str) -> str:
    """Return a name as a folder's: as it is where that is safe, else its hash."""
    return name if _FOLDER_NAME.fullmatch(name) else hashlib.sha256(name.encode()).hexdigest()[:24]
