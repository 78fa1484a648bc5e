"""Convolution on a GPU by the matrix products of :mod:`minigrad.gpu.implicit_gemm`."""

from __future__ import annotations

from ..device import Array, get_xp
from ..layout import from_batch_last, to_batch_last
from ..memory import empty
from ..ops.conv import Pair, Window, _conv2d, flip_filters
from ..tape import Backward, is_grad_enabled, keeping
from . import implicit_gemm as implicit


def _serves(x: Array, *args: Array | None, **params: object) -> bool:
    return implicit.is_supported(x) and x.size > 0


@_conv2d.on("gpu", when=_serves)
def conv2d(
    x: Array, w: Array, b: Array | None, *, padding: Pair, window: Window, groups: int
) -> tuple[Array, Backward]:
    h, wide = x.shape[2:]
    size = window.output((h, wide), padding)
    x = to_batch_last(x)
    sampling = implicit.forward_sampling(padding, window.stride, window.dilation)
    o, _, *kernel = w.shape
    flipped = None
    if is_grad_enabled():
        flipped = empty((len(x), o // groups, *kernel), w.dtype, get_xp(x))

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        g = to_batch_last(g)
        gx = None
        if needs[0]:
            steps = window.kernel, padding, window.stride, window.dilation
            gathering = implicit.backward_sampling(*steps)
            filters = flip_filters(w, groups) if flipped is None else flipped
            gx = from_batch_last(implicit.correlate(g, filters, None, (h, wide), gathering))
        gw = gb = None
        if needs[1]:
            gw, gb = implicit.weight_gradient(x, g, w.shape, sampling, needs[2])
        elif needs[2]:
            gb = g.reshape(len(g), -1).sum(axis=1)
        return gx, gw, gb

    y = from_batch_last(implicit.correlate(x, w, b, size, sampling, flipped))
    return y, keeping(backward, from_batch_last(x), w, b)
