"""Tensor's methods are the functions, and its operators hand over what they do not know."""

from __future__ import annotations

import operator

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import Tensor
from tests.common import grid, leaf, refuses

NAMES = (
    "abs argmax backward clamp cpu detach exp expand flatten gpu item log log_softmax matmul max "
    "mean min numpy permute relu reshape sigmoid softmax sqrt squeeze sum tanh to transpose "
    "unsqueeze var view zero_grad"
)


def test_every_public_method_exists_and_is_documented():
    for name in NAMES.split():
        assert getattr(Tensor, name).__doc__, name


def test_to_changes_only_what_differs(device):
    x = leaf(grid((2, 3)), device)
    assert x.to(device) is x
    assert x.to(mg.device(device)) is x
    assert x.to("float64") is x
    y = x.cpu()
    assert y.device == mg.device("cpu")
    (y * 2).sum().backward()
    assert x.grad.device == x.device
    np.testing.assert_array_equal(x.grad.cpu().numpy(), np.full((2, 3), 2.0))


def test_to_takes_what_pytorchs_takes():
    for m, half, double in ((mg, "float16", "float64"), (torch, torch.float16, torch.float64)):
        x, other = m.ones(2), m.tensor([1, 2])
        for y, dtype in (
            (x.to(None), x.dtype),
            (x.to("cpu", double), double),
            (x.to(dtype=half, device="cpu"), half),
            (x.to(other), other.dtype),
            (x.to(tensor=other, copy=True), other.dtype),
            (x.to("cpu", None, True), x.dtype),  # non_blocking, which changes nothing
        ):
            assert y.dtype == dtype
        assert x.to("cpu") is x.to(x.dtype) is x.to() is x
        assert (x.to("cpu", copy=True) + 1).tolist() == [2, 2]
        assert x.to(x.dtype, copy=True) is not x
        layer = m.nn.Linear(1, 1)
        assert layer.to("cpu", double) is layer.to(m.ones(1, dtype=double)) is layer
        assert layer.weight.dtype == double
    copy = (x := mg.ones(2)).to("cpu", copy=True)
    assert not np.shares_memory(copy.data, x.data)
    refuses(TypeError, "device: expected a device, got 'float32'", lambda: x.to("float32", "int8"))
    refuses(TypeError, "copy: expected True or False", lambda: x.to("cpu", copy=1))


@pytest.mark.skipif(mg.is_gpu_available(), reason="there is a GPU")
@pytest.mark.parametrize("move", [Tensor.gpu, lambda x: x.to("gpu"), lambda x: x.to("cuda:0")])
def test_to_a_missing_gpu(move):
    refuses(mg.DeviceError, "device 'gpu'", lambda: move(mg.ones(2)))


class Other:
    """Knows how to meet a Tensor on either side."""

    def meet(self, other: object) -> str:
        return "met"

    __radd__ = __rsub__ = __rmul__ = __rtruediv__ = __lt__ = __gt__ = __le__ = __ge__ = meet


@pytest.mark.parametrize(
    "function",
    [operator.add, operator.sub, operator.mul, operator.truediv, operator.lt, operator.ge],
)
def test_operators_leave_unknown_operands_to_the_other_side(function):
    assert function(mg.ones(2), Other()) == "met"
