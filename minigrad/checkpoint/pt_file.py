"""PyTorch's .pt files, read without executing code. Errors give the reason."""

from __future__ import annotations

import io
import os
import pickletools
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from ..console import install
from ..device import Array
from .files import write_atomically
from .safetensors_file import DTYPES, WIDENED

_GROWING: Final = {"APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD"}
_MAX_VALUES: Final = 20_000_000  # in a pickle, not counting elements of tensors
_HOLDERS: Final = ("state_dict", "model_state_dict", "model", "net", "weights")


def has_suffix(path: str | os.PathLike[str]) -> bool:
    return Path(path).suffix in (".pt", ".pth")


def _pytorch() -> Any:
    try:
        import torch
    except Exception as error:  # a broken package raises anything
        raise ImportError(
            f"path: PyTorch files need PyTorch, which cannot be imported ({error}); "
            f"{install('torch')}"
        ) from error
    return torch


def write(path: str | os.PathLike[str], arrays: Mapping[str, Array]) -> None:
    """Write a plain dict of tensors."""
    torch = _pytorch()
    state = {name: torch.tensor(array) for name, array in arrays.items()}
    buffer = io.BytesIO()  # with a file, PyTorch raises RuntimeError on a full disk
    torch.save(state, buffer)
    write_atomically(path, lambda temporary: temporary.write_bytes(buffer.getbuffer()))


def read(
    path: str | os.PathLike[str], file: BinaryIO, is_archive: bool, remarks: list[str]
) -> dict[str, np.ndarray]:
    torch = _pytorch()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            whole = _checked_archive(file) if is_archive else _checked_pickles(file)
            content = torch.load(whole, map_location="cpu", weights_only=True)
        why = f"it holds a {type(content).__name__}"
    except (OSError, MemoryError):
        raise
    except Exception as error:  # PyTorch's readers raise many kinds
        content, why = None, _reason(error)
    if not isinstance(content, dict):
        raise ValueError(
            f"path: {path} is not a whole PyTorch file of tensors alone, as "
            f"torch.save(model.state_dict(), path) writes: {why}"
        )
    arrays = {}
    for name, value in _state_dict(path, content, remarks).items():
        if value.dtype == torch.bfloat16:
            value = value.float()
            remarks += [] if WIDENED in remarks else [WIDENED]
        try:
            array = value.detach().numpy()
            supported = array.dtype.name in DTYPES.values()
        except (TypeError, RuntimeError):  # 8-bit floats; sparse
            supported = False
        if not supported:
            what = f"{value.dtype}, {value.layout}".replace("torch.", "")
            raise ValueError(f"path: {path} has tensors that NumPy lacks ({what})")
        arrays[name] = array
    return arrays


def _checked_archive(file: BinaryIO) -> BinaryIO:
    """The zip file, after checking that PyTorch's reader will not take for ever.

    Raises:
        ValueError, LookupError, zipfile.BadZipFile: PyTorch does not write such files.
    """
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if any(member.filename.endswith("/constants.pkl") for member in members):
            raise _NotOfTensors("it is a TorchScript archive")
        # PyTorch's reader ignores case.
        if len({member.filename.lower() for member in members}) < len(members):
            raise _NotOfTensors("it has two members of one name")
        if sum(member.file_size for member in members) > file.seek(0, os.SEEK_END):
            raise _NotOfTensors("it unpacks to more than it is long")
        for member in members:
            if member.filename.lower().endswith("data.pkl"):
                _check_pickle(io.BytesIO(archive.read(member)))
    file.seek(0)
    return file


def _checked_pickles(file: BinaryIO) -> BinaryIO:
    """The same for the format before PyTorch 1.6: five pickles, then the bytes of the tensors."""
    whole = io.BytesIO(file.read())  # so that PyTorch does not try to read a tar file
    for _ in range(5):
        _check_pickle(whole)
    whole.seek(0)
    return whole


def _check_pickle(raw: BinaryIO) -> None:
    """Count the values that a pickle builds; a part that is used twice counts twice. A tuple that
    contains a tuple twice, and so on sixty times, takes for ever to hash, and cannot be
    interrupted.

    Raises:
        ValueError, LookupError: it builds too many values, or is malformed.
    """
    sizes: list[int] = []  # on the stack, of each value with its parts
    marks: list[int] = []
    memo: dict[Any, int] = {}
    taken_in_all = 0
    for opcode, arg, _ in pickletools.genops(raw):
        name, before = opcode.name, opcode.stack_before
        if name.endswith("PUT") or name == "MEMOIZE":
            memo[len(memo) if arg is None else arg] = sizes[-1]
        elif name.endswith("GET"):
            sizes.append(memo[arg])
        elif name == "MARK":
            marks.append(len(sizes))
        else:
            start = len(sizes) - len(before)
            if pickletools.markobject in before:
                start = marks.pop() - before.index(pickletools.markobject)
            if start < 0:
                raise IndexError("it takes more than there is")
            taken = sizes[start:]
            grown = taken[0] if name in _GROWING else 0
            taken_in_all += sum(taken) - grown
            if taken_in_all > _MAX_VALUES:
                raise _NotOfTensors(f"it builds more than {_MAX_VALUES:,} values")
            sizes[start:] = [sum(taken) + (not grown)] * len(opcode.stack_after)


class _NotOfTensors(ValueError):
    """The file is not one that torch.save writes; the message says why."""


def _reason(error: Exception) -> str:
    """The reason why a file cannot be read, more briefly than PyTorch's message."""
    if isinstance(error, _NotOfTensors):
        return str(error)
    asked = re.search(r"GLOBAL (\S+)", str(error))
    return f"it also needs {asked[1]!r:.80}" if asked else "it is damaged, or another"


def _state_dict(
    path: str | os.PathLike[str], content: dict[Any, Any], remarks: list[str]
) -> dict[str, Any]:
    """``found``, or the state dict of the model inside it."""
    wrong = _no_tensor(content)
    if wrong is None:
        return content
    inner = {k: v for k, v in content.items() if isinstance(v, dict) and v and not _no_tensor(v)}
    known = [name for name in _HOLDERS if name in inner] or list(inner)
    if not inner:
        for name in _HOLDERS:  # for a more specific reason
            if isinstance(value := content.get(name), dict) and (inside := _no_tensor(value)):
                wrong = f"{inside} in {name!r}"
                break
        raise ValueError(
            f"path: {path} is not a plain state dict: expected tensors by name, got {wrong}"
        )
    if len(inner) > 1 and known == list(inner):
        names = ", ".join(f"{name!r:.40}" for name in known)
        raise ValueError(f"path: {path} holds several state dicts: {names}; save one of them alone")
    chosen = known[0]
    others = ", ".join(f"{name!r:.40}" for name in content if name != chosen)
    remarks.append(f"took the state dict {chosen!r:.40}" + (f", left {others}" if others else ""))
    state: dict[str, Any] = inner[chosen]
    return state


def _no_tensor(content: dict[Any, Any]) -> str | None:
    """A description of the first entry that is not a named tensor; None if all are."""
    import torch

    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            return f"{type(value).__name__} for {name!r:.80}"
    return None
