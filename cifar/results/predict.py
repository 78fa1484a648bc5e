"""What a trained model says of images without labels: files of pictures, or arrays of them.

found = predict(load("runs/simple-seed0"), *read(["cat.jpg", "test_images.npy"]))
"""

from __future__ import annotations

import math
import os
import sys
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

import minigrad as mg
from cifar import process
from cifar.datasets import pickles
from cifar.errors import UserError
from cifar.results import evaluate, tables
from cifar.results.metrics import log_probabilities

Images = NDArray[np.uint8]

SIDE: Final = 32  # pixels of a CIFAR-10 image, both ways
TOP: Final = 3  # guesses shown per image
_ARRAYS: Final = (".npy", ".npz")
_KINDS: Final = "pictures, folders of them, or .npy, .npz or pickled files of images"
MOST_TOLD: Final = 5  # of the files that cannot be used, by name
DARK: Final = 16  # a picture whose brightest pixel is that part of white
# What Pillow decodes itself, without starting another program as it does for EPS.
FORMATS: Final[tuple[str, ...]] = (
    "AVIF", "BMP", "DIB", "GIF", "ICO", "JPEG", "JPEG2000", "PCX", "PNG", "PPM", "QOI", "TGA",
    "TIFF", "WEBP",
)  # fmt: skip
_LARGEST: Final = 1 << 30  # bytes of a pickle, or unpacked from a .npz file: 349,000 images


@dataclass(frozen=True)
class Settings:
    """What a trained model takes pictures for, and how surely.

    Attributes:
        run: a folder that training wrote, or one of its .safetensors files.
        files: pictures of any size, as JPEG, PNG, WebP, TIFF and other common kinds (their largest
            centred square is used, scaled to 32 x 32), folders of pictures, or .npy, .npz or
            pickled files of uint8 images, (N, 3072), (N, 3, 32, 32) or (N, 32, 32, 3), such as
            CIFAR-10's own batches.
        files_from: a file that lists more of them, one a line; - is standard input.
        csv: write ID,Labels to this file in place of a table: ID is a picture's file name, an
            array's row from 0 or what a pickle names it; the label is the class's number. An
            apostrophe stands before a name that a spreadsheet would take for a formula.
        names: write class names in the CSV file, not numbers.
        probabilities: write every class's probability too, in a column of its name.
        last: of a folder, the weights after the last epoch, not those of the best one.
        device: cpu, gpu, gpu:N or auto.
        progress: --no-progress hides the bar that a terminal shows.
    """

    run: str
    files: tuple[str, ...]
    files_from: str | None = None
    csv: str | None = None
    names: bool = False
    probabilities: bool = False
    last: bool = False
    device: str = "auto"
    progress: bool = True


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model says of N images.

    Attributes:
        ids: what tells the images apart.
        classes: names by class index.
        probabilities: float64 (N, classes), rows summing to 1.
    """

    ids: list[str]
    classes: tuple[str, ...]
    probabilities: NDArray[np.float64]

    def top(self, count: int = TOP) -> Iterator[tuple[str, list[tuple[str, float]]]]:
        """Each image's ID and its likeliest classes with their probabilities, likeliest first."""
        order = np.argsort(-self.probabilities, axis=1, kind="stable")[:, :count]
        for name, row, best in zip(self.ids, self.probabilities, order, strict=True):
            yield name, [(self.classes[c], float(row[c])) for c in best]


def run(settings: Settings) -> Predictions:
    """Predict as ``settings`` say, and write the CSV file if they name one.

    Raises:
        UserError: the run or a file cannot be used; the message names it.
    """
    for name in ("names", "probabilities"):
        if getattr(settings, name) and settings.csv is None:
            raise UserError(f"{name}: is about the CSV file; give --csv FILE too")
    if settings.csv is not None:
        with process.writing("csv", settings.csv):
            mg.checkpoint.writable(settings.csv)
    trained = evaluate.load(settings.run, settings.device, settings.last)
    more = [] if settings.files_from is None else listed(settings.files_from)
    ids, images = read([*settings.files, *more], settings.progress)
    found = predict(trained, ids, images, settings.progress)
    if settings.csv is not None:
        write_csv(found, settings.csv, settings.names, settings.probabilities)
    return found


