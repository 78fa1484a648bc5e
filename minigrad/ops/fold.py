"""Sliding windows of images as columns, and the reverse."""

from __future__ import annotations

from .. import check
from ..device import Array
from ..sums import in_float32
from ..tape import Backward, Multilinear, op
from ..tensor import Tensor
from .conv import Pair, Window, col2im, im2col


def _flat(columns: Array) -> Array:
    """(C, KH·KW, N, OH, OW) as (N, C·KH·KW, OH·OW)."""
    c, k, n, oh, ow = columns.shape
    return columns.transpose(2, 0, 1, 3, 4).reshape(n, c * k, oh * ow)


def _columns(x: Array, window: Window, places: Pair) -> Array:
    """The inverse of :func:`_flat`."""
    n, kernel = len(x), window.kernel[0] * window.kernel[1]
    return x.reshape(n, x.shape[1] // kernel, kernel, *places).transpose(1, 2, 0, 3, 4)


@op(twice=Multilinear("x"))
@in_float32
def _unfold(x: Array, *, padding: Pair, window: Window, places: Pair) -> tuple[Array, Backward]:
    """y = the columns of im2col, image by image,  dL/dx = Σ of g over the copies of each pixel."""
    size = (x.shape[2], x.shape[3])
    y = _flat(im2col(x, padding, window))
    return y, lambda g, needs: (col2im(_columns(g, window, places), size, padding, window),)


@op(twice=Multilinear("x"))
@in_float32
def _fold(
    x: Array, *, size: Pair, padding: Pair, window: Window, places: Pair
) -> tuple[Array, Backward]:
    """y = images as sums of the columns,  dL/dx = the columns of g."""
    y = col2im(_columns(x, window, places), size, padding, window)
    return y, lambda g, needs: (_flat(im2col(g, padding, window)),)


def _window(
    size: tuple[int, ...], kernel_size: object, dilation: object, padding: object, stride: object
) -> tuple[Window, Pair, Pair]:
    """The window, the padding and the number of window positions in an image of ``size``."""
    window = Window(
        check.pair("kernel_size", kernel_size, 1, alone=False),
        check.pair("stride", stride, 1, alone=False),
        check.pair("dilation", dilation, 1, alone=False),
    )
    pads = check.pair("padding", padding, 0, alone=False)
    height, width = (n + 2 * p for n, p in zip(size, pads, strict=True))
    places = window.output((height, width))
    if min(places) < 1:
        raise ValueError(
            f"kernel_size: the window {window.reach} is larger than the padded image "
            f"({height}, {width})"
        )
    return window, pads, places


def unfold(
    input: Tensor,
    kernel_size: int | Pair,
    dilation: int | Pair = 1,
    padding: int | Pair = 0,
    stride: int | Pair = 1,
) -> Tensor:
    """The elements of a window at each position, as columns of a matrix.

    Args:
        input: (N, C, H, W), or (C, H, W) for a single image; floating.
        kernel_size, dilation, padding, stride: int or (height, width).

    Returns:
        (N, C · KH · KW, L) where L is the number of positions.
    """
    check.floating("input", check.tensor("input", input, (3, 4), "(N, C, H, W) or (C, H, W)"))
    if input.ndim == 3:
        return unfold(input.unsqueeze(0), kernel_size, dilation, padding, stride).squeeze(0)
    if 0 in input.shape[1:]:
        raise ValueError(f"input: expected at least one channel and pixel, got {input.shape}")
    window, pads, places = _window(input.shape[2:], kernel_size, dilation, padding, stride)
    return _unfold(input, padding=pads, window=window, places=places)


def fold(
    input: Tensor,
    output_size: int | Pair,
    kernel_size: int | Pair,
    dilation: int | Pair = 1,
    padding: int | Pair = 0,
    stride: int | Pair = 1,
) -> Tensor:
    """Images from the columns of :func:`unfold`, which are summed where windows overlap.

    Args:
        input: (N, C · KH · KW, L), or (C · KH · KW, L) for a single image; floating.
        output_size: (H, W), or int for both.
        kernel_size, dilation, padding, stride: int or (height, width).

    Returns:
        (N, C, H, W).

    Raises:
        ValueError: L is not the number of window positions in such images.
    """
    layout = "(N, C*KH*KW, L) or (C*KH*KW, L)"
    check.floating("input", check.tensor("input", input, (2, 3), layout))
    size = check.pair("output_size", output_size, 1, alone=False)
    if input.ndim == 2:
        options = kernel_size, dilation, padding, stride
        return fold(input.unsqueeze(0), size, *options).squeeze(0)
    window, pads, places = _window(size, kernel_size, dilation, padding, stride)
    kernel = window.kernel[0] * window.kernel[1]
    if input.shape[1] % kernel or not input.shape[1] or input.shape[2] != places[0] * places[1]:
        expected = f"(N, C * {kernel}, {places[0] * places[1]})"
        raise ValueError(f"input: expected shape {expected}, got {input.shape}")
    return _fold(input, size=size, padding=pads, window=window, places=places)
