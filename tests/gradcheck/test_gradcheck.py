"""gradcheck accepts right derivatives and finds wrong ones."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad.tape import op
from tests.common import grid, leaf, refuses


def wrong(change):
    """x² whose derivative has been tampered with."""

    @op
    def square(x):
        return x * x, lambda g, needs: (change(2 * x * g),)

    return square


def test_accepts_any_mixture_of_inputs():
    x, w, fixed = leaf(grid((2, 3))), leaf(grid((3,), 1), layout="sliced"), mg.ones(3)
    assert mg.gradcheck(lambda a, b, c, n: (a * b.exp() + c.to("float64")) * n, [x, w, fixed, 2.0])
    assert mg.gradcheck(lambda a: (a * a).sum(), x)
    assert mg.gradcheck(lambda a, b: a * 2, [x, w])  # one of them unused
    assert mg.gradcheck(lambda a: a.exp(), leaf(np.array(0.5)))


def test_leaves_its_inputs_alone():
    x = leaf(grid((2, 3)), layout="batch innermost")
    before = x.data.copy()
    mg.gradcheck(lambda a: a * a, x)
    np.testing.assert_array_equal(x.data, before)
    assert x.grad is None


def one_off(g):
    g[1, 2] += 0.01
    return g


@pytest.mark.parametrize(
    "change",
    [
        lambda g: g * 1.01,
        lambda g: -g,
        lambda g: g * 0,
        lambda g: g + np.nan,
        lambda g: g[::-1].copy(),
        one_off,
    ],
)
def test_finds_wrong_derivatives(change):
    x = leaf(grid((2, 3)))
    refuses(AssertionError, "gradcheck: input 0, index (", lambda: mg.gradcheck(wrong(change), x))
    assert not mg.gradcheck(wrong(change), x, raise_exception=False)


def test_message_says_where_and_by_how_much():
    x = leaf(np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))
    with pytest.raises(AssertionError) as error:
        mg.gradcheck(lambda a, b: a * 1 + wrong(one_off)(b), [x, x])
    text = str(error.value)
    assert text.startswith("gradcheck: input 1, index (1, 2): analytical ")
    assert "off by 0.01, allowed 0.00908 (1 of 6 elements of this input are off)" in text


def test_constants_and_domains():
    x, w = leaf(np.array([0.0, 4.0, 1.0])), leaf(grid((3,), 1))
    half = lambda a, b: wrong(lambda g: g / 2)(a) * b  # noqa: E731
    refuses(AssertionError, "input 0, index (", lambda: mg.gradcheck(half, [x, w]))
    assert mg.gradcheck(half, [x, w], constant=[0])
    assert mg.gradcheck(half, [mg.ones(3, requires_grad=True).to("float64"), w], constant=(0,))

    def positive(a):
        """Of which not a number below 0 may be asked."""
        assert (a.detach().numpy() >= 0).all()
        return a * a

    assert mg.gradcheck(positive, x, domains={0: (0, np.inf)})
    assert mg.gradcheck(lambda a: (4 - a).sqrt(), leaf(np.array([3.0, 2.0])), domains={0: (0, 3)})
    text = "input 0, index (1,): 4 is not in its domain, 0 to 3"
    refuses(ValueError, text, lambda: mg.gradcheck(positive, x, domains={0: (0, 3)}))


def test_what_cannot_be_checked_is_not_wrong():
    """Nor is it without an exception."""
    x = leaf(np.array([1.0, 0.0, 2.0]))
    count = iter(range(100))
    for func, inputs, text in (
        (lambda a: (a - 1.5).log(), x, "func: its result at index (0,) is nan: give inputs inside"),
        (lambda a: a.log(), x, "func: its result at index (1,) is -inf"),
        (lambda a: a.sqrt() * a.sqrt(), x, "func: not finite 1e-06 beside input 0, index (1,)"),
        (lambda a: a * next(count), x, "func: its result differs from call to call"),
        (lambda a: a.to("float32"), x, "func: expected a result of float64, got float32"),
        (lambda a: a + 1, leaf(np.array([1e30])), "eps: a step of 1e-06 from 1e+30"),
        (
            lambda a, b: a.to("float32") * b,
            [x, mg.ones(3, requires_grad=True)],
            "inputs: expected float64 or a constant, got input 1 of float32",
        ),
    ):
        for options in ({}, {"raise_exception": False}):
            call = lambda f=func, i=inputs, o=options: mg.gradcheck(f, i, **o)  # noqa: E731
            refuses(ValueError, text, call)


def test_a_missing_gradient_is_named_as_such():
    x, w = leaf(grid((3,))), leaf(grid((3,), 1))
    text = "(3 of 3 elements of this input are off; no gradient reaches it: is it a constant?)"
    refuses(AssertionError, text, lambda: mg.gradcheck(lambda a, b: a * b.detach(), [x, w]))


def test_tolerances():
    x = leaf(np.array([1.0]))
    slightly = wrong(lambda g: g * 1.0005)
    assert mg.gradcheck(slightly, x)
    assert not mg.gradcheck(slightly, x, rtol=1e-5, raise_exception=False)
    assert mg.gradcheck(slightly, x, rtol=0, atol=0.01)


@pytest.mark.parametrize(
    "inputs", [mg.ones(2, requires_grad=True), mg.ones(2, dtype="float64"), []]
)
def test_refuses_inputs_it_cannot_check(inputs):
    text = "inputs: expected at least one float64 Tensor with requires_grad=True"
    refuses(ValueError, text, lambda: mg.gradcheck(lambda *xs: xs[0] * 2, inputs))


@pytest.mark.parametrize(
    ("func", "options", "error", "text"),
    [
        (lambda x: (x, x), {}, TypeError, "func: expected it to return one floating Tensor"),
        (lambda x: x > 0, {}, TypeError, "got a Tensor of bool"),
        (lambda x: x.detach(), {}, ValueError, "func: its result depends on no input"),
        (lambda x: x * 2, {"eps": 0}, ValueError, "eps: expected a step above 0"),
        (lambda x: x * 2, {"rtol": -1}, ValueError, "rtol: expected a number from 0"),
        (lambda x: x * 2, {"atol": "1"}, TypeError, "atol: expected a number"),
    ],
)
def test_refuses_functions_and_tolerances_that_make_no_check(func, options, error, text):
    refuses(error, text, lambda: mg.gradcheck(func, leaf(grid((2,))), **options))
