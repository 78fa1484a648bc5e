"""Tests for your own operations: their results, derivatives and side effects.

    from minigrad.testing import arrays, check_op, shapes

    def test_swish():
        check_op(swish, arrays(shapes()))

The strategies use Hypothesis (extra ``testing``).
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .console import install
from .gradcheck import gradcheck
from .tensor import Tensor

try:
    from hypothesis import given, settings
    from hypothesis import strategies as st
    from hypothesis.extra.numpy import mutually_broadcastable_shapes
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(f"minigrad.testing needs Hypothesis: {install('testing')}") from error

__all__ = [
    "LAYOUTS",
    "Strides",
    "arrays",
    "broadcast_arrays",
    "check_op",
    "grid",
    "lay_out",
    "layouts",
    "seeds",
    "shapes",
    "strides",
]

Shape = tuple[int, ...]

#: Memory layouts, for :func:`lay_out`.
LAYOUTS = ("C", "Fortran", "batch innermost", "sliced", "reversed")
ROUNDING = {"float64": 1e-9, "float32": 2e-4}  # of a result, relative to its largest value


@dataclass(frozen=True)
class Strides:
    """A memory layout: the axes from the outermost to the innermost, each with the distance between
    neighbours in elements of a dense axis; a negative one runs backwards."""

    order: Shape
    steps: Shape


# ---------------------------------------------------------------------------- strategies

#: Strategy of the names in :data:`LAYOUTS`.
layouts = st.sampled_from(LAYOUTS)
#: Strategy of seeds of NumPy's generators.
seeds = st.integers(0, 2**32 - 1)


def shapes(
    min_dims: int = 0, max_dims: int = 4, min_side: int = 1, max_side: int = 4
) -> st.SearchStrategy[Shape]:
    """Shapes with few elements; with ``min_side=0`` some have none."""
    side = st.integers(min_side, max_side)
    return st.lists(side, min_size=min_dims, max_size=max_dims).map(tuple)


def strides(ndim: int) -> st.SearchStrategy[Strides]:
    """Any order of ``ndim`` axes, each dense or with gaps, forwards or backwards."""
    steps = st.tuples(*[st.sampled_from([1, 2, -1, -2])] * ndim)
    return st.builds(Strides, st.permutations(range(ndim)).map(tuple), steps)


def arrays(
    shape: Shape | st.SearchStrategy[Shape],
    low: float = -2.0,
    high: float = 2.0,
    dtype: Any = np.float64,
) -> st.SearchStrategy[np.ndarray]:
    """Arrays of distinct values between ``low`` and ``high``: see :func:`grid`."""
    of = shape if isinstance(shape, st.SearchStrategy) else st.just(tuple(shape))
    return st.builds(lambda s, seed: grid(s, seed, low, high).astype(dtype), of, seeds)


def broadcast_arrays(
    count: int = 2, low: float = -2.0, high: float = 2.0, max_dims: int = 3
) -> st.SearchStrategy[tuple[np.ndarray, ...]]:
    """Tuples of ``count`` arrays whose shapes broadcast with each other."""
    drawn = mutually_broadcastable_shapes(num_shapes=count, max_dims=max_dims, max_side=4)
    return drawn.flatmap(
        lambda s: st.tuples(*[arrays(shape, low, high) for shape in s.input_shapes])
    )


# ---------------------------------------------------------------------------- arrays


def grid(shape: Sequence[int], seed: int = 0, low: float = -2.0, high: float = 2.0) -> np.ndarray:
    """Evenly spaced values in random order, without ties and zeros, and so without kinks nearby."""
    size = math.prod(shape)
    steps = np.random.default_rng(seed).permutation(size) + 0.3
    return np.asarray((low + (high - low) * steps / max(size, 1)).reshape(shape))


def lay_out(a: np.ndarray, layout: str | Strides) -> np.ndarray:
    """A copy of ``a`` in another memory layout: one of :data:`LAYOUTS`, or strides."""
    if a.ndim == 0 or layout == "C":
        return np.array(a, order="C")
    if layout == "Fortran":
        return np.array(a, order="F")
    if layout == "batch innermost":
        return np.moveaxis(np.array(np.moveaxis(a, 0, -1), order="C"), -1, 0)
    last = a.ndim - 1
    axes = tuple(range(a.ndim))
    if layout == "sliced":
        layout = Strides(axes, (*[1] * last, 2))
    elif layout == "reversed":
        layout = Strides(axes, (-1,) * a.ndim)
    assert isinstance(layout, Strides), f"layout: expected one of {LAYOUTS}, got {layout!r}"
    moved = a.transpose(layout.order)
    steps = [layout.steps[axis] for axis in layout.order]
    wide = np.full([n * abs(k) for n, k in zip(moved.shape, steps, strict=True)], 7, a.dtype)
    view = wide[tuple(slice(None, None, k) for k in steps)]
    view[...] = moved
    return view.transpose(np.argsort(layout.order))


# ---------------------------------------------------------------------------- the check


def check_op(
    function: Callable[..., Tensor],
    arguments: st.SearchStrategy[Any],
    *,
    reference: Callable[..., Any] | None = None,
    constant: Sequence[int] = (),
    max_examples: int | None = None,
    loosen: float = 1.0,
) -> None:
    """Check a differentiable function on arguments that a strategy draws.

    On each example, in float64 and in float32:

    - the result has the dtype of the arguments and, in float64, the values of ``reference``;
    - the derivative is that of central differences (:func:`minigrad.gradcheck`), and each gradient
      is the same if it is asked for alone;
    - float32 gives the results of float64 up to rounding;
    - arguments with drawn strides give the same results;
    - arguments and the incoming gradient are unchanged;
    - the graph is freed without the garbage collector, so the closure keeps no Tensor.

    Args:
        function: returns one Tensor, the same in every call.
        arguments: strategy for an argument, or a tuple of them. Arrays are passed as Tensors, other
            values unchanged; a dict at the end holds keyword arguments. Floating arrays are
            differentiated.
        reference: a function of NumPy arrays with the same values.
        constant: numbers of arguments, from 0, that are not differentiated.
        max_examples: number of examples (default: that of ``hypothesis.settings``).
        loosen: factor of the tolerances for rounding.

    Raises:
        AssertionError: a check failed. Hypothesis shows the smallest failing arguments.
        ValueError: no derivative can be checked (see :func:`minigrad.gradcheck`).
    """
    count = settings().max_examples if max_examples is None else max_examples

    @settings(deadline=None, max_examples=count)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        drawn = data.draw(arguments, "arguments")
        args, params = [*drawn] if isinstance(drawn, tuple) else [drawn], {}
        if args and isinstance(args[-1], dict):
            params = args.pop()
        call = _Call(lambda *tensors: function(*tensors, **params), args, constant, loosen)
        if reference is not None:
            _agree("the result", call.run("float64")[0], reference(*args, **params), 1e-9 * loosen)
        call.check_gradient()
        memory = [data.draw(strides(a.ndim)) if _is_array(a) else "C" for a in args]
        call.check_memory(memory)
        call.check_float32()

    check()


class _Call:
    """A function and the arguments of one example."""

    def __init__(
        self, function: Callable[..., Tensor], args: list[Any], fixed: Sequence[int], loosen: float
    ) -> None:
        self.function, self.args, self.loosen = function, args, loosen
        floating = [i for i, a in enumerate(args) if _is_array(a) and a.dtype.kind == "f"]
        self.active = [i for i in floating if i not in fixed]
        self.expected = self.run("float64")

    def run(
        self, dtype: str, wanted: Sequence[int] | None = None, memory: Sequence[Any] | None = None
    ) -> list[np.ndarray]:
        """The result, and the gradients of the arguments in ``wanted``."""
        wanted = self.active if wanted is None else wanted
        given = [a.astype(dtype) if _is_array(a) and a.dtype.kind == "f" else a for a in self.args]
        memory = ["C"] * len(given) if memory is None else memory
        tensors = [
            Tensor(lay_out(a, where), requires_grad=i in wanted) if _is_array(a) else a
            for i, (a, where) in enumerate(zip(given, memory, strict=True))
        ]
        y = self.function(*tensors)
        assert isinstance(y, Tensor), f"expected one Tensor as the result, got {type(y).__name__}"
        assert y.dtype == dtype, f"from arguments of {dtype} came a result of {y.dtype}"
        results = [y.detach().numpy().copy()]
        if y.requires_grad:
            freed = weakref.ref(y.node) if y.node is not None else lambda: None
            seed = grid(y.shape, seed=1).astype(dtype)
            g = Tensor(seed.copy())
            y.backward(g, retain_graph=True)
            np.testing.assert_array_equal(g.numpy(), seed, "backward wrote into its gradient")
            del y
            assert freed() is None, "a reference cycle keeps the graph: the closure holds a Tensor"
        for i, (x, before) in enumerate(zip(tensors, given, strict=True)):
            if isinstance(x, Tensor):
                np.testing.assert_array_equal(x.detach().numpy(), before, f"argument {i} changed")
            if i in wanted:
                zeros = np.zeros(x.shape, dtype)
                results.append(zeros if x.grad is None else x.grad.numpy().copy())
        return results

    def check_gradient(self) -> None:
        inputs = [
            Tensor(np.array(a), requires_grad=i in self.active) if _is_array(a) else a
            for i, a in enumerate(self.args)
        ]
        gradcheck(self.function, inputs)
        for place, i in enumerate(self.active, 1):
            alone = self.run("float64", [i])[1]
            _agree(f"gradient {i} asked for alone", alone, self.expected[place], 1e-9 * self.loosen)

    def check_memory(self, memory: Sequence[Any]) -> None:
        self._compare(self.run("float64", memory=memory), "float64", " with other strides")

    def check_float32(self) -> None:
        self._compare(self.run("float32"), "float32", " in float32")

    def _compare(self, results: list[np.ndarray], dtype: str, how: str) -> None:
        names = ["the result", *(f"gradient {i}" for i in self.active)]
        for name, one, other in zip(names, results, self.expected, strict=True):
            _agree(name + how, one, other, ROUNDING[dtype] * self.loosen)


def _is_array(a: Any) -> bool:
    return isinstance(a, np.ndarray)


def _agree(what: str, value: np.ndarray, expected: Any, rtol: float) -> None:
    expected = np.asarray(expected)
    assert value.shape == expected.shape, f"{what}: shape {value.shape}, not {expected.shape}"
    largest = float(np.abs(expected[np.isfinite(expected)]).max(initial=1))
    np.testing.assert_allclose(value, expected, rtol, rtol * largest, err_msg=what)