def predict(
    trained: evaluate.Trained, ids: list[str], images: Images, progress: bool = False
) -> Predictions:
    """Class probabilities of uint8 images (N, 3, 32, 32)."""
    logits = evaluate.logits(trained, images, progress)
    return Predictions(ids, trained.classes, np.exp(log_probabilities(logits)))


def write_csv(
    found: Predictions,
    path: str | os.PathLike[str],
    names: bool = False,
    probabilities: bool = False,
) -> None:
    """A line "ID,Labels", then one per image; the label is the class's number or its name.

    Args:
        probabilities: after the label, write the probability of each class in a column of its name.

    Raises:
        UserError: the file cannot be written.
    """
    rows: list[list[object]] = [["ID", "Labels", *(found.classes if probabilities else ())]]
    for name, shares in zip(found.ids, found.probabilities, strict=True):
        guess = int(shares.argmax())
        label = found.classes[guess] if names else guess
        rows.append([name, label, *(f"{share:.6g}" for share in shares if probabilities)])
    with process.writing("csv", path):
        mg.checkpoint.write_text(path, tables.comma_separated(rows))


# ---------------------------------------------------------------------------- reading


def listed(source: str | os.PathLike[str]) -> list[str]:
    """The names in a file or, of "-", on standard input: one a line, or each ended by a NUL byte
    as ``find -print0`` writes them.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        content = (
            sys.stdin.buffer.read()
            if source == "-"
            else mg.checkpoint.readable(source).read_bytes()
        )
    except OSError as error:
        raise UserError(f"files_from: {str(error).removeprefix('path: ')}") from None
    lines = content.split(b"\0") if b"\0" in content else content.splitlines()
    return [os.fsdecode(line) for line in lines if line]


def read(
    files: Sequence[str | os.PathLike[str]], progress: bool = False
) -> tuple[list[str], Images]:
    """IDs and uint8 images (N, 3, 32, 32) of all ``files``, in order; a folder stands for the
    pictures in it and in the folders within.

    A picture's ID is its file name as given; an array's images are numbered from 0 unless a pickle
    has IDs of its own, with the file's name before them where there are several files.

    Raises:
        UserError: files are missing, damaged or of another kind; the message names them.
    """
    ids: list[str] = []
    parts: list[Images] = []
    wrong: list[str] = []
    found = [path for file in map(Path, files) for path in _pictures_below(file) or [file]]
    hidden = None if progress and len(found) > 1 else True  # None: where stderr is no terminal
    for file in tqdm(found, unit="file", disable=hidden):
        try:
            names, images = _read_file(file, len(found) > 1)
        except UserError as error:  # all are told at once: there may be thousands of files
            wrong.append(str(error))
            continue
        ids += names
        parts.append(images)
    if wrong:
        more = f" (and {len(wrong) - MOST_TOLD:,} more files)" if len(wrong) > MOST_TOLD else ""
        raise UserError("; ".join(wrong[:MOST_TOLD]) + more)
    if not ids:
        raise UserError(f"files: no image to look at; name {_KINDS}")
    return ids, np.concatenate(parts)


def _pictures_below(folder: Path) -> list[Path]:
    """The pictures in a folder, by the ends of their names; hidden files are left out."""
    if not folder.is_dir():
        return []
    from PIL import Image

    kinds = {end for end, kind in Image.registered_extensions().items() if kind in FORMATS}
    files = [
        path
        for path in process.files_below(folder)
        if path.suffix.lower() in kinds
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    if not files:
        raise UserError(f"files: no picture in the folder {folder}; name {_KINDS}")
    return files


def _read_file(file: Path, is_one_of_many: bool) -> tuple[list[str], Images]:
    """IDs and images of a picture, an array or a pickle."""
    try:
        mg.checkpoint.readable(file)
    except OSError as error:
        why = str(error).removeprefix("path: ")
        raise UserError(f"files: {why}; name {_KINDS}") from None
    rows: Sequence[object]
    if _is_pickle(file):
        rows, images = read_pickle(file)
    elif file.suffix.lower() in _ARRAYS:
        images = read_array(file)
        rows = range(len(images))
    else:
        return [mg.console.decoded(file)], read_picture(file)[None]
    before = f"{mg.console.decoded(file)}:" if is_one_of_many else ""
    return [f"{before}{row}" for row in rows], images


def read_picture(path: Path) -> Images:
    """A picture file as the network sees pictures: uint8 (3, 32, 32).

    Turned upright as its EXIF data say; the first frame of several; transparent parts become
    white; grey becomes RGB; 16 bits and floats become 8 bits (see :func:`_in_bytes`); the largest
    centred square is scaled with a Lanczos filter. A 32 x 32 picture stays as it is, bit for bit.

    Raises:
        UserError: it is of none of the :data:`FORMATS`, damaged, or of more than 89 million pixels.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on odd metadata; the pixels are what matters
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            Image.init()  # Image.open does not know a format that this Pillow was built without
            kinds = [kind for kind in FORMATS if kind in Image.OPEN]
            with Image.open(path, formats=kinds) as picture:
                upright = _rgb(path, ImageOps.exif_transpose(picture))
        # Cropped first: a filter over a part of the picture would look beyond that part.
        side = min(upright.size)
        left, top = ((length - side) // 2 for length in upright.size)
        square = upright.crop((left, top, left + side, top + side))
        small = square.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        most = f"{Image.MAX_IMAGE_PIXELS or 0:,}"
        raise UserError(f"{path}: more than {most} pixels; scale it down first") from None
    except UnidentifiedImageError:
        raise UserError(
            f"{path}: not a picture of a known kind ({', '.join(kinds)}), nor .npy, .npz or a "
            "pickle"
        ) from None
    except UserError:
        raise
    except Exception as error:  # its decoders raise whatever damaged bytes lead them to
        what = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path}: cannot be read as a picture ({what:.80})") from None
    return np.ascontiguousarray(np.asarray(small).transpose(2, 0, 1))


