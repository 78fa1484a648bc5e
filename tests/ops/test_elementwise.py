"""Smooth functions: derivatives by finite differences; tests/parity compares them with PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad.testing import arrays, broadcast_arrays, check_op, shapes
from tests.common import leaf, refuses

DOMAINS = {
    "sin cos tan sinh cosh asinh atan exp exp2 expm1 erf square": (-1.2, 1),
    "log log2 log10 log1p rsqrt reciprocal sqrt": (0.3, 3),
    "asin acos atanh": (-0.9, 0.8),
    "acosh": (1.2, 3),
}
EACH = [(name, ends) for names, ends in DOMAINS.items() for name in names.split()]


@pytest.mark.parametrize(("name", "ends"), EACH)
def test_derivatives(name, ends):
    low, high = ends
    check_op(getattr(mg, name), arrays(shapes(max_dims=2), low, high), max_examples=5)


def test_derivatives_of_two():
    two, three = (broadcast_arrays(count, low=0.3, max_dims=2) for count in (2, 3))
    for function in (mg.pow, mg.atan2, lambda a, b: 2.5**a + b, lambda a, b: mg.add(a, b, alpha=3)):
        check_op(function, two, max_examples=5)
    check_op(mg.lerp, three, max_examples=5)
    check_op(lambda *x: mg.addcdiv(*x, value=2), three, max_examples=5)
    check_op(lambda *x: mg.addcmul(*x, value=2), three, max_examples=5)


SLOPED = "log log2 log10 log1p sqrt square expm1 asin acos atan asinh acosh atanh"
SIZES = np.float32([0, 1e-45, 1e-40, 1.5e-39, 1e-38, 1e-30, 1e-10, 0.3, 1e10, 1e30, 3e38, np.inf])


@pytest.mark.parametrize(
    "function",
    [*(lambda m, x, y, n=n: getattr(m, n)(x) for n in SLOPED.split()),
     *(lambda m, x, y, n=n: getattr(m, n)(x, y) for n in ("logaddexp", "div", "pow"))],
    ids=[*SLOPED.split(), "logaddexp", "div", "pow"],
)  # fmt: skip
def test_slopes_overflow_where_those_of_pytorch_do(function):
    x, y, g = (a.ravel() for a in np.meshgrid(SIZES, SIZES, np.float32([1e-30, 0.01, 1, 30])))
    found = []
    for m in (mg, torch):
        leaves = [m.tensor(a.copy(), requires_grad=True) for a in (x, y)]
        function(m, *leaves).backward(m.tensor(g.copy()))
        found.append([np.float64(0) if t.grad is None else t.grad.numpy() for t in leaves])
    for ours, theirs in zip(*found, strict=True):
        finite = np.isfinite(theirs)
        np.testing.assert_allclose(ours[finite], theirs[finite], 1e-5, 1e-37)


ENDS = np.float32([0, 1, -2, 1e4, 1e8, 1e37, np.inf, -np.inf, np.nan])
WEIGHTS = np.float32([0, 0.25, -0.25, 0.5, -0.5, 0.75, 1, 2, -3])


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.usefixtures("each_way")
def test_lerp_reaches_its_ends(dtype):
    """PyTorch's form, which is exact at both, is needed for large and infinite ends."""
    with np.errstate(over="ignore"):
        x = [a.ravel().astype(dtype) for a in np.meshgrid(ENDS, ENDS, WEIGHTS)]
    found = [m.lerp(*map(m.tensor, x)).numpy() for m in (mg, torch)]
    np.testing.assert_allclose(*found, 1e-6)
    for w in WEIGHTS.tolist():
        found = [m.lerp(*map(m.tensor, x[:2]), w).numpy() for m in (mg, torch)]
        np.testing.assert_allclose(*found, 1e-6)
    x = [t[:, None] for t in x]  # they broadcast: the definition
    found = [m.lerp(*map(m.tensor, x[:2]), m.tensor(x[2][:1])).numpy() for m in (mg, torch)]
    np.testing.assert_allclose(*found, 1e-6)


@pytest.mark.parametrize("name", ["addcmul", "addcdiv"])
@pytest.mark.parametrize("shape", [(1,), (1, 1)])
@pytest.mark.usefixtures("each_way")
def test_the_factor_comes_first(name, shape):
    """It keeps products, and those of the gradients, from overflow."""
    small = 1e-20 if name == "addcmul" else 1e20
    for dtype, x, g in (
        ("float32", (0, 1e20, 1 / small, 1e-10), 1e-5),
        ("float32", (0, small, 1e10, 1e-20), 1e30),
        ("float16", (0, 300, 300 if name == "addcmul" else 1 / 300, 0.1), 1),
    ):
        found = []
        for m in (mg, torch):
            arrays = [np.full(s, v, dtype) for s, v in zip((shape, shape, (1,)), x, strict=False)]
            leaves = [m.tensor(a, requires_grad=True) for a in arrays]
            y = getattr(m, name)(*leaves, value=x[3])
            y.backward(m.tensor(np.full(shape, g, dtype)))
            found.append([y.item(), *(t.grad.item() for t in leaves)])
        assert np.isfinite(found[1]).any()
        np.testing.assert_allclose(*found, 1e-3 if dtype == "float16" else 1e-5)


def test_powers_at_zero():
    """d(0ᵇ)/db is 0 for b ≥ 0, and d(aᵇ)/da is 0 for b = 0."""
    a, b = leaf(np.zeros(3)), leaf(np.array([0.0, 1.0, 2.0]))
    (a**b).sum().backward()
    assert a.grad.tolist() == [0, 1, 0]
    assert b.grad.tolist() == [0, 0, 0]


def test_float16_stays():
    x = mg.tensor([0.5, 1.5], dtype="float16")
    for name in ("sin", "rsqrt", "log1p", "erf"):
        assert getattr(x, name)().dtype == np.float16


def test_errors():
    x = mg.tensor([1, 2])
    refuses(ValueError, "integers to negative powers", lambda: x ** mg.tensor([-1, 1]))
    refuses(TypeError, "alpha: expected a whole number for integers", lambda: x.add(x, alpha=0.5))
    refuses(TypeError, "value: expected a whole number", lambda: x.addcmul(x, x, value=0.5))
    refuses(TypeError, "different floating", lambda: mg.ones(1) ** mg.ones(1, dtype="float64"))


def test_derivatives_at_special_values():
    x = leaf(np.array([np.nan, np.inf, -np.inf, 2.0]))
    y = x.nan_to_num(1.5, 3.0)
    assert y.tolist() == [1.5, 3.0, np.finfo(np.float64).min, 2.0]
    y.sum().backward()
    assert x.grad.tolist() == [0, 0, 0, 1]
    check_op(mg.logaddexp, broadcast_arrays(), reference=np.logaddexp, max_examples=5)
    assert mg.logaddexp(mg.tensor(1000.0), mg.tensor(1000.0)).item() == pytest.approx(1000.693147)
