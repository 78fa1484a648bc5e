"""What a Tensor is, and its values in and out."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest
import torch

import minigrad as mg
from tests.common import assert_same, leaf, refuses


def test_properties_as_pytorch(device):
    ours, theirs = mg.zeros(2, 3, device=device), torch.zeros(2, 3)
    assert (ours.ndim, ours.numel(), len(ours)) == (theirs.ndim, theirs.numel(), len(theirs))
    assert (ours.size(), ours.size(-1), ours.is_leaf) == ((2, 3), 3, True)
    assert not (ours + 1).requires_grad
    assert (float(ours[0, 0] + 2), int(ours[0, 0] + 2), bool(ours[0, 0])) == (2.0, 2, False)
    assert (ours + 5).max().item() == 5
    refuses(
        IndexError,
        "dim: expected one of 2 dimensions, got 2",
        lambda: ours.size(2),
        lambda: theirs.size(2),
    )
    refuses(TypeError, "len() of a 0-d tensor", lambda: len(ours.sum()), lambda: len(theirs.sum()))
    refuses(ValueError, "item(): expected a tensor with one element, got shape (2, 3)", ours.item)
    refuses(ValueError, "got shape (2, 3)", lambda: bool(ours), lambda: bool(theirs))


def test_repr():
    assert repr(mg.tensor([1.5, 2])) == "tensor([1.5, 2. ])"
    assert repr(mg.tensor([1], dtype="int8")) == "tensor([1], dtype=int8)"
    x = mg.tensor([1.0], requires_grad=True)
    assert repr(x) == "tensor([1.], requires_grad=True)"
    assert repr(x * 2) == "tensor([2.], grad_fn=<MulBackward0>)"


def test_numpy_detach_and_requires_grad():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    refuses(RuntimeError, "numpy(): the tensor requires grad", x.numpy)
    assert x.detach().numpy() is x.data
    assert x.detach().requires_grad is False
    y = x * 2
    refuses(RuntimeError, "only a leaf can be switched", lambda: y.requires_grad_(False))
    assert mg.zeros(2).requires_grad_().requires_grad
    assert not x.requires_grad_(False).requires_grad
    refuses(TypeError, "floating dtypes", lambda: mg.tensor([1]).requires_grad_())
    x.grad = mg.zeros(2)
    x.zero_grad()
    assert x.grad is None


ONES = np.ones(2, np.float32)


def test_arrays_come_out_or_an_error_says_why(device):
    x = mg.ones(2, 3, device=device)
    refuses(RuntimeError, "numpy(): the tensor requires grad", lambda: np.asarray(leaf([1.0])))
    refuses(RuntimeError, "numpy(): the tensor requires grad", lambda: np.asarray([leaf([1.0])]))
    assert x.tolist() == [[1.0] * 3] * 2
    if device == "cpu":
        assert np.asarray(x) is x.data
        assert np.array(x) is not x.data
        assert np.asarray(x, "int8").dtype == np.int8
        with pytest.raises(ValueError, match="copy"):
            np.array(x, "int8", copy=False)
    else:
        refuses(mg.DeviceError, "numpy(): the tensor is on gpu", lambda: np.asarray(x))


def test_formatting_as_pytorch():
    for m in (torch, mg):
        loss, count, many = m.tensor(2.5), m.tensor(3), m.ones(2)
        assert (
            f"{loss:.3f} {count:04d} {m.tensor(True)} {many}" == "2.500 0003 True tensor([1., 1.])"
        )
    assert f"{leaf([2.0]).sum():.1f}" == "2.0"
    text = "format: expected a 0-d tensor for '.3f', got shape (2,)"
    refuses(TypeError, text, lambda: f"{mg.ones(2):.3f}", lambda: f"{torch.ones(2):.3f}")


@pytest.mark.parametrize(
    "numbers", [(1, 2.5), (2.5, 1), (1, 2), (np.float64(1), 2.5), (1, np.float64(2))], ids=str
)
def test_a_list_of_tensors_keeps_their_dtype_as_pytorch(numbers):
    nests = ([[m.tensor(numbers[0])], [m.tensor(numbers[1])]] for m in (torch, mg))
    theirs, ours = (m.tensor(nest) for m, nest in zip((torch, mg), nests, strict=True))
    assert_same(ours, theirs, {"rtol": 0, "atol": 0})


def test_comparing_with_an_array_is_an_error():
    for call in (lambda x, a: x == a, lambda x, a: a == x, lambda x, a: x != a, lambda x, a: x < a):
        refuses(TypeError, "a Tensor or a number, got an array", lambda c=call: c(mg.ones(2), ONES))


def test_tensors_are_hashable_by_identity():
    x, y = mg.zeros(2), mg.zeros(2)
    assert len({x, y, x}) == 2


def test_copies_of_tensors():
    """A copy of a leaf has its gradient, what was pickled has none, as in PyTorch."""
    for m in (mg, torch):
        x = m.ones(2, requires_grad=True)
        y = x * 3
        y.sum().backward()
        for found, grad in (
            (copy.deepcopy(x), [3, 3]),
            (pickle.loads(pickle.dumps(x)), None),
            (pickle.loads(pickle.dumps(x * 2)), None),
        ):
            assert found.is_leaf
            assert found.requires_grad
            assert (None if found.grad is None else found.grad.tolist()) == grad
        with pytest.raises(RuntimeError, match="deepcopy"):
            copy.deepcopy(y)


def test_requires_grad_is_set_for_leaves_of_floats():
    for m in (mg, torch):
        x = m.ones(2, requires_grad=True)
        with pytest.raises(RuntimeError, match="requires_grad"):
            (x * 2).requires_grad = False
        with pytest.raises((TypeError, RuntimeError), match="floating"):
            m.tensor([1, 2]).requires_grad = True
        with pytest.raises((TypeError, RuntimeError), match=r"bool|True or False"):
            x.requires_grad = 1
        x.requires_grad = False
        assert not x.requires_grad


def test_elements_in_tensors():
    for m in (mg, torch):
        x = m.tensor([[1.0, 2.0], [3.0, math.nan]])
        found = [k in x for k in (3, 4, math.nan, m.tensor(2.0), m.tensor([1.0, 5.0]))]
        assert found == [True, False, False, True, True]
