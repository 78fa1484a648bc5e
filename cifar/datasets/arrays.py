"""Images in NumPy's files and in pickles; nothing in them is executed."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from cifar.datasets import pickles
from cifar.datasets.dataset import SIDE
from cifar.datasets.pictures import Images
from cifar.errors import UserError

MAX_BYTES: Final = 1 << 30  # of a pickle, or unpacked from a .npz file: 349,000 images


def read_array(path: Path, side: int = SIDE) -> Images:
    """The images in a .npy file, or in a .npz file that holds one array or one called "data" or
    "images": uint8 (N, 3, side, side). Nothing in the file is executed.

    Raises:
        UserError: it is damaged, or holds anything but uint8 (N, 3 · side²), (N, 3, side, side) or
            (N, side, side, 3).
    """
    try:
        with path.open("rb") as file:
            if file.peek(2)[:2] != b"PK":
                return _read_npy(path, file, path.stat().st_size, side)
            with zipfile.ZipFile(file) as archive:
                names = [name.removesuffix(".npy") for name in archive.namelist()]
                member = archive.infolist()[names.index(_member(path, names))]
                if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise UserError(f"{path}: compressed in another way than NumPy's")
                with archive.open(member) as unpacked:
                    return _read_npy(path, unpacked, MAX_BYTES, side)
    except (UserError, MemoryError):
        raise
    except Exception:  # zipfile, zlib and the header's parser each have their own
        raise UserError(f"{path}: not a whole .npy or .npz file of plain numbers") from None


def _read_npy(path: Path, file: IO[bytes], most: int, side: int) -> Images:
    """The array that ``file`` begins with, once its header says what fits into ``most`` bytes."""
    version = np.lib.format.read_magic(file)
    header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    shape, is_fortran, dtype = header[version](file)
    _check_layout(path, shape, dtype, side)
    if (size := math.prod(shape)) > most:
        raise UserError(f"{path}: says that it has {size:,} bytes, expected at most {most:,}")
    raw = file.read(size)
    if file.read(1):  # also where a zip file's checksum is looked at
        raise UserError(f"{path}: has more bytes than an array of shape {shape} takes")
    order: Literal["C", "F"] = "F" if is_fortran else "C"
    return _planes(path, np.frombuffer(raw, np.uint8).reshape(shape, order=order), side)


def _check_layout(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], side: int) -> None:
    values, planes, pixels = (3 * side * side,), (3, side, side), (side, side, 3)
    is_known = shape[1:] in (values, planes, pixels) and shape[0] >= 0
    if dtype != np.uint8 or not is_known:
        raise UserError(
            f"{path}: expected uint8 of shape (N, {values[0]}), (N, 3, {side}, {side}) or "
            f"(N, {side}, {side}, 3), got {dtype} of shape {shape!s:.80}"
        )


def _planes(path: Path, found: NDArray[Any], side: int) -> Images:
    """Images of any layout that is understood, as uint8 (N, 3, side, side)."""
    _check_layout(path, found.shape, found.dtype, side)
    if found.shape[1:] == (side, side, 3):
        found = found.transpose(0, 3, 1, 2)
    images: Images = np.ascontiguousarray(found).reshape(-1, 3, side, side)
    return images


def _member(path: Path, names: list[str]) -> str:
    """The array that holds the images, among those of a .npz file."""
    chosen = names if len(names) == 1 else [name for name in ("data", "images") if name in names]
    if len(chosen) != 1:
        raise UserError(
            f"{path}: expected one array, or one called data or images, got "
            f"{', '.join(names[:5]) or 'none'}"
        )
    return chosen[0]


def read_pickle(path: Path, side: int = SIDE) -> tuple[Sequence[int], Images]:
    """IDs and uint8 images (N, 3, side, side) of a pickled batch, such as CIFAR-10's own.

    It is a dict with "data", images as :func:`read_array` takes them, and perhaps "ids", N whole
    numbers; without these the rows are numbered from 0. Its other entries, labels among them, are
    not looked at, and nothing in the file is executed.

    Raises:
        UserError: it is damaged, uses what such a pickle does not need, or holds something else.
    """
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise UserError(f"{path}: {size:,} bytes, expected at most {MAX_BYTES:,}")
        content = pickles.read(path.read_bytes())
        if not isinstance(content, dict):
            raise UserError(f"{path}: expected a pickled dict, got a {type(content).__name__}")
        batch = {
            k.decode(errors="replace") if isinstance(k, bytes) else k: v for k, v in content.items()
        }
        if "data" not in batch:
            names = ", ".join(map(str, batch)) or "nothing"
            raise UserError(f'{path}: expected a pickled dict with "data", it has {names:.120}')
        images = _planes(path, pickles.array(batch["data"]), side)
        ids = batch.get("ids")
        if ids is None:
            return range(len(images)), images
        ids = ids if isinstance(ids, list) else pickles.array(ids).ravel().tolist()
    except pickles.PickleError as error:
        raise UserError(f"{path}: {error}") from None
    if len(ids) != len(images) or not all(type(one) is int for one in ids):
        raise UserError(f'{path}: expected {len(images)} whole numbers in "ids"')
    return ids, images
