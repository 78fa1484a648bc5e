"""Files of named tensors, written so that no crash halves them: safetensors with JSON metadata, and
PyTorch's .pt files."""

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
    """Write named tensors, such as ``module.state_dict()``, to a safetensors file; to a PyTorch
    file, a plain dict that ``torch.load`` reads, if the path ends in .pt or .pth.

    Args:
        tensors: name → Tensor or array, in any memory order and on any device.
        path: the file; its folder must exist. It is replaced in one step.
        metadata: anything JSON can hold, kept under the key "minigrad" of a safetensors file; a
            PyTorch file has no place for it.

    Raises:
        TypeError: a value is neither a Tensor nor an array.
        ImportError: a PyTorch file was asked for, and PyTorch is missing.
    """
    arrays = {}
    for name, value in tensors.items():
        array = value.data if isinstance(value, Tensor) else value
        if not hasattr(array, "dtype") or isinstance(array, np.generic):
            raise TypeError(f"tensors: expected Tensors, got {type(value).__name__} for {name!r}")
        arrays[name] = np.ascontiguousarray(move(array, CPU))
        if np.ndim(array) == 0:  # ascontiguousarray makes a 0-d array 1-d
            arrays[name] = arrays[name].reshape(())
    if _is_pytorchs(path):
        if metadata is not None:
            raise ValueError(f"metadata: a PyTorch file has no place for it: {path}")
        torch = _pytorch()
        state = {name: torch.tensor(array) for name, array in arrays.items()}

        def write(temporary: Path) -> None:
            with temporary.open("wb") as file:  # not by its name, which PyTorch would write into it
                torch.save(state, file)

        write_atomically(path, write)
    else:
        from safetensors.numpy import save_file

        note = {"minigrad": json.dumps(metadata)}
        write_atomically(path, lambda temporary: save_file(arrays, temporary, note))


def load(path: str | os.PathLike[str], device: str | device = "cpu") -> dict[str, Tensor]:
    """The named tensors of a safetensors file, or of a PyTorch file if its name ends in .pt or
    .pth, on ``device``. Nothing in the file is executed.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not a whole file of named tensors.
        ImportError: it is a PyTorch file, and PyTorch is missing.
    """
    return read(path, device)[0]


def read(
    path: str | os.PathLike[str], device: str | device = "cpu"
) -> tuple[dict[str, Tensor], Any]:
    """:func:`load`, and the metadata that :func:`save` was given (None in a foreign file)."""
    where = _device(device)
    if not Path(path).is_file():
        raise FileNotFoundError(f"path: no such file: {path}")
    if _is_pytorchs(path):
        return _read_pytorchs(path, where), None
    from safetensors import SafetensorError, safe_open

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


# ---------------------------------------------------------------------------- PyTorch's files


def _is_pytorchs(path: str | os.PathLike[str]) -> bool:
    return Path(path).suffix in (".pt", ".pth")


def _pytorch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            f"path: .pt and .pth files need PyTorch, which cannot be imported ({error}); "
            "install it with: pip install 'minigrad[torch]'"
        ) from error
    return torch


def _read_pytorchs(path: str | os.PathLike[str], where: device) -> dict[str, Tensor]:
    torch = _pytorch()
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, MemoryError):
        raise
    except Exception:  # its readers of archives and pickles each have their own
        found = None
    if not isinstance(found, dict):
        raise ValueError(
            f"path: {path} is not a whole PyTorch file of tensors alone, as "
            "torch.save(model.state_dict(), path) writes"
        )
    tensors = {}
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise ValueError(
                f"path: {path} is not a plain state dict: expected tensors by name, got "
                f"{type(value).__name__} for {name!r}"
            )
        try:
            tensors[name] = Tensor(move(value.detach().numpy(), where))
        except (TypeError, RuntimeError):  # bfloat16; sparse
            what = f"{value.dtype}, {value.layout}".replace("torch.", "")
            raise ValueError(f"path: {path} has tensors that NumPy lacks ({what})") from None
    return tensors
