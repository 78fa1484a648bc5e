"""What the tests of saved files share."""

import torch
from hypothesis import HealthCheck, settings

import minigrad as mg
from tests.common import grid

DTYPES = [
    *("bool", "float16", "float32", "float64"),
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
]
in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def some_tensors():
    return {"a.weight": mg.tensor(grid((3, 4))), "b": mg.tensor(3), "c": mg.zeros(0, 2)}


def lenet(prefix=""):
    return {
        f"{prefix}conv.weight": torch.ones(1, 2),
        f"{prefix}bn.num_batches_tracked": torch.tensor(3),
    }
