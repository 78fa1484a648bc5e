"""Transposed convolution: the input gradient of convolution as an operation."""

from __future__ import annotations

from .. import check
from ..device import Array
from ..sums import in_float32, total
from ..tape import Backward, Multilinear, keeping, op
from ..tensor import Tensor
from .conv import Pair, Window, col2im, im2col


@op(twice=Multilinear("x w + b"))
@in_float32
def _conv_transpose2d(
    x: Array,
    w: Array,
    b: Array | None,
    *,
    padding: Pair,
    window: Window,
    groups: int,
    out: Pair,
) -> tuple[Array, Backward]:
    """Columns Y = Wᵀ X for each group, added up where they overlap, plus b: (N, O, *out). A row of
    W is the window that one input channel writes, and a column of X one pixel of one image::

        dL/dX = W G,   dL/dW = X Gᵀ,   dL/db = Σ g

    where G holds the im2col columns of g.
    """
    (n, c, h, width), (_, each, kh, kw) = x.shape, w.shape
    filters = w.reshape(groups, c // groups, each * kh * kw)
    rows = x.swapaxes(0, 1).reshape(groups, c // groups, n * h * width)
    columns = (filters.swapaxes(1, 2) @ rows).reshape(groups * each, kh * kw, n, h, width)
    y = col2im(columns, out, padding, window)
    if b is not None:
        y = y + b[:, None, None]

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        seen = im2col(g, padding, window)[..., :h, :width]
        seen = seen.reshape(groups, each * kh * kw, n * h * width)
        gx = gw = None
        if needs[0]:
            gx = (filters @ seen).reshape(c, n, h, width).swapaxes(0, 1)
        if needs[1]:
            gw = (rows @ seen.swapaxes(1, 2)).reshape(w.shape)
        return gx, gw, total(g, (0, 2, 3)) if needs[2] else None

    return y, keeping(backward, lambda: rows.reshape(c, n, h, width).swapaxes(0, 1), w, b)


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Pair = 1,
    padding: int | Pair = 0,
    output_padding: int | Pair = 0,
    groups: int = 1,
    dilation: int | Pair = 1,
) -> Tensor:
    """The input gradient of :func:`minigrad.functional.conv2d` as an operation, which enlarges
    images (Zeiler et al., CVPR 2010).

    Args:
        input: (N, C, H, W), or (C, H, W) for a single image.
        weight: (C, O / groups, KH, KW).
        bias: (O,) or None.
        stride, padding, dilation: those of the convolution, as int or pair.
        output_padding: rows and columns at the bottom and right that the convolution does not read;
            less than the stride or the dilation.
        groups: the number of groups into which C and O are divided.

    Returns:
        (N, O, OH, OW) with OH = (H − 1) s − 2p + d(KH − 1) + output_padding + 1, likewise OW.

    Raises:
        ValueError: shapes do not match, or the result has no pixels.
    """
    check.tensor("input", input, (3, 4), "(N, C, H, W) or (C, H, W)")
    check.tensor("weight", weight, (4,), "(C, O/groups, KH, KW)")
    check.floating("input", input)
    if weight.dtype != input.dtype:
        raise TypeError(f"weight: expected dtype {input.dtype} as input, got {weight.dtype}")
    if input.ndim == 3:
        options = stride, padding, output_padding, groups, dilation
        return conv_transpose2d(input.unsqueeze(0), weight, bias, *options).squeeze(0)
    check.integer("groups", groups, 1)
    channels, each, *kernel = weight.shape
    if input.shape[1] != channels or channels % groups or 0 in weight.shape:
        raise ValueError(
            f"weight: expected (C, O/{groups}, KH, KW) with C = {input.shape[1]} a multiple of "
            f"groups={groups} for input {input.shape}, got {weight.shape}"
        )
    check.vector("bias", bias, each * groups, input)
    steps, spacing = check.pair("stride", stride, 1), check.pair("dilation", dilation, 1)
    pads, more = check.pair("padding", padding, 0), check.pair("output_padding", output_padding, 0)
    if any(m >= max(s, d) for m, s, d in zip(more, steps, spacing, strict=True)):
        raise ValueError(
            f"output_padding: expected less than stride {steps} or dilation {spacing}, got {more}"
        )
    if 0 in input.shape[2:]:
        raise ValueError(f"input: expected at least one pixel, got {input.shape}")
    window = Window((kernel[0], kernel[1]), steps, spacing)
    sizes = zip(input.shape[2:], steps, pads, window.reach, more, strict=True)
    height, width = ((n - 1) * s - 2 * p + r + m for n, s, p, r, m in sizes)
    if height < 1 or width < 1:
        raise ValueError(f"padding: leaves a result of size ({height}, {width}), got {pads}")
    return _conv_transpose2d(
        *(input, weight, bias), padding=pads, window=window, groups=groups, out=(height, width)
    )
