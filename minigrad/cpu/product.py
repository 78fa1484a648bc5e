"""Products added to an array, and Einstein's sums of two operands, on the CPU: matrix products that
the cores share."""

from __future__ import annotations

import math
from typing import Any

from ..device import Array, get_xp
from ..ops import product
from ..ops.arithmetic import mul
from ..ops.product import Pair
from .elementwise import contiguous
from .matrices import matmul2d, matrix_product, matrix_products


@product._addmm.on("cpu")
def addmm(c: Array, a: Array, b: Array, *, beta: float, alpha: float) -> Pair:
    multiply = matmul2d if a.ndim == 2 else matrix_products

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        by_c = mul.run(g, beta)[0] if needs[0] and beta != 1 else g
        return (
            by_c if needs[0] else None,
            multiply(g, b.swapaxes(-1, -2), alpha=alpha) if needs[1] else None,
            multiply(a.swapaxes(-1, -2), g, alpha=alpha) if needs[2] else None,
        )

    return multiply(a, b, c, alpha, beta), backward


def _is_product(xs: tuple[Array, ...], terms: tuple[str, ...], result: str) -> bool:
    """Whether two operands meet in a sum, and each letter stands for one size and is in two of the
    three terms."""
    if len(xs) != 2:
        return False
    a, b = terms
    sizes = dict(zip(a, xs[0].shape, strict=True))
    sizes |= dict(zip(b, xs[1].shape, strict=True))
    alike = all(sizes[c] == n for c, n in zip(a, xs[0].shape, strict=True))
    return alike and {*a} ^ {*b} <= {*result} and not {*a} & {*b} <= {*result}


def _contracted(terms: tuple[str, str], xs: tuple[Array, Array], result: str) -> Array:
    """The sum, with axes (batch, row, summed) of one operand and (batch, summed, column) of the
    other."""
    (a, b), (x, w) = terms, xs
    summed = [c for c in a if c in b and c not in result]
    rows, columns = [c for c in a if c not in b], [c for c in b if c not in a]
    if not summed or not (rows or columns):  # of little use to BLAS
        return product._contract(get_xp(x), terms, xs, result)
    batch = [c for c in result if c in a and c in b]
    left = _grouped(x, a, batch, rows, summed)
    right = _grouped(w, b, batch, summed, columns)
    y = matrix_products(left, right) if batch else matrix_product(left[0], right[0])
    sizes = dict(zip(a + b, x.shape + w.shape, strict=True))
    letters = [*batch, *rows, *columns]
    return y.reshape([sizes[c] for c in letters]).transpose([letters.index(c) for c in result])


def _grouped(x: Array, term: str, *groups: list[str]) -> Array:
    """x with one axis for each group of letters."""
    order = [term.index(c) for group in groups for c in group]
    x = x.transpose(order)
    sizes = dict(zip((c for group in groups for c in group), x.shape, strict=True))
    shape = [math.prod([sizes[c] for c in group]) for group in groups]
    return x if shape == [*x.shape] else contiguous(x).reshape(shape)


@product._einsum.on("cpu", when=lambda *xs, terms, result: _is_product(xs, terms, result))
def einsum(a: Array, b: Array, *, terms: tuple[str, str], result: str) -> Pair:
    first, second = terms

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (
            _contracted((result, second), (g, b), first) if needs[0] else None,
            _contracted((first, result), (a, g), second) if needs[1] else None,
        )

    return _contracted(terms, (a, b), result), backward