def _rgb(path: Path, picture: Any) -> Any:
    """Any Pillow image in mode RGB."""
    from PIL import Image

    if picture.mode.startswith(("I", "F")):  # convert() would cut off all above 255
        picture = Image.fromarray(_in_bytes(path, np.asarray(picture)))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return picture.convert("RGB")


def _in_bytes(path: Path, values: NDArray[Any]) -> Images:
    """Grey values of more than eight bits as uint8: of whole numbers white is 65,535, of floats 1,
    and of either 255 where the other reading makes it black or cuts it off.

    Raises:
        UserError: they are negative, beyond white, or not finite.
    """
    low, high = values.min(), values.max()
    whites = (255, 65535) if values.dtype.kind in "iu" else (1, 255)
    white = next((white for white in whites if low >= 0 and high <= white), None)
    if white is None:
        raise UserError(
            f"{path}: expected pixels from 0 to {whites[0]} or {whites[1]:,}, got {low:g} to "
            f"{high:g}"
        )
    if 0 < high < white / DARK:
        print(
            f"note: {path} comes out all but black: its pixels reach {high:g} of {white:,}; "
            "scale them first",
            file=sys.stderr,
        )
    found = np.empty(values.shape, np.uint8)
    for row, line in zip(found, values, strict=True):  # all at once would take ten times the memory
        row[:] = (line * (255 / white)).round()
    return found


def read_array(path: Path) -> Images:
    """The images in a .npy file, or in a .npz file that holds one array or one called "data" or
    "images": uint8 (N, 3, 32, 32). Nothing in the file is executed.

    Raises:
        UserError: it is damaged, or holds anything but uint8 (N, 3072), (N, 3, 32, 32) or
            (N, 32, 32, 3).
    """
    try:
        with path.open("rb") as file:
            if file.peek(2)[:2] != b"PK":
                return _read_npy(path, file, path.stat().st_size)
            with zipfile.ZipFile(file) as archive:
                names = [name.removesuffix(".npy") for name in archive.namelist()]
                member = archive.infolist()[names.index(_member(path, names))]
                if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise UserError(f"{path}: compressed in another way than NumPy's")
                with archive.open(member) as unpacked:
                    return _read_npy(path, unpacked, _LARGEST)
    except (UserError, MemoryError):
        raise
    except Exception:  # zipfile, zlib and the header's parser each have their own
        raise UserError(f"{path}: not a whole .npy or .npz file of plain numbers") from None


