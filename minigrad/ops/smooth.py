"""Smooth activations other than GELU, sigmoid and tanh."""

from __future__ import annotations

import math

from .. import check
from ..device import Array, get_xp
from ..sums import in_float32
from ..tape import Backward, Rerun, op
from ..tensor import Tensor

Pair = tuple[Array, Backward]


@op(twice=Rerun("x"))
@in_float32
def _silu(x: Array) -> Pair:
    """y = x s with s = 1 / (1 + e⁻ˣ),  dL/dx = g s (1 + x (1 − s))."""
    s = 1 / (1 + get_xp(x).exp(-x))
    return x * s, lambda g, needs: (g * s * (1 + x * (1 - s)),)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """input · sigmoid(input) (Elfwing et al. 2017), also called swish."""
    check.boolean("inplace", inplace)
    check.floating("input", check.tensor("input", input))
    return _silu(input)


@op(twice=Rerun("x"))
@in_float32
def _mish(x: Array) -> Pair:
    """y = x t with t = tanh(ln(1 + eˣ)),  dL/dx = g (t + x s (1 − t²)) with s = 1 / (1 + e⁻ˣ)."""
    xp = get_xp(x)
    t = xp.tanh(xp.log1p(xp.exp(x)))

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        s = 1 / (1 + xp.exp(-x))
        return (g * (t + x * s * (1 - t * t)),)

    return x * t, backward


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """input · tanh(softplus(input)) (Misra, BMVC 2020)."""
    check.boolean("inplace", inplace)
    check.floating("input", check.tensor("input", input))
    return _mish(input)


@op(twice=Rerun("x"))
@in_float32
def _softplus(x: Array, *, beta: float, threshold: float) -> Pair:
    """y = ln(1 + e^{βx}) / β,  dL/dx = g / (1 + e^{−βx}); y = x where βx is above ``threshold``."""
    xp = get_xp(x)
    linear = x * beta > threshold
    y = xp.where(linear, x, xp.log1p(xp.exp(x * beta)) / beta)
    return y, lambda g, needs: (xp.where(linear, g, g / (1 + xp.exp(-beta * x))),)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """ln(1 + exp(beta · input)) / beta, a smooth ReLU (Dugas et al., NeurIPS 2001).

    Args:
        beta: sharpness of the bend; not 0.
        threshold: where ``beta * input`` exceeds it, the result is ``input``.
    """
    check.floating("input", check.tensor("input", input))
    beta = check.number("beta", beta, -math.inf)
    if beta == 0:
        raise ValueError("beta: expected a number other than 0")
    return _softplus(input, beta=beta, threshold=check.number("threshold", threshold, -math.inf))


@op(twice=Rerun("x"))
@in_float32
def _logsigmoid(x: Array) -> Pair:
    """y = −ln(1 + e⁻ˣ) = min(x, 0) − ln(1 + e^{−|x|}),  dL/dx = g / (1 + eˣ)."""
    xp = get_xp(x)
    y = xp.minimum(x, 0) - xp.log1p(xp.exp(-xp.abs(x)))
    return y, lambda g, needs: (g / (1 + xp.exp(x)),)


def logsigmoid(input: Tensor) -> Tensor:
    """The logarithm of the sigmoid, without overflow."""
    check.floating("input", check.tensor("input", input))
    return _logsigmoid(input)


@op(twice=Rerun("x"))
@in_float32
def _elu(x: Array, *, alpha: float, scale: float, rate: float) -> Pair:
    """y = s α (e^{rx} − 1) where x ≤ 0, else s x;  dL/dx = g s α r e^{rx} or g s."""
    xp = get_xp(x)
    bent, inner = x <= 0, xp.minimum(x, 0) * rate
    y = xp.where(bent, alpha * xp.expm1(inner), x) * x.dtype.type(scale)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        slope = xp.where(bent, alpha * rate * xp.exp(inner), x.dtype.type(1))
        return (g * (slope * x.dtype.type(scale)),)

    return y, backward


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """``input`` where positive, else alpha (exp(input) − 1) (Clevert et al., ICLR 2016)."""
    check.boolean("inplace", inplace)
    check.floating("input", check.tensor("input", input))
    alpha = check.number("alpha", alpha, -math.inf)
    return _elu(input, alpha=alpha, scale=1.0, rate=1.0)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """:func:`elu` with factors that preserve mean 0 and variance 1 (Klambauer et al., NeurIPS
    2017)."""
    check.boolean("inplace", inplace)
    check.floating("input", check.tensor("input", input))
    return _elu(input, alpha=1.6732632423543772, scale=1.0507009873554805, rate=1.0)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """``input`` where positive, else alpha (exp(input / alpha) − 1) (Barron 2017)."""
    check.boolean("inplace", inplace)
    check.floating("input", check.tensor("input", input))
    alpha = check.number("alpha", alpha, -math.inf)
    if alpha == 0:
        raise ValueError("alpha: expected a number other than 0")
    return _elu(input, alpha=alpha, scale=1.0, rate=1 / alpha)
