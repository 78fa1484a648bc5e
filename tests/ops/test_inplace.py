"""Writing into a tensor: PyTorch's results, in the same memory; refused where gradients pass."""

from __future__ import annotations

import operator

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.ops.inplace import NAMES
from tests.common import refuses, seeds

X = np.array([[0.3, 0.8, 0.6], [0.2, 0.7, 0.4]])
OTHER, MASK = X[::-1] + 0.05, X > 0.5
INDEX = np.array([[0, 2, 1], [1, 0, 2]])
INTEGERS = np.array([6, 3, 12])
ARGUMENTS = {
    "addcdiv": (OTHER, OTHER),
    "addcmul": (OTHER, OTHER),
    "clamp": (0.3, 0.5),
    "cumprod": (1,),
    "cumsum": (1,),
    "lerp": (OTHER, 0.3),
    "masked_fill": (MASK, 9.0),
    "scatter": (1, INDEX, OTHER),
    "scatter_add": (1, INDEX, OTHER),
}
TWO = "add atan2 div floor_divide fmod mul pow remainder sub logical_and logical_or logical_xor"
ARGUMENTS |= dict.fromkeys(TWO.split(), (OTHER,))
ARGUMENTS |= dict.fromkeys(["bitwise_and", "bitwise_or", "bitwise_xor"], (5,))


def operand(library, values):
    return library.tensor(values) if isinstance(values, np.ndarray) else values


@pytest.mark.parametrize("name", NAMES.split())
def test_as_pytorch(name):
    found = []
    for m in (mg, torch):
        x = m.tensor(INTEGERS if name.startswith("bitwise") else X)
        view = x[1:]
        same = getattr(x, f"{name}_")(*(operand(m, a) for a in ARGUMENTS.get(name, ())))
        assert same is x
        assert view.tolist() == x[1:].tolist()  # the same memory
        found.append((str(x.dtype).removeprefix("torch."), x.tolist()))
    assert found[0][0] == found[1][0]
    np.testing.assert_allclose(found[0][1], found[1][1], 1e-12)


VIEWS = {
    "all": lambda x: x,
    "turned": lambda x: x.T,
    "rows": lambda x: x[1:],
    "columns": lambda x: x[:, 1:],
    "gaps": lambda x: x[1::2, ::2],
    "one row": lambda x: x[:1],
    "one column": lambda x: x[:, 1:2],
    "a number": lambda x: x[0, 1],
}
OTHERS = {"exp2": 0, "frac": 0, "add": 1, "sub": 1, "mul": 1, "fmod": 1, "copy": 1, "lerp": 2}
BLOCKS = {
    "arithmetic.FEW": 1,
    "blocks.LARGE": 0,
    "elementwise.BLOCK": 7,
    "threads.MIN_PARALLEL_SIZE": 1,
    "copy.FEW": 1,
    "copy.PIECE": 5,
}


@pytest.mark.parametrize("small", [True, False], ids=["at once", "in blocks"])
@given(data=st.data())
def test_views_and_operands_in_the_same_memory(small, data):
    """The memory is as after PyTorch's method with copies of the operands: itself it refuses
    operands that overlap."""
    name = data.draw(st.sampled_from(["masked_fill", *OTHERS]))
    place = VIEWS[data.draw(st.sampled_from(["all", "turned", "rows", "columns", "gaps"]))]
    of_others = [VIEWS[data.draw(st.sampled_from([*VIEWS]))] for _ in range(2)]
    same = [data.draw(st.sampled_from([True, True, False])) for _ in range(2)]
    dtype = data.draw(st.sampled_from(["f", "d"]))
    values = np.random.default_rng(data.draw(seeds)).uniform(1, 2, (3, 5, 5)).astype(dtype)
    memory = [mg.tensor(v) for v in values]
    x, sources = place(memory[0]), [memory[0 if s else i] for i, s in enumerate(same, 1)]
    others = [
        x if o is VIEWS["all"] and s else o(m)
        for o, s, m in zip(of_others, same, sources, strict=True)
    ]
    reference = torch.tensor(values[0])
    expected = place(reference)
    theirs = [torch.tensor(o.numpy().copy()) for o in others]
    count, mask = OTHERS.get(name, 1), name == "masked_fill"
    try:
        shape = np.broadcast_shapes(x.shape, *(o.shape for o in others[:count]))
    except ValueError:
        shape = ()
    assume(shape == x.shape)
    with pytest.MonkeyPatch.context() as patch:
        for limit, value in {} if small else BLOCKS.items():
            patch.setattr(f"minigrad.cpu.{limit}", value)
        method = getattr(x, f"{name}_")
        assert method(*((others[0] > 1.5, 3) if mask else others[:count])) is x
    getattr(expected, f"{name}_")(*((theirs[0] > 1.5, 3) if mask else theirs[:count]))
    np.testing.assert_allclose(
        memory[0].numpy(), reference.numpy(), 1e-5 if dtype == "f" else 1e-12
    )
    for found, before in zip(memory[1:], values[1:], strict=True):
        np.testing.assert_array_equal(found.numpy(), before)


@pytest.mark.parametrize("size", [4, 300])
@pytest.mark.parametrize("index", [(slice(1),), (..., slice(1)), (0,)], ids=str)
def test_a_row_of_the_tensor_itself(index, size):
    """It is read for other rows after it was written."""
    values = np.arange(1.0, 1 + size**2).reshape(size, size)
    x = mg.tensor(values)
    assert np.array_equal(x.mul_(x[index]).numpy(), values * values[index])


