"""Files of named tensors, written so that no crash halves them: safetensors with JSON metadata and
a digest of all that is in them, and PyTorch's .pt files."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import pickletools
import re
import secrets
import shutil
import stat
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from . import check
from .console import decoded, install
from .device import CPU, device, move
from .options import lacks
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
    temporary = _beside(path, target, status)
    try:
        last = status or temporary.stat()  # of a new file, as the umask or the folder has it
        write(temporary)
        with temporary.open("rb") as file:
            if status is not None:
                with suppress(PermissionError):
                    os.fchown(file.fileno(), last.st_uid, last.st_gid)
            os.fchmod(file.fileno(), last.st_mode & 0o777)
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        shutil.rmtree(temporary.parent, ignore_errors=True)
    if hasattr(os, "O_DIRECTORY"):  # make the rename itself durable
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def writable(path: str | os.PathLike[str]) -> None:
    """Tell before the work, not after it, that a file cannot be written.

    Raises:
        OSError: :func:`write_atomically` would raise it.
    """
    status = _status(path)
    if status is None or stat.S_ISREG(status.st_mode):
        shutil.rmtree(_beside(path, Path(os.path.realpath(path)), status).parent)
    elif not os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def _beside(path: str | os.PathLike[str], target: Path, status: os.stat_result | None) -> Path:
    """A new empty file to become ``target``, to which ``path`` leads. It is alone in a new folder,
    because libraries write to temporary files of their own beside it."""
    folder = target.with_name(f".{target.name[:40]}.{secrets.token_hex(8)}.part")
    temporary = folder / "whole"
    mode = 0o666 if status is None else 0o600 | status.st_mode & 0o777
    try:
        if status is not None:
            os.close(os.open(target, os.O_WRONLY))  # a file that may not be written to stays, too
        folder.mkdir(0o700)
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
    except OSError as error:  # of a name that nobody gave
        shutil.rmtree(folder, ignore_errors=True)
        raise type(error)(error.errno, error.strerror, str(path)) from None
    return temporary


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
    """:func:`write_atomically` ``text`` as UTF-8; ends of line stay as they are in ``text``, and
    bytes of a file's name that are no text become "\ufffd"."""
    write_atomically(path, lambda file: file.write_bytes(decoded(text).encode()))


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
    """Delete what :func:`write_atomically` and :func:`keep` left in ``folder`` when they were
    killed, and nothing else. None may be at work there."""
    for temporary in Path(folder).glob(".*.part"):
        if re.fullmatch(r"\..{0,40}\.([0-9a-f]{16}|link)\.part", temporary.name, re.DOTALL):
            if temporary.is_dir() and not temporary.is_symlink():
                shutil.rmtree(temporary)
            else:
                temporary.unlink(missing_ok=True)


@lacks(pickle_module=None, pickle_protocol=2)
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
        note = {_NOTE: text, _DIGEST: digest(arrays, text)}

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


def readable(path: str | os.PathLike[str]) -> Path:
    """``path``, which is a regular file that this process may read.

    Raises:
        OSError: of the kind that says why it is not, such as FileNotFoundError or PermissionError.
    """
    found = check.path("path", path)
    try:
        regular = stat.S_ISREG(os.stat(found).st_mode)
        if regular or found.is_dir():  # to open a pipe might wait for ever
            found.open("rb").close()
    except OSError as error:
        raise type(error)(f"path: cannot read {path}: {error.strerror}") from None
    if not regular:
        raise OSError(f"path: cannot read {path}: Not a regular file")
    return found


def load(
    path: str | os.PathLike[str],
    map_location: str | device | None = None,
    pickle_module: None = None,
    *,
    weights_only: bool | None = True,
    mmap: bool | None = False,
) -> dict[str, Tensor]:
    """The named tensors of a safetensors file or a PyTorch file, on the device ``map_location``
    (None: the CPU). Which of the two it is, its content says, not its name. Nothing in the file is
    executed.

    What is done to a file of other programs is said in a warning: bfloat16, which NumPy lacks,
    becomes float32; of a dict that holds one or more state dicts, such as
    ``{"net": ..., "acc": ...}``, one is taken; and where all names begin with "module." or
    "_orig_mod.", as DataParallel and torch.compile leave them, they lose it.

    Raises:
        OSError: there is no such file, or it may not be read.
        ValueError: it is not a whole file of named tensors, or not as :func:`save` wrote it.
        ImportError: it is a PyTorch file, and PyTorch is missing.
    """
    check.unsupported("pickle_module", pickle_module, None)
    check.unsupported("weights_only", weights_only, True, None)
    check.unsupported("mmap", mmap, False, None)
    return _read(path, "cpu" if map_location is None else map_location)[0]


