"""Both sides of a comparison start alike and draw the same dropout masks."""

from __future__ import annotations

import numpy as np
import torch

import minigrad as mg
from cifar.twins.sides import OURS, class_counts, make_sides
from tests.cifar import pytorch_models, tiny


def test_all_sides_start_from_the_same_weights(tmp_path):
    run, _ = pytorch_models.prepare("four-block", tmp_path, 1)
    assert class_counts(run) == [tiny.TRAIN // 10] * 10
    sides = make_sides(run, "float64", "cpu", (2,))
    assert list(sides) == ["minigrad", "PyTorch", "PyTorch, 2 threads"]
    ours = sides.pop(OURS).weights()
    for side in sides.values():
        for name, weight in side.weights().items():
            np.testing.assert_array_equal(weight, ours[name])
            assert weight.dtype == np.float64


def test_dropout_masks_are_shared_and_differ_by_layer_and_step(tmp_path):
    run, _ = pytorch_models.prepare("dense-residual", tmp_path, 1)
    *_, twin = make_sides(run, "float32", "cpu").values()
    layers = [m for m in twin.model.train().modules() if isinstance(m, torch.nn.Dropout)]

    def masks(step):
        mg.manual_seed(0, 0, step)
        return [layer(torch.ones(4, 50)).numpy() for layer in layers]

    mg.manual_seed(0, 0, 5)
    expected = [mg.nn.Dropout(0.3)(mg.ones(4, 50)).numpy() for _ in layers]
    np.testing.assert_array_equal(masks(5), expected)
    assert len({mask.tobytes() for step in (5, 6) for mask in masks(step)}) == 2 * len(layers)
    twin.model.eval()
    assert all((mask == 1).all() for mask in masks(5))
