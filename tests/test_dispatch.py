"""A definition, its implementations, and which of them runs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import minigrad as mg
from minigrad import dispatch
from minigrad.sums import in_float32
from tests.common import refuses


@pytest.fixture(autouse=True)
def _auto() -> Iterator[None]:
    compiled = mg.is_compiled()
    yield
    mg.set_implementation("auto")
    mg.set_compiled(compiled)


def make():
    """The sum, and what ran: the definition, or an implementation for arrays of a certain size."""

    @dispatch.Dispatched
    def sum_of(x, *, ran):
        """Σ x."""
        ran.append("definition")
        return x.sum()

    @sum_of.on("cpu", when=lambda x, ran: x.size > 2)
    def large(x, *, ran):
        ran.append("large")
        return x.sum()

    @sum_of.on("cpu", when=lambda x, ran: x.size > 1)
    def middling(x, *, ran):
        ran.append("middling")
        return x.sum()

    @sum_of.on("gpu")
    def gpu(x, *, ran):
        raise AssertionError("an array of the CPU")

    return sum_of


@pytest.mark.parametrize(("size", "runs"), [(1, "definition"), (2, "middling"), (3, "large")])
def test_the_first_that_serves_runs(size, runs):
    ran: list[str] = []
    assert make().run(np.ones(size), ran=ran) == size
    assert ran == [runs]


def test_the_definition_on_request():
    ran: list[str] = []
    dispatch.set_implementation("definition")
    assert dispatch.get_implementation() == "definition"
    make().run(np.ones(3), ran=ran)
    assert ran == ["definition"]


def test_the_definition_is_still_the_function():
    assert make().definition(np.ones(3), ran=[]) == 3
    assert make().__doc__ == "Σ x."
    assert make().__name__ == "sum_of"


def test_choices():
    for choice in ("definition", "numpy"):
        mg.set_implementation(choice)
        assert mg.get_implementation() == choice
    assert not mg.is_compiled()
    mg.set_implementation("auto")
    assert mg.get_implementation() == ("auto" if mg.is_compiled() else "numpy")
    refuses(
        ValueError,
        "choice: expected one of definition, numpy, auto, got 'fast'",
        lambda: mg.set_implementation("fast"),
    )


class FakeCudaArray:
    __cuda_array_interface__ = None


def test_the_first_array_decides_the_device():
    assert dispatch.device_type(None, 2.0, np.ones(1)) == "cpu"
    assert dispatch.device_type(None, FakeCudaArray(), np.ones(1)) == "gpu"
    assert dispatch.device_type(1.0) == "cpu"


def test_implementations_see_what_the_definition_sees():
    """float32 in place of float16, where the definition computes so."""

    @dispatch.Dispatched
    @in_float32
    def double(x):
        return 2 * x, lambda g, needs: (2 * g,)

    seen = []

    @double.on("cpu", when=lambda x: x.dtype == np.float32)
    def fast(x):
        seen.append(x.dtype)
        return x + x, lambda g, needs: (g + g,)

    y, backward = double.run(np.ones(1, np.float16))
    assert seen == [np.float32]
    assert (y.dtype, backward(y, (True,))[0].dtype) == (np.float16, np.float16)
