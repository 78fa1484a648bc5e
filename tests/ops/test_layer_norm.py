"""Layer, group and instance norm: gradients by finite differences, and precision far from zero;
values are in tests/parity."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minigrad as mg
from tests.common import LAYOUTS, assert_same, compare, grid, leaf, refuses

F, T = mg.functional, torch.nn.functional


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("shape", "sizes"), [((3, 4, 5), (5,)), ((2, 3, 2, 2), (3, 2, 2))])
def test_layer_norm(device, shape, sizes, layout):
    arrays = [grid(shape), grid(sizes, 1), grid(sizes, 2)]
    compare(
        lambda x, w, b: F.layer_norm(x, sizes, w, b, 0.1),
        lambda x, w, b: T.layer_norm(x, sizes, w, b, 0.1),
        arrays,
        device=device,
        layout=layout,
    )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_group_norm(device, groups, layout):
    arrays = [grid((3, 4, 2, 3)), grid((4,), 1), grid((4,), 2)]
    compare(
        lambda x, w, b: F.group_norm(x, groups, w, b, 0.1),
        lambda x, w, b: T.group_norm(x, groups, w, b, 0.1),
        arrays,
        device=device,
        layout=layout,
    )


@pytest.mark.parametrize("name", ["layer", "group", "instance"])
def test_far_from_zero(name):
    """The mean is taken out before values are squared."""
    x = (1e4 + grid((2, 4, 500))).astype("float32")
    calls = {
        "layer": lambda f, x: f.layer_norm(x, (500,)),
        "group": lambda f, x: f.group_norm(x, 2),
        "instance": lambda f, x: f.instance_norm(x),
    }
    expected = calls[name](T, torch.tensor(x.astype("float64"))).float()
    assert_same(calls[name](F, mg.tensor(x)), expected, {"rtol": 1e-3, "atol": 1e-3})


def test_float16(device):
    x = grid((4, 600)).astype("float16")
    y = F.layer_norm(leaf(x, device), (600,)).detach().cpu()
    expected = F.layer_norm(mg.tensor(x.astype("float32")), (600,)).numpy().astype("float16")
    np.testing.assert_array_equal(y.numpy(), expected)


def test_errors():
    x = mg.ones(2, 4, 3)
    for error, text, call in (
        (ValueError, "input: expected shape (..., 4), got", lambda: F.layer_norm(x, (4,))),
        (ValueError, "weight: expected shape (3,)", lambda: F.layer_norm(x, (3,), mg.ones(4))),
        (TypeError, "normalized_shape: expected a tuple", lambda: F.layer_norm(x, 3)),
        (TypeError, "normalized_shape: expected a tuple", lambda: F.layer_norm(x, ())),
        (ValueError, "num_groups: expected a divisor of 4", lambda: F.group_norm(x, 3)),
        (ValueError, "weight: expected shape (4,)", lambda: F.group_norm(x, 2, mg.ones(3))),
        (ValueError, "more than one value per group", lambda: F.group_norm(mg.ones(1, 2), 2)),
        (ValueError, "more than one pixel", lambda: F.instance_norm(mg.ones(2, 3, 1))),
        (NotImplementedError, "running_mean=", lambda: F.instance_norm(x, mg.ones(4), mg.ones(4))),
        (NotImplementedError, "use_input_s", lambda: F.instance_norm(x, use_input_stats=False)),
    ):
        refuses(error, text, call)
