"""Batch normalisation (Ioffe & Szegedy, ICML 2015)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .. import check
from ..backend import BLOCK, Array, empty, get_xp, inner, outer, parallel, spans
from ..compiled import kernels
from ..tensor import Backward, Tensor, op


def _rows(x: Array, task: Callable[[slice], None]) -> None:
    """Run ``task`` on cache-sized blocks of the rows of ``x`` (C, M), over all cores."""
    pieces = spans(len(x), -(-x.size // BLOCK) if isinstance(x, np.ndarray) else 1)
    parallel(lambda i: task(pieces[i]), len(pieces), x.size)


@op
def _batch_norm(
    x: Array, w: Array | None, b: Array | None, *, mean: Array, var: Array, batch: bool, eps: float
) -> tuple[Array, Backward]:
    """y = w x̂ + b with x̂ = (x − μ) r, r = 1 / √(σ² + ε), per channel.

    With ``batch`` μ and σ² are the batch's own (σ² biased), written into ``mean`` and ``var``;
    with m values per channel, s = Σ g and t = Σ g x̂::

        dL/dx = w r (g − s/m − x̂ t/m),   dL/dw = t,   dL/db = s

    Otherwise they are constants that the caller gives, and dL/dx = w r g.
    """
    xp = get_xp(x)
    fast = kernels("norm") if xp is np else None
    shape = inner(x).shape
    x = inner(x).reshape(len(mean), -1)
    m = x.shape[1]
    y = empty(x.shape, x.dtype, xp)
    r, scale = xp.empty_like(mean), xp.empty_like(mean)
    shift = xp.zeros_like(mean) if b is None else b

    def forward(c: slice) -> None:
        if batch and fast:
            fast.moments(x.reshape(-1), c.start, c.stop, m, mean, var)
        elif batch:
            mean[c] = x[c].mean(axis=1)
            centred = x[c] - mean[c, None]
            # The mean is rounded: what is left of it in x − μ is no variance.
            var[c] = xp.square(centred).mean(axis=1) - xp.square(centred.mean(axis=1))
        r[c] = 1 / xp.sqrt(var[c] + x.dtype.type(eps))
        scale[c] = r[c] if w is None else r[c] * w[c]
        if fast:
            fast.normalize(x.reshape(-1), c.start, c.stop, m, mean, scale, shift, y.reshape(-1))
        else:
            xp.subtract(x[c], mean[c, None], out=y[c])
            y[c] *= scale[c, None]
            y[c] += shift[c, None]

    _rows(x, forward)
    mu = mean.copy()  # the caller's array may change before backward

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        g = inner(g).reshape(x.shape)
        gx = empty(g.shape, g.dtype, xp)
        s, t = xp.empty_like(mu), xp.empty_like(mu)
        slope, offset = xp.empty_like(mu), xp.empty_like(mu)  # of dL/dx in x − μ
        flat = g.reshape(-1), x.reshape(-1)

        def task(c: slice) -> None:
            if fast:
                fast.sums(*flat, c.start, c.stop, m, mu, r, s, t)
            else:
                s[c] = g[c].sum(axis=1)
                t[c] = (g[c] * (x[c] - mu[c, None])).sum(axis=1) * r[c]
            if not needs[0]:
                return
            slope[c], offset[c] = -scale[c] * r[c] * t[c] / m, -scale[c] * s[c] / m
            if not batch:
                xp.multiply(g[c], scale[c, None], out=gx[c])
            elif fast:
                out = gx.reshape(-1)
                fast.gradient(*flat, c.start, c.stop, m, mu, scale, slope, offset, out)
            else:
                xp.subtract(x[c], mu[c, None], out=gx[c])
                gx[c] *= slope[c, None]
                gx[c] += offset[c, None]
                gx[c] += g[c] * scale[c, None]

        _rows(x, task)
        return outer(gx.reshape(shape)) if needs[0] else None, t, s

    return outer(y.reshape(shape)), backward


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Shift and scale each channel to mean 0 and variance 1, then by ``weight`` and ``bias``.

    Args:
        input: (N, C) or (N, C, ...).
        running_mean, running_var: (C,) or None. In training they move towards the batch's moments
            by the fraction ``momentum`` (in place; the variance unbiased); otherwise they are what
            is used.
        weight, bias: (C,) or None.
        training: use the batch's own moments.
        eps: added to the variance.

    Raises:
        ValueError: shapes do not agree, or training on one value per channel, with one of the
            running statistics but not the other, or with eps = 0.
    """
    check.floating("input", check.tensor("input", input))
    if input.ndim < 2:
        raise ValueError(f"input: expected shape (N, C) or (N, C, ...), got {input.shape}")
    c = input.shape[1]
    named = {
        "running_mean": running_mean,
        "running_var": running_var,
        "weight": weight,
        "bias": bias,
    }
    for name, t in named.items():
        check.vector(name, t, c, input.dtype)
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("running_mean: expected running statistics when training=False")
        return _batch_norm(
            input, weight, bias, mean=running_mean.data, var=running_var.data, batch=False, eps=eps
        )
    if (running_mean is None) != (running_var is None):
        raise ValueError("running_mean: expected both or none of running_mean and running_var")
    check.number("eps", eps, 0)
    if eps == 0:
        raise ValueError("eps: expected a number above 0 when training, got 0")
    count = input.numel() // max(1, c)
    if count <= 1:
        raise ValueError(
            f"input: expected more than one value per channel when training, got {input.shape}"
        )
    xp = get_xp(input.data)
    mean, var = xp.empty(c, input.dtype), xp.empty(c, input.dtype)
    y = _batch_norm(input, weight, bias, mean=mean, var=var, batch=True, eps=eps)
    with np.errstate(all="ignore"):  # overflow shows in the loss, as in the operations
        for running, now in ((running_mean, mean), (running_var, var * (count / (count - 1)))):
            if running is not None:
                running.data *= 1 - momentum
                running.data += momentum * now
    return y
