"""Safetensors files with JSON metadata and a SHA-256 of everything in them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from ..device import CPU, Array, move
from ..tensor import Tensor
from .files import write_atomically

DTYPES: Final = {
    "BOOL": "bool",
    **{f"F{bits}": f"float{bits}" for bits in (16, 32, 64)},
    **{f"I{bits}": f"int{bits}" for bits in (8, 16, 32, 64)},
    **{f"U{bits}": f"uint{bits}" for bits in (8, 16, 32, 64)},
}
WIDENED: Final = "bfloat16, which NumPy lacks, has become float32"
# The metadata entries that `save` writes, and the length of the digest.
_METADATA, _DIGEST, _DIGITS = "minigrad", "sha256", 64


def write(path: str | os.PathLike[str], arrays: dict[str, Array], metadata: Any) -> None:
    """Write contiguous arrays on the CPU, and anything JSON can hold."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    try:
        text = json.dumps(metadata)
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"metadata: expected what JSON can hold ({error})") from None
    entries = {_METADATA: text, _DIGEST: digest(arrays, text)}

    def fill(temporary: Path) -> None:
        try:
            save_file(arrays, temporary, entries)
        except SafetensorError as error:  # a full disk, in its words
            raise OSError(str(error)) from None

    write_atomically(path, fill)


def digest(tensors: Mapping[str, Any], text: str = "") -> str:
    """SHA-256, in hex, of the names, dtypes, shapes and values of Tensors or arrays, and of
    ``text``. It does not depend on memory order or device."""
    sha256 = hashlib.sha256(text.encode())
    for name, value in sorted(tensors.items()):
        array = move(value.data if isinstance(value, Tensor) else value, CPU)
        sha256.update(f"{name} {array.dtype.name} {array.shape}".encode())
        sha256.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return sha256.hexdigest()


def read(
    path: str | os.PathLike[str], raw: bytes, remarks: list[str]
) -> tuple[dict[str, np.ndarray], bool, Any]:
    """The arrays, whether :func:`save` wrote them, and its metadata."""
    from safetensors import SafetensorError, deserialize

    try:
        content = dict(deserialize(raw))
        size = int.from_bytes(raw[:8], "little")
        entries = json.loads(raw[8 : 8 + size]).get("__metadata__") or {}
    except (SafetensorError, RecursionError, ValueError) as error:
        raise ValueError(f"path: {path} is not a whole safetensors file ({error})") from None
    arrays = {}
    for name, entry in sorted(content.items()):
        if entry["dtype"] == "BF16":
            bits = np.frombuffer(entry["data"], np.uint16).astype(np.uint32)
            array = (bits << 16).view(np.float32)
            remarks += [] if WIDENED in remarks else [WIDENED]
        elif entry["dtype"] in DTYPES:
            array = np.frombuffer(entry["data"], DTYPES[entry["dtype"]])
        else:
            raise ValueError(
                f"path: {path} has a dtype that NumPy lacks ({entry['dtype']} of {name!r:.80})"
            )
        arrays[name] = array.reshape(entry["shape"])
    if not _is_ours(entries):
        return arrays, False, None
    text, expected = entries.get(_METADATA), entries.get(_DIGEST)
    if text is None or expected is None:
        raise ValueError(f"path: {path} is damaged: it has lost its SHA-256 or its metadata")
    if digest(arrays, text) != expected:
        raise ValueError(f"path: {path} is damaged: its SHA-256 is not the one it was saved with")
    return arrays, True, _parsed(path, text)


def _is_ours(entries: Mapping[str, str]) -> bool:
    """Whether :func:`save` wrote a file with these metadata entries, even if bits of their names
    have flipped: lengths, which flipped bits do not change, identify the pair of entries."""
    lengths = {len(name.encode()): len(value.encode()) for name, value in entries.items()}
    pair = lengths.keys() == {len(_METADATA), len(_DIGEST)} and len(entries) == 2
    return _METADATA in entries or (pair and lengths[len(_DIGEST)] == _DIGITS)


def _parsed(path: str | os.PathLike[str], text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # not JSON, or too many digits for Python
        raise ValueError(f"path: {path} is not a whole safetensors file ({error})") from None