def read(
    path: str | os.PathLike[str], device: str | device = "cpu"
) -> tuple[dict[str, Tensor], Any]:
    """:func:`load`, and the metadata that :func:`save` was given (None in a foreign file)."""
    return _read(path, device)


def _read(path: str | os.PathLike[str], device: str | device) -> tuple[dict[str, Tensor], Any]:
    where = _device(device)
    with readable(path).open("rb") as file:
        start = file.read(9)
        file.seek(0)
        metadata = None
        remarks: list[str] = []
        if start[8:] == b"{":
            arrays, ours, metadata = _read_safetensors(path, file.read(), remarks)
        elif start[:4] == b"PK\3\4" or start[:1] == b"\x80":
            arrays, ours = _read_pytorchs(path, file, start[:1] == b"P", remarks), False
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


# ---------------------------------------------------------------------------- safetensors

_DTYPES: Final = {
    "BOOL": "bool",
    **{f"F{bits}": f"float{bits}" for bits in (16, 32, 64)},
    **{f"I{bits}": f"int{bits}" for bits in (8, 16, 32, 64)},
    **{f"U{bits}": f"uint{bits}" for bits in (8, 16, 32, 64)},
}
_WIDENED: Final = "bfloat16, which NumPy lacks, has become float32"
# What `save` notes in a file: each name and, of a digest, the length of its value.
_NOTE, _DIGEST, _DIGITS = "minigrad", "sha256", 64


def _read_safetensors(
    path: str | os.PathLike[str], raw: bytes, remarks: list[str]
) -> tuple[dict[str, np.ndarray], bool, Any]:
    """The arrays, whether :func:`save` wrote them, and its metadata."""
    from safetensors import SafetensorError, deserialize

    try:
        content = dict(deserialize(raw))
        size = int.from_bytes(raw[:8], "little")
        notes = json.loads(raw[8 : 8 + size]).get("__metadata__") or {}
    except (SafetensorError, RecursionError, ValueError) as error:
        raise ValueError(f"path: {path} is not a whole safetensors file ({error})") from None
    arrays = {}
    for name, found in sorted(content.items()):
        if found["dtype"] == "BF16":
            bits = np.frombuffer(found["data"], np.uint16).astype(np.uint32)
            array = (bits << 16).view(np.float32)
            remarks += [] if _WIDENED in remarks else [_WIDENED]
        elif found["dtype"] in _DTYPES:
            array = np.frombuffer(found["data"], _DTYPES[found["dtype"]])
        else:
            raise ValueError(
                f"path: {path} has a dtype that NumPy lacks ({found['dtype']} of {name!r:.80})"
            )
        arrays[name] = array.reshape(found["shape"])
    if not _is_ours(notes):
        return arrays, False, None
    text, expected = notes.get(_NOTE), notes.get(_DIGEST)
    if text is None or expected is None:
        raise ValueError(f"path: {path} is damaged: it has lost its SHA-256 or its metadata")
    if digest(arrays, text) != expected:
        raise ValueError(f"path: {path} is damaged: its SHA-256 is not the one it was saved with")
    return arrays, True, _metadata(path, text)


def _is_ours(notes: Mapping[str, str]) -> bool:
    """Whether :func:`save` wrote a file with these notes, also where bits of their names have
    flipped: the lengths, which no flipped bit changes, tell its pair of notes from others."""
    lengths = {len(name.encode()): len(value.encode()) for name, value in notes.items()}
    pair = lengths.keys() == {len(_NOTE), len(_DIGEST)} and len(notes) == 2
    return _NOTE in notes or (pair and lengths[len(_DIGEST)] == _DIGITS)


