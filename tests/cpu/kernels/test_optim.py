"""Each kernel's step against the rule in plain NumPy; whole runs are in tests/optim."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from tests.common import set_compiled

RULES = {
    "SGD": {"momentum": 0.9, "dampening": 0.1},
    "SGD, Nesterov": {"momentum": 0.9, "nesterov": True},
    "Adam": {},
    "AdamW": {},
    "RMSprop": {},
    "RMSprop, momentum": {"momentum": 0.9},
    "RMSprop, centered": {"centered": True},
    "RMSprop, both": {"centered": True, "momentum": 0.9},
}


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("name", RULES)
def test_twins(name, maximize):
    generator = np.random.default_rng(0)
    found = []
    gradients = generator.standard_normal((5, 1000))
    for compiled in (True, False):
        with set_compiled(compiled):
            p = mg.tensor(np.linspace(-1, 1, 1000), dtype="float64", requires_grad=True)
            options = {"lr": 0.1, "weight_decay": 0.01, "maximize": maximize, **RULES[name]}
            optimizer = getattr(mg.optim, name.partition(",")[0])([p], **options)
            for g in gradients:
                p.grad = mg.tensor(g, dtype="float64")
                optimizer.step()
        state = [v for k, v in sorted(optimizer.state[p].items()) if k != "step"]
        found.append([p.data, *state])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, 1e-12, 1e-14)
