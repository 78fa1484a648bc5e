"""Running sums and products of more neighbours than go at a time."""

from __future__ import annotations

import numpy as np
import pytest

kernels = pytest.importorskip("minigrad.cpu.kernels.scan")


@pytest.mark.parametrize("inner", [1, kernels.WIDE + 3])
@pytest.mark.parametrize("product", [False, True])
@pytest.mark.parametrize("backwards", [False, True])
def test_scan(inner, product, backwards):
    x = np.random.default_rng(0).random((kernels.ROWS + 2, 4, inner))
    out, strips = np.empty_like(x), len(x) * -(-inner // kernels.WIDE)
    for part in ((0, 1), (1, strips)):
        kernels.scan(out.reshape(-1), x.reshape(-1), 4, inner, product, backwards, *part)
    step = -1 if backwards else 1
    expected = (np.cumprod if product else np.cumsum)(x[:, ::step], 1)[:, ::step]
    np.testing.assert_allclose(out, expected, rtol=1e-15)
