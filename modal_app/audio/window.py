"""A part of an open file that reads like a file of its own. What lies around it is not seen."""

import os
from typing import BinaryIO


class Window:
    """The bytes `start` to `end` of a file, for whoever reads, seeks and tells."""

    def __init__(self, file: BinaryIO, start: int = 0, end: int | None = None) -> None:
        size = file.seek(0, os.SEEK_END)
        self._file = file
        self._start = min(start, size)
        self._end = size if end is None else min(end, size)
        self._at = 0

    def __len__(self) -> int:
        return self._end - self._start

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes from here on."""
        left = len(self) - self._at
        if left <= 0:
            return b""
        self._file.seek(self._start + self._at)
        data = self._file.read(left if size < 0 else min(size, left))
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place; before the beginning is an error, behind the end is not."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: len(self)}[whence]
        if base + offset < 0:
            raise OSError("a place before the beginning")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        """Return the place that is read next."""
        return self._at

    def part(self, start: int = 0, end: int | None = None) -> "Window":
        """Return a window on a part of this one, with a place of its own."""
        stop = len(self) if end is None else min(end, len(self))
        return Window(self._file, self._start + min(start, stop), self._start + stop)

    def at(self, offset: int, size: int) -> bytes:
        """Return the bytes at a place; none outside of the file, wherever a header may point to."""
        if not 0 <= offset < len(self):
            return b""
        self._at = offset
        return self.read(max(0, size))
