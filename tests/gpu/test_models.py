"""Every documented network, thinned: captured steps as plain ones to the bit, and as the CPU's.

What :mod:`benchmarks.gpu_session` does with whole ones on a card. See tests/gpu/test_on_device.py.
"""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import gpu_parts, study
from tests.emulated import thin


@pytest.fixture
def thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    thin.networks(monkeypatch.setattr)
    monkeypatch.setattr(gpu_parts, "EAGER", 1)
    monkeypatch.setattr(gpu_parts, "STEPS", 3)


@pytest.mark.usefixtures("thinned")
@pytest.mark.parametrize("model", study.MODELS)
def test_a_few_steps(device, model):
    if device == "cpu":
        pytest.skip("needs a GPU")
    *_, found = gpu_parts.agree(model, device, batch=4, side=8)
    assert found["captured_equals_plain"]
    assert found["from_cpu"] < 1e-3
    assert len(set(found["losses"])) == gpu_parts.STEPS
    assert np.isfinite(found["losses"]).all()
