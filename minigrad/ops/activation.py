"""Element-wise activations, and softmax."""

from __future__ import annotations

import math
from typing import Any

from .. import check
from ..device import Array, get_xp
from ..options import lacks
from ..special import erf
from ..sums import in_float32, total
from ..tape import Backward, Diagonal, Rerun, op
from ..tensor import Tensor
from .arithmetic import as_float, cast

Pair = tuple[Array, Backward]


@op(twice=Diagonal())
def _relu(x: Array) -> Pair:
    """y = max(x, 0),  dL/dx = g where y ≠ 0 (so also where x is NaN), else 0."""
    xp = get_xp(x)
    y = xp.maximum(x, 0)
    return y, lambda g, needs: (xp.where(y != 0, g, g.dtype.type(0)),)


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(input, 0) of floats or integers. NaN stays NaN."""
    check.boolean("inplace", inplace)
    check.no_bools("input", check.tensor("input", input))
    return _relu(input)


@op(twice=Diagonal())
def _leaky_relu(x: Array, *, slope: float) -> Pair:
    """y = x where x > 0, else s x;  dL/dx = g or s g."""
    xp = get_xp(x)
    factor = xp.where(x > 0, x.dtype.type(1), x.dtype.type(slope))
    return x * factor, lambda g, needs: (g * factor,)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """``input`` where positive, else ``negative_slope * input`` (Maas et al., WDLASL 2013)."""
    check.boolean("inplace", inplace)
    check.floating("input", check.tensor("input", input))
    return _leaky_relu(input, slope=check.number("negative_slope", negative_slope, -math.inf))


@op(twice=Rerun("y"))
@in_float32
def _sigmoid(x: Array) -> Pair:
    """y = 1 / (1 + e⁻ˣ), 0 where e⁻ˣ overflows;  dL/dx = g y (1 − y)."""
    y = 1 / (1 + get_xp(x).exp(-as_float(x)))
    return y, lambda g, needs: (g * y * (1 - y),)


@lacks(out=None)
def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(−input)); integers become float32."""
    return _sigmoid(check.tensor("input", input))


@op(twice=Rerun("y"))
def _tanh(x: Array) -> Pair:
    """y = tanh x,  dL/dx = g (1 − y²)."""
    y = get_xp(x).tanh(as_float(x))
    return y, lambda g, needs: (g * (1 - y * y),)


@lacks(out=None)
def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent; integers become float32."""
    return _tanh(check.tensor("input", input))


@op(twice=Rerun("x"))
@in_float32
def _gelu(x: Array) -> Pair:
    """y = x Φ(x),  dL/dx = g (Φ(x) + x φ(x)), with the normal distribution Φ and density φ."""
    xp = get_xp(x)
    phi = 0.5 * (1 + erf(x * math.sqrt(0.5)))

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        return (g * (phi + x * xp.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))),)

    return x * phi, backward


@op(twice=Rerun("x"))
@in_float32
def _gelu_tanh(x: Array) -> Pair:
    """y = x (1 + t) / 2, t = tanh(√(2/π) (x + 0.044715 x³));  dL/dx by the product rule."""
    xp, c = get_xp(x), math.sqrt(2 / math.pi)
    t = xp.tanh(c * (x + 0.044715 * x * x * x))

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        inner = c * (1 + 3 * 0.044715 * x * x)
        return (g * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * inner),)

    return 0.5 * x * (1 + t), backward


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x Φ(x) (Hendrycks & Gimpel 2016), exact or by the paper's "tanh" approximation."""
    check.choice("approximate", approximate, ("none", "tanh"))
    check.floating("input", check.tensor("input", input))
    return _gelu(input) if approximate == "none" else _gelu_tanh(input)


def log_softmax_array(x: Array, axis: int) -> Array:
    """ln(e^x / Σ e^x) of a raw array. Subtracting the maximum first avoids overflow."""
    xp = get_xp(x)
    shifted = x - x.max(axis=axis, keepdims=True)
    return shifted - xp.log(total(xp.exp(shifted), axis, True))


@op(twice=Rerun("y"))
@in_float32
def _softmax(x: Array, *, axis: int) -> Pair:
    """y = e^x / Σ e^x,  dL/dx = y (g − Σ g y)."""
    y = get_xp(x).exp(x - x.max(axis=axis, keepdims=True))
    y /= total(y, axis, True)
    return y, lambda g, needs: (y * (g - total(g * y, axis, True)),)


@op(twice=Rerun("y"))
@in_float32
def _log_softmax(x: Array, *, axis: int) -> Pair:
    """y = x − ln Σ e^x,  dL/dx = g − e^y Σ g."""
    y = log_softmax_array(x, axis)
    return y, lambda g, needs: (g - get_xp(y).exp(y) * total(g, axis, True),)


def _along(name: str, input: Tensor, dim: Any) -> int:
    check.floating("input", check.tensor("input", input))
    if dim is None:
        raise TypeError(f"{name}: expected dim, the dimension to normalise over, got None")
    return check.axis("dim", dim, input.ndim)


@lacks(out=None)
def softmax(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """exp(input), normalised to sum to 1 along ``dim``, which is required.

    Args:
        dtype: convert the input first.
    """
    input = cast(input, dtype)
    return _at_least_1d(_softmax, input, _along("softmax", input, dim))


@lacks(out=None)
def log_softmax(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """The logarithm of :func:`softmax`, without its overflow and cancellation."""
    input = cast(input, dtype)
    return _at_least_1d(_log_softmax, input, _along("log_softmax", input, dim))


def _at_least_1d(function: Any, input: Tensor, axis: int) -> Tensor:
    if not input.numel():
        return input * 1  # NumPy has no maximum of an empty array
    if not input.ndim:
        return function(input.reshape(1), axis=0).reshape(())
    return function(input, axis=axis)
