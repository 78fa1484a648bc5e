"""The rare ends of distributions, beside NumPy; tests/cpu/test_draws.py has the rest."""

from __future__ import annotations

import numpy as np
import pytest

from minigrad import rng

kernels = pytest.importorskip("minigrad.cpu.kernels.draws")


@pytest.mark.parametrize(
    ("kernel", "dtype", "kind", "name", "tail"),
    [
        ("normal", "f8", "u8", "standard_normal", 3.65),
        ("normal_single", "f4", "u4", "standard_normal", 3.65),
        ("exponential", "f8", "u8", "standard_exponential", 7.69),
    ],
)
def test_tails(kernel, dtype, kind, name, tail):
    philox, count = rng.Draw((1, 2), 3).philox, 100_000
    words = philox().random_raw(count * 2).view(kind)
    out, found = np.empty(count + count // 10, dtype), np.zeros(2, np.int64)
    getattr(kernels, kernel)(out, words, 0, len(out), found)
    assert found[0] >= count
    expected = getattr(np.random.Generator(philox()), name)(count, dtype)
    np.testing.assert_array_equal(out[:count], expected)
    assert (abs(out[:count]) > tail).sum() > 10
    getattr(kernels, kernel)(out, words[:50], 0, 50, found)
    assert found[1] in (0, -1)  # of a number that would end behind the words there is no result


def test_a_shuffle_goes_on_where_words_end():
    x, words = np.arange(300), rng.Draw((1, 2), 3).philox().random_raw(400).view(np.uint32)
    left = kernels.shuffle(x, words[:100], 299)
    assert 0 < left < 299
    assert kernels.shuffle(x, words[100:], left) == 0
    expected = np.random.Generator(rng.Draw((1, 2), 3).philox()).permutation(300)
    np.testing.assert_array_equal(x, expected)