OPERATORS = "iadd isub imul itruediv ifloordiv imod ipow"


@pytest.mark.parametrize("name", [*OPERATORS.split(), "iand", "ior", "ixor"])
def test_operators(name):
    for m in (mg, torch):
        x = first = m.tensor(INTEGERS if name in ("iand", "ior", "ixor") else X)
        expected = getattr(operator, name[1:] if name[1:] not in ("and", "or") else f"{name[1:]}_")
        expected = expected(x, 2).tolist()
        x = getattr(operator, name)(x, 2)
        assert x is first
        assert x.tolist() == expected


@pytest.mark.parametrize(
    "index",
    [0, (0, 1), slice(1), ..., (slice(None), 1), None, [1, 0], ([0, 1], [1, 2]), (..., [0])],
    ids=str,
)
def test_assigning(index):
    found = []
    for m in (mg, torch):
        x = m.tensor(X)
        x[index] = 3
        x[index] = x[index] * m.tensor([2.0], dtype=m.float64)
        x[x > 5.5] = -1.0
        found.append(x.tolist())
    assert found[0] == found[1]


def test_an_optimiser_by_hand():
    for m in (mg, torch):
        w = m.ones(2, requires_grad=True)
        (w * w).sum().backward()
        with m.no_grad():
            w -= 0.25 * w.grad
            w.grad.zero_()
        assert w.requires_grad
        assert w.tolist() == [0.5, 0.5]
        assert w.grad.tolist() == [0, 0]


def test_copies_and_fills():
    for m in (mg, torch):
        x = m.zeros(2, 2)
        assert x.copy_(m.tensor([1, 2])).tolist() == [[1, 2], [1, 2]]
        assert x.fill_(m.tensor(3)).tolist() == [[3, 3], [3, 3]]
        assert x.zero_().tolist() == [[0, 0], [0, 0]]
        x = (m.ones(1, requires_grad=True) * 2).detach_()
        assert not x.requires_grad
        assert x.is_leaf


def test_draws():
    mg.manual_seed(0)
    x = mg.zeros(10_000)
    assert x.uniform_(-1, 1) is x
    assert abs(x.mean().item()) < 0.05
    assert -1 <= x.min().item() < -0.9 < 0.9 < x.max().item() < 1
    assert abs(x.normal_(3, 2).std().item() - 2) < 0.1
    assert abs(x.bernoulli_(0.25).mean().item() - 0.25) < 0.05
    assert mg.zeros(2, 2).bernoulli_(mg.tensor([0.0, 1.0])).tolist() == [[0, 1], [0, 1]]


def test_where_gradients_pass_a_new_tensor_is_made_or_none():
    x = mg.ones(2, requires_grad=True)
    y = first = x * 2
    y += 1
    assert y is not first
    assert y.requires_grad
    for call in (
        lambda: first.add_(1),
        lambda: mg.ones(2).mul_(x),
        lambda: operator.setitem(first, 0, 1),
        lambda: mg.ones(2).copy_(x),
        first.zero_,
        first.uniform_,
    ):
        refuses(NotImplementedError, "cannot be changed in place", call)


def test_numbers_of_bools():
    """The memory keeps its values where the result is integers; conversions are asked for."""
    for call in (
        lambda b: b.add_(1),
        lambda b: b.mul_(mg.tensor([1, 2])),
        lambda b: b.pow_(2),
        lambda b: b.square_(),
        lambda b: b.clamp_(0, 1),
        lambda b: b.floor_divide_(1),
        lambda b: b.bitwise_or_(2),
        lambda b: b.cumsum_(0),
        lambda b: operator.iadd(b, 1),
        lambda b: operator.ior(b, 2),
    ):
        b = mg.tensor([True, False])
        refuses(TypeError, "_: expected values for bool, got int64", lambda c=call, b=b: c(b))
        assert b.tolist() == [True, False]
    assert mg.tensor([True, False]).add_(True).tolist() == [True, True]
    assert mg.tensor([True, False]).logical_and_(mg.tensor([2, 2])).tolist() == [True, False]
    assert mg.tensor([True, False]).fill_(2).tolist() == [True, True]
    assert mg.tensor([True, False]).copy_(mg.tensor([0, 2])).tolist() == [False, True]
    assert mg.tensor([True, False]).scatter_(0, mg.tensor([1]), 2).tolist() == [True, True]


def test_errors():
    x, n = mg.ones(2), mg.tensor([1, 2])
    for error, text, call in (
        (TypeError, "add_: expected values for int64, got float32", lambda: n.add_(0.5)),
        (
            TypeError,
            "value: expected values for int64",
            lambda: operator.setitem(n, 0, 0.5),
        ),
        (ValueError, "add_: expected a result of shape (2,)", lambda: x.add_(mg.ones(3, 2))),
        (ValueError, "value: expected shape (), got (2,)", lambda: operator.setitem(x, 0, x)),
        (IndexError, "out of bounds", lambda: operator.setitem(x, 2, 0)),
        (ValueError, "zero_: expected memory that can be", mg.ones(1).expand(3).zero_),
        (ValueError, "to: expected a number between 1", lambda: x.uniform_(1, 0)),
        (ValueError, "to: 100000.0 does not fit", lambda: x.half().uniform_(0, 1e5)),
        (ValueError, "p: expected probabilities", lambda: x.bernoulli_(mg.tensor([2.0, 2.0]))),
        (TypeError, "p: expected a floating dtype", lambda: x.bernoulli_(n)),
    ):
        refuses(error, text, call)
