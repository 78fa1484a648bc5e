"""The backward pass: gradients are propagated from results to the leaves.

If the engine owns the memory of a gradient, the next one is added in place.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Collection, Iterable
from typing import Any, TypeAlias

import numpy as np

from .. import writes
from ..device import Array, get_xp
from ..dispatch import Dispatched
from ..events import listeners
from ..hooks import Hooks
from ..layout import broadcast_shapes
from ..memory import out_of_memory
from ..quiet import quiet
from ..sums import total
from .graph import Node, Target, Variable
from .modes import no_grad
from .operation import described, is_array

Gradients: TypeAlias = "dict[Node | Variable, Gradient]"
Passed: TypeAlias = tuple[Any, tuple[Target, ...], Any]  # a node's derivative, inputs and recall


@Dispatched
def add(a: Array, b: Array) -> Array:
    """a + b for arrays of one shape."""
    return get_xp(a).asarray(a + b)


@Dispatched
def add_into(a: Array, b: Array) -> None:
    """a += b for arrays of one shape."""
    a += b


@Dispatched
def add_along(g: Array, axes: tuple[int, ...]) -> Array:
    """Σ g over ``axes``, which keep size 1."""
    return total(g, axes, keepdims=True)


@Dispatched
def copy(g: Array) -> Array:
    """``g`` in memory of its own."""
    return g.copy(order="K")


recorded: Any = None  # the Gradient of create_graph=True, set by minigrad.gradients.recorded


class Gradient:
    """A gradient during the backward pass: its sum so far, and whether it may be added to in
    place."""

    __slots__ = ("owned", "value")

    def __init__(self, value: Any, owned: bool = False) -> None:
        self.value, self.owned = value, owned

    def add(self, other: Any) -> None:
        if self.owned:
            add_into.run(self.value, other)
        else:
            self.value, self.owned = add.run(self.value, other), True

    def call(self, hooks: Hooks) -> None:
        """Call ``hooks`` with the complete gradient. Each may replace it."""
        with no_grad():
            for hook in tuple(hooks.values()):
                self.value = hook(self.value)
        self.owned = False  # a hook may have kept it

    def give(self, x: Variable) -> None:
        """Add it to the gradient of ``x``."""
        x._accumulate(self.value, self.owned)
        for listener in listeners():
            listener.leaf(x, self.value)

    def tensor(self, make: Callable[[Array], Any]) -> Any:
        """A Tensor, made by ``make``, that does not share its memory."""
        return make(self.value if self.owned else copy.run(self.value))

    @staticmethod
    def check(passing: Collection[Node | Variable], everything: bool) -> None:
        """Raise if a node among ``passing`` cannot be passed: any at all if ``everything``, or else
        one from which a gradient goes on to another among them."""

    def send(
        self,
        node: Node,
        inputs: tuple[Target, ...],
        passed: Passed,
        gradients: Gradients,
    ) -> None:
        """Run the derivative of ``node`` on this gradient of its result, and add each gradient to
        that of its input."""
        backward = passed[0]
        name, g = node.operation.name, self.value
        writes.check_unwritten(name, node.written, backward)
        following = listeners()
        for listener in following:
            listener.begin_derivative(node, g)
        try:
            results = backward(g, tuple([target is not None for target in inputs]))
        except MemoryError as error:
            raise out_of_memory(f"backward of {name}", error) from error
        except TypeError as error:
            if _takes_two(backward):
                raise
            expected = "expected a function of (g, needs)"
            raise TypeError(f"{name}: backward: {expected}, got one of other arguments") from error
        if type(results) is not tuple or len(results) != len(inputs):
            raise TypeError(
                f"{name}: backward: expected a tuple of {len(inputs)} gradients, an array or None "
                f"for each input, got {described(results)}"
            )
        for listener in following:
            listener.derivative(node, g, results)
        ids = list(map(id, results))
        views = [
            result
            for result, target in zip(results, inputs, strict=True)
            if target is not None and is_array(result) and _may_share(result, g)
        ]
        # They take over the memory of g if they are all of it, in another shape or in parts.
        whole = self.owned and sum([view.size for view in views]) == g.size
        inherit = whole and not any(itertools.starmap(_may_share, itertools.combinations(views, 2)))
        for i, target in enumerate(inputs):
            result = results[i]
            if target is None or result is None:
                continue
            if type(result) is not np.ndarray:
                if not is_array(result):
                    raise _unfit(name, i, f"an array of {target.dtype}", described(result))
                result = get_xp(result).asarray(result)  # products of 0-d arrays are NumPy scalars
            # A view that repeats elements, such as the gradient of a mean, cannot be added into.
            repeated = 0 in result.strides
            shared = ids.count(ids[i]) > 1 or not (inherit or all(result is not v for v in views))
            owned = not (shared or repeated)
            shape, dtype = target.shape, target.dtype
            if result.shape != shape:
                try:
                    stretched = broadcast_shapes(result.shape, shape) == result.shape
                except ValueError:
                    stretched = False
                if not stretched:
                    expected = f"shape {shape} or one that it broadcasts to"
                    raise _unfit(name, i, expected, result.shape)
                result, owned = unbroadcast(result, shape), True
            if result.dtype != dtype:
                raise _unfit(name, i, f"an array of {dtype}", result.dtype)
            if target in gradients:
                gradients[target].add(result)
            else:
                gradients[target] = Gradient(result, owned)
            for listener in following:
                listener.gradient(node, i, target, result, gradients[target].value)


def _takes_two(backward: Callable[..., Any]) -> bool:
    try:
        inspect.signature(backward).bind(None, None)
    except ValueError:  # some built-in functions do not tell
        return True
    except TypeError:
        return False
    return True


@quiet
def sweep(
    seeds: Iterable[tuple[Node | Variable, Gradient]],
    retain_graph: bool,
    wanted: Collection[Node | Variable] | None = None,
) -> Gradients:
    """Propagate gradients through the graph. Each node runs once, after all its users.

    Args:
        seeds: the gradients of the results.
        retain_graph: keep the graph for another pass.
        wanted: run only nodes that lead to these. None adds to the ``grad`` of every leaf.

    Returns:
        The gradients of those ``wanted`` on which the results depend.
    """
    gradients: Gradients = {}
    for target, seed in seeds:
        if target in gradients:
            gradients[target].add(seed.value)
        else:
            gradients[target] = seed
    uses = _count_uses([*gradients], wanted)
    seed.check(uses, wanted is None)
    kept: list[tuple[Any, Gradient]] = []  # what is added to the ``grad`` of tensors
    gradients_by_target: Gradients = {}
    for x, gradient in gradients.items():
        asked = wanted is None or x in wanted
        if asked and isinstance(x, Variable) and not uses.get(x) and x._hooks is not None:
            gradient.call(x._hooks)
    ready = [node for node, count in uses.items() if not count and isinstance(node, Node)]
    while ready:
        node = ready.pop()
        inputs, passed = node.inputs, (node.backward, node.inputs, node.recall)
        if wanted is not None:
            inputs = tuple(child if child in uses else None for child in inputs)
        leads = wanted is None or any(child is not None for child in inputs)
        if leads and not retain_graph:
            node.inputs, node.backward, node.recall = (), None, None
        arrived = gradients.pop(node, None)
        if arrived is not None:
            if node._hooks is not None:
                arrived.call(node._hooks)
                if (retained := node._hooks.retained) and (tensor := retained()) is not None:
                    kept.append((tensor, arrived))
            if wanted is not None and node in wanted:
                arrived.owned = False
                gradients_by_target[node] = arrived
            if leads:
                arrived.send(node, inputs, passed, gradients)
        del passed, arrived  # frees what was kept before the next one allocates
        for child in inputs:
            if isinstance(child, Node):
                uses[child] -= 1
                if uses[child] == 0:
                    ready.append(child)
            elif child in uses:
                uses[child] -= 1
                if uses[child] == 0 and child in gradients and child._hooks is not None:
                    gradients[child].call(child._hooks)
    for x, gradient in gradients.items():
        if wanted is not None:
            gradients_by_target[x] = gradient
        elif isinstance(x, Variable):
            kept.append((x, gradient))
    # A leaf that was frozen after forward gets no gradient.
    kept = [(x, gradient) for x, gradient in kept if x.requires_grad]
    for x, _ in kept:  # all before any changes, because ``data`` may have been replaced
        x._check_accumulate()
    for x, gradient in kept:
        gradient.give(x)
    return gradients_by_target


def _count_uses(
    roots: Collection[Node | Variable], wanted: Collection[Node | Variable] | None
) -> dict[Node | Variable, int]:
    """The number of gradients to wait for, for each node and each leaf with hooks below ``roots``;
    with ``wanted``, for these and each node on a path to them."""
    pending = [x for x in roots if isinstance(x, Node)]
    if wanted is not None:
        return _count_uses_of(pending, wanted)
    uses: dict[Node | Variable, int] = dict.fromkeys(pending, 0)
    while pending:
        node = pending.pop()
        if node.backward is None:
            raise _freed(node)
        for child in node.inputs:
            if isinstance(child, Node):
                if child not in uses:
                    uses[child] = 0
                    pending.append(child)
                uses[child] += 1
            elif child is not None and child._hooks is not None:
                uses[child] = uses.get(child, 0) + 1
    return uses


def _count_uses_of(
    roots: Collection[Node], wanted: Collection[Node | Variable]
) -> dict[Node | Variable, int]:
    """:func:`_count_uses` for ``wanted`` and the nodes on a path to them."""
    leads: dict[Target, bool] = {}  # whether anything wanted lies behind
    freed = None
    pending: list[tuple[Node, bool]] = [(node, False) for node in roots]
    while pending:
        node, is_done = pending.pop()
        if is_done:
            leads[node] = any(child in wanted or leads.get(child, False) for child in node.inputs)
        elif node not in leads:
            leads[node] = False
            freed = freed if node.backward is not None or node in wanted else node
            pending.append((node, True))
            pending += [(x, False) for x in node.inputs if isinstance(x, Node) and x not in leads]
    passing = [x for x in roots if leads[x] or x in wanted]
    uses: dict[Node | Variable, int] = dict.fromkeys(passing, 0)
    while passing:
        for child in passing.pop().inputs:
            if child is not None and (child in wanted or leads.get(child, False)):
                if child not in uses:
                    uses[child] = 0
                    if isinstance(child, Node) and leads[child]:
                        passing.append(child)
                uses[child] += 1
    if freed is not None and any(x not in uses for x in wanted):
        raise _freed(freed)
    return uses


def _freed(node: Node) -> RuntimeError:
    return RuntimeError(
        f"backward: the graph behind '{node.operation.name}' has been freed by an earlier "
        "backward(); run forward again, or pass retain_graph=True to the first call"
    )


def _may_share(result: Array, g: Array) -> bool:
    """Whether a gradient may be ``g`` or a view of it."""
    if result is g or result.base is None:  # or it has memory of its own
        return result is g
    xp = get_xp(result)  # differs from g's after a move to another device
    return xp is get_xp(g) and bool(xp.may_share_memory(result, g))


def _unfit(name: str, i: int, expected: str, got: object) -> TypeError:
    return TypeError(f"{name}: backward: gradient of input {i}: expected {expected}, got {got}")


def unbroadcast(g: Array, shape: tuple[int, ...]) -> Array:
    """Sum ``g`` to ``shape``, which broadcasts to the shape of g: the transpose of broadcasting."""
    extra = g.ndim - len(shape)
    stretched = tuple(
        i for i in range(g.ndim) if i < extra or (shape[i - extra] == 1 and g.shape[i] != 1)
    )
    summed = add_along.run(g, stretched) if stretched else g
    return summed.reshape(shape)
