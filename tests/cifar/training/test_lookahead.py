"""The model is pulled to its average when it is time, and comes to it in the end."""

from __future__ import annotations

import numpy as np

import minigrad as mg
from cifar.recipes.recipe import Lookahead
from cifar.training.lookahead import Average
from tests.common import host, refuses


def test_by_definition():
    """Weights 1, 2, 3, … before every step; average and model by hand. Counts stay the model's."""
    model = mg.nn.BatchNorm1d(1)
    average = Average(model, Lookahead(every=2, decay=0.5, power=1.0), steps=5)
    expected = 1.0  # of the average: the scale's first value
    for step in range(1, 6):
        model.weight.data[...] = weight = model.running_var.data[...] = float(step + 1)
        model.num_batches_tracked.data[...] = step
        average.after_step(model, step)
        if step % 2 == 0:
            decay = 0.5 * step / 5
            expected = weight = decay * expected + (1 - decay) * weight
        if step == 5:
            weight = expected
        np.testing.assert_allclose(host(model.weight), weight, rtol=1e-6)
        np.testing.assert_allclose(host(model.running_var), weight, rtol=1e-6)
        assert model.num_batches_tracked.item() == step
    assert set(average.state_dict()) == {"weight", "bias", "running_mean", "running_var"}


def test_another_models_state():
    average = Average(mg.nn.Linear(2, 2), Lookahead(), 5)
    text = "average: expected the model's weights"
    refuses(ValueError, text, lambda: average.load_state_dict({}))
