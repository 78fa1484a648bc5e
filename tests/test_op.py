"""What an operation may be given and return, and how a broken one is caught."""

from __future__ import annotations

import functools
import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import Tensor, op
from tests.common import grid, leaf, refuses

SCALARS = [3, 3.0, True, np.float64(3), np.float32(3), np.int64(3), np.bool_(True)]
WITH_SCALAR = {
    "add": lambda x, s: x + s,
    "radd": lambda x, s: s + x,
    "sub": lambda x, s: x - s,
    "rsub": lambda x, s: s - x,
    "mul": lambda x, s: x * s,
    "rmul": lambda x, s: s * x,
    "div": lambda x, s: x / s,
    "rdiv": lambda x, s: s / x,
    "pow": lambda x, s: x**s,
    "where": lambda x, s: mg.where(x > 0, x, s),
    "clamp": lambda x, s: x.clamp(max=s),
}


@pytest.mark.parametrize("name", WITH_SCALAR)
def test_scalars_never_change_the_dtype(name, device):
    for dtype, scalar in itertools.product(["float32", "float64", "float16"], SCALARS):
        if name in ("sub", "rsub") and isinstance(scalar, (bool, np.bool_)):
            scalar = int(scalar)  # bools are not subtracted, as in PyTorch
        x = mg.tensor([1.5, 2.5], dtype=dtype, device=device, requires_grad=True)
        y = WITH_SCALAR[name](x, scalar)
        assert isinstance(y, Tensor), type(scalar)
        assert y.dtype == dtype, type(scalar)
        y.sum().backward()
        assert x.grad.dtype == dtype, type(scalar)


def test_op_records_only_what_needs_it():
    asked = []

    @op
    def first(a, b, c):
        def backward(g, needs):
            asked.append(needs)
            return g, g, None

        return a + b, backward

    a, b = leaf(grid((2,))), leaf(grid((2,)), requires_grad=False)
    first(a, b, None).sum().backward()
    assert asked == [(True, False, False)]
    assert first(b, b, None).node is None
    y, backward = first.run(a.data, b.data, None)
    assert isinstance(y, np.ndarray)
    assert callable(backward)


def test_an_integer_result_requires_no_gradient():
    @op
    def rounded(x):
        return x.astype(np.int64), lambda g, needs: (None,)

    assert not rounded(mg.ones(2, requires_grad=True)).requires_grad


def zeros_like(x):
    return lambda g, needs: (np.zeros_like(x),)


@pytest.mark.parametrize(
    ("function", "came"),
    [
        (lambda x: x * 2, "ndarray of float32"),
        (lambda x: None, "NoneType"),
        (lambda x: (x * 2,), "(ndarray of float32)"),
        (lambda x: (x * 2, x, x), "(ndarray of float32, ndarray of float32, ndarray of float32)"),
        (lambda x: (x * 2, None), "(ndarray of float32, NoneType)"),
        (lambda x: (x * 2, x), "(ndarray of float32, ndarray of float32)"),
        (lambda x: [x * 2, zeros_like(x)], "list"),
        (lambda x: (mg.Tensor(x * 2), zeros_like(x)), "(Tensor of float32, function)"),
        (lambda x: ([1.0], zeros_like(x)), "(list, function)"),
        (lambda x: (float(x.sum()), zeros_like(x)), "(float, function)"),
        (lambda x: (x * 1j, zeros_like(x)), "(ndarray of complex64, function)"),
    ],
)
@pytest.mark.parametrize("shape", [(2, 3), (2,)])
def test_an_operation_that_returns_something_else(function, came, shape):
    """Two rows are no result and derivative."""

    def broken(x):
        return function(x)

    text = "broken: expected it to return (y, backward), an array of numbers and a function of "
    for grad in (True, False):
        x = mg.ones(shape, requires_grad=grad)
        refuses(TypeError, f"{text}(g, needs), got {came}", lambda x=x: op(broken)(x))


def test_numpys_scalars_are_arrays_without_dimensions():
    @op
    def total(x):
        return x.sum(), lambda g, needs: (np.broadcast_to(g, x.shape),)

    assert mg.gradcheck(total, leaf(grid((2, 3))))
    assert total(mg.ones(2)).shape == ()


