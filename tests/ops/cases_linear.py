"""Matrix products: what implementations are compared on."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from minigrad.ops.linear import _linear, _matmul
from tests.common import grid, seeds
from tests.ops.driver import Arguments, Cases

sizes = st.sampled_from([0, 1, 2, 3, 17, 40])


@st.composite
def linear(draw: Any, *sizes: st.SearchStrategy[int]) -> Arguments:
    n, f, o = map(draw, sizes)
    seed, bias = draw(seeds), draw(st.booleans())
    b = grid((o,), seed + 2) if bias else None
    return [grid((n, f), seed), grid((o, f), seed + 1), b], {}


@st.composite
def few_rows(draw: Any) -> Arguments:
    """A layer whose numbers make whole vectors."""
    shape = draw(st.integers(2, 9)), 32 * draw(st.integers(1, 3)), 8 * draw(st.integers(1, 3))
    return draw(linear(*map(st.just, shape)))


@st.composite
def matmul(draw: Any) -> Arguments:
    """Of matrices, of as many or more by one, of batches that broadcast, and of vectors."""
    m, k, n = draw(sizes), draw(sizes), draw(sizes)
    beside = [((), ()), ((5,), ()), ((5,), (5,)), ((2, 3), ()), ((2, 1), (3,)), ((3,), (4, 1))]
    shapes = [((*a, m, k), (*b, k, n)) for a, b in beside]
    shapes += [((k,), (5, k, n)), ((5, m, k), (k,)), ((m, k), (k,)), ((k,), (k,))]
    (left, right), seed = draw(st.sampled_from(shapes)), draw(seeds)
    return [grid(left, seed), grid(right, seed + 1)], {}


PRODUCTS = {  # from which BLAS is held to one thread, and from which threads share a product
    "minigrad.cpu.matrices.MIN_HELD_PRODUCT": (1, 1 << 17),
    "minigrad.cpu.matrices.MIN_SHARED_PRODUCT": (1, 1 << 17),
    "minigrad.cpu.matrices.MIN_IN_CACHE": (1, 1 << 17),
    "minigrad.cpu.matrices.MIN_BY_VECTOR": (1, 1 << 17),
    "minigrad.cpu.matrices.NARROW": (1,),
}
WEIGHTS = {"minigrad.cpu.linear.MIN_WEIGHTS": (0, 1 << 17), "minigrad.cpu.linear.NARROW": (1, 32)}

CASES = {
    _linear: Cases(
        linear(*[sizes] * 3) | few_rows(),
        linear(*[st.sampled_from([4, 8, 16])] * 3),
        limits=PRODUCTS | WEIGHTS,
        special=True,
    ),
    _matmul: Cases(matmul(), limits=PRODUCTS, special=True, batch_last=False, examples=60),
}
