"""Convolution on a GPU by the matrix products of :mod:`minigrad.gpu.implicit_gemm`."""

from __future__ import annotations

from ..device import Array
from ..layout import from_batch_last, to_batch_last
from ..ops.conv import Pair, Window, _conv2d, flip_filters
from ..tape import Backward, keeping
from . import implicit_gemm as implicit


def _serves(x: Array, *args: Array | None, **params: object) -> bool:
    return implicit.is_supported(x) and x.size > 0


@_conv2d.on("gpu", when=_serves)
def conv2d(
    x: Array, w: Array, b: Array | None, *, padding: Pair, window: Window, groups: int
) -> tuple[Array, Backward]:
    h, wide = x.shape[2:]
    size = window.output(h + 2 * padding[0], wide + 2 * padding[1])
    x = to_batch_last(x)
    sampling = implicit.forward_sampling(padding, window.stride, window.dilation)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        g = to_batch_last(g)
        gx = None
        if needs[0]:
            steps = window.kernel, padding, window.stride, window.dilation
            flipped, gathering = flip_filters(w, groups), implicit.backward_sampling(*steps)
            gx = from_batch_last(implicit.correlate(g, flipped, None, (h, wide), gathering))
        return (
            gx,
            implicit.weight_gradient(x, g, w.shape, sampling) if needs[1] else None,
            g.reshape(len(g), -1).sum(axis=1) if needs[2] else None,
        )

    y = from_batch_last(implicit.correlate(x, w, b, size, sampling))
    return y, keeping(backward, from_batch_last(x), w, b)
