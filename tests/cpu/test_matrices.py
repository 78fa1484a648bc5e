"""Products of matrices in any memory order, and of stacks that broadcast."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad.cpu import elementwise
from minigrad.cpu.matrices import matrix_product, matrix_products
from tests.common import grid, lay_out, layouts

sizes = st.sampled_from([1, 2, 17])
stacks = st.sampled_from([((), ()), ((3,), (3,)), ((5, 1), (4,)), ((1,), (2,))])

limits = st.sampled_from([(1, 1), (1, 1 << 18), (1 << 18, 1 << 18)])  # held, and shared


@given(stacks, sizes, sizes, sizes, st.tuples(layouts, layouts), limits)
@settings(max_examples=40)
def test_is_numpys(beside, m, k, n, orders, least):
    a, b = grid((*beside[0], m, k), 0), grid((*beside[1], k, n), 1)
    x, w = (lay_out(v, order) for v, order in zip((a, b), orders, strict=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(elementwise, "MIN_HELD_PRODUCT", least[0])
        patch.setattr(elementwise, "MIN_SHARED_PRODUCT", least[1])
        y = matrix_products(x, w) if beside[0] else matrix_product(x, w)
    np.testing.assert_allclose(y, np.matmul(a, b), rtol=1e-12, atol=1e-12)