def _read_npy(path: Path, file: IO[bytes], most: int) -> Images:
    """The array that ``file`` begins with, once its header says what fits into ``most`` bytes."""
    version = np.lib.format.read_magic(file)
    header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    shape, is_fortran, dtype = header[version](file)
    _check_layout(path, shape, dtype)
    if (size := math.prod(shape)) > most:
        raise UserError(f"{path}: says that it has {size:,} bytes, expected at most {most:,}")
    raw = file.read(size)
    if file.read(1):  # also where a zip file's checksum is looked at
        raise UserError(f"{path}: has more bytes than an array of shape {shape} takes")
    order: Literal["C", "F"] = "F" if is_fortran else "C"
    return _planes(path, np.frombuffer(raw, np.uint8).reshape(shape, order=order))


_PLANES: Final = (3, SIDE, SIDE)
_PIXELS: Final = (SIDE, SIDE, 3)


def _check_layout(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    is_known = shape[1:] in (_PLANES, _PIXELS, (3 * SIDE * SIDE,)) and shape[0] >= 0
    if dtype != np.uint8 or not is_known:
        raise UserError(
            f"{path}: expected uint8 of shape (N, 3072), (N, 3, 32, 32) or (N, 32, 32, 3), got "
            f"{dtype} of shape {shape!s:.80}"
        )


def _planes(path: Path, found: NDArray[Any]) -> Images:
    """Images of any layout that is understood, as uint8 (N, 3, 32, 32)."""
    _check_layout(path, found.shape, found.dtype)
    if found.shape[1:] == _PIXELS:
        found = found.transpose(0, 3, 1, 2)
    images: Images = np.ascontiguousarray(found).reshape(-1, *_PLANES)
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


def _is_pickle(path: Path) -> bool:
    """Whether the name or the first two bytes, "protocol 2" to 5, say that it is one."""
    if path.suffix.lower() in _ARRAYS:
        return False
    with path.open("rb") as file:
        start = file.read(2)
    return path.suffix.lower() in (".pkl", ".pickle") or (
        start[:1] == b"\x80" and start[1:] in (b"\2", b"\3", b"\4", b"\5")
    )


def read_pickle(path: Path) -> tuple[Sequence[int], Images]:
    """IDs and uint8 images (N, 3, 32, 32) of a pickled batch, such as CIFAR-10's own.

    It is a dict with "data", images as :func:`read_array` takes them, and perhaps "ids", N whole
    numbers; without these the rows are numbered from 0. Its other entries, labels among them, are
    not looked at, and nothing in the file is executed.

    Raises:
        UserError: it is damaged, uses what such a pickle does not need, or holds something else.
    """
    try:
        if (size := path.stat().st_size) > _LARGEST:
            raise UserError(f"{path}: {size:,} bytes, expected at most {_LARGEST:,}")
        content = pickles.read(path.read_bytes())
        if not isinstance(content, dict):
            raise UserError(f"{path}: expected a pickled dict, got a {type(content).__name__}")
        batch = {
            k.decode(errors="replace") if isinstance(k, bytes) else k: v for k, v in content.items()
        }
        if "data" not in batch:
            names = ", ".join(map(str, batch)) or "nothing"
            raise UserError(f'{path}: expected a pickled dict with "data", it has {names:.120}')
        images = _planes(path, pickles.array(batch["data"]))
        ids = batch.get("ids")
        if ids is None:
            return range(len(images)), images
        ids = ids if isinstance(ids, list) else pickles.array(ids).ravel().tolist()
    except pickles.PickleError as error:
        raise UserError(f"{path}: {error}") from None
    if len(ids) != len(images) or not all(type(one) is int for one in ids):
        raise UserError(f'{path}: expected {len(images)} whole numbers in "ids"')
    return ids, images
