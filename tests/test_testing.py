"""check_op accepts right operations of any kind, and finds each way to be wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.testing import (
    LAYOUTS,
    Strides,
    arrays,
    broadcast_arrays,
    check_op,
    lay_out,
    shapes,
    strides,
)

F = mg.functional
few = arrays(shapes(min_dims=1, max_dims=2))
drawn = st.data()


@pytest.fixture
def no_shrinking():
    """Wrong operations are found, and nothing smaller is looked for."""
    before = settings.get_current_profile_name()
    settings.register_profile("found", settings.default, phases=[Phase.generate])
    settings.load_profile("found")
    yield
    settings.load_profile(before)


def square(change=lambda x, g: 2 * x * g, value=lambda x: x * x):
    """x², or what the changes make of it."""
    return mg.op(lambda x: (value(x), lambda g, needs: (change(x, g),)))


@pytest.mark.parametrize(
    ("function", "arguments", "options"),
    [
        (square(), few, {"reference": np.square}),
        (square(), arrays(shapes(min_side=0)), {}),
        (lambda a, b: a * b, broadcast_arrays(), {"reference": np.multiply}),
        (lambda a, b, c: a * b - c, broadcast_arrays(3), {}),
        (lambda a, n: a * n, st.tuples(few, st.integers(1, 3)), {"reference": np.multiply}),
        (lambda a, *, dim: a.sum(dim), st.tuples(few, st.just({"dim": 0})), {}),
        (lambda a, b: a * b, st.tuples(arrays((2, 3)), arrays((2, 3))), {"constant": [0]}),
        (lambda a, i: a[i], st.tuples(arrays((4, 2)), st.just(np.array([3, 0, 3]))), {}),
        (F.conv2d, st.tuples(arrays((2, 1, 3, 3)), arrays((2, 1, 2, 2)), arrays((2,))), {}),
        (lambda x: F.max_pool2d(x, 2), arrays((2, 1, 4, 4)), {}),
    ],
)
def test_what_is_right(function, arguments, options):
    check_op(function, arguments, max_examples=10, **options)


def writes(a):
    a *= 2
    return a


@mg.op
def alone(a, b):
    """a b, with a gradient that is wrong if it is asked for alone."""
    return a * b, lambda g, needs: (g * b, g * a if needs[0] else g * 0)


@mg.op
def blind(x):
    """x² with the order of memory taken for the order of elements."""
    y = x.ravel("K").reshape(x.shape)
    return y * y, lambda g, needs: (2 * y * g,)


def keeper(x):
    """Its result's closure refers to the result."""
    held = []

    @mg.op
    def keeps(a):
        return a * a, lambda g, needs: (2 * a * g * len(held),)

    y = keeps(x)
    held.append(y)
    return y


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (square(lambda x, g: x * g), "analytical"),
        (square(lambda x, g: np.where(x > 1, 0, 2 * x * g).astype(x.dtype)), "analytical"),
        (square(lambda x, g: 2 * x * writes(g) / 2), "wrote into its gradient"),
        (square(value=lambda x: writes(x) * x / 4), "argument 0 changed"),
        (square(value=lambda x: (x * x).astype(np.float64)), "came a result of float64"),
        (square(value=lambda x: (x * x).astype(np.float32)), "came a result of float32"),
        (square(value=lambda x: x * x + 0.01 * (x.dtype == np.float32)), "in float32"),
        (blind, "with other strides"),
        (keeper, "a reference cycle"),
        (lambda x: x.detach().numpy(), "expected one Tensor as the result, got ndarray"),
    ],
)
@pytest.mark.usefixtures("no_shrinking")
def test_what_is_wrong(function, text):
    with pytest.raises(AssertionError, match=text):
        check_op(function, arrays((2, 3)))  # whose memory can have other orders


@pytest.mark.usefixtures("no_shrinking")
def test_a_gradient_that_is_wrong_if_asked_for_alone():
    with pytest.raises(AssertionError, match="gradient 1 asked for alone"):
        check_op(alone, broadcast_arrays())


@pytest.mark.usefixtures("no_shrinking")
def test_values_of_a_reference():
    with pytest.raises(AssertionError, match="the result"):
        check_op(square(), few, reference=lambda x: x * x + 1e-6)
    with pytest.raises(AssertionError, match="the result: shape"):
        check_op(lambda x: (x * x).sum(), few, reference=lambda x: np.square(x).sum()[None])


def test_random_results_are_not_checked():
    with pytest.raises(ValueError, match="differs from call to call"):
        check_op(lambda x: x * float(np.random.default_rng().random()), few)


@given(drawn)
def test_a_copy_has_the_strides(data):
    a = data.draw(arrays(shapes()))
    wanted = data.draw(strides(a.ndim) | st.sampled_from(LAYOUTS))
    b = lay_out(a, wanted)
    np.testing.assert_array_equal(a, b)
    assert not np.may_share_memory(a, b)
    if isinstance(wanted, Strides) and a.ndim:
        inner = wanted.order[-1]
        assert a.shape[inner] == 1 or b.strides[inner] == wanted.steps[inner] * b.itemsize
        assert all(np.sign(b.strides) == np.sign(wanted.steps))


@given(arrays(shapes(), low=-1.0, high=3.0))
def test_values_are_apart_from_each_other_and_from_zero(a):
    assert len(np.unique(a)) == a.size
    assert ((a > -1) & (a < 3) & (a != 0)).all()
