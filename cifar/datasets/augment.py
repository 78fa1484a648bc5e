"""Augmentation and normalisation of whole batches, on the batch's device.

Crop, rotation, shift and flip are combined into one map from the pixels of the new image to
coordinates in the old one. So every pixel is read once (four times with interpolation), and no step
blurs or cuts off pixels that the next one needs. Random numbers are drawn on the CPU, and all
devices use the same single-precision arithmetic: a CPU and a GPU produce the same images.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import minigrad as mg
from cifar.errors import UserError

FILLS = {"zero": "constant", "edge": "edge", "reflect": "reflect"}  # and their np.pad modes
INTERPOLATIONS = ("nearest", "bilinear")


@dataclass(frozen=True)
class Augmentation:
    """Random changes of a training image; every amount is drawn uniformly, anew for each image.

    Attributes:
        crop: in pixels. The image is padded by this many pixels on every side and cropped at
            random, which moves it by up to this many whole pixels in each direction.
        flip: whether to mirror left to right, with probability 1/2.
        rotation: in degrees, at most 180. The image is rotated about its centre by up to this angle
            in either direction.
        shift: fraction of the size, at most 1. The image is moved independently by up to this
            fraction of its height and width in either direction, not in whole pixels.
        fill: pixels outside the image: "zero" (black), "edge" (the nearest pixel) or "reflect"
            (the image mirrored about its outermost pixels).
        interpolation: "nearest" takes the nearest pixel, "bilinear" the weighted mean of the four
            around the coordinates.
        alternating: instead of drawing flips in each epoch, flip half of the images, drawn once, in
            every even epoch and the other half in every odd one, so that two epochs show each image
            both ways (Jordan, arXiv 2404.00498). Needs flip and :class:`Batches`.

    Raises:
        UserError: a value is out of range.
    """

    crop: int = 0
    flip: bool = False
    rotation: float = 0.0
    shift: float = 0.0
    fill: str = "zero"
    interpolation: str = "nearest"
    alternating: bool = False

    def __post_init__(self) -> None:
        whole = isinstance(self.crop, int) and not isinstance(self.crop, bool)
        _expect("crop", self.crop, whole and self.crop >= 0, "a whole number of pixels from 0")
        for name in ("flip", "alternating"):
            value = getattr(self, name)
            _expect(name, value, isinstance(value, bool), "True or False")
        _expect("alternating", True, self.flip or not self.alternating, "False without flip")
        for name, most, unit in (("rotation", 180, "degrees"), ("shift", 1, "of the size")):
            value = getattr(self, name)
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            _expect(name, value, number and 0 <= value <= most, f"from 0 to {most} {unit}")
        for name, allowed in (("fill", tuple(FILLS)), ("interpolation", INTERPOLATIONS)):
            value = getattr(self, name)
            _expect(name, value, value in allowed, f"one of {', '.join(allowed)}")

    def __str__(self) -> str:
        """In words, such as "crop 4 px, flip, rotation ±10°, fill reflect"; "none"."""
        parts = [f"crop {self.crop} px"] if self.crop else []
        parts += ["alternating flip" if self.alternating else "flip"] if self.flip else []
        parts += [f"rotation ±{self.rotation:g}°"] if self.rotation else []
        parts += [f"shift ±{100 * self.shift:g} %"] if self.shift else []
        if self.crop or self.rotation or self.shift:
            parts.append(f"fill {self.fill}")
        if self.rotation or self.shift:
            parts.append(self.interpolation)
        return ", ".join(parts) or "none"


def _expect(name: str, value: Any, fits: bool, expected: str) -> None:
    if not fits:
        raise UserError(f"{name}: expected {expected}, got {value!r}")


def training(augmentation: Augmentation, mean: Any, std: Any) -> mg.data.Transform:
    """The transform of training batches: :func:`augmented`, then :func:`normalize`."""

    def apply(images: mg.Tensor, generator: np.random.Generator) -> mg.Tensor:
        return normalize(augmented(images, augmentation, generator), mean, std)

    return apply


def evaluation(mean: Any, std: Any) -> mg.data.Transform:
    """The transform of test batches: :func:`normalize` alone."""
    return lambda images, _: normalize(images, mean, std)


class Batches(mg.data.DataLoader):
    """Batches of training images and labels. With an alternating augmentation, every second epoch
    is mirrored; a random half of the images is mirrored in the data set (:func:`half_mirrored`).

    Args:
        augmentation: the augmentation of the transform.
        options: options of the DataLoader.
    """

    def __init__(
        self, dataset: mg.data.TensorDataset, augmentation: Augmentation, **options: Any
    ) -> None:
        super().__init__(dataset, **options)
        self.alternating = augmentation.alternating

    def epoch(self, number: int = 0, start: int = 0) -> Iterator[Any]:
        """The batches of epoch ``number``, from batch ``start`` on."""
        batches = super().epoch(number, start)
        if not (self.alternating and number % 2):
            return batches
        return ([mirrored(images), *rest] for images, *rest in batches)


def mirrored(images: mg.Tensor) -> mg.Tensor:
    """The images (N, C, H, W) mirrored left to right, with the batch innermost in memory."""
    xp = mg.get_xp(images.data)
    memory = xp.ascontiguousarray(images.data.transpose(1, 2, 3, 0)[:, :, ::-1])
    return mg.Tensor(memory.transpose(3, 0, 1, 2))


def half_mirrored(images: np.ndarray, seed: int) -> np.ndarray:
    """The images (N, C, H, W), each mirrored with probability 1/2, drawn by ``seed``."""
    mirror = mg.data.replayable(seed, 2).random(len(images)) < 0.5
    return np.where(mirror[:, None, None, None], images[..., ::-1], images)


def normalize(images: mg.Tensor, mean: Any, std: Any) -> mg.Tensor:
    """Pixels from 0 to 255 as (pixel / 255 − mean) / std per channel.

    Args:
        images: uint8 or float32 (N, C, H, W).
        mean, std: C numbers each, for pixels in [0, 1].

    Returns:
        float32 (N, C, H, W), with the batch innermost in memory.
    """
    xp = mg.get_xp(images.data)
    with np.errstate(all="ignore"):  # an odd mean or std shows in the loss
        mean, std = np.asarray(mean), np.asarray(std)
        numbers = xp.asarray(np.array((1 / (255 * std), mean / std), np.float32))  # one transfer
        scale, shift = numbers[..., None, None, None]
        # Convolutions are fastest batch-innermost; moving bytes costs less than moving floats.
        memory = xp.ascontiguousarray(images.data.transpose(1, 2, 3, 0))
        out = memory * scale
        out -= shift
    return mg.Tensor(out.transpose(3, 0, 1, 2))


def augmented(
    images: mg.Tensor, augmentation: Augmentation, generator: np.random.Generator
) -> mg.Tensor:
    """The images after random changes.

    Args:
        images: uint8 (N, C, H, W), not changed.
        generator: see :func:`draw`.

    Returns:
        The result of :func:`moved`, or ``images`` itself if the batch is empty or ``augmentation``
        changes nothing.

    Raises:
        ValueError: the images have another dtype or number of axes.
        UserError: the crop is larger than the images.
    """
    if images.ndim != 4 or images.dtype != np.uint8:
        raise ValueError(
            f"images: expected uint8 (N, C, H, W), got {images.dtype} {tuple(images.shape)}"
        )
    a = augmentation
    n, _, h, w = images.shape
    if not n or not (a.crop or a.flip or a.rotation or a.shift):
        return images
    _expect("crop", a.crop, a.crop <= min(h, w), f"at most {min(h, w)} px, the images' size")
    return moved(images, draw(a, n, h, w, generator), a.fill, a.interpolation)


# ---------------------------------------------------------------------------- random numbers


@dataclass(frozen=True)
class Moves:
    """The changes of each of N images, in this order; arrays of shape (N,), on the CPU.

    Attributes:
        down, right: float64, pixels. Offset of the new image's corner from the old one's.
        angle: float64, radians. Counter-clockwise rotation about the centre.
        mirror: bool. Whether the image is then mirrored left to right.
    """

    down: np.ndarray
    right: np.ndarray
    angle: np.ndarray
    mirror: np.ndarray


def draw(
    augmentation: Augmentation, n: int, height: int, width: int, generator: np.random.Generator
) -> Moves:
    """Moves of ``n`` images.

    Always draws 6 · n numbers from [0, 1), so that one option does not change the effect of the
    others: n crops down, n to the right, n mirrorings, n angles, n shifts down, n to the right. If
    several processes share a batch, n is the size of the whole batch.
    """
    total, rows = mg.data.rows_of_batch(n)
    crop_down, crop_right, mirror, turn, down, right = generator.random((6, total))[:, rows]
    a = augmentation
    steps = 2 * a.crop + 1
    return Moves(
        np.floor(crop_down * steps) - a.crop + (2 * down - 1) * a.shift * height,
        np.floor(crop_right * steps) - a.crop + (2 * right - 1) * a.shift * width,
        (2 * turn - 1) * math.radians(a.rotation),
        a.flip & (not a.alternating) & (mirror < 0.5),
    )


# ---------------------------------------------------------------------------- resampling


def moved(images: mg.Tensor, moves: Moves, fill: str, interpolation: str) -> mg.Tensor:
    """Each image after its move.

    Between pixels, "nearest" takes the nearest pixel (of two equally near ones, the lower or right
    one), and "bilinear" interpolates the four around. Outside the image ``fill`` extends without
    limit. So a crop equals the crop of ``np.pad(image)``, and pixels that one part of a move takes
    out of the image return if another part brings them back.

    Args:
        images: uint8 (N, C, H, W).
        fill, interpolation: as in :class:`Augmentation`.

    Returns:
        (N, C, H, W), with the batch innermost in memory: uint8 for "nearest"; float32 from 0 to
        255, not rounded, for "bilinear".
    """
    xp = mg.get_xp(images.data)
    n, c, h, w = images.shape
    maps = _maps(moves, h, w)
    bilinear = interpolation == "bilinear"
    above, below = _margins(maps[0], h, w, h, bilinear)
    left, right = _margins(maps[1], h, w, w, bilinear)
    # The image is padded so far that no index lies outside. Channels come first: one table of
    # indices then serves all of them.
    margins = ((0, 0), (0, 0), (above, below), (left, right))
    padded = xp.pad(images.data.transpose(1, 0, 2, 3), margins, FILLS[fill])
    height, width = padded.shape[2:]
    maps[:, 2] += np.array([[above], [left]], np.float32)
    if not bilinear:
        maps[:, 2] += np.float32(0.5)
    rows, cols = (_coordinates(*pair, h, w) for pair in zip(maps, xp.asarray(maps), strict=True))
    top, start = xp.floor(rows), xp.floor(cols)
    i, j = top.astype(np.int64), start.astype(np.int64)
    index = i * width + j + xp.arange(n) * (height * width)  # (H, W, N)
    pixels = padded.reshape(c, -1)
    if not bilinear:
        return mg.Tensor(pixels.take(index, axis=1).transpose(3, 0, 1, 2))
    pixels, down, across = pixels.astype(np.float32), rows - top, cols - start

    def row(index: Any) -> Any:
        left, right = pixels.take(index, axis=1), pixels.take(index + 1, axis=1)
        return _lerp(left, right, across)

    return mg.Tensor(_lerp(row(index), row(index + width), down).transpose(3, 0, 1, 2))


def _maps(moves: Moves, h: int, w: int) -> np.ndarray:
    """Row and column of the old image for pixel (y, x), as ``factor · y + factor · x + offset``.

    Returns:
        float32 (2, 3, N): for rows and for columns, the factors of y and of x and the offset.
    """
    cos, sin, sign = np.cos(moves.angle), np.sin(moves.angle), np.where(moves.mirror, -1, 1)
    y, x = (h - 1) / 2, (w - 1) / 2  # the centre
    rows = (cos, sign * sin, moves.down + y - cos * y - sign * sin * x)
    cols = (-sin, sign * cos, moves.right + x + sin * y - sign * cos * x)
    return np.array((rows, cols), np.float32)


def _margins(place: np.ndarray, h: int, w: int, size: int, bilinear: bool) -> tuple[int, int]:
    """How many pixels the map ``place`` reads before the first and after the last of ``size``.

    "bilinear" needs one more on either side: it reads neighbours too, and rounding may take it just
    below a whole pixel. "nearest" has half a pixel to spare.
    """
    of_y, of_x, offset = place[0] * (h - 1), place[1] * (w - 1), place[2]
    low = (offset + np.minimum(of_y, 0) + np.minimum(of_x, 0)).min(initial=0)
    high = (offset + np.maximum(of_y, 0) + np.maximum(of_x, 0)).max(initial=size - 1)
    return math.ceil(-low) + bilinear, math.ceil(high) - (size - 1) + bilinear


def _coordinates(place: np.ndarray, place_on_device: Any, h: int, w: int) -> Any:
    """The coordinates to which the map ``place`` sends every pixel.

    Returns:
        float32 (H, W, N), with 1 in place of H or W where nothing depends on it: without a rotation
        there is little to compute.
    """
    of_y, of_x, at = place_on_device
    xp = mg.get_xp(place_on_device)
    if place[0].any():
        at = at + xp.arange(h, dtype=np.float32)[:, None, None] * of_y
    if place[1].any():
        at = at + xp.arange(w, dtype=np.float32)[:, None] * of_x
    return at


def _lerp(a: Any, b: Any, part: Any) -> Any:
    """``a + part · (b − a)``; overwrites ``b``."""
    b -= a
    b *= part
    b += a
    return b
