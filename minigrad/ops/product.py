"""Products of matrices and vectors in fixed dimensions, and Einstein's summation."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import check
from ..device import Array, get_xp
from ..options import lacks
from ..sums import in_float32
from ..tape import Backward, Multilinear, op
from ..tensor import Number, Tensor
from .arithmetic import where
from .elementwise import add, scaled_by
from .linear import check_product, matmul

Pair = tuple[Array, Backward]


def _ranks(first: str, a: Any, m: int, second: str, b: Any, n: int) -> None:
    check.tensor(first, a, (m,))
    check.tensor(second, b, (n,))


@lacks(out_dtype=None, out=None)
def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """The matrix product: (M, K) @ (K, N) -> (M, N)."""
    _ranks("input", input, 2, "mat2", mat2, 2)
    return matmul(input, mat2)


@lacks(out_dtype=None, out=None)
def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """A batch of matrix products: (B, M, K) @ (B, K, N) -> (B, M, N)."""
    _ranks("input", input, 3, "mat2", mat2, 3)
    if len(input) != len(mat2):
        raise ValueError(f"mat2: expected {len(input)} matrices as in input, got {len(mat2)}")
    return matmul(input, mat2)


@lacks(out=None)
def mv(input: Tensor, vec: Tensor) -> Tensor:
    """The product of a matrix and a vector: (M, K) @ (K,) -> (M,)."""
    _ranks("input", input, 2, "vec", vec, 1)
    return matmul(input, vec)


@lacks(out=None)
def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """Σ input · tensor of two vectors of the same size."""
    _ranks("input", input, 1, "tensor", tensor, 1)
    if input.shape != tensor.shape:
        raise ValueError(f"tensor: expected shape {input.shape} as input, got {tensor.shape}")
    return matmul(input, tensor)


@lacks(out=None)
def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """All products of the elements of two vectors: (M,), (N,) -> (M, N)."""
    _ranks("input", input, 1, "vec2", vec2, 1)
    return input.reshape(-1, 1) * vec2


@lacks(out=None, out_dtype=None)
def addmm(
    input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Number = 1, alpha: Number = 1
) -> Tensor:
    """beta · input + alpha · mat1 @ mat2; ``input`` broadcasts to (M, N)."""
    _ranks("mat1", mat1, 2, "mat2", mat2, 2)
    return _add_product(input, mat1, mat2, beta, alpha)


@lacks(out=None, out_dtype=None)
def baddbmm(
    input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Number = 1, alpha: Number = 1
) -> Tensor:
    """beta · input + alpha · batch1 @ batch2; ``input`` broadcasts to (B, M, N)."""
    _ranks("batch1", batch1, 3, "batch2", batch2, 3)
    if len(batch1) != len(batch2):
        raise ValueError(f"batch2: expected {len(batch1)} matrices as batch1, got {len(batch2)}")
    return _add_product(input, batch1, batch2, beta, alpha)


def _add_product(input: Tensor, a: Tensor, b: Tensor, beta: Number, alpha: Number) -> Tensor:
    check_product(a, b)
    if check.tensor("input", input).dtype != a.dtype:
        raise TypeError(f"input: expected dtype {a.dtype}, got {input.dtype}")
    check.number("beta", beta, -math.inf)
    if input.shape != (shape := (*a.shape[:-1], b.shape[-1])):
        input = input.expand(shape)
    if beta != 0 and alpha != 0 and a.dtype.kind == "f":
        check.number("alpha", alpha, -math.inf)
        return _addmm(input, a, b, beta=beta, alpha=alpha)
    product = scaled_by("alpha", alpha, matmul(a, b))
    if beta != 0:
        return add(scaled_by("beta", beta, input), product)
    never = Tensor(get_xp(input.data).zeros((), np.bool_))  # NaN of what is not used stays out
    return where(never, input, product) if input.requires_grad else product  # gradient 0


@op(twice=Multilinear("c + a b"))
@in_float32
def _addmm(c: Array, a: Array, b: Array, *, beta: float, alpha: float) -> Pair:
    """Y = β C + α A B,  dL/dC = β G,  dL/dA = α G Bᵀ,  dL/dB = α Aᵀ G, of matrices or of as many
    stacks of them."""

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        return (
            g * beta if needs[0] else None,
            g @ b.swapaxes(-1, -2) * alpha if needs[1] else None,
            a.swapaxes(-1, -2) @ g * alpha if needs[2] else None,
        )

    return c * beta + a @ b * alpha, backward


@op
@in_float32
def _einsum(*xs: Array, terms: tuple[str, ...], result: str) -> Pair:
    """y = Σ of products over the letters that ``result`` lacks;  dL/dxᵢ = the same sum of g and
    the other operands, over the letters that xᵢ lacks."""
    xp = get_xp(xs[0])
    y = xp.asarray(_contract(xp, terms, xs, result))

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        return tuple(slope(g, i) if need else None for i, need in enumerate(needs))

    def slope(g: Array, i: int) -> Array:
        others = [k for k in range(len(xs)) if k != i]
        inputs = (result, *(terms[k] for k in others))
        known = set("".join(inputs))
        # A letter that only this operand has was summed alone: its gradient is spread.
        kept = "".join(c for c in terms[i] if c in known)
        gradient = _contract(xp, inputs, [g, *(xs[k] for k in others)], kept)
        sizes = [gradient.shape[kept.index(c)] if c in kept else 1 for c in terms[i]]
        gradient = gradient.reshape(sizes)
        for axis, (n, m) in enumerate(zip(xs[i].shape, sizes, strict=True)):
            if n == 1 and m != 1:
                gradient = gradient.sum(axis, keepdims=True)
        return xp.broadcast_to(gradient, xs[i].shape)

    return y, backward


def _contract(xp: Any, terms: Sequence[str], arrays: Sequence[Array], result: str) -> Array:
    return xp.einsum(f"{','.join(terms)}->{result}", *arrays, optimize=len(arrays) > 1)


def einsum(equation: str, *operands: Any) -> Tensor:
    """Einstein's summation, such as "bij,bjk->bik": products of elements, summed over the letters
    that the result lacks.

    Args:
        equation: a letter for each dimension of each operand, "..." for those of a batch. Without
            "->" the result has the letters that occur once, in alphabetic order.
        operands: floating Tensors of one dtype, also as one list.
    """
    check.text("equation", equation)
    given = (
        operands[0] if len(operands) == 1 and isinstance(operands[0], (tuple, list)) else operands
    )
    if not given:
        raise ValueError("operands: expected at least one Tensor, got none")
    tensors = [check.floating("operands", check.tensor("operands", t)) for t in given]
    if len({t.dtype for t in tensors}) > 1:
        raise TypeError(f"operands: expected one dtype, got {[str(t.dtype) for t in tensors]}")
    terms, result = _parsed(equation, [t.ndim for t in tensors])
    sizes: dict[str, int] = {}
    for term, tensor in zip(terms, tensors, strict=True):
        for letter, n in zip(term, tensor.shape, strict=True):
            if sizes.setdefault(letter, n) != n and 1 not in (sizes[letter], n):
                raise ValueError(f"operands: {letter!r} is {sizes[letter]} and {n} in {equation!r}")
            sizes[letter] = n if sizes[letter] == 1 else sizes[letter]
    return _einsum(*tensors, terms=tuple(terms), result=result)


def _parsed(equation: str, ranks: list[int]) -> tuple[list[str], str]:
    """The letters of each operand and of the result, with letters in place of an ellipsis."""
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    parts = left.split(",")
    if len(parts) != len(ranks):
        raise ValueError(f"equation: {equation!r} is of {len(parts)} operands, got {len(ranks)}")
    spare = [c for c in string.ascii_letters if c not in text]
    missing = [
        rank - len(part.replace("...", "", 1)) for part, rank in zip(parts, ranks, strict=True)
    ]
    batch = "".join(
        spare[: max([n for p, n in zip(parts, missing, strict=True) if "..." in p] or [0])]
    )
    terms = []
    for part, n, rank in zip(parts, missing, ranks, strict=True):
        if n < 0 or (n and "..." not in part):
            raise ValueError(
                f"equation: {part!r} does not name the dimensions of {rank} dimensions"
            )
        terms.append(part.replace("...", batch[len(batch) - n :], 1))
    if not arrow:
        once = [c for c in sorted({*"".join(parts)} - {"."}) if "".join(parts).count(c) == 1]
        right = "..." + "".join(once)
    result = right.replace("...", batch, 1)
    letters = {*"".join(terms)}
    for term in (*terms, result):
        if not all(c in string.ascii_letters for c in term):
            raise ValueError(f"equation: expected letters, commas and ->, got {equation!r}")
        if len(set(term)) != len(term):
            raise NotImplementedError(
                f"equation={equation!r}, a letter twice in a term, is not supported"
            )
    if not {*result} <= letters:
        raise ValueError(f"equation: a letter of the result is in no operand: {equation!r}")
    return terms, result
