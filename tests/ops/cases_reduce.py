"""Sums and means: what tests.ops.test_implementations draws."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from minigrad.ops import reduce
from tests.common import seeds
from tests.ops.driver import Arguments, Cases


@st.composite
def reductions(draw: st.DrawFn) -> Arguments:
    shape = draw(st.sampled_from([(), (1,), (5,), (3, 5), (2, 3, 40)]))
    x = np.random.default_rng(draw(seeds)).standard_normal(shape)
    axes = tuple(range(len(shape)))
    if len(shape) > 1 and draw(st.booleans()):
        axes = axes[:1]
    return [x], {"axes": axes, "keepdim": draw(st.booleans())}


FEW = {"minigrad.cpu.reduce.FEW": (1, 1 << 12)}
CASES = {
    operation: Cases(reductions(), limits=FEW, special=True, batch_last=False)
    for operation in (reduce._sum, reduce._mean)
}
