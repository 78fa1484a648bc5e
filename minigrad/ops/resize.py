"""Resizing images by repetition or interpolation, and pixel shuffling."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import check
from ..device import Array, get_xp
from ..sums import in_float32
from ..tape import Backward, Multilinear, op
from ..tensor import Tensor
from .pool import adaptive_avg_pool2d

LINEAR = {"linear": 1, "bilinear": 2, "trilinear": 3}


def _places(
    n: int, out: int, scale: float | None, mode: str, align: bool, image: bool
) -> tuple[Any, Any, Any]:
    """For each position of a resized axis, the two of its ``n`` elements between which it lies, and
    the weight of the second. With ``align`` the outermost pixel centres keep their positions."""
    at = np.arange(out)
    if image and mode == "nearest" and out in (n, 2 * n):  # whatever the factor, as in PyTorch
        scale = None
    step = n / out if scale is None else 1 / scale
    if mode.startswith("nearest"):
        half = 0.5 if mode == "nearest-exact" else 0
        single = np.float32  # as in PyTorch, for places may lie on the edges of pixels
        first = np.floor((at.astype(single) + single(half)) * single(step)).astype(np.int64)
        return first.clip(0, n - 1), None, None
    if out == n:  # whatever the factor, as in PyTorch
        return at, at, np.zeros(n)
    if align:
        place = at * ((n - 1) / (out - 1) if out > 1 else 0.0)
    else:
        place = np.maximum((at + 0.5) * step - 0.5, 0)
    first = np.minimum(np.floor(place).astype(np.int64), n - 1)
    return first, np.minimum(first + 1, n - 1), (place - first).clip(0, 1)


def _sum_of_copies(g: Array, axis: int, places: Any, size: int) -> Array:
    """Along an axis of length ``size``, for each element the sum of g over its copies: element k of
    g belongs to a copy of number ``places[k]``."""
    xp = get_xp(g)
    sums = xp.zeros((*g.shape[:axis], size, *g.shape[axis + 1 :]), g.dtype)
    to, parts = xp.moveaxis(sums, axis, 0), xp.moveaxis(g, axis, 0)
    for k, place in enumerate(places.tolist()):
        to[place] += parts[k]
    return sums


@op(twice=Multilinear("x"))
@in_float32
def _interpolate(
    x: Array,
    *,
    size: tuple[int, ...],
    scales: tuple[float | None, ...],
    mode: str,
    align: bool,
) -> tuple[Array, Backward]:
    """Along each axis y = (1 − t) x[i] + t x[j], where i, j and t depend on the position
    ("nearest": y = x[i]);

    dL/dx = Σ (1 − t) g over the positions with this i + Σ t g over those with this j.
    """
    xp, shape = get_xp(x), x.shape
    axes = range(2, x.ndim)
    found = [
        (axis, *_places(shape[axis], out, scale, mode, align, x.ndim == 4))
        for axis, out, scale in zip(axes, size, scales, strict=True)
    ]

    def shares(t: Any, axis: int) -> Array:
        return xp.asarray(t, x.dtype).reshape(-1, *(1,) * (x.ndim - 1 - axis))

    y = x
    for axis, i, j, t in found:
        first = y.take(xp.asarray(i), axis=axis)
        if j is None:
            y = first
            continue
        part = shares(t, axis)
        y = first * (1 - part) + y.take(xp.asarray(j), axis=axis) * part

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        for axis, i, j, t in found:
            if j is None:
                g = _sum_of_copies(g, axis, i, shape[axis])
                continue
            part = shares(t, axis)
            near = _sum_of_copies(g * (1 - part), axis, i, shape[axis])
            g = near + _sum_of_copies(g * part, axis, j, shape[axis])
        return (g,)

    return y, backward


def interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Resize images.

    Args:
        input: (N, C, L), (N, C, H, W) or (N, C, D, H, W); floating.
        size: the size of each dimension, or an int for all.
        scale_factor: the factor of each size, or one for all, instead of ``size``; sizes are
            rounded down.
        mode: "nearest" and "nearest-exact" (any input), "linear" (L), "bilinear" (H, W),
            "trilinear" (D, H, W), or "area" (L or H, W: the mean of what a pixel covers).
        align_corners: in linear modes, whether the centres or the edges of the outermost pixels
            keep their positions.
        recompute_scale_factor: compute the factor from the rounded size.
        antialias: only False is supported.

    Raises:
        NotImplementedError: mode "bicubic", or "area" in three dimensions.
    """
    check.floating("input", check.tensor("input", input, (3, 4, 5), "(N, C, L) to (N, C, D, H, W)"))
    check.unsupported("antialias", antialias, False)
    dims = input.ndim - 2
    if mode == "bicubic" or (mode == "area" and dims == 3):
        raise NotImplementedError(f"mode={mode!r} is not supported for {dims} dimensions")
    check.choice("mode", mode, ("nearest", "nearest-exact", "area", *LINEAR))
    if mode in LINEAR and LINEAR[mode] != dims:
        raise ValueError(f"mode: {mode!r} is for {LINEAR[mode]} dimensions, got {input.shape}")
    if mode not in LINEAR and align_corners is not None:
        raise ValueError(f"align_corners: only for the linear modes, got it with {mode!r}")
    align = False if align_corners is None else check.boolean("align_corners", align_corners)
    anew = recompute_scale_factor is not None
    anew = anew and check.boolean("recompute_scale_factor", recompute_scale_factor)
    if anew and size is not None:
        raise ValueError("recompute_scale_factor: only with scale_factor, got size")
    sizes, scales = _sizes(input.shape[2:], size, scale_factor)
    if 0 in input.shape[1:] or 0 in sizes:
        raise ValueError(
            f"input: expected at least one channel and pixel before and after, got {input.shape} "
            f"and size {sizes}"
        )
    if mode == "area":
        if dims == 1:
            return adaptive_avg_pool2d(input.unsqueeze(2), (1, sizes[0])).squeeze(2)
        return adaptive_avg_pool2d(input, (sizes[0], sizes[1]))
    scales = (None,) * dims if anew else scales
    return _interpolate(input, size=sizes, scales=scales, mode=mode, align=align)


