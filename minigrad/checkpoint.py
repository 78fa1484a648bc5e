"""Files of named tensors, written so that no crash halves them: safetensors with JSON metadata and
a digest of all that is in them, and PyTorch's .pt files."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from . import check
from .backend import CPU, device, move
from .tensor import Tensor


def write_atomically(path: str | os.PathLike[str], write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then put it in place of ``path``.

    A reader, or a crash at any moment, finds either the old file or the whole new one, which keeps
    the old one's mode and owner. Links are followed. A pipe, a terminal or another device is
    written to and stays what it is, as does a file that standard output goes to.

    Raises:
        OSError: as the file system says; the old file is untouched and the temporary one gone.
    """
    status = _status(path)
    if status is not None and (not stat.S_ISREG(status.st_mode) or _stream(status) is not None):
        _write_through(path, status, write)
        return
    target = Path(os.path.realpath(path))
    if status is not None:
        os.close(os.open(target, os.O_WRONLY))  # a file that may not be written to stays, too
    temporary = target.with_name(f".{target.name[:40]}.{secrets.token_hex(8)}.part")
    mode = 0o666 if status is None else 0o600 | status.st_mode & 0o777
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        last = status or os.fstat(handle)  # of a new file, as the umask or the folder has it
        os.close(handle)
        write(temporary)
        with temporary.open("rb") as file:
            if status is not None:
                with suppress(PermissionError):
                    os.fchown(file.fileno(), last.st_uid, last.st_gid)
            os.fchmod(file.fileno(), last.st_mode & 0o777)
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if hasattr(os, "O_DIRECTORY"):  # make the rename itself durable
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _status(path: str | os.PathLike[str]) -> os.stat_result | None:
    """What lies where ``path`` leads, or None if nothing does.

    Raises:
        OSError: it cannot be told, or is nothing that a file may be written to.
    """
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if stat.S_ISBLK(status.st_mode):
        raise OSError(errno.EINVAL, "Is a disk", str(path))
    return status


def _stream(status: os.stat_result) -> int | None:
    """The number of this process's own output, 1 or 2, that goes to the very file, if one does."""
    for number in (1, 2):
        with suppress(OSError):  # it is closed
            if os.path.samestat(os.fstat(number), status):
                return number
    return None


def _write_through(
    path: str | os.PathLike[str], status: os.stat_result, write: Callable[[Path], object]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder) / "whole"
        write(temporary)
        number = _stream(status)
        for stream in (sys.stdout, sys.stderr):
            if number is not None and stream is not None:
                stream.flush()
        place = path if number is None else os.dup(number)
        with temporary.open("rb") as source, open(place, "wb") as sink:
            shutil.copyfileobj(source, sink)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """:func:`write_atomically` ``text`` as UTF-8; ends of line stay as they are in ``text``."""
    write_atomically(path, lambda file: file.write_bytes(text.encode()))


def keep(path: str | os.PathLike[str], name: str | os.PathLike[str]) -> None:
    """Let ``name``, in the same folder, be what ``path`` is now, whatever is written to ``path``
    afterwards. It costs no copy: both are names of one file until then.

    Links are followed. Nothing is kept where ``path`` does not exist, and on file systems without
    hard links.
    """
    target = Path(os.path.realpath(name))
    temporary = target.with_name(f".{target.name[:40]}.link.part")
    temporary.unlink(missing_ok=True)
    with suppress(OSError):
        os.link(os.path.realpath(path), temporary)
        temporary.replace(target)
    temporary.unlink(missing_ok=True)  # replace() does nothing if both are one file already


def remove_leftovers(folder: str | os.PathLike[str]) -> None:
    """Delete what writers into ``folder`` left when they were killed. None may be at work there."""
    for temporary in Path(folder).glob(".*.part"):
        temporary.unlink(missing_ok=True)


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
        OSError: the file cannot be written; what was there before is untouched.
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
    if _is_pytorchs(path):
        if metadata is not None:
            raise ValueError(f"metadata: a PyTorch file has no place for it: {path}")
        torch = _pytorch()
        state = {name: torch.tensor(array) for name, array in arrays.items()}

        buffer = io.BytesIO()  # a full disk would be a RuntimeError of PyTorch's
        torch.save(state, buffer)
        write_atomically(path, lambda temporary: temporary.write_bytes(buffer.getbuffer()))
    else:
        from safetensors import SafetensorError
        from safetensors.numpy import save_file

        try:
            text = json.dumps(metadata)
        except (TypeError, ValueError, RecursionError) as error:
            raise TypeError(f"metadata: expected what JSON can hold ({error})") from None
        note = {"minigrad": text, "sha256": digest(arrays, text)}

        def write(temporary: Path) -> None:
            try:
                save_file(arrays, temporary, note)
            except SafetensorError as error:  # a full disk, in its words
                raise OSError(str(error)) from None

        write_atomically(path, write)


def digest(tensors: Mapping[str, Any], text: str = "") -> str:
    """SHA-256, in hex, of the names, dtypes, shapes and values of Tensors or arrays, and of
    ``text``. Memory order and device do not change it."""
    found = hashlib.sha256(text.encode())
    for name, value in sorted(tensors.items()):
        array = move(value.data if isinstance(value, Tensor) else value, CPU)
        found.update(f"{name} {array.dtype.name} {array.shape}".encode())
        found.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return found.hexdigest()


def load(path: str | os.PathLike[str], device: str | device = "cpu") -> dict[str, Tensor]:
    """The named tensors of a safetensors file, or of a PyTorch file if its name ends in .pt or
    .pth, on ``device``. Nothing in the file is executed.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not a whole file of named tensors, or not as :func:`save` wrote it.
        ImportError: it is a PyTorch file, and PyTorch is missing.
    """
    return read(path, device)[0]


def read(
    path: str | os.PathLike[str], device: str | device = "cpu"
) -> tuple[dict[str, Tensor], Any]:
    """:func:`load`, and the metadata that :func:`save` was given (None in a foreign file)."""
    where = _device(device)
    if not check.path("path", path).is_file():
        raise FileNotFoundError(f"path: no such file: {path}")
    if _is_pytorchs(path):
        return _read_pytorchs(path, where), None
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            notes = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        text, expected = notes.get("minigrad"), notes.get("sha256")
        if text is not None and expected is not None and digest(arrays, text) != expected:
            raise ValueError(
                f"path: {path} is damaged: its SHA-256 is not the one it was saved with"
            )
        tensors = {name: Tensor(move(array, where)) for name, array in arrays.items()}
        return tensors, _metadata(path, text)
    except TypeError as error:
        raise ValueError(f"path: {path} has a dtype that NumPy lacks ({error})") from None
    except (SafetensorError, RecursionError) as error:
        raise ValueError(f"path: {path} is not a whole safetensors file ({error})") from None


def _metadata(path: str | os.PathLike[str], text: str | None) -> Any:
    try:
        return None if text is None else json.loads(text)
    except ValueError as error:  # no JSON, or a number of more digits than Python reads
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
