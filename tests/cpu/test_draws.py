"""Draws that cores share, beside NumPy's Generator: the same bits, however they are divided."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import rng
from minigrad.cpu import draws
from tests.common import set_compiled

SINGLE, DOUBLE, WHOLE = map(np.dtype, ("f4", "f8", "i8"))
HIGH = st.sampled_from([1, 2, 10, 2**31 + 9, 2**32, 2**40])
WAYS = {
    "rand": (
        lambda philox, n, _: draws.random(philox, (n,), SINGLE),
        lambda g, n, _: g.random(n, np.float32),
    ),
    "rand in float64": (
        lambda philox, n, _: draws.random(philox, (n,), DOUBLE),
        lambda g, n, _: g.random(n, "f4").astype("f8") + 2.0**-24 * g.random(n, "f4").astype("f8"),
    ),
    "uniform": (
        lambda philox, n, high: draws.uniform(philox, (n,), SINGLE, -1, high),
        lambda g, n, high: g.uniform(-1, high, n).astype("f4"),
    ),
    "randn": (
        lambda philox, n, _: draws.normal(philox, (n,), SINGLE),
        lambda g, n, _: g.standard_normal(n, np.float32),
    ),
    "normal": (
        lambda philox, n, high: draws.normal(philox, (n,), DOUBLE, -1, high),
        lambda g, n, high: g.normal(-1, high, n),
    ),
    "exponential": (
        lambda philox, n, _: draws.exponential(philox, (n,)),
        lambda g, n, _: g.standard_exponential(n),
    ),
    "integers": (
        lambda philox, n, high: draws.integers(philox, (n,), WHOLE, -3, high - 3),
        lambda g, n, high: g.integers(-3, high - 3, n),
    ),
    "permutation": (
        lambda philox, n, _: draws.permutation(philox, n),
        lambda g, n, _: g.permutation(n),
    ),
}


@pytest.fixture(scope="module", autouse=True)
def small_parts():
    """Numbers often reach into the part behind, or farther."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"PIECE": 64, "SPARE": 1, "FEW": 1}.items():
            patch.setattr(draws, name, value)
        yield


@pytest.mark.parametrize("name", WAYS)
@given(st.sampled_from([0, 1, 5, 700, 6001]), HIGH, st.integers(1, 3), st.booleans())
def test_the_bits_of_numpy(name, count, high, threads, compiled):
    ours, numpys = WAYS[name]
    philox = rng.next_draw().philox
    mg.set_num_threads(threads)
    with set_compiled(compiled and mg.is_compiled()):
        found = ours(philox, count, high)
    expected = numpys(np.random.Generator(philox()), count, high)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    np.testing.assert_array_equal(found, expected)
