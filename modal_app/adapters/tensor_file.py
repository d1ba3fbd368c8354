"""Safetensors files as arrays, without torch: machines that only publish have none.

The format: https://huggingface.co/docs/safetensors. A header is anybody's word until it is checked here: every tensor
is of a known type, as large as its shape says, and they fill the file without a gap.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from modal_app.errors import AdapterError

Array = npt.NDArray[np.float32]

_MAX_HEADER = 100_000_000  # of the safetensors format
_METADATA = "__metadata__"
_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}  # numpy has no bfloat16: the upper half of an F32


@dataclass(frozen=True)
class TensorHeader:
    """What a file says of itself: notes, and its tensors; their data begins at byte `start`."""

    metadata: dict[str, Any]
    tensors: dict[str, dict[str, Any]]
    start: int


def read_header(path: Path, *, largest: int = _MAX_HEADER, way_out: str = "install it again") -> TensorHeader:
    """Return a file's header, of at most `largest` bytes. The file must be as long as its header says.

    Raises:
        AdapterError: the file is missing, a placeholder, or cut off.
    """
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            length = int.from_bytes(file.read(8), "little")
            if size < 8 + 2 or not 2 <= length <= min(size - 8, largest):
                raise AdapterError(
                    f"{path}: a placeholder, no adapter ({size} bytes, no safetensors header); {way_out}"
                )
            header = json.loads(file.read(length))
        tensors = {name: entry for name, entry in header.items() if name != _METADATA}
        end = 8 + length + max((entry["data_offsets"][1] for entry in tensors.values()), default=0)
    except OSError as error:
        raise AdapterError(f"{path}: can't be read: {error.strerror or error}; {way_out}") from None
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError):
        raise AdapterError(
            f"{path}: a placeholder, no adapter (its header is no safetensors header); {way_out}"
        ) from None
    if not tensors:
        raise AdapterError(f"{path}: a placeholder, no adapter (no tensors in it); {way_out}")
    if size != end:
        raise AdapterError(f"{path}: cut off or damaged: {size} bytes where its header says {end}; {way_out}")
    metadata = header.get(_METADATA)
    return TensorHeader(metadata if isinstance(metadata, dict) else {}, tensors, 8 + length)


def read_arrays(path: Path) -> dict[str, Array]:
    """Return the tensors of a file in 32 bits, whatever they are stored in.

    Raises:
        AdapterError: the file is missing, a placeholder or cut off, or a tensor is not what the format allows.
    """
    header = read_header(path)
    spans = {name: _span(path, name, entry) for name, entry in header.tensors.items()}
    position = 0
    for name, (_, _, begin, end) in sorted(spans.items(), key=lambda item: item[1][2:]):
        if begin != position:
            raise AdapterError(
                f"{path}: damaged: the tensor {name!r:.120} does not follow the one before; get it again"
            )
        position = end
    arrays: dict[str, Array] = {}
    with path.open("rb") as file:
        for name, (kind, shape, begin, end) in spans.items():
            file.seek(header.start + begin)
            stored = np.frombuffer(file.read(end - begin), _TYPES[kind])
            if kind == "BF16":
                stored = (stored.astype("<u4") << 16).view("<f4")
            with np.errstate(over="ignore"):  # what is too large for 32 bits is no number then
                arrays[name] = stored.astype(np.float32).reshape(shape)
    return arrays


def write_arrays(path: Path, arrays: Mapping[str, Array], metadata: Mapping[str, str]) -> None:
    """Write arrays in 32 bits with notes in the header. The same content gives the same bytes.

    They are those of safetensors' own writer, except that the order of several notes is left to chance there.
    """
    header: dict[str, Any] = {_METADATA: dict(sorted(metadata.items()))}
    position = 0
    for name in sorted(arrays):
        size = 4 * arrays[name].size
        header[name] = {
            "dtype": "F32",
            "shape": list(arrays[name].shape),
            "data_offsets": [position, position + size],
        }
        position += size
    encoded = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    with path.open("wb") as file:
        file.write(len(encoded).to_bytes(8, "little") + encoded)
        for name in sorted(arrays):
            file.write(np.ascontiguousarray(arrays[name], "<f4").tobytes())


def _span(path: Path, name: str, entry: Any) -> tuple[str, tuple[int, ...], int, int]:
    """Return a tensor's type, shape, and place in the data."""
    try:
        kind, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
        if kind not in _TYPES:
            raise AdapterError(
                f"{path}: the tensor {name!r:.120} holds {kind!r:.20}, no floating-point numbers; get it again"
            )
        whole = all(type(number) is int and number >= 0 for number in (*shape, begin, end))
    except (TypeError, KeyError, ValueError):
        whole = False
    if not whole or end - begin != math.prod(shape) * np.dtype(_TYPES[kind]).itemsize:
        raise AdapterError(f"{path}: damaged: the tensor {name!r:.120} is not as large as its shape says; get it again")
    return kind, shape, begin, end
