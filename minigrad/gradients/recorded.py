"""Recording of gradients, so that they can be differentiated again.

There is one method for each rule of :mod:`minigrad.tape.twice`. In two of them, the derivative of
plain ``backward()`` computes the values, and the rule adds the derivative of that.

With y = f(a, b) linear in each of a and b, dL/da = F(g, b) is the array for which
<F(g, b), h> = <g, f(h, b)> for every h. So the derivatives of F along h are, by its arguments,

    by g:  f(h, b),        by b:  dL/db of f(h, b) for dL/dy = g:

one run of f, with h in the place of a, gives both.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence
from typing import Any

from .. import tape, writes
from ..device import Array, get_xp
from ..events import listeners
from ..hooks import Hooks
from ..ops import arithmetic, reduce, shape
from ..tape import Backward, Gradient, Node, Target, Variable, unbroadcast
from ..tape.backward import Gradients, Passed
from ..tape.twice import Diagonal, Gone, Recall, Rerun, Terms
from ..tensor import Tensor
from .traced import CannotTrace, Traced


class RecordedGradient(Gradient):
    """A gradient whose value is a Tensor."""

    __slots__ = ()

    def add(self, other: Tensor) -> None:
        self.value = self.value + other

    def call(self, hooks: Hooks) -> None:
        for hook in tuple(hooks.values()):
            self.value = hook.recorded(self.value)

    def give(self, x: Variable) -> None:
        x._accumulate_recorded(self.value)
        for listener in listeners():
            listener.leaf(x, self.value.data)

    def tensor(self, make: Any) -> Tensor:
        return self.value

    @staticmethod
    def check(passing: Collection[Node | Variable], everything: bool) -> None:
        for node in passing:
            if not isinstance(node, Node):
                continue
            if everything or any(child in passing for child in node.inputs):
                twice = node.operation.twice
                if twice is None:
                    raise _refusal(node.operation.name)
                if node.recall is None and not isinstance(twice, Diagonal):
                    raise _refusal(node.operation.name, " in float16")

    def send(
        self, node: Node, inputs: tuple[Target, ...], passed: Passed, gradients: Gradients
    ) -> None:
        g, following = self.value, listeners()
        writes.check_unwritten(node.operation.name, node.written, passed[0])
        for listener in following:
            listener.begin_derivative(node, g.data)
        results = _WAYS[type(node.operation.twice)](node, inputs, passed, g)
        for listener in following:
            arrays = tuple(None if r is None else r.data for r in results)
            listener.derivative(node, g.data, arrays)
        for i, (target, result) in enumerate(zip(inputs, results, strict=True)):
            if target is None or result is None:
                continue
            result = _fitted(result, target)
            if target in gradients:
                gradients[target].add(result)
            else:
                gradients[target] = RecordedGradient(result)
            for listener in following:
                listener.gradient(node, i, target, result.data, gradients[target].value.data)


tape.backward.recorded = RecordedGradient


def _refusal(name: str, why: str = "") -> NotImplementedError:
    return NotImplementedError(
        f"{name}: create_graph=True is not supported: its derivative cannot be differentiated{why}"
    )


def _fitted(gradient: Tensor, like: Node | Variable) -> Tensor:
    """A gradient in the shape and dtype of what it belongs to; :func:`unbroadcast`, recorded."""
    if 0 in like.shape:  # nothing depends on it, not even what divides by its size
        return Tensor(get_xp(gradient.data).zeros(like.shape, like.dtype))
    extra = gradient.ndim - len(like.shape)
    axes = tuple(
        i
        for i, n in enumerate(gradient.shape)
        if i < extra or (like.shape[i - extra] == 1 and n != 1)
    )
    if axes:
        gradient = reduce.sum(gradient, axes, keepdim=True)
    if gradient.shape != like.shape:
        gradient = shape.reshape(gradient, like.shape)
    if gradient.dtype != like.dtype:
        gradient = arithmetic.to_dtype(gradient, dtype=like.dtype)
    return gradient


class _Derivative:
    """A gradient of the operation ``of`` as an operation of its own, as far as a node needs it.

    Attributes:
        name, twice: its name in messages, and the rule to differentiate it.
        run: as :attr:`Dispatched.run`; None for rules that run nothing again.
    """

    def __init__(self, of: Any, twice: Any, run: Any = None) -> None:
        self.name, self.twice, self.run = f"{of.name}_backward", twice, run


def _recorded(
    operation: _Derivative,
    value: Array,
    inputs: tuple[Target, ...],
    backward: Backward,
    recall: Recall | None = None,
) -> Tensor:
    """``value``, computed from ``inputs``, as a Tensor that sends gradients to them."""
    result = Tensor(value)
    if any(target is not None for target in inputs):
        result._requires_grad = True
        result.node = Node(operation, value, inputs, backward)
        result.node.recall = recall
    return result


# ---------------------------------------------------------------------------- diagonal


@functools.cache
def _diagonal_derivative(of: Any) -> _Derivative:
    return _Derivative(of, of.twice)


def _diagonal(
    node: Node, inputs: tuple[Target, ...], passed: Passed, g: Tensor
) -> list[Tensor | None]:
    """Gradient i multiplies g, element by element: so does its own derivative."""
    backward = passed[0]

    def multiply(i: int) -> Backward:
        needs = tuple(k == i for k in range(len(inputs)))
        return lambda g, _: (backward(g, needs)[i],)

    values = backward(g.data, tuple(target is not None for target in inputs))
    results: list[Tensor | None] = []
    for i, value in enumerate(values):
        if inputs[i] is None or value is None:
            results.append(None)
            continue
        value = get_xp(value).asarray(value)
        if value.shape != node.shape:
            raise _refusal(node.operation.name, " (a gradient has another shape than the result)")
        operation = _diagonal_derivative(node.operation)
        results.append(_recorded(operation, value, (tape.target(g),), multiply(i)))
    return results


# ---------------------------------------------------------------------------- multilinear


def _multilinear(
    node: Node, inputs: tuple[Target, ...], passed: Passed, g: Tensor
) -> list[Tensor | None]:
    """See above. Gradient i is an operation of the same kind, with g in the place of argument i."""
    backward, targets, (kept, options, _) = passed
    given = [arg() if callable(arg) else arg for arg in kept]
    values = backward(g.data, tuple(target is not None for target in inputs))
    results: list[Tensor | None] = []
    for i, (value, target) in enumerate(zip(values, inputs, strict=True)):
        if target is None or value is None:
            results.append(None)
            continue
        operation = _term_derivative(node.operation, i)
        term = operation.twice.term(i)
        value = unbroadcast(get_xp(value).asarray(value), target.shape)
        args = [g.data if k == i else arg for k, arg in enumerate(given)]
        gradients = tuple(
            tape.target(g) if k == i else t if k in term else None for k, t in enumerate(targets)
        )
        second = _second(node.operation, i, args, options)
        params = {**options, "like": Gone(target.shape, target.dtype)}
        recall = operation.twice.recall(args, params, value, second)
        results.append(_recorded(operation, value, gradients, second, recall))
    return results


@functools.cache
def _term_derivative(of: Any, i: int) -> _Derivative:
    """Gradient i of the multilinear operation ``of``, as an operation."""

    def run(*args: Any, like: Gone, **params: Any) -> tuple[Array, Backward]:
        xp, g = get_xp(args[i]), args[i]
        _, backward = of.run(*_called(of, i, _zeros(like, xp), args, xp), **params)
        (value,) = (d for k, d in enumerate(backward(g, _only(i, len(args)))) if k == i)
        return unbroadcast(value, like.shape), _second(of, i, args, params)

    term = of.twice.term(i)
    return _Derivative(of, Terms(dict.fromkeys(term, term), {}, of.twice.constants), run)


def _second(of: Any, i: int, args: Sequence[Any], params: dict[str, Any]) -> Backward:
    """The derivative of gradient i of ``of``, by g, which is ``args[i]``, and by the factors beside
    argument i."""
    g = args[i]
    term = of.twice.term(i)
    args = [arg if of.twice.uses(i, k) else _gone(arg) for k, arg in enumerate(args)]
    g = g if len(term) > 1 else None
    without = {**params, **of.twice.without}

    def backward(h: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        y, slopes = of.run(*_called(of, i, h, args, get_xp(h)), **without)
        others = tuple(need and k != i for k, need in enumerate(needs))
        gradients = list(slopes(g, others)) if any(others) else [None] * len(args)
        gradients[i] = y if needs[i] else None
        return tuple(gradients)

    return backward


def _called(of: Any, i: int, h: Array, args: Sequence[Any], xp: Any) -> list[Any]:
    """The arguments of the product that argument i is in, with h in its place."""
    return [
        h if k == i else arg if of.twice.uses(i, k) else _zeros(_gone(arg), xp)
        for k, arg in enumerate(args)
    ]


def _gone(arg: Any) -> Any:
    return Gone(arg.shape, arg.dtype) if hasattr(arg, "dtype") else arg


def _zeros(arg: Any, xp: Any) -> Any:
    """Zeros like an argument."""
    if isinstance(arg, Gone):
        return xp.broadcast_to(xp.zeros((), arg.dtype), arg.shape)
    return None if arg is None else type(arg)(0)


def _only(i: int, count: int) -> tuple[bool, ...]:
    return tuple(k == i for k in range(count))


# ---------------------------------------------------------------------------- run again


def _rerun(
    node: Node, inputs: tuple[Target, ...], passed: Passed, g: Tensor
) -> list[Tensor | None]:
    """The definition, forward and backward, as a function of Tensors."""
    _, targets, (kept, options, result) = passed
    name = node.operation.name
    xp = get_xp(g.data)

    def given(arg: Any, target: Target) -> Any:
        if isinstance(arg, Gone):
            return Traced(Tensor(xp.broadcast_to(xp.ones((), arg.dtype), arg.shape)), gone=True)
        arg = arg() if callable(arg) else arg
        if target is None:
            return arg
        if not hasattr(arg, "dtype"):  # a number in the place of an argument
            arg = xp.broadcast_to(xp.asarray(arg, target.dtype), target.shape)
        return Traced(_known(arg, target))

    args = [given(arg, target) for arg, target in zip(kept, targets, strict=True)]
    try:
        y, backward = node.operation.definition(*args, **options)
        if result is not None:
            y.set(_known(result, node))
        gradients = backward(Traced(g), tuple(target is not None for target in inputs))
    except (CannotTrace, AttributeError, TypeError) as error:
        raise _refusal(name, f" ({error})") from error
    return [
        None
        if gradient is None or target is None
        else gradient.known()
        if isinstance(gradient, Traced)
        else Tensor(xp.asarray(gradient))
        for gradient, target in zip(gradients, inputs, strict=True)
    ]


def _known(value: Array, target: Target) -> Tensor:
    """``value``, which the tape knows as ``target``, as a Tensor."""
    if isinstance(target, Tensor) and target.data is value:
        return target
    if isinstance(target, Node) and target.dtype == value.dtype:
        result = Tensor(value)
        result.node, result._requires_grad = target, True
        return result
    assert target is not None
    like = target.dtype  # a copy in another dtype or layout
    cast: Any = arithmetic.to_dtype
    recall = (None,), {"dtype": value.dtype}, None
    return _recorded(cast, value, (target,), lambda g, needs: (g.astype(like),), recall)


_WAYS: dict[type, Any] = {Diagonal: _diagonal, Terms: _multilinear, Rerun: _rerun}
