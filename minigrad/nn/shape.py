"""Layers that change the shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import check
from .. import functional as F
from ..ops.conv import Pair
from ..tensor import Tensor
from .module import Module


class Flatten(Module):
    """(N, ...) as (N, F); see :func:`minigrad.ops.shape.flatten`. No copy is made."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Tensor:
        return check.tensor("input", input).flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """The inverse of :class:`Flatten`: dimension ``dim`` as dimensions ``unflattened_size``, one of
    which may be -1."""

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        if not isinstance(unflattened_size, (tuple, list)):
            got = check.shown(unflattened_size)
            raise TypeError(f"unflattened_size: expected a tuple of sizes, got {got}")
        self.dim = check.integer("dim", dim, -math.inf)
        self.unflattened_size = tuple(unflattened_size)

    def forward(self, input: Tensor) -> Tensor:
        return check.tensor("input", input).unflatten(self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class Unfold(Module):
    """The elements of a window at each position; see :func:`minigrad.functional.unfold`."""

    def __init__(
        self,
        kernel_size: int | Pair,
        dilation: int | Pair = 1,
        padding: int | Pair = 0,
        stride: int | Pair = 1,
    ) -> None:
        self.kernel_size, self.dilation = kernel_size, dilation
        self.padding, self.stride = padding, stride

    def forward(self, input: Tensor) -> Tensor:
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        names = ("kernel_size", "dilation", "padding", "stride")
        return ", ".join(f"{name}={getattr(self, name)}" for name in names)


class Fold(Unfold):
    """Images as sums of columns; see :func:`minigrad.functional.fold`."""

    def __init__(
        self,
        output_size: int | Pair,
        kernel_size: int | Pair,
        dilation: int | Pair = 1,
        padding: int | Pair = 0,
        stride: int | Pair = 1,
    ) -> None:
        super().__init__(kernel_size, dilation, padding, stride)
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        options = self.kernel_size, self.dilation, self.padding, self.stride
        return F.fold(input, self.output_size, *options)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}, {super().extra_repr()}"


class _Pad(Module):
    """Padding of the last two dimensions, or the last one; see :func:`minigrad.functional.pad`."""

    mode = "constant"
    dims = 2
    value: float = 0.0

    def __init__(self, padding: int | Sequence[int]) -> None:
        count = 2 * self.dims
        amounts = (padding,) * count if isinstance(padding, int) else padding
        if not isinstance(amounts, (tuple, list)) or len(amounts) != count:
            got = check.shown(padding)
            raise ValueError(f"padding: expected an int or a tuple of {count}, got {got}")
        self.padding = tuple(check.integer("padding", n, -math.inf) for n in amounts)

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self.mode, self.value or None)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad1d(_Pad):
    """Zero padding of rows."""

    dims = 1


class ZeroPad2d(_Pad):
    """Zero padding of images; padding as (left, right, top, bottom)."""


class ConstantPad2d(_Pad):
    """Padding of images with one value; padding as (left, right, top, bottom)."""

    def __init__(self, padding: int | Sequence[int], value: float) -> None:
        super().__init__(padding)
        self.value = check.number("value", value, -math.inf)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ReflectionPad2d(_Pad):
    """Padding by reflection at the edges; padding as (left, right, top, bottom)."""

    mode = "reflect"


class ReplicationPad2d(_Pad):
    """Padding with the pixels at the edge; padding as (left, right, top, bottom)."""

    mode = "replicate"


class Upsample(Module):
    """Resizing of images; see :func:`minigrad.functional.interpolate`."""

    def __init__(
        self,
        size: Any = None,
        scale_factor: Any = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        self.size = size
        many = isinstance(scale_factor, (tuple, list))
        factors = scale_factor if many else () if scale_factor is None else (scale_factor,)
        numbers = tuple(check.number("scale_factor", f, 0) for f in factors)
        self.scale_factor = numbers if many else numbers[0] if numbers else None
        self.mode = check.text("mode", mode)
        self.align_corners = align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input: Tensor) -> Tensor:
        options = self.mode, self.align_corners, self.recompute_scale_factor
        return F.interpolate(input, self.size, self.scale_factor, *options)

    def extra_repr(self) -> str:
        size = f"size={self.size}" if self.scale_factor is None else ""
        return f"{size or f'scale_factor={self.scale_factor}'}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """Resizing of images by nearest pixels."""

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, "nearest")


class UpsamplingBilinear2d(Upsample):
    """Resizing of images by bilinear interpolation with aligned corners."""

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, "bilinear", align_corners=True)


class PixelShuffle(Module):
    """Rearranges channels into pixels; see :func:`minigrad.functional.pixel_shuffle`."""

    def __init__(self, upscale_factor: int) -> None:
        self.upscale_factor = check.integer("upscale_factor", upscale_factor, 1)

    def forward(self, input: Tensor) -> Tensor:
        return F.pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """Rearranges pixels into channels; see :func:`minigrad.functional.pixel_unshuffle`."""

    def __init__(self, downscale_factor: int) -> None:
        self.downscale_factor = check.integer("downscale_factor", downscale_factor, 1)

    def forward(self, input: Tensor) -> Tensor:
        return F.pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        return f"downscale_factor={self.downscale_factor}"
