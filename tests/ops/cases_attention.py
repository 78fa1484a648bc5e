"""Attention: what implementations are compared on."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from minigrad.ops.attention import _attention
from tests.common import grid, seeds
from tests.ops.driver import Arguments, Cases

LEADING = [((), (), ()), ((3,), (3,), (3,)), ((2, 3), (2, 3), (2, 3)), ((4, 1), (3,), (1, 1))]
LEADING += [((2, 1, 3), (2, 2, 1), (3,))]
sizes = st.sampled_from([1, 2, 5, 70])


@st.composite
def attention(draw: st.DrawFn) -> Arguments:
    """Some queries see nothing."""
    leading, seed = draw(st.sampled_from(LEADING)), draw(seeds)
    length, count, size, width = draw(sizes), draw(sizes), draw(st.integers(1, 3)), draw(sizes)
    shapes = (length, size), (count, size), (count, width)
    arrays = [
        grid((*a, *s), seed + i) for i, (a, s) in enumerate(zip(leading, shapes, strict=True))
    ]
    scores = (*np.broadcast_shapes(*leading), length, count)
    generator = np.random.default_rng(seed)
    bias = generator.standard_normal(draw(st.sampled_from([scores, scores[-2:], scores[-1:]])))
    bias = np.where(
        generator.random(bias.shape) < draw(st.sampled_from([0, 0.5, 1])), -np.inf, bias
    )
    factors = 1.25 * (generator.random(scores) < 0.8)
    more = [x if draw(st.booleans()) else None for x in (bias, factors)]
    return [*arrays, *more], {
        "scale": draw(st.sampled_from([0.5, -2])),
        "causal": draw(st.booleans()),
    }


CASES = {
    _attention: Cases(
        attention(),
        limits={
            "minigrad.cpu.attention.FEW": (1,),
            "minigrad.cpu.attention.SCORES": (1, 300, 1 << 16),
            "minigrad.cpu.attention.FEWEST": (1, 32),
            "minigrad.cpu.attention.CAUSAL": (2, 64),
        },
        batch_last=False,
    ),
}
