"""Conversion of picture files to the input of networks."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cifar import process
from cifar.datasets.dataset import SIDE
from cifar.errors import UserError

Images = NDArray[np.uint8]

MAX_NAMED: Final = 5  # of the files that cannot be used, by name
MAX_DARK: Final = 16  # a picture whose brightest pixel is that part of white is all but black
# What Pillow decodes itself, without starting another program as it does for EPS.
FORMATS: Final[tuple[str, ...]] = (
    "AVIF", "BMP", "DIB", "GIF", "ICO", "JPEG", "JPEG2000", "PCX", "PNG", "PPM", "QOI", "TGA",
    "TIFF", "WEBP",
)  # fmt: skip


def read_picture(path: Path, side: int = SIDE) -> Images:
    """A picture file as uint8 (3, side, side).

    The picture is rotated by its EXIF orientation; of several frames the first is used; transparent
    parts become white; grey becomes RGB; 16 bits and floats become 8 bits (see :func:`_in_bytes`);
    the largest centred square is scaled with a Lanczos filter. A picture of that size is not
    changed.

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
        shorter = min(upright.size)
        left, top = ((length - shorter) // 2 for length in upright.size)
        square = upright.crop((left, top, left + shorter, top + shorter))
        small = square.resize((side, side), Image.Resampling.LANCZOS)
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


def pictures_below(folder: Path) -> list[Path]:
    """The pictures in a folder and its subfolders, found by their suffixes, in order; hidden files
    are left out."""
    from PIL import Image

    kinds = {end for end, kind in Image.registered_extensions().items() if kind in FORMATS}
    return [
        path
        for path in process.files_below(folder)
        if path.suffix.lower() in kinds
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


def in_one_line(problems: list[str]) -> str:
    """The problems of many files as one message; the first few by name."""
    more = f" (and {len(problems) - MAX_NAMED:,} more files)" if len(problems) > MAX_NAMED else ""
    return "; ".join(problems[:MAX_NAMED]) + more


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
    """Grey values of more than eight bits as uint8. White is 65,535 for integers and 1 for floats,
    or 255 for either if the picture would otherwise be black or clipped.

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
    if 0 < high < white / MAX_DARK:
        print(
            f"note: {path} comes out all but black: its pixels reach {high:g} of {white:,}; "
            "scale them first",
            file=sys.stderr,
        )
    result = np.empty(values.shape, np.uint8)
    for row, line in zip(
        result, values, strict=True
    ):  # all at once would take ten times the memory
        row[:] = (line * (255 / white)).round()
    return result
