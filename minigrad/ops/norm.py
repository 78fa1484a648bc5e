"""Batch normalisation (Ioffe & Szegedy, ICML 2015)."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import check
from ..device import Array, get_xp
from ..dispatch import Dispatched
from ..quiet import quiet
from ..sums import adding_dtype, in_float32, total
from ..tape import Backward, op
from ..tensor import Tensor


@op
@in_float32
def _batch_norm(
    x: Array,
    w: Array | None,
    b: Array | None,
    residual: Array | None,
    *,
    mean: Array,
    var: Array,
    batch: bool,
    eps: float,
    relu: bool,
) -> tuple[Array, Backward]:
    """y = w x̂ + b with x̂ = (x − μ) r, r = 1 / √(σ² + ε), per channel.

    With ``batch``, μ and σ² (biased) are computed from the batch and written to ``mean`` and
    ``var``. With m values per channel, s = Σ g and t = Σ g x̂::

        dL/dx = w r (g − s/m − x̂ t/m),   dL/dw = t,   dL/db = s

    Otherwise ``mean`` and ``var`` are constants, and dL/dx = w r g.

    With a ``residual`` z and ``relu``, y = max(w x̂ + b + z, 0). All gradients then use g = 0 where
    y = 0, and dL/dz is this g.
    """
    xp = get_xp(x)
    axes = (0, *range(2, x.ndim))
    m = x.size // max(1, x.shape[1])

    def beside(v: Array) -> Array:
        """A value per channel, reshaped to broadcast with x."""
        return v.reshape(-1, *[1] * (x.ndim - 2))

    if batch:
        exact = x.astype(np.float64)
        mean[...], var[...] = exact.mean(axis=axes), exact.var(axis=axes)
    r = 1 / xp.sqrt(var + eps)
    scale = r if w is None else w * r
    centred = x - beside(mean)
    y = centred * beside(scale)
    if b is not None:
        y = y + beside(b)
    if residual is not None:
        y = y + residual
    if relu:
        y = xp.maximum(y, 0)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        if relu:
            g = xp.where(y != 0, g, g.dtype.type(0))
        s, t = total(g, axes), total(g * centred, axes) * r
        gx = g - beside(s) / m - centred * beside(r * t / m) if batch else g
        return gx * beside(scale), t, s, g

    return y, backward


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    residual: Tensor | None = None,
    relu: bool = False,
    num_batches_tracked: Tensor | None = None,
) -> Tensor:
    """Normalise each channel to mean 0 and variance 1, then apply ``weight`` and ``bias``.

    ``relu(batch_norm(input) + residual)``, common in residual networks, can be computed in one
    pass, which is faster because memory limits the speed.

    Args:
        input: (N, C) or (N, C, ...).
        running_mean, running_var: (C,) or None. In training they move in place towards the batch's
            mean and unbiased variance by the fraction ``momentum``; otherwise they are used for
            normalisation.
        weight, bias: (C,) or None.
        training: use the mean and variance of the batch.
        eps: added to the variance.
        residual: None, or a Tensor of input's shape and dtype that is added to the result. (Not in
            PyTorch.)
        relu: apply ReLU last. (Not in PyTorch.)
        num_batches_tracked: None, or a count that goes up by one when the running statistics move:
            a Tensor of integers with one element. (Not in PyTorch.)

    Raises:
        ValueError: shapes do not match; or, in training, there is one value per channel, only one
            of the running statistics, or eps = 0.
    """
    check.boolean("training", training)
    statistics = running_mean, running_var, num_batches_tracked
    check_batch_norm(input, statistics, weight, bias, residual, training)
    c = input.shape[1]
    options: dict[str, Any] = {
        "batch": training,
        "eps": check.number("eps", eps, 0),
        "relu": check.boolean("relu", relu),
    }
    dtype = adding_dtype(input.dtype)
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("running_mean: expected running statistics when training=False")
        mean = running_mean.data.astype(dtype, copy=False)
        var = running_var.data.astype(dtype, copy=False)
        return _batch_norm(input, weight, bias, residual, mean=mean, var=var, **options)
    if (running_mean is None) != (running_var is None):
        raise ValueError("running_mean: expected both or none of running_mean and running_var")
    momentum = check.number("momentum", momentum, 0, 1)
    if eps == 0:
        raise ValueError("eps: expected a number above 0 when training, got 0")
    count = input.numel() // max(1, c)
    if count <= 1:
        raise ValueError(
            f"input: expected more than one value per channel when training, got {input.shape}"
        )
    xp = get_xp(input.data)
    mean, var = xp.empty(c, dtype), xp.empty(c, dtype)
    y = _batch_norm(input, weight, bias, residual, mean=mean, var=var, **options)
    if running_mean is not None and running_var is not None:
        track(running_mean, running_var, num_batches_tracked, mean, var, momentum, count)
    return y


@quiet  # overflow shows in the loss, as inside operations
def track(
    running_mean: Tensor,
    running_var: Tensor,
    num_batches_tracked: Tensor | None,
    mean: Array,
    var: Array,
    momentum: float,
    count: float,
) -> None:
    """Move the running statistics towards the mean and the unbiased variance of ``count`` values a
    channel, and count the batch."""
    batches = None if num_batches_tracked is None else num_batches_tracked.data
    statistics = running_mean.data, running_var.data, mean, var, batches
    _track.run(*statistics, momentum=momentum, unbias=count / (count - 1))


def check_batch_norm(
    input: Tensor,
    statistics: tuple[Tensor | None, Tensor | None, Tensor | None],
    weight: Tensor | None,
    bias: Tensor | None,
    residual: Tensor | None,
    training: bool,
) -> None:
    """Raise unless all fit the input. In training the ``statistics``, which are the running mean
    and variance and the count of batches, are to be writable."""
    check.floating("input", check.tensor("input", input))
    if input.ndim < 2:
        raise ValueError(f"input: expected shape (N, C) or (N, C, ...), got {input.shape}")
    mean, var, batches = statistics
    vectors = {"running_mean": mean, "running_var": var, "weight": weight, "bias": bias}
    for name, t in vectors.items():
        check.vector(name, t, input.shape[1], input)
    if batches is not None:
        check.tensor("num_batches_tracked", batches)
        if batches.dtype.kind not in "iu" or batches.numel() != 1:
            got = f"{batches.dtype} of shape {batches.shape}"
            raise ValueError(f"num_batches_tracked: expected one integer, got {got}")
    if training:
        names = ("running_mean", "running_var", "num_batches_tracked")
        for name, t in zip(names, statistics, strict=True):
            if t is not None:
                check.writable(name, t)
    if residual is not None:
        check.tensor("residual", residual)
        for what in ("shape", "dtype"):
            got, expected = getattr(residual, what), getattr(input, what)
            if got != expected:
                raise ValueError(f"residual: expected {what} {expected} as input, got {got}")


@Dispatched
def _track(
    running_mean: Array,
    running_var: Array,
    mean: Array,
    var: Array,
    batches: Array | None,
    *,
    momentum: float,
    unbias: float,
) -> None:
    """Move running statistics towards the batch's and count it, in place."""
    for running, now in ((running_mean, mean), (running_var, var * unbias)):
        running *= 1 - momentum
        running += momentum * now
    if batches is not None:
        batches += 1
