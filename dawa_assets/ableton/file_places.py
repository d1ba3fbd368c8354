"""Where a file that a set refers to lies, and what it belongs to: the project, the user library, a pack, or none.

Every version of Live says it in other words. A number tells what the relative path begins at. Until Live 10 the
absolute path is kept as the operating system has it (`Data`): UTF-16 on Windows, an alias record on a Mac.
"""

import re

from dawa_assets.ableton.live_set import Location

# What a relative path begins at, by Live's number: the project, a pack or the Core Library, the user library, what is
# built into Live. 1 is the set's own folder, from which paths lead elsewhere, too; 2 is the one library of Live 8.
_BEGINS_AT: dict[str, Location] = {"3": "project", "5": "pack", "6": "user library", "7": "pack"}
_SET_FOLDER, _OLD_LIBRARY = "1", "2"
# Where Live 8 kept a user's own samples, in the library that it put its own into.
_OWN_IN_OLD_LIBRARY = ("Samples/Imported/", "Samples/Recorded/", "Samples/Processed/")
_BY_FOLDER: tuple[tuple[str, Location], ...] = (
    ("/User Library/", "user library"),
    ("/Core Library/", "pack"),
    ("/Factory Packs/", "pack"),
    ("/Live Packs/", "pack"),
    ("/App-Resources/Builtin/", "pack"),
)

MAX_DATA = 16 * 1024
_WINDOWS_PATH = re.compile(r"(?:[A-Za-z]:|\\)\\[^\0]+")
_ALIAS_VERSION = 2
_ALIAS_HEADER = 150
# Parts of an alias record: the path from its volume's root, where that volume is mounted, and the whole path with
# colons, which is all that some have.
_POSIX_PATH, _MOUNT_POINT, _COLON_PATH, _END = 18, 19, 2, 0xFFFF


def location_of(relative_to: str, relative_path: str, pack: str, absolute_path: str) -> Location:
    """Return what a file belongs to; empty where the set does not say. Paths have `/`.

    Args:
        relative_to: Live's number for what the relative path begins at; empty where there is no such path.
        relative_path: that path.
        pack: the name of the pack, if it is of one.
        absolute_path: where Live last saw the file.
    """
    if relative_to in _BEGINS_AT:
        return _BEGINS_AT[relative_to]
    if relative_to == _OLD_LIBRARY:
        return "user library" if relative_path.startswith(_OWN_IN_OLD_LIBRARY) else "pack"
    if pack:
        return "pack"
    for folder, owner in _BY_FOLDER:
        if folder in f"/{absolute_path}":
            return owner
    if relative_to == _SET_FOLDER and relative_path:
        return "elsewhere" if relative_path.startswith(("../", "/")) else "project"
    return "elsewhere" if absolute_path else ""


def path_of_data(hexadecimal: str) -> str:
    """Return the absolute path, with `/`, that `Data` holds in hexadecimal digits; empty where it can't be told."""
    try:
        data = bytes.fromhex(hexadecimal)
    except ValueError:
        return ""
    if found := _WINDOWS_PATH.match(data[: len(data) & ~1].decode("utf-16-le", "replace")):
        return found.group().replace("\\", "/")
    return _path_of_alias(data)


def _path_of_alias(data: bytes) -> str:
    if len(data) < _ALIAS_HEADER or int.from_bytes(data[6:8], "big") != _ALIAS_VERSION:
        return ""
    parts: dict[int, str] = {}
    here = _ALIAS_HEADER
    while here + 4 <= len(data):
        kind, length = int.from_bytes(data[here : here + 2], "big"), int.from_bytes(data[here + 2 : here + 4], "big")
        if kind == _END:
            break
        parts.setdefault(kind, data[here + 4 : here + 4 + length].decode("utf-8", "replace").rstrip("\0"))
        here += 4 + length + length % 2
    if path := parts.get(_POSIX_PATH, ""):
        return f"{parts.get(_MOUNT_POINT, '').rstrip('/')}/{path.lstrip('/')}"
    _, colon, path = parts.get(_COLON_PATH, "").partition(":")
    return "/" + path.replace("/", "\0").replace(":", "/").replace("\0", ":") if colon and path else ""
