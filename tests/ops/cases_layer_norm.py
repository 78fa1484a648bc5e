"""Layer and group norm, and vectors of length 1: what tests.ops.test_implementations draws."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from minigrad.ops import layer_norm, normalize
from tests.common import seeds
from tests.ops.driver import Arguments, Cases

LIMITS = {"minigrad.cpu.along.PIECE": (1, 1 << 18)} | {
    f"minigrad.cpu.layer_norm.{name}": values
    for name, values in (
        ("STRIP", (1, 1 << 14)),
        ("WIDE", (2, 512)),
        ("NARROW", (1, 256)),
    )
}


@st.composite
def norm(draw: st.DrawFn, by_group: bool) -> Arguments:
    generator = np.random.default_rng(draw(seeds))
    shape = draw(st.sampled_from([(1, 4), (20, 4), (3, 2, 5), (2, 4, 3, 4), (19, 2, 600)]))
    groups, dims = draw(st.sampled_from([1, 2])), draw(st.integers(1, len(shape) - 1))
    weights = shape[1:2] if by_group else shape[-dims:]
    w, b = generator.standard_normal((2, *weights))
    affine = draw(st.sampled_from([(w, b), (w, None), (None, b), (None, None)]))
    x = generator.standard_normal(shape) + draw(st.sampled_from([0, 3]))
    options = {"groups": groups} if by_group else {"dims": dims}
    return [x, *affine], options | {"eps": 1e-3}


@st.composite
def vectors(draw: st.DrawFn) -> Arguments:
    shape = draw(st.sampled_from([(5,), (20, 4), (3, 2, 5), (2, 4, 3, 4), (19, 2, 600)]))
    x = np.random.default_rng(draw(seeds)).standard_normal(shape)
    axes = draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True))
    eps = draw(st.sampled_from([1e-12, 2.0]))
    return [x], {"p": 2.0, "axes": tuple(axes), "eps": eps}


CASES = {
    layer_norm._layer_norm: Cases(norm(by_group=False), limits=LIMITS),
    layer_norm._group_norm: Cases(norm(by_group=True), limits=LIMITS),
    normalize._normalize: Cases(vectors(), limits=LIMITS, batch_last=False),
}
