"""An operation by CUDA kernels against the same operation in plain NumPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from minigrad import dispatch
from minigrad.gpu import launch as cuda
from minigrad.layout import to_batch_last
from tests.common import TOLERANCE, lay_out, set_compiled


def draw(shape: Sequence[int], seed: int, dtype: Any, layout: str = "C") -> np.ndarray:
    """Normal values in a memory layout."""
    return lay_out(np.random.default_rng(seed).standard_normal(shape).astype(dtype), layout)


def without_kernels(function: Callable[..., Any], *args: Any) -> Any:
    """``function(*args)`` with operations in plain NumPy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cuda, "usable", lambda x: False)
        patch.setattr(dispatch, "device_type", lambda *arrays: "cpu")
        with set_compiled(False):
            return function(*args)


@np.errstate(all="ignore")  # as in the engine
def assert_twins(
    function: Callable[..., Any],
    inputs: Sequence[np.ndarray | None],
    g: np.ndarray | None = None,
    exact: bool = False,
) -> None:
    """``function(*inputs) -> (y, backward)`` by kernels equals NumPy: values, layout, gradients.

    Args:
        g: the gradient of y.
        exact: bit for bit.
    """

    def results() -> list[np.ndarray | None]:
        y, backward = function(*inputs)
        needs = tuple(a is not None for a in inputs)
        gradients = backward(np.ones_like(y) if g is None else g, needs)
        alone = backward(np.ones_like(y) if g is None else g, (False, *needs[1:]))
        assert len(gradients) == len(inputs)
        for one, other in zip(gradients[1:], alone[1:], strict=True):
            np.testing.assert_array_equal(one, other)
        return [y, *(d if n else None for d, n in zip(gradients, needs, strict=True))]

    for ours, theirs in zip(results(), without_kernels(results), strict=True):
        if theirs is None:
            continue
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
        batch_innermost = ours.ndim > 0 and np.shares_memory(to_batch_last(ours), ours)
        assert batch_innermost or ours.size < 2 or ours.strides == theirs.strides
        if exact:
            np.testing.assert_array_equal(ours, theirs)
        else:
            scale = np.abs(theirs[np.isfinite(theirs)]).max(initial=1)
            limits = TOLERANCE[theirs.dtype.type]
            np.testing.assert_allclose(ours, theirs, limits["rtol"], limits["atol"] * scale)
