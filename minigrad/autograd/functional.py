"""Jacobians, Hessians and their products with vectors, as ``torch.autograd.functional`` has them.

Each runs ``func`` once, on new Tensors that share the memory of the given inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from .. import check, tape
from ..device import get_xp
from ..gradients import grad
from ..ops.shape import stack
from ..tensor import Tensor, check_gradient

Tensors: TypeAlias = "Tensor | tuple[Tensor, ...]"
Function: TypeAlias = "Callable[..., Any]"


def jacobian(
    func: Function,
    inputs: Tensor | Sequence[Tensor],
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The derivative of each element of ``func(*inputs)`` by each element of ``inputs``.

    Args:
        func: function of Tensors that returns a Tensor or a tuple of them.
        inputs: a Tensor or several.
        create_graph: let the result be differentiated.
        strict, vectorize: False.
        strategy: "reverse-mode".

    Returns:
        A Tensor of shape (\\*output, \\*input); for several inputs a tuple of them, and for several
        outputs a tuple with such an entry for each. Zeros where nothing depends.
    """
    check.unsupported("vectorize", vectorize, False)
    check.unsupported("strategy", strategy, "reverse-mode")
    xs, ys, single, alone = _called(func, inputs, create_graph, strict)
    rows = []
    for y in ys:
        elements = y.reshape(-1)
        entries = [
            _grad([elements[k]], xs, [None], create_graph, retain_graph=True)
            for k in range(y.numel())
        ]
        columns = zip(*entries, strict=True) if entries else [()] * len(xs)
        each = tuple(
            (stack(c) if c else _zeros((0, *x.shape), x)).reshape(*y.shape, *x.shape)
            for c, x in zip(columns, xs, strict=True)
        )
        rows.append(each[0] if single else each)
    return _given(rows[0] if alone else tuple(rows), create_graph)