def _sizes(
    before: tuple[int, ...], size: Any, scale_factor: Any
) -> tuple[tuple[int, ...], tuple[float | None, ...]]:
    """The requested sizes, and the factors if given."""
    if (size is None) == (scale_factor is None):
        raise ValueError("size: expected it or scale_factor, got both or neither")
    name, given = ("scale_factor", scale_factor) if size is None else ("size", size)
    values = tuple(given) if isinstance(given, (tuple, list)) else (given,) * len(before)
    if len(values) != len(before):
        raise ValueError(f"{name}: expected one or {len(before)}, got {check.shown(given)}")
    if size is not None:
        return tuple(check.integer("size", n, 1) for n in values), (None,) * len(before)
    factors = [check.number("scale_factor", f, 0) for f in values]
    if math.inf in factors:
        raise ValueError(f"scale_factor: expected finite factors, got {check.shown(given)}")
    return tuple(int(n * f) for n, f in zip(before, factors, strict=True)), tuple(factors)


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """Channels as pixels of images r times as large (Shi et al., CVPR 2016): (*, C r², H, W) to
    (*, C, H r, W r)."""
    r = check.integer("upscale_factor", upscale_factor, 1)
    *batch, c, h, w = _images(input)
    if c % (r * r):
        raise ValueError(f"input: expected a multiple of {r * r} channels, got {input.shape}")
    n = math.prod(batch)
    x = input.reshape(n, c // (r * r), r, r, h, w).permute(0, 1, 4, 2, 5, 3)
    return x.reshape(*batch, c // (r * r), h * r, w * r)


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """The inverse of :func:`pixel_shuffle`: (*, C, H r, W r) to (*, C r², H, W)."""
    r = check.integer("downscale_factor", downscale_factor, 1)
    *batch, c, h, w = _images(input)
    if h % r or w % r:
        raise ValueError(f"input: expected height and width of multiples of {r}, got {input.shape}")
    n = math.prod(batch)
    x = input.reshape(n, c, h // r, r, w // r, r).permute(0, 1, 3, 5, 2, 4)
    return x.reshape(*batch, c * r * r, h // r, w // r)


def _images(input: Tensor) -> tuple[int, ...]:
    if check.tensor("input", input).ndim < 3:
        raise ValueError(f"input: expected shape (*, C, H, W), got {input.shape}")
    return input.shape
