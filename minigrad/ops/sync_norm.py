"""Batch normalisation over the batches of several processes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .. import check
from ..device import Array, get_xp
from ..sums import adding_dtype, in_float32
from ..tape import Backward, op
from ..tensor import Tensor
from .norm import _batch_norm, check_batch_norm, track

Reduce = Callable[[Array], None]  # adds an array over the processes, in place


@op
@in_float32
def _sync_batch_norm(
    x: Array,
    w: Array | None,
    b: Array | None,
    residual: Array | None,
    *,
    mean: Array,
    var: Array,
    count: Array,
    shift: Array,
    eps: float,
    relu: bool,
    reduce: Reduce,
) -> tuple[Array, Backward]:
    """:func:`~minigrad.ops.norm._batch_norm` with μ and σ² of the rows of all processes.

    Forward adds n, Σ (x − k) and Σ (x − k)² over the processes, with k the ``shift``, the same in
    all. With the totals m, s₁ and s₂::

        μ = k + s₁/m,   σ² = s₂/m − (s₁/m)²

    They are written to ``mean`` and ``var``, and m to ``count``. Backward adds s = Σ g and
    t = Σ g x̂ over the processes for dL/dx. dL/dw and dL/db are those of this process, like all
    gradients of parameters.
    """
    xp = get_xp(x)
    c, axes = len(mean), (0, *range(2, x.ndim))

    def beside(v: Array) -> Array:
        return v.reshape(-1, *[1] * (x.ndim - 2))

    centred = x.astype(np.float64) - beside(shift)
    sums = xp.empty(2 * c + 1, np.float64)
    sums[:c], sums[c:-1] = centred.sum(axis=axes), xp.square(centred).sum(axis=axes)
    sums[-1] = x.size // c
    reduce(sums)
    m = sums[-1:]
    first = sums[:c] / m
    mean[...], var[...] = shift + first, xp.maximum(sums[c:-1] / m - first * first, 0)
    count[...] = float(m[0])
    y, partial = _batch_norm.run(
        x, w, b, residual, mean=mean, var=var, batch=False, eps=eps, relu=relu
    )

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        gx, t, s, gz = partial(g, (needs[0], True, True, needs[3]))
        totals = xp.concatenate((s, t)).astype(np.float64)
        reduce(totals)
        if needs[0]:
            s_all, t_all = (totals / m).reshape(2, c).astype(x.dtype)
            r = (1 / xp.sqrt(var + eps)).astype(x.dtype)
            scale = r if w is None else w * r
            gx = gx - beside(scale * s_all) - (x - beside(mean)) * beside(scale * r * t_all)
        return gx, t, s, gz

    return y, backward


def sync_batch_norm(
    input: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    momentum: float,
    eps: float,
    *,
    reduce: Reduce,
    residual: Tensor | None = None,
    relu: bool = False,
    num_batches_tracked: Tensor | None = None,
) -> Tensor:
    """:func:`minigrad.functional.batch_norm` in training, over the batches of several processes.

    Args:
        input: (N, C) or (N, C, ...); N may be 0 in some of the processes.
        reduce: sums a float64 array over the processes, in place.

    Raises:
        TypeError, ValueError: as for batch_norm; or all processes together have only one value per
            channel.
    """
    statistics = running_mean, running_var, num_batches_tracked
    check_batch_norm(input, statistics, weight, bias, residual, True)
    xp = get_xp(input.data)
    c = input.shape[1]
    dtype = adding_dtype(input.dtype)
    mean, var = xp.empty(c, dtype), xp.empty(c, dtype)
    count = np.zeros(())
    y = _sync_batch_norm(
        input,
        weight,
        bias,
        residual,
        mean=mean,
        var=var,
        count=count,
        shift=running_mean.data.astype(np.float64),
        eps=eps,
        relu=check.boolean("relu", relu),
        reduce=reduce,
    )
    if count <= 1:
        raise ValueError(
            "input: expected more than one value per channel when training, got one in all "
            f"processes; {input.shape} in this one"
        )
    track(running_mean, running_var, num_batches_tracked, mean, var, momentum, float(count))
    return y
