"""Adaptive maximum pooling, and adaptive pooling of rows."""

from __future__ import annotations

import math
from typing import Any

from .. import check
from ..device import Array, get_xp
from ..sums import adding_dtype, in_float32
from ..tape import Backward, op
from ..tensor import Tensor
from .conv import Pair
from .pool import adaptive_avg_pool2d, cells, grid_size


@op
@in_float32
def _adaptive_max_pool2d(x: Array, *, out: Pair) -> tuple[Array, Backward]:
    """y[i, j] = the maximum of a cell,  dL/dx = Σ of g over the cells whose maximum is x.

    Among equal elements the first in row order counts, and NaN is larger than all.
    """
    xp, shape = get_xp(x), x.shape
    grid = list(cells(shape[2:], out))
    y = xp.empty((*shape[:2], *out), x.dtype)
    places: list[Array] = []
    for i, j, cell in grid:
        pixels = x[cell].reshape(*shape[:2], math.prod(x[cell].shape[2:]))  # N may be 0
        y[:, :, i, j] = pixels.max(axis=2)
        largest = (pixels == y[:, :, i, j, None]) | (pixels != pixels)  # only NaN is not itself
        places.append(largest.argmax(axis=2)[..., None])

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        gx = xp.zeros(shape, adding_dtype(g.dtype, len(grid)))
        for (i, j, cell), place in zip(grid, places, strict=True):
            part = gx[cell]
            spread = xp.zeros((*shape[:2], math.prod(part.shape[2:])), gx.dtype)
            xp.put_along_axis(spread, place, g[:, :, i, j, None].astype(gx.dtype), 2)
            gx[cell] += spread.reshape(part.shape)
        return (gx.astype(g.dtype),)

    return y, backward


def adaptive_max_pool2d(
    input: Tensor,
    output_size: int | tuple[int | None, int | None],
    return_indices: bool = False,
) -> Tensor:
    """Maxima over a grid of OH x OW cells that cover the input evenly.

    Args:
        input: (N, C, H, W), or (C, H, W) for a single image; floating.
        output_size: int or (OH, OW); None keeps the input's size.
        return_indices: not supported.

    Returns:
        (N, C, OH, OW).
    """
    check.unsupported("return_indices", return_indices, False)
    check.floating("input", check.tensor("input", input, (3, 4), "(N, C, H, W) or (C, H, W)"))
    if input.ndim == 3:
        return adaptive_max_pool2d(input.unsqueeze(0), output_size).squeeze(0)
    return _adaptive_max_pool2d(input, out=grid_size(input, output_size))


def adaptive_avg_pool1d(input: Tensor, output_size: int | tuple[int]) -> Tensor:
    """Means over a grid of OL cells that cover rows evenly: (N, C, L) or (C, L) to (N, C, OL)."""
    out = check.single("output_size", output_size, 1)
    return adaptive_avg_pool2d(_rows(input), (1, out)).squeeze(-2)


def adaptive_max_pool1d(
    input: Tensor, output_size: int | tuple[int], return_indices: bool = False
) -> Tensor:
    """Maxima over a grid of OL cells that cover rows evenly: (N, C, L) or (C, L) to (N, C, OL)."""
    out = check.single("output_size", output_size, 1)
    return adaptive_max_pool2d(_rows(input), (1, out), return_indices).squeeze(-2)


def _rows(input: Any) -> Tensor:
    """Rows as images of height 1."""
    return check.tensor("input", input, (2, 3), "(N, C, L) or (C, L)").unsqueeze(-2)
