"""Einstein's sums: what tests.ops.test_implementations draws."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from minigrad.ops.product import _einsum
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


CASES = {_einsum: Cases(sums(), limits=PRODUCTS, special=True, batch_last=False)}
