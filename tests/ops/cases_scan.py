"""Running sums and products: what tests.ops.test_implementations draws."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from minigrad.ops import scan
from tests.common import seeds
from tests.ops.driver import Arguments, Cases


@st.composite
def scanned(draw: st.DrawFn) -> Arguments:
    shape = draw(st.sampled_from([(1,), (40,), (3, 50), (4, 2, 30), (2, 600)]))
    x = 1 + 0.3 * np.random.default_rng(draw(seeds)).standard_normal(shape)
    x = np.where(x < 0.5, 0, x) if draw(st.booleans()) else x
    return [x], {"axis": draw(st.integers(0, len(shape) - 1))}


LIMITS = {"minigrad.cpu.scan.FEW": (0,), "minigrad.cpu.along.PIECE": (1, 1 << 18)}
CASES = {
    operation: Cases(
        scanned(), dtypes=(np.float32, np.float64), limits=LIMITS, special=True, batch_last=False
    )
    for operation in (scan._cumsum, scan._cumprod)
}
