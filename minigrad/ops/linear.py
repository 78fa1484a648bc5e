"""Matrix products."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

from .. import check
from ..device import Array
from ..options import lacks
from ..sums import in_float32, total
from ..tape import Backward, Multilinear, op
from ..tensor import Tensor

Pair = tuple[Array, Backward]


def takes_vectors(product: Callable[[Array, Array], Pair]) -> Callable[[Array, Array], Pair]:
    """Let a product of matrices take a vector too: as a row on the left, as a column on the right.
    The result has no axis for it."""

    @functools.wraps(product)
    def apply(a: Array, b: Array) -> Pair:
        row, column = a.ndim == 1, b.ndim == 1
        if not row and not column:
            return product(a, b)
        y, slopes = product(a[None] if row else a, b[:, None] if column else b)

        def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
            g = g[..., None] if column else g
            by_a, by_b = slopes(g[..., None, :] if row else g, needs)
            return (
                by_a[..., 0, :] if row and by_a is not None else by_a,
                by_b[..., 0] if column and by_b is not None else by_b,
            )

        y = y[..., 0, :] if row else y
        return y[..., 0] if column else y, backward

    return apply


@op(twice=Multilinear("a b"))
@in_float32
@takes_vectors
def _matmul(a: Array, b: Array) -> Pair:
    """Y = A B,  dL/dA = G Bᵀ,  dL/dB = Aᵀ G over the last two axes. The others broadcast."""

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        return (
            g @ b.swapaxes(-1, -2) if needs[0] else None,
            a.swapaxes(-1, -2) @ g if needs[1] else None,
        )

    return a @ b, backward


def check_product(input: Tensor, other: Tensor) -> None:
    """Raise an error unless ``input @ other`` is defined."""
    for name, t in (("input", input), ("other", other)):
        check.no_bools(name, check.tensor(name, t))
        if t.ndim == 0:
            raise ValueError(f"{name}: matmul expects at least one dimension, got shape ()")
    if input.dtype != other.dtype:
        raise TypeError(f"matmul: expected one dtype, got {input.dtype} and {other.dtype}")
    inner = other.shape[-2] if other.ndim > 1 else len(other)
    if input.shape[-1] != inner:
        raise ValueError(
            f"matmul: inner sizes differ: {input.shape} @ {other.shape} "
            f"({input.shape[-1]} and {inner})"
        )


@lacks(out=None)
def matmul(input: Tensor, other: Tensor) -> Tensor:
    """The matrix product: (..., M, K) @ (..., K, N) -> (..., M, N).

    A 1-d operand is a row on the left and a column on the right; its extra axis is removed again.

    Raises:
        ValueError: the inner sizes differ, or an operand is 0-d.
    """
    check_product(input, other)
    return _matmul(input, other)


@op(twice=Multilinear("x w + b"))
@in_float32
def _linear(x: Array, w: Array, b: Array | None) -> Pair:
    """Y = X Wᵀ + b,  dL/dX = G W,  dL/dW = Gᵀ X,  dL/db = Σ rows of G."""
    y = x @ w.T
    if b is not None:
        y += b

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        return (
            g @ w if needs[0] else None,
            g.T @ x if needs[1] else None,
            total(g, 0) if needs[2] else None,
        )

    return y, backward


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input @ weightᵀ + bias.

    Args:
        input: (..., F).
        weight: (O, F).
        bias: (O,) or None.

    Returns:
        (..., O).
    """
    check.no_bools("input", check.tensor("input", input))
    check.tensor("weight", weight, (2,), "(O, F)")
    shape, (out, features) = input.shape, weight.shape
    if not shape or shape[-1] != features:
        raise ValueError(
            f"input: expected {features} features last (weight {weight.shape}), got shape {shape}"
        )
    if input.dtype != weight.dtype:
        raise TypeError(f"weight: expected dtype {input.dtype} as input, got {weight.dtype}")
    check.vector("bias", bias, out, input)
    if len(shape) == 2:
        return _linear(input, weight, bias)
    y = _linear(input.reshape(math.prod(shape[:-1]), features), weight, bias)
    return y.reshape(*shape[:-1], out)