def hessian(
    func: Function,
    inputs: Tensor | Sequence[Tensor],
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The second derivatives of a scalar: a Tensor of shape (\\*input, \\*input), and for several
    inputs a tuple of tuples of them. Arguments as :func:`jacobian`."""
    check.unsupported("outer_jacobian_strategy", outer_jacobian_strategy, "reverse-mode")
    single = isinstance(inputs, Tensor)

    def slopes(*xs: Tensor) -> Any:
        y = _scalar(func(*xs))
        gradients = _grad([y], xs, [None], True)
        return gradients[0] if single else gradients

    return jacobian(slopes, inputs, create_graph, strict, vectorize)


def vjp(
    func: Function,
    inputs: Tensor | Sequence[Tensor],
    v: Tensor | Sequence[Tensor] | None = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """``(func(*inputs), vᵀ J)`` with the Jacobian J; v is shaped like the output, and may be None
    for one with a single element."""
    xs, ys, single, alone = _called(func, inputs, create_graph, strict)
    gradients = _grad(ys, xs, _vectors(v, ys), create_graph)
    return _result(ys, alone, create_graph), _result(gradients, single, create_graph)


def jvp(
    func: Function,
    inputs: Tensor | Sequence[Tensor],
    v: Tensor | Sequence[Tensor] | None = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """``(func(*inputs), J v)``; v is shaped like the inputs, and may be None for one with a single
    element. uᵀ J is linear in u, so that J v is its derivative by u along v."""
    xs, ys, _, alone = _called(func, inputs, True, strict)
    us = [_zeros(y.shape, y).requires_grad_() for y in ys]
    gradients = _grad(ys, xs, us, True)
    along = _grad(gradients, us, _vectors(v, xs), create_graph)
    return _result(ys, alone, create_graph), _result(along, alone, create_graph)


def vhp(
    func: Function,
    inputs: Tensor | Sequence[Tensor],
    v: Tensor | Sequence[Tensor] | None = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """``(func(*inputs), vᵀ H)`` with the Hessian H of a scalar; v is shaped like the inputs, and
    may be None for one with a single element. It costs about two gradients (Pearlmutter 1994)."""
    xs, ys, single, _ = _called(func, inputs, True, strict)
    slopes = _grad([_scalar(ys[0] if len(ys) == 1 else ys)], xs, [None], True)
    gradients = _grad(slopes, xs, _vectors(v, xs), create_graph)
    return _result(ys, True, create_graph), _result(gradients, single, create_graph)


def hvp(
    func: Function,
    inputs: Tensor | Sequence[Tensor],
    v: Tensor | Sequence[Tensor] | None = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """``(func(*inputs), H v)``: :func:`vhp`, for H is symmetric."""
    return vhp(func, inputs, v, create_graph, strict)


def _called(
    func: Function, inputs: Any, create_graph: Any, strict: Any
) -> tuple[list[Tensor], list[Tensor], bool, bool]:
    """Inputs that require gradients, the outputs of ``func``, and whether each is one Tensor."""
    check.function("func", func)
    check.boolean("create_graph", create_graph)
    check.unsupported("strict", strict, False)
    single = isinstance(inputs, Tensor)
    given = [inputs] if isinstance(inputs, Tensor) else check.items("inputs", inputs, "Tensors")
    xs = []
    for x in given:
        check.floating("inputs", check.tensor("inputs", x))
        # A view of its own; with create_graph, one through which the graph goes on.
        xs.append(x.reshape(x.shape) if create_graph and x.requires_grad else x.detach())
        xs[-1].requires_grad = True
    with tape.enable_grad():
        result = func(*xs)
    alone = isinstance(result, Tensor)
    ys = [result] if alone else check.items("func: its result", result, "Tensors")
    for y in ys:
        check.tensor("func: its result", y)
    return xs, ys, single, alone


def _grad(
    ys: Sequence[Tensor],
    xs: Sequence[Tensor],
    seeds: Sequence[Tensor | None],
    create_graph: bool,
    retain_graph: bool | None = None,
) -> tuple[Tensor, ...]:
    """Gradients of those outputs that depend on something; zeros where nothing does."""
    used = [(y, g) for y, g in zip(ys, seeds, strict=True) if y.requires_grad]
    if not used:
        return tuple(_zeros(x.shape, x) for x in xs)
    outputs, gradients = zip(*used, strict=True)
    return grad(outputs, xs, gradients, retain_graph, create_graph, materialize_grads=True)


def _vectors(v: Any, like: Sequence[Tensor]) -> list[Tensor | None]:
    """``v`` for each of ``like``, checked."""
    if v is None:
        if len(like) > 1 or like[0].numel() != 1:
            raise RuntimeError("v: expected one; only a single element defaults to 1")
        return [None]
    vectors = [v] if isinstance(v, Tensor) else check.items("v", v, "Tensors")
    if len(vectors) != len(like):
        raise RuntimeError(f"v: expected {len(like)} Tensors, got {len(vectors)}")
    for vector, x in zip(vectors, like, strict=True):
        check_gradient("v", x, vector)
    return vectors


def _scalar(y: Any) -> Tensor:
    if not isinstance(y, Tensor) or y.numel() != 1:
        got = f"shape {y.shape}" if isinstance(y, Tensor) else type(y).__name__
        raise RuntimeError(f"func: expected one Tensor with a single element, got {got}")
    return y


def _zeros(shape: tuple[int, ...], like: Tensor) -> Tensor:
    return Tensor(get_xp(like.data).zeros(shape, like.dtype))


def _result(tensors: Sequence[Tensor], single: bool, create_graph: bool) -> Any:
    return _given(tensors[0] if single else tuple(tensors), create_graph)


def _given(nest: Any, create_graph: bool) -> Any:
    """A nest of results, outside the graph unless it is asked for."""
    if isinstance(nest, tuple):
        return tuple(_given(x, create_graph) for x in nest)
    return nest if create_graph else nest.detach()
