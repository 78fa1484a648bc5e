"""Files of named tensors: safetensors with JSON metadata, written so that no crash halves them."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .backend import CPU, device, move
from .tensor import Tensor


def write_atomically(path: str | os.PathLike[str], write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then put it in place of ``path``.

    A reader, or a crash at any moment, finds either the old file or the whole new one.

    Raises:
        OSError: as the file system says; the old file is untouched and the temporary one gone.
    """
    path = Path(path)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if hasattr(os, "O_DIRECTORY"):  # make the rename itself durable
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """:func:`write_atomically` ``text`` as UTF-8; ends of line stay as they are in ``text``."""
    write_atomically(path, lambda file: file.write_bytes(text.encode()))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def save(tensors: Mapping[str, Any], path: str | os.PathLike[str], metadata: Any = None) -> None:
    """Write named tensors, such as ``module.state_dict()``, to a safetensors file.

    Args:
        tensors: name → Tensor or array, in any memory order and on any device.
        path: the file; its folder must exist. It is replaced in one step.
        metadata: anything JSON can hold, kept under the key "minigrad".

    Raises:
        TypeError: a value is neither a Tensor nor an array.
    """
    from safetensors.numpy import save_file

    arrays = {}
    for name, value in tensors.items():
        array = value.data if isinstance(value, Tensor) else value
        if not hasattr(array, "dtype"):
            raise TypeError(f"tensors: expected Tensors, got {type(value).__name__} for {name!r}")
        arrays[name] = np.ascontiguousarray(move(array, CPU))
        if np.ndim(array) == 0:  # ascontiguousarray makes a 0-d array 1-d
            arrays[name] = arrays[name].reshape(())
    note = {"minigrad": json.dumps(metadata)}
    write_atomically(path, lambda temporary: save_file(arrays, temporary, note))


def load(path: str | os.PathLike[str], device: str | device = "cpu") -> dict[str, Tensor]:
    """The named tensors of a safetensors file, on ``device``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not a whole safetensors file.
    """
    return read(path, device)[0]


def read(
    path: str | os.PathLike[str], device: str | device = "cpu"
) -> tuple[dict[str, Tensor], Any]:
    """:func:`load`, and the metadata that :func:`save` was given (None in a foreign file)."""
    from safetensors import SafetensorError, safe_open

    where = _device(device)
    if not Path(path).is_file():
        raise FileNotFoundError(f"path: no such file: {path}")
    try:
        with safe_open(path, framework="numpy") as file:
            note = (file.metadata() or {}).get("minigrad")
            tensors = {name: Tensor(move(file.get_tensor(name), where)) for name in file.keys()}  # noqa: SIM118
            return tensors, None if note is None else json.loads(note)
    except TypeError as error:
        raise ValueError(f"path: {path} has a dtype that NumPy lacks ({error})") from None
    except (SafetensorError, json.JSONDecodeError) as error:
        raise ValueError(f"path: {path} is not a whole safetensors file ({error})") from None


_device = device  # the class, where a parameter is called device
