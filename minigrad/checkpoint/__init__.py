"""Files of named tensors, written atomically: safetensors with JSON metadata and a digest of the
content, and PyTorch's .pt files."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from .. import check
from ..device import CPU, device, move
from ..options import lacks
from ..tensor import Tensor
from . import pt_file, safetensors_file
from .files import keep, readable, remove_leftovers, writable, write_atomically, write_text
from .safetensors_file import digest

__all__ = [
    "digest",
    "keep",
    "load",
    "read",
    "readable",
    "remove_leftovers",
    "save",
    "writable",
    "write_atomically",
    "write_text",
]

_WRAPPERS: Final = ("module.", "_orig_mod.")  # of DataParallel and of torch.compile
_device = device  # the class, where a parameter is called device


@lacks(pickle_module=None, pickle_protocol=2)
def save(tensors: Mapping[str, Any], path: str | os.PathLike[str], metadata: Any = None) -> None:
    """Write named tensors, such as ``module.state_dict()``, to a safetensors file or, if the path
    ends in .pt or .pth, to a PyTorch file with a plain dict that ``torch.load`` reads.

    Args:
        tensors: name → Tensor or array, in any memory order and on any device.
        path: path of the file, in an existing folder. It is replaced in one step.
        metadata: anything JSON can hold, stored under the key "minigrad" of a safetensors file.
            PyTorch files cannot hold it.

    Raises:
        TypeError: a value is neither a Tensor nor an array.
        ImportError: the path is that of a PyTorch file, and PyTorch is missing.
        OSError: the file cannot be written; an existing file is unchanged.
    """
    arrays = {}
    check.path("path", path)
    for name, value in check.mapping("tensors", tensors).items():
        check.text("tensors: a name", name)
        array = value.data if isinstance(value, Tensor) else value
        if not (isinstance(array, np.ndarray) or hasattr(array, "__cuda_array_interface__")):
            raise TypeError(f"tensors: expected Tensors, got {type(value).__name__} for {name!r}")
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
            raise TypeError(f"tensors: expected numbers, got {array.dtype} for {name!r}")
        arrays[name] = np.ascontiguousarray(move(array, CPU))
        if np.ndim(array) == 0:  # ascontiguousarray makes a 0-d array 1-d
            arrays[name] = arrays[name].reshape(())
    if pt_file.has_suffix(path):
        if metadata is not None:
            raise ValueError(f"metadata: a PyTorch file has no place for it: {path}")
        pt_file.write(path, arrays)
    else:
        safetensors_file.write(path, arrays, metadata)


def load(
    path: str | os.PathLike[str],
    map_location: str | device | None = None,
    pickle_module: None = None,
    *,
    weights_only: bool | None = True,
    mmap: bool | None = False,
) -> dict[str, Tensor]:
    """The named tensors of a safetensors or PyTorch file, on the device ``map_location`` (default:
    the CPU). The content of the file decides its format, not the name. No code in it is executed.

    A warning reports changes to files of other programs: bfloat16, which NumPy lacks, becomes
    float32; the state dict is taken out of a dict such as ``{"net": ..., "acc": ...}``; and the
    prefixes "module." and "_orig_mod." of DataParallel and torch.compile are removed if all names
    have them.

    Raises:
        OSError: the file does not exist or cannot be read.
        ValueError: it is not a complete file of named tensors, or differs from what :func:`save`
            wrote.
        ImportError: it is a PyTorch file, and PyTorch is missing.
    """
    check.unsupported("pickle_module", pickle_module, None)
    check.unsupported("weights_only", weights_only, True, None)
    check.unsupported("mmap", mmap, False, None)
    return _read(path, "cpu" if map_location is None else map_location)[0]


def read(
    path: str | os.PathLike[str], device: str | device = "cpu"
) -> tuple[dict[str, Tensor], Any]:
    """The result of :func:`load`, and the metadata given to :func:`save` (None in other files)."""
    return _read(path, device)


def _read(path: str | os.PathLike[str], device: str | device) -> tuple[dict[str, Tensor], Any]:
    where = _device(device)
    with readable(path).open("rb") as file:
        start = file.read(9)
        file.seek(0)
        metadata = None
        remarks: list[str] = []
        if start[8:] == b"{":
            arrays, ours, metadata = safetensors_file.read(path, file.read(), remarks)
        elif start[:4] == b"PK\3\4" or start[:1] == b"\x80":
            arrays, ours = pt_file.read(path, file, start[:1] == b"P", remarks), False
        else:
            raise ValueError(
                f"path: {path} is not a whole file of tensors: neither safetensors nor PyTorch's"
            )
    if not ours:
        arrays = _without_wrappers(arrays, remarks)
    tensors = {name: Tensor(move(array, where)) for name, array in arrays.items()}
    for remark in remarks:
        warnings.warn(f"{path}: {remark}", stacklevel=3)
    return tensors, metadata


def _without_wrappers(arrays: dict[str, np.ndarray], remarks: list[str]) -> dict[str, np.ndarray]:
    prefix = ""
    while arrays and (
        wrappers := [w for w in _WRAPPERS if all(name.startswith(prefix + w) for name in arrays)]
    ):
        prefix += wrappers[0]
    if not prefix or prefix in arrays:
        return arrays
    remarks.append(f"all names have lost their first part {prefix!r}")
    return {name.removeprefix(prefix): array for name, array in arrays.items()}
