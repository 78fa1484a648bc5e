"""Dropout's CUDA kernel against NumPy: the same bits, so one seed has one mask on every device."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad import rng
from minigrad.ops import dropout
from tests.gpu.kernels.twins import assert_twins

pytestmark = pytest.mark.usefixtures("on_cpu")


def test_a_word_at_the_threshold_is_kept():
    kept = rng.Draw((1, 2), 3)
    drop = int(kept.philox().random_raw() & 0xFFFFFFFF) / 2**32
    x = np.ones(8, np.float32)
    assert_twins(lambda x: dropout._dropout.run(x, draw=lambda: kept, p=drop), [x], exact=True)
    assert dropout._dropout.run(x, draw=lambda: kept, p=drop)[0][0] > 0


def test_layers_draw_in_turn():
    def two():
        mg.manual_seed(3, 1)
        return [mg.functional.dropout(mg.ones(50), 0.5).numpy() for _ in range(2)]

    first, second = two()
    assert (first != second).any()
    np.testing.assert_array_equal([first, second], two())