@pytest.mark.parametrize(
    ("gradients", "text"),
    [
        (lambda g: g, "a tuple of 1 gradients, an array or None for each input, got ndarray"),
        (lambda g: None, "a tuple of 1 gradients, an array or None for each input, got NoneType"),
        (lambda g: [g], "a tuple of 1 gradients, an array or None for each input, got list"),
        (lambda g: (), "a tuple of 1 gradients, an array or None for each input, got ()"),
        (lambda g: (g, g), "a tuple of 1 gradients, an array or None for each input, got (nda"),
        (lambda g: (g.astype(np.float32),), "gradient of input 0: expected an array of float64"),
        (lambda g: (1.0,), "gradient of input 0: expected an array of float64, got float"),
        (lambda g: (mg.Tensor(g),), "expected an array of float64, got Tensor of float64"),
        (lambda g: (g[..., :1],), "expected shape (1, 2) or one that it broadcasts to, got (1, 1)"),
        (lambda g: (g[0],), "expected shape (1, 2) or one that it broadcasts to, got (2,)"),
        (lambda g: (np.zeros((4, 3)),), "expected shape (1, 2) or one that it broadcasts to, got"),
    ],
)
def test_a_broken_derivative_is_caught(gradients, text):
    @op
    def broken(x):
        return x * 1, lambda g, needs: gradients(g)

    y = broken(leaf(grid((1, 2)))).sum()
    with pytest.raises(TypeError, match=re.escape(text)) as caught:
        y.backward()
    assert str(caught.value).startswith("broken: backward: ")


@pytest.mark.parametrize("backward", [lambda g: (g,), lambda: None, lambda g, needs, more: (g,)])
def test_a_derivative_of_other_arguments_is_named(backward):
    x = leaf(grid((2,)))
    text = re.escape("other: backward: expected a function of (g, needs), got one of other")
    other = op(lambda x: (x * 1, backward))
    other.name = "other"
    with pytest.raises(TypeError, match=text):
        other(x).sum().backward()
    own = op(lambda x: (x * 1, lambda g, needs: (g + None,)))
    with pytest.raises(TypeError, match="unsupported operand"):  # its own mistake, as it is
        own(x).sum().backward()


def test_a_second_gradient_is_named_as_such():
    @op
    def broken(x, w, n):
        return x * w * n, lambda g, needs: (g, g[:1], None)

    y = broken(leaf(grid((2,))), leaf(grid((2,))), 3)
    refuses(TypeError, "broken: backward: gradient of input 1: ", lambda: y.sum().backward())


def test_what_op_takes():
    refuses(TypeError, "function: expected a function to decorate, got int", lambda: op(3))
    twice = op(functools.partial(lambda n, x: (x * n, lambda g, needs: (g * n,)), 2))
    assert mg.gradcheck(twice, leaf(grid((2,))))

    @op
    def scale(x, *, w):
        return x * w, lambda g, needs: (g * w,)

    for w in (mg.ones(2), mg.nn.Parameter(mg.ones(2))):
        text = "scale: w: expected a Tensor as a positional argument only"
        refuses(TypeError, text, lambda w=w: scale(mg.ones(2), w=w))


def test_the_page_on_operations():
    page = Path(__file__).parents[1] / "docs/operations.md"
    space: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        exec(block, space)
    assert mg.gradcheck(space["scaled_add"], [leaf(grid((3, 4))), leaf(grid((4,), 1))])
    space["test_my_operations"]()
    assert space["swish"](mg.zeros(2)).numpy().tolist() == [0, 0]


def test_operand_errors(device):
    x = mg.ones(2, device=device)
    refuses(
        TypeError,
        "add: tensors of different floating dtypes: float32, float64; convert one with .to(dtype)",
        lambda: x + mg.ones(2, dtype="float64", device=device),
    )
    refuses(TypeError, "unsupported operand", lambda: x + "1")
    refuses(TypeError, "unsupported operand", lambda: np.ones(2) * x)
    refuses(TypeError, "where: expected a Tensor or a number", lambda: mg.where(x > 0, x, [1, 2]))
    refuses(
        ValueError,
        "add: shapes (2,) and (3,) do not broadcast",
        lambda: x + mg.ones(3, device=device),
        lambda: torch.ones(2) + torch.ones(3),
    )


def test_out_of_memory_says_where():
    huge = mg.ones(1, requires_grad=True).expand(1 << 55)
    refuses(mg.OutOfMemoryError, "mul: Unable to allocate 128. PiB", lambda: huge * huge)

    def fails(g, needs):
        np.empty(1 << 60, np.uint8)

    y = mg.ones(3, requires_grad=True) * 1
    y.node.backward = fails
    refuses(mg.OutOfMemoryError, "backward of mul: Unable to allocate", lambda: y.sum().backward())


def test_tensors_on_two_devices(device):
    if device == "cpu":
        pytest.skip("needs a second device")
    x, y = mg.ones(2), mg.ones(2, device=device, requires_grad=True)
    refuses(mg.DeviceError, "add: tensors on different devices: cpu, gpu:0", lambda: x + y)
    refuses(mg.DeviceError, "different devices", lambda: x < y)
    refuses(mg.DeviceError, "numpy(): the tensor is on gpu:0", y.detach().numpy)
    refuses(ValueError, "gradient: expected device", lambda: (y * 2).backward(x))
