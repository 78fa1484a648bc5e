"""Batch norm: what tests.ops.test_implementations draws."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from minigrad.gpu.norm import PER_THREAD, THREADS
from minigrad.ops import norm
from tests.common import seeds
from tests.ops.driver import Arguments, Cases

SEGMENT = THREADS * PER_THREAD
PIXELS = [(), (1,), (3, 5), (7, 91)]


@st.composite
def batch_norm(draw: st.DrawFn, pixels: list[tuple[int, ...]]) -> Arguments:
    generator = np.random.default_rng(draw(seeds))
    batch = draw(st.booleans())
    n, c, size = draw(st.integers(0, 3)), draw(st.integers(1, 3)), draw(st.sampled_from(pixels))
    shape = (max(n, 2) if batch else n, c, *size)
    x, z = generator.standard_normal((2, *shape))
    w, b, mean, deviation = generator.standard_normal((4, c))
    x += draw(st.sampled_from([0, 3]))
    affine = draw(st.sampled_from([(w, b), (w, None), (None, b), (None, None)]))
    options = {"batch": batch, "eps": 1e-3, "relu": draw(st.booleans())}
    residual = z if draw(st.booleans()) else None
    return [x, *affine, residual], options | {"mean": mean, "var": deviation**2}


@st.composite
def statistics(draw: st.DrawFn) -> Arguments:
    generator = np.random.default_rng(draw(seeds))
    c = draw(st.sampled_from([1, 3, THREADS + 1]))
    running, (mean, var) = 1e3 * generator.standard_normal((2, c)), generator.random((2, c))
    momentum = draw(st.sampled_from([0.0, 0.1, 1 - 1e-6, 1.0]))
    batches = draw(st.sampled_from([None, np.array(6)]))
    return [*running, mean, var, batches], {"momentum": momentum, "unbias": 4 / 3}


CASES = {
    norm._batch_norm: Cases(
        batch_norm(PIXELS),
        gpu=batch_norm([*PIXELS, (2, SEGMENT // 2), (SEGMENT + 1,)]),
        dtypes=(np.float32, np.float64),  # ``mean`` and ``var`` are float32 for float16
        written=("mean", "var"),
        limits={
            "minigrad.cpu.norm.BLOCK": (1, 64, 1 << 17),
            "minigrad.cpu.norm.SHORTEST": (1, 64),
            "minigrad.cpu.along.PIECE": (1, 1 << 18),
        },
    ),
    norm._track: Cases(statistics(), dtypes=(np.float32, np.float64), written=(0, 1, 4)),
}