def _metadata(path: str | os.PathLike[str], text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # no JSON, or more digits than Python reads
        raise ValueError(f"path: {path} is not a whole safetensors file ({error})") from None


_device = device  # the class, where a parameter is called device


# ---------------------------------------------------------------------------- PyTorch's files

_WRAPPERS: Final = ("module.", "_orig_mod.")  # of DataParallel and of torch.compile
_GROWING: Final = {"APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD"}
_MOST_VALUES: Final = 20_000_000  # in a pickle, its tensors' elements aside
_HOLDERS: Final = ("state_dict", "model_state_dict", "model", "net", "weights")


def _is_pytorchs(path: str | os.PathLike[str]) -> bool:
    return Path(path).suffix in (".pt", ".pth")


def _pytorch() -> Any:
    try:
        import torch
    except Exception as error:  # of a broken one, anything
        raise ImportError(
            f"path: PyTorch files need PyTorch, which cannot be imported ({error}); "
            f"{install('torch')}"
        ) from error
    return torch


def _read_pytorchs(
    path: str | os.PathLike[str], file: BinaryIO, is_archive: bool, remarks: list[str]
) -> dict[str, np.ndarray]:
    torch = _pytorch()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            whole = _checked_archive(file) if is_archive else _checked_pickles(file)
            found = torch.load(whole, map_location="cpu", weights_only=True)
        why = f"it holds a {type(found).__name__}"
    except (OSError, MemoryError):
        raise
    except Exception as error:  # its readers of archives and pickles each have their own
        found, why = None, _reason(error)
    if not isinstance(found, dict):
        raise ValueError(
            f"path: {path} is not a whole PyTorch file of tensors alone, as "
            f"torch.save(model.state_dict(), path) writes: {why}"
        )
    arrays = {}
    for name, value in _state_dict(path, found, remarks).items():
        if value.dtype == torch.bfloat16:
            value = value.float()
            remarks += [] if _WIDENED in remarks else [_WIDENED]
        try:
            array = value.detach().numpy()
            supported = array.dtype.name in _DTYPES.values()
        except (TypeError, RuntimeError):  # 8-bit floats; sparse
            supported = False
        if not supported:
            what = f"{value.dtype}, {value.layout}".replace("torch.", "")
            raise ValueError(f"path: {path} has tensors that NumPy lacks ({what})")
        arrays[name] = array
    return arrays


def _checked_archive(file: BinaryIO) -> BinaryIO:
    """The zip file, once it is known that PyTorch's reader will not be busy with it for ever.

    Raises:
        ValueError, LookupError, zipfile.BadZipFile: it is none that PyTorch writes.
    """
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if any(member.filename.endswith("/constants.pkl") for member in members):
            raise _NotOfTensors("it is a TorchScript archive")
        # PyTorch's own reader takes no notice of upper and lower case.
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
    """Likewise, of the format before PyTorch 1.6: five pickles, then the tensors' bytes."""
    whole = io.BytesIO(file.read())  # which PyTorch does not take for a tar file
    for _ in range(5):
        _check_pickle(whole)
    whole.seek(0)
    return whole


def _check_pickle(raw: BinaryIO) -> None:
    """Count what a pickle builds, a part that is used twice twice: a tuple of a tuple twice, and so
    on sixty times, takes for ever to hash, where nothing stops Python.

    Raises:
        ValueError, LookupError: it is out of all proportion, or makes no sense.
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
            if taken_in_all > _MOST_VALUES:
                raise _NotOfTensors(f"it builds more than {_MOST_VALUES:,} values")
            sizes[start:] = [sum(taken) + (not grown)] * len(opcode.stack_after)


class _NotOfTensors(ValueError):
    """It is not what torch.save writes; the message says how one sees that."""


def _reason(error: Exception) -> str:
    """What is wrong with a file; PyTorch says it in many words."""
    if isinstance(error, _NotOfTensors):
        return str(error)
    asked = re.search(r"GLOBAL (\S+)", str(error))
    return f"it also needs {asked[1]!r:.80}" if asked else "it is damaged, or another"


def _state_dict(
    path: str | os.PathLike[str], found: dict[Any, Any], remarks: list[str]
) -> dict[str, Any]:
    """``found``, or the one state dict in it that is the model's."""
    wrong = _no_tensor(found)
    if wrong is None:
        return found
    inner = {k: v for k, v in found.items() if isinstance(v, dict) and v and not _no_tensor(v)}
    known = [name for name in _HOLDERS if name in inner] or list(inner)
    if not inner:
        for name in _HOLDERS:  # whose is the more telling reason
            if isinstance(value := found.get(name), dict) and (inside := _no_tensor(value)):
                wrong = f"{inside} in {name!r}"
                break
        raise ValueError(
            f"path: {path} is not a plain state dict: expected tensors by name, got {wrong}"
        )
    if len(inner) > 1 and known == list(inner):
        names = ", ".join(f"{name!r:.40}" for name in known)
        raise ValueError(f"path: {path} holds several state dicts: {names}; save one of them alone")
    chosen = known[0]
    others = ", ".join(f"{name!r:.40}" for name in found if name != chosen)
    remarks.append(f"took the state dict {chosen!r:.40}" + (f", left {others}" if others else ""))
    state: dict[str, Any] = inner[chosen]
    return state


def _no_tensor(found: dict[Any, Any]) -> str | None:
    """The first entry that is not a tensor by name, in words."""
    import torch

    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            return f"{type(value).__name__} for {name!r:.80}"
    return None


def _without_wrappers(arrays: dict[str, np.ndarray], remarks: list[str]) -> dict[str, np.ndarray]:
    prefix = ""
    while arrays and (
        found := [w for w in _WRAPPERS if all(name.startswith(prefix + w) for name in arrays)]
    ):
        prefix += found[0]
    if not prefix or prefix in arrays:
        return arrays
    remarks.append(f"all names have lost their first part {prefix!r}")
    return {name.removeprefix(prefix): array for name, array in arrays.items()}
