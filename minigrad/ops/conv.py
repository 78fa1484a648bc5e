"""Two-dimensional convolution as a matrix product with im2col columns.

Sizes have the same letters here and in all kernels: N images, C input and O output channels, H x W
input, KH x KW kernel, OH x OW output, G groups.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .. import check
from ..device import Array, get_xp
from ..sums import in_float32, total
from ..tape import Backward, Multilinear, op
from ..tensor import Tensor

Pair = tuple[int, int]


@dataclass(frozen=True)
class Window:
    """Geometry of a sliding window: each field is (height, width)."""

    kernel: Pair
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)

    @functools.cached_property
    def reach(self) -> Pair:
        """Extent of one window in input pixels."""
        (kh, kw), (dh, dw) = self.kernel, self.dilation
        return dh * (kh - 1) + 1, dw * (kw - 1) + 1

    def output(self, size: Sequence[int], padding: Pair = (0, 0)) -> Pair:
        """Number of output positions for images of ``size`` (H, W)."""
        (h, w), (ph, pw), (rh, rw), (sh, sw) = size, padding, self.reach, self.stride
        return (h + 2 * ph - rh) // sh + 1, (w + 2 * pw - rw) // sw + 1

    def offsets(self, out: Pair) -> Iterator[tuple[slice, slice]]:
        """For each element of the kernel, row by row, the pixels it is multiplied with: slices of
        rows and columns of the padded input, one row and column per output position (``out``)."""
        (kh, kw), (sh, sw), (dh, dw) = self.kernel, self.stride, self.dilation
        oh, ow = out
        for top in range(0, kh * dh, dh):
            for left in range(0, kw * dw, dw):
                yield (
                    slice(top, top + (oh - 1) * sh + 1, sh),
                    slice(left, left + (ow - 1) * sw + 1, sw),
                )


# The windows that layers use, made once.
window_of = functools.lru_cache(maxsize=1024)(Window)


def im2col(x: Array, padding: Pair, window: Window) -> Array:
    """(N, C, H, W) to (C, KH·KW, N, OH, OW): the pixels that each kernel element multiplies."""
    (ph, pw), xp = padding, get_xp(x)
    x = xp.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw))).swapaxes(0, 1)
    out = window.output(x.shape[2:])
    return xp.stack([x[:, :, i, j] for i, j in window.offsets(out)], axis=1)


def col2im(columns: Array, size: Pair, padding: Pair, window: Window) -> Array:
    """The transpose of :func:`im2col`, to (N, C, *size): the sum of all copies of each pixel."""
    (c, _, n), (h, w), (ph, pw) = columns.shape[:3], size, padding
    x = get_xp(columns).zeros((c, n, h + 2 * ph, w + 2 * pw), columns.dtype)
    for k, (i, j) in enumerate(window.offsets(columns.shape[3:])):
        x[:, :, i, j] += columns[:, k]
    return x[:, :, ph : ph + h, pw : pw + w].swapaxes(0, 1)


@op(twice=Multilinear("x w + b"))
@in_float32
def _conv2d(
    x: Array, w: Array, b: Array | None, *, padding: Pair, window: Window, groups: int
) -> tuple[Array, Backward]:
    """Y = W X + b for each group. A row of W is a filter, and a column of X holds the pixels of x
    that one output position of one image reads::

        dL/dW = G Xᵀ,   dL/dX = Wᵀ G,   dL/db = Σ columns of G

    dL/dx adds each value of dL/dX to the pixel from which im2col copied it.
    """
    (n, c, *size), (o, _, kh, kw) = x.shape, w.shape
    oh, ow = window.output(size, padding)
    filters = w.reshape(groups, o // groups, -1)

    def columns() -> Array:  # computed again in backward, as they are KH·KW times the image
        return im2col(x, padding, window).reshape(groups, filters.shape[2], n * oh * ow)

    y = (filters @ columns()).reshape(o, n, oh, ow)
    if b is not None:
        y += b[:, None, None, None]

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        rows = g.swapaxes(0, 1).reshape(groups, o // groups, n * oh * ow)
        gx = gw = None
        if needs[0]:
            gcolumns = (filters.swapaxes(1, 2) @ rows).reshape(c, kh * kw, n, oh, ow)
            gx = col2im(gcolumns, (size[0], size[1]), padding, window)
        if needs[1]:
            gw = (rows @ columns().swapaxes(1, 2)).reshape(w.shape)
        return gx, gw, total(g, (0, 2, 3)) if needs[2] else None

    return y.swapaxes(0, 1), backward


def flip_filters(w: Array, groups: int) -> Array:
    """Filters rotated by 180° with channel axes swapped: (O, C/G, KH, KW) to (C, O/G, KH, KW).

    At stride 1 the input gradient is the correlation of the padded output gradient with these.
    """
    o, cg, kh, kw = w.shape
    w = w.reshape(groups, o // groups, cg, kh, kw)[..., ::-1, ::-1].swapaxes(1, 2)
    return w.reshape(groups * cg, o // groups, kh, kw)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Pair = 1,
    padding: int | Pair | str = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
) -> Tensor:
    """Two-dimensional cross-correlation, which deep-learning libraries call convolution.

    y[n, o, i, j] = bias[o] +
        Σ_{c, a, b} weight[o, c, a, b] · input[n, c, i s + a d − p, j s + b d − p]

    Args:
        input: (N, C, H, W), or (C, H, W) for a single image.
        weight: (O, C / groups, KH, KW).
        bias: (O,) or None.
        stride, padding, dilation: int or (height, width). ``padding`` zeros are added on both
            sides; "valid" adds none, "same" keeps the size at stride 1 (with an odd total, the
            extra zeros are at the bottom and right).
        groups: the number of groups into which C and O are divided; output group k reads input
            group k only.

    Returns:
        (N, O, OH, OW) with OH = ⌊(H + 2p − d(KH − 1) − 1) / s⌋ + 1, likewise OW.

    Raises:
        ValueError: shapes do not match, or the window is larger than the padded input.
    """
    check.tensor("input", input, (3, 4), "(N, C, H, W) or (C, H, W)")
    check.tensor("weight", weight, (4,), "(O, C/groups, KH, KW)")
    check.floating("input", input)
    if weight.dtype != input.dtype:
        raise TypeError(f"weight: expected dtype {input.dtype} as input, got {weight.dtype}")
    if input.ndim == 3:
        return conv2d(input.unsqueeze(0), weight, bias, stride, padding, dilation, groups).squeeze(
            0
        )
    check.integer("groups", groups, 1)
    o, cg, kh, kw = weight.shape
    _, c, h, w = input.shape
    if c != cg * groups or o % groups or 0 in weight.shape:
        raise ValueError(
            f"weight: expected (O, {c}/{groups}, KH, KW) with O a multiple of groups={groups} "
            f"for input {input.shape}, got {weight.shape}"
        )
    check.vector("bias", bias, o, input)
    steps, spacing = check.pair("stride", stride, 1), check.pair("dilation", dilation, 1)
    window = window_of((kh, kw), steps, spacing)
    if isinstance(padding, str):
        input, padding = _named_padding(input, padding, window)
        h, w = input.shape[2:]
    pads = check.pair("padding", padding, 0)
    h, w = h + 2 * pads[0], w + 2 * pads[1]
    if h < window.reach[0] or w < window.reach[1]:
        raise ValueError(
            f"weight: the window {window.reach} is larger than the padded input ({h}, {w})"
        )
    return _conv2d(input, weight, bias, padding=pads, window=window, groups=groups)


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int] = 1,
    padding: int | tuple[int] | str = 0,
    dilation: int | tuple[int] = 1,
    groups: int = 1,
) -> Tensor:
    """:func:`conv2d` of rows: images of height 1.

    Args:
        input: (N, C, L), or (C, L) for a single example.
        weight: (O, C / groups, K).
        bias: (O,) or None.
        stride, padding, dilation, groups: as in conv2d, for one dimension.

    Returns:
        (N, O, OL).
    """
    check.tensor("input", input, (2, 3), "(N, C, L) or (C, L)")
    check.tensor("weight", weight, (3,), "(O, C/groups, K)")
    steps, spacing = check.single("stride", stride, 1), check.single("dilation", dilation, 1)
    pads: Any = padding
    if not isinstance(padding, str):
        pads = (0, check.single("padding", padding, 0))
    options = ((1, steps), pads, (1, spacing), groups)
    return conv2d(input.unsqueeze(-2), weight.unsqueeze(2), bias, *options).squeeze(-2)


def _named_padding(input: Tensor, padding: str, window: Window) -> tuple[Tensor, Pair]:
    check.choice("padding", padding, ("valid", "same"))
    if padding == "valid":
        return input, (0, 0)
    if window.stride != (1, 1):
        raise ValueError(f"padding: 'same' needs stride 1, got {window.stride}")
    rh, rw = window.reach
    odd_h, odd_w = (rh - 1) % 2, (rw - 1) % 2
    if odd_h or odd_w:
        input = input.pad((0, odd_w, 0, odd_h))
    return input, ((rh - 1) // 2, (rw - 1) // 2)
