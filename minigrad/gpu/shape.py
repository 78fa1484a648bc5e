"""Indexing on a GPU by the kernels of index.cu."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..device import Array, deferred_error, get_xp
from ..layout import memory_order
from ..memory import zeros
from ..ops.shape import Pair, _getitem, check_within, integer_arrays, out_of_bounds
from ..sums import adding_dtype
from . import launch as cuda

THREADS = 256  # per block of index.cu


@_getitem.on("gpu")
def getitem(x: Array, *, index: Any, unique: bool) -> Pair:
    """Gradients of repeated positions are added in the order of the elements of g, as in NumPy;
    CuPy's ``add.at`` adds in any order."""
    xp, shape, dtype, order = get_xp(x), x.shape, x.dtype, memory_order(x)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        adds = dtype if unique else adding_dtype(dtype, g.size)
        gx, g = zeros(shape, adds, xp, order), g.astype(adds, copy=False)
        if unique:
            gx[index] = g
        else:
            _add_at(gx, index, g)
        return (gx.astype(dtype, copy=False),)

    return xp.asarray(x[index]), backward


def _add_at(gx: Array, index: Any, g: Array) -> None:
    xp, order, n = get_xp(g), memory_order(gx), g.size
    memory = gx.transpose(order)
    places = xp.arange(gx.size).reshape(memory.shape).transpose(np.argsort(order).tolist())
    elements = xp.sort(places[index].reshape(-1) * n + xp.arange(n))
    args = (xp.ascontiguousarray(g), elements, n, memory)
    cuda.launch("index", "add_at", cuda.blocks(n, THREADS), THREADS, args, REAL=g.dtype)


@check_within.on("gpu", when=cuda.serves)
def check_later(x: Array, index: tuple[Any, ...]) -> None:
    """Does not wait for GPU arrays: an index out of range is raised when values are read."""
    xp = get_xp(x)
    for part, size in integer_arrays(x, index):
        if size and get_xp(part) is xp:
            flat = xp.ascontiguousarray(part.reshape(-1).astype(np.int64, copy=False))
            args = (flat, flat.size, size, deferred_error(xp, out_of_bounds).word)
            grid = cuda.blocks(flat.size, THREADS)
            cuda.launch("index", "within", grid, THREADS, args, REAL=x.dtype)
        elif len(bad := part[(part < -size) | (part >= size)]):
            raise out_of_bounds(int(bad[0]))
