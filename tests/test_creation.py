"""New tensors: values, dtypes, shapes and errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import Tensor, creation, memory
from tests.common import refuses


@pytest.mark.parametrize(
    "data",
    [1, 1.5, True, [1, 2], [1, 2.5], [[True], [False]], [], np.float64(2), [np.float64(2)]]
    + [np.ones(2, d) for d in ("float16", "float32", "float64", "int8", "uint8", "int64", "bool")],
    ids=repr,
)
def test_dtype_and_values_as_pytorch(data):
    ours, theirs = mg.tensor(data), torch.tensor(data)
    assert ours.shape == tuple(theirs.shape)
    assert f"torch.{ours.dtype}" == str(theirs.dtype)
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_constructor_shares_and_tensor_copies():
    a = np.zeros(3, np.float32)
    shared, copied = Tensor(a), mg.tensor(a)
    a[0] = 1
    assert shared.data is a
    assert copied.numpy().tolist() == [0, 0, 0]
    assert Tensor(shared).data is a
    assert mg.tensor(a, dtype="int32", requires_grad=False).dtype == np.int32


@pytest.mark.parametrize("size", [(2, 3), ((2, 3),), ([2, 3],), ((),), (0,), (np.int64(2),)])
@pytest.mark.parametrize("name", ["zeros", "ones"])
def test_zeros_and_ones(name, size, device):
    ours = getattr(mg, name)(*size, dtype="float64", device=device, requires_grad=True)
    theirs = getattr(torch, name)(*size, dtype=torch.float64)
    assert ours.shape == tuple(theirs.shape)
    assert ours.requires_grad
    assert ours.device == mg.device(device)
    np.testing.assert_array_equal(ours.detach().cpu().numpy(), theirs.numpy())
    assert getattr(mg, name)(2).dtype == np.float32


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16"])
def test_parts_that_cores_share(dtype, monkeypatch):
    """They are the whole, and lie where they belong."""
    monkeypatch.setattr(creation, "PIECE", 7)
    monkeypatch.setattr(memory, "PIECE", 100)
    monkeypatch.setattr(memory, "MIN_PARALLEL_SIZE", 1)
    monkeypatch.setattr(memory, "FEW", 1)
    same = np.testing.assert_array_equal
    same(mg.full((3, 101), 7, dtype=dtype).numpy(), np.full((3, 101), 7, dtype))
    same(mg.eye(30, 9, dtype=dtype).numpy(), np.eye(30, 9, dtype=dtype))
    same(mg.eye(9, 30, dtype=dtype).numpy(), np.eye(9, 30, dtype=dtype))
    same(mg.arange(-3, 61, 3, dtype=dtype).numpy(), np.arange(-3, 61, 3).astype(dtype))
    if dtype != "int16":
        expected = -0.3 + np.arange(23) * 0.7
        same(mg.arange(-0.3, 15.5, 0.7, dtype=dtype).numpy(), expected.astype(dtype))
        for ends in ((0.1, 5.3), (2, 2), (3, -1e-320)):
            for steps in (1, 2, 30):
                found = mg.linspace(*ends, steps, dtype=dtype).numpy()
                same(found, np.linspace(*ends, steps).astype(dtype))


def test_ends_of_whole_numbers_fit():
    for start, end in ((0, 300), (-2.5, 5)):
        calls = (
            lambda m=m, a=start, b=end: m.linspace(a, b, 4, dtype=m.uint8) for m in (mg, torch)
        )
        refuses(ValueError, "does not fit into uint8", *calls)
