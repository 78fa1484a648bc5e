"""Products added to an array, and Einstein's sums: what tests.ops.test_implementations draws."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from minigrad.ops.product import _addmm, _einsum
from tests.common import grid, seeds
from tests.ops.cases_linear import PRODUCTS
from tests.ops.driver import Arguments, Cases

EQUATIONS = (
    *("bij,bjk->bik", "ij,kj->ki", "bhqd,bhkd->bhqk", "nchw,kc->nkhw", "bij,jbk->ikb"),
    *("ij,j->i", "bi,i->b", "i,i->", "bij,bj->bi", "ij,ij->i"),
)


@st.composite
def sums(draw: Any) -> Arguments:
    left, _, result = draw(st.sampled_from(EQUATIONS)).partition("->")
    sizes = {c: draw(st.sampled_from([0, 1, 2, 5, 5])) for c in left if c != ","}
    terms, seed = tuple(left.split(",")), draw(seeds)
    xs = [grid(tuple(sizes[c] for c in term), seed + i) for i, term in enumerate(terms)]
    return xs, {"terms": terms, "result": result}


@st.composite
def added(draw: Any) -> Arguments:
    """Matrices or stacks, and numbers that broadcast along rows, columns or matrices."""
    beside, seed = draw(st.sampled_from([(), (1,), (5,)])), draw(seeds)
    m, k, n = (draw(st.sampled_from([0, 1, 2, 17, 40])) for _ in range(3))
    c = np.broadcast_to(
        grid(draw(st.sampled_from([(m, n), (n,), (m, 1), (1, 1)])), seed), (*beside, m, n)
    )
    numbers = st.sampled_from([1, -0.5, 2])
    return [c, grid((*beside, m, k), seed + 1), grid((*beside, k, n), seed + 2)], {
        "beta": draw(numbers),
        "alpha": draw(numbers),
    }


CASES = {
    _addmm: Cases(added(), limits=PRODUCTS, special=True, batch_last=False),
    _einsum: Cases(sums(), limits=PRODUCTS, special=True, batch_last=False),
}
