"""PyTorch's names of dtypes are NumPy's dtypes, wherever one is expected."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minigrad as mg

NAMES = (
    "float16 half float32 float float64 double int8 int16 short int32 int int64 long uint8 uint16 "
    "uint32 uint64 bool"
)


@pytest.mark.parametrize("name", NAMES.split())
def test_names(name):
    dtype = getattr(mg, name)
    assert f"torch.{dtype}" == str(getattr(torch, name))
    assert mg.zeros(1, dtype=dtype).dtype == dtype == mg.zeros(1).to(dtype).dtype
    assert mg.tensor([1], dtype=dtype).dtype is dtype
    assert isinstance(dtype, mg.dtype)


def test_limits():
    assert mg.finfo(mg.float32).eps == torch.finfo(torch.float32).eps
    assert mg.iinfo(mg.uint8).max == torch.iinfo(torch.uint8).max
    scores = mg.zeros(2).masked_fill(mg.tensor([True, False]), mg.finfo(mg.float32).min)
    assert scores.tolist() == [float(np.finfo(np.float32).min), 0]
