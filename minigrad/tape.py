"""The tape: reverse-mode automatic differentiation of functions of arrays.

An operation is one function of arrays that returns its result and its own derivative::

    @op
    def mul(a, b):
        '''y = a b,  dL/da = g b,  dL/db = g a'''
        return a * b, lambda g, needs: (g * b, g * a)

:func:`op`, which states the contract, turns it into a function of Tensors that records a
:class:`Node` on the tape: the closure, and the nodes it sends gradients to. :func:`sweep` walks the
tape from the result to the leaves (Griewank & Walther, *Evaluating Derivatives*, 2008, ch. 3). The
closure keeps what backward needs, and nothing else is kept. Gradients are first order only:
backward is not recorded.

The tape works on arrays. All it needs of a Tensor is in :class:`Variable`.
"""

from __future__ import annotations

import contextlib
import inspect
import threading
import types
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from . import writes
from .device import Array, DeviceError, check_current, device_of, get_xp
from .dispatch import Dispatched
from .events import listeners
from .hooks import Hooks
from .memory import out_of_memory
from .sums import total

Backward: TypeAlias = "Callable[[Array, tuple[bool, ...]], tuple[Array | None, ...]]"


class Variable:
    """The part of a Tensor that the tape needs.

    Attributes:
        data: its array.
        node: the operation that computed it, or None for a leaf.
        requires_grad: whether gradients are computed for it.
    """

    __slots__ = ("__weakref__", "_hooks", "data", "node", "requires_grad")

    data: Array
    node: Node | None
    requires_grad: bool
    _hooks: Hooks | None  # of a leaf: functions of its gradient

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.data.shape)

    @property
    def ndim(self) -> int:
        return int(self.data.ndim)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.data.dtype

    def _check_accumulate(self) -> None:
        """Raise if :meth:`_accumulate` would raise."""

    def _accumulate(self, gradient: Array, owned: bool) -> None:
        """Add an array to a leaf's gradient. If ``owned``, the leaf may keep its memory."""
        raise NotImplementedError


class Node:
    """An operation on the tape: its derivative and the targets of its gradients, without values."""

    __slots__ = (
        "__weakref__",
        "_hooks",
        "backward",
        "dtype",
        "inputs",
        "operation",
        "shape",
        "written",
    )

    def __init__(
        self,
        operation: Operation,
        y: Array,
        inputs: tuple[Node | Variable | None, ...],
        backward: Backward,
    ) -> None:
        self.operation, self.inputs = operation, inputs
        self.shape, self.dtype = y.shape, y.dtype
        self.backward: Backward | None = backward
        self._hooks: Hooks | None = None  # functions of the result's gradient
        self.written = writes.time  # when it was recorded

    @property
    def name(self) -> str:
        return self.operation.name


# ---------------------------------------------------------------------------- recording


class _Mode(threading.local):
    grad_enabled = True


_mode = _Mode()


def is_grad_enabled() -> bool:
    """Whether this thread records operations (see :class:`no_grad`)."""
    return _mode.grad_enabled


class no_grad(contextlib.ContextDecorator):
    """Context manager and decorator that turns off recording, so nothing is kept for backward."""

    def __enter__(self) -> None:
        self._before = [*getattr(self, "_before", ()), is_grad_enabled()]
        _mode.grad_enabled = False

    def __exit__(self, *_: object) -> None:
        _mode.grad_enabled = self._before.pop()

    def _recreate_cm(self) -> no_grad:
        return no_grad()

    def __call__(self, func: Any) -> Any:
        if not callable(func):
            raise TypeError(f"no_grad: expected a function to decorate, got {type(func).__name__}")
        if inspect.isgeneratorfunction(func) or inspect.iscoroutinefunction(func):
            # The body runs after the call has returned, so it would be recorded.
            raise NotImplementedError(
                "no_grad: decorating a generator or coroutine is not supported; "
                "write 'with no_grad():' inside it"
            )
        return super().__call__(func)


# ---------------------------------------------------------------------------- the sweep


@Dispatched
def add(a: Array, b: Array) -> Array:
    """a + b for arrays of one shape."""
    return get_xp(a).asarray(a + b)


@Dispatched
def add_into(a: Array, b: Array) -> None:
    """a += b for arrays of one shape."""
    a += b


class _Gradient:
    """A gradient during the sweep: its sum so far, and whether its memory may be added into."""

    __slots__ = ("array", "owned")

    def __init__(self, array: Array, owned: bool) -> None:
        self.array, self.owned = array, owned

    def add(self, other: Array) -> None:
        if self.owned:
            add_into.run(self.array, other)
        else:
            self.array, self.owned = add.run(self.array, other), True

    def call(self, hooks: Hooks) -> None:
        """Call ``hooks`` with the complete gradient. Each may replace it."""
        with no_grad():
            for hook in tuple(hooks.values()):
                self.array = hook(self.array)
        self.owned = False  # a hook may have kept it


def _count_uses(root: Node) -> dict[Node | Variable, int]:
    """The number of gradients that the sweep must wait for, for each node and each leaf with hooks
    below ``root``."""
    uses: dict[Node | Variable, int] = {root: 0}
    pending = [root]
    while pending:
        node = pending.pop()
        if node.backward is None:
            raise RuntimeError(
                f"backward: the graph behind '{node.name}' has been freed by an earlier "
                "backward(); run forward again, or pass retain_graph=True to the first call"
            )
        for child in node.inputs:
            if isinstance(child, Node):
                if child not in uses:
                    uses[child] = 0
                    pending.append(child)
                uses[child] += 1
            elif child is not None and child._hooks is not None:
                uses[child] = uses.get(child, 0) + 1
    return uses


@np.errstate(all="ignore")  # infinities and NaN come without a warning, as in PyTorch
def sweep(root: Node | Variable, seed: Array, retain_graph: bool) -> None:
    """Propagate ``seed`` from ``root`` to the leaves. Each node runs once, after all its users."""
    gradients: dict[Node | Variable, _Gradient] = {root: _Gradient(seed, owned=False)}
    uses, ready = (_count_uses(root), [root]) if isinstance(root, Node) else ({}, [])
    if isinstance(root, Variable) and root._hooks is not None:
        gradients[root].call(root._hooks)
    while ready:
        node = ready.pop()
        inputs, backward = node.inputs, node.backward
        if not retain_graph:
            node.inputs, node.backward = (), None
        arrived = gradients.pop(node, None)
        if arrived is not None and backward is not None:
            if node._hooks is not None:
                arrived.call(node._hooks)
                if (retained := node._hooks.retained) and (tensor := retained()) is not None:
                    gradients[tensor] = arrived
            _send(node, inputs, backward, arrived.array, gradients)
        del backward, arrived  # frees what the operation kept before the next one allocates
        for child in inputs:
            if isinstance(child, Node):
                uses[child] -= 1
                if uses[child] == 0:
                    ready.append(child)
            elif child in uses:
                uses[child] -= 1
                if uses[child] == 0 and child in gradients and child._hooks is not None:
                    gradients[child].call(child._hooks)
    # A leaf that was frozen after forward gets no gradient.
    kept = {x: g for x, g in gradients.items() if isinstance(x, Variable) and x.requires_grad}
    for x in kept:  # all before any changes, because ``data`` may have been replaced
        x._check_accumulate()
    for x, gradient in kept.items():
        x._accumulate(gradient.array, gradient.owned)
        for listener in listeners():
            listener.leaf(x, gradient.array)


def _send(
    node: Node,
    inputs: tuple[Node | Variable | None, ...],
    backward: Backward,
    g: Array,
    gradients: dict[Node | Variable, _Gradient],
) -> None:
    """Run the derivative of one node and add each gradient to that of its input."""
    name = node.name
    writes.check_unwritten(name, node.written, backward)
    following = listeners()
    for listener in following:
        listener.begin_derivative(node, g)
    try:
        results = backward(g, tuple(target is not None for target in inputs))
    except MemoryError as error:
        raise out_of_memory(f"backward of {name}", error) from error
    if type(results) is not tuple or len(results) != len(inputs):
        raise TypeError(
            f"{name}: backward: expected a tuple of {len(inputs)} gradients, an array or None for "
            f"each input, got {_described(results)}"
        )
    for listener in following:
        listener.derivative(node, g, results)
    seen: list[int] = []
    for i, (target, result) in enumerate(zip(inputs, results, strict=True)):
        if target is None or result is None:
            continue
        if type(result) is not np.ndarray and not _is_array(result):
            raise _unfit(name, i, f"an array of {target.dtype}", _described(result))
        xp = get_xp(result)  # differs from g's after a move to another device
        result = xp.asarray(result)  # products of 0-d arrays are NumPy scalars
        # A view that repeats elements, such as the gradient of a mean, cannot be added into.
        repeated = 0 in result.strides
        shared = xp is get_xp(g) and xp.may_share_memory(result, g)
        owned = not (id(result) in seen or repeated or shared)
        seen.append(id(result))
        if result.shape != target.shape:
            try:
                stretched = np.broadcast_shapes(result.shape, target.shape) == result.shape
            except ValueError:
                stretched = False
            if not stretched:
                expected = f"shape {target.shape} or one that it broadcasts to"
                raise _unfit(name, i, expected, result.shape)
            result, owned = _unbroadcast(result, target.shape), True
        if result.dtype != target.dtype:
            raise _unfit(name, i, f"an array of {target.dtype}", result.dtype)
        if target in gradients:
            gradients[target].add(result)
        else:
            gradients[target] = _Gradient(result, owned)
        for listener in following:
            listener.gradient(node, i, target, result, gradients[target].array)


def _unfit(name: str, i: int, expected: str, came: object) -> TypeError:
    return TypeError(f"{name}: backward: gradient of input {i}: expected {expected}, got {came}")


def _unbroadcast(g: Array, shape: tuple[int, ...]) -> Array:
    """Sum ``g`` to ``shape``, which broadcasts to the shape of g: the transpose of broadcasting."""
    extra = g.ndim - len(shape)
    stretched = tuple(
        i for i in range(g.ndim) if i < extra or (shape[i - extra] == 1 and g.shape[i] != 1)
    )
    summed = total(g, stretched, keepdims=True) if stretched else g
    return summed.reshape(shape)


# ---------------------------------------------------------------------------- operations

make_tensor: Any = None  # Tensor; set by minigrad.tensor, which imports the tape


class Operation(Dispatched):
    """A differentiable function of Tensors; see :func:`op`.

    Attributes:
        definition: the function of arrays that :func:`op` decorated.
    """

    def __init__(self, definition: Callable[..., tuple[Array, Backward]]) -> None:
        super().__init__(definition)
        self.name = getattr(definition, "__name__", type(definition).__name__).strip("_")

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Bind like a function, so that an operation can be a method."""
        return self if instance is None else types.MethodType(self, instance)

    def __call__(self, *inputs: Any, **params: Any) -> Any:
        name = self.name
        arrays = [_unwrap(name, x) for x in inputs]
        variables = [x for x in inputs if isinstance(x, Variable)]
        _check_alike(name, variables)
        for key, value in params.items():
            if isinstance(value, Variable):  # it would get no gradient
                raise TypeError(f"{name}: {key}: expected a Tensor as a positional argument only")
        following = listeners()
        for listener in following:
            listener.begin_operation(self, inputs, params)
        with np.errstate(all="ignore"):  # as in the sweep
            try:
                returned = self.run(*arrays, **params)
            except MemoryError as error:
                raise out_of_memory(name, error) from error
        if type(returned) is not tuple or len(returned) != 2 or not callable(returned[1]):
            raise _breach(name, returned)
        y, backward = returned
        if type(y) is not np.ndarray and not _is_array(y):
            raise _breach(name, returned)
        try:
            result = make_tensor(y)
        except TypeError:
            raise _breach(name, returned) from None
        recorded = _mode.grad_enabled and True in [x.requires_grad for x in variables]
        if recorded and y.dtype.kind == "f":
            result.requires_grad = True
            result.node = Node(self, y, tuple(_target(x) for x in inputs), backward)
        for listener in following:
            listener.operation(name, inputs, params, result)
        return result


def op(function: Callable[..., tuple[Array, Backward]]) -> Operation:
    """Decorator that makes a differentiable function of Tensors from a function of arrays.

    ``function(*arrays, **params)`` returns ``(y, backward)``: the result, an array, and the
    derivative, ``backward(g, needs)``, which takes the gradient of the result and returns a tuple
    with an array or None for each positional argument::

        @mg.op
        def scale(x, w):
            return x * w, lambda g, needs: (g * w, g * x)

    The contract:

    - ``needs[i]`` is True if the gradient of argument i is needed. None stands for zeros.
    - A gradient has the dtype of its argument. Its shape is that of the argument or one that the
      argument broadcasts to, such as that of the result; the engine sums it back.
    - A gradient is new memory, or ``g``, or a view of ``g``. It is never an array that the closure
      keeps, and backward writes neither to ``g`` nor to arrays of the closure.
    - The closure refers to arrays, never to the resulting Tensor. Without a reference cycle, memory
      is freed by reference count as the sweep passes.

    Returns:
        A function whose positional arguments may be Tensors, None, or Python and NumPy scalars.
        ``function`` gets scalars as Python numbers, so they never change a dtype. Tensors must have
        one device and one floating dtype. Keyword arguments are passed on unchanged. The attribute
        ``definition`` is the undecorated function; ``on`` registers faster implementations (see
        :mod:`minigrad.dispatch`).

    Raises:
        TypeError: a result of ``function`` or ``backward`` breaks the contract; raised by the call
            or by ``Tensor.backward``. :func:`gradcheck` finds wrong values.
    """
    if not callable(function):
        raise TypeError(f"function: expected a function to decorate, got {type(function).__name__}")
    return Operation(function)


def _breach(name: str, returned: Any) -> TypeError:
    return TypeError(
        f"{name}: expected it to return (y, backward), an array of numbers and a function of "
        f"(g, needs), got {_described(returned)}"
    )


def _is_array(x: Any) -> bool:
    """Whether an operation may return ``x``: an array, or a NumPy scalar in place of a 0-d
    array."""
    return isinstance(x, (np.ndarray, np.generic)) or hasattr(x, "__cuda_array_interface__")


def _described(returned: Any) -> str:
    """The result of an operation, described for an error message."""
    if isinstance(returned, tuple):
        inner = ", ".join(map(_described, returned[:8]))
        return f"({inner}{', ...' if len(returned) > 8 else ''})"
    kind = type(returned).__name__
    return f"{kind} of {returned.dtype}" if hasattr(returned, "dtype") else kind


def _target(x: Any) -> Node | Variable | None:
    """The target of the gradient of input ``x``, or None if it needs none."""
    if not isinstance(x, Variable) or not x.requires_grad:
        return None
    return x if x.node is None else x.node


def _unwrap(name: str, x: Any) -> Any:
    if isinstance(x, Variable):
        return x.data
    if x is None or isinstance(x, (bool, int, float)):
        # np.float64 is a float too, but would change the dtype of an array operation.
        return x.item() if isinstance(x, np.generic) else x
    if isinstance(x, np.generic):
        return x.item()
    raise TypeError(f"{name}: expected a Tensor or a number, got {type(x).__name__}")


def kind_of(array: Array) -> Any:
    """Dtype and device in a form that is cheap to compare."""
    return array.dtype if isinstance(array, np.ndarray) else (array.dtype, array.device.id)


def _check_alike(name: str, variables: list[Variable]) -> None:
    """Raise unless all share a floating dtype and a device, on a GPU the current one."""
    if variables:  # the others are on the same device, or refused
        check_current(name, variables[0].data)
    # Nearly always all are alike, and the names below cost more than a small operation.
    if len({kind_of(x.data) for x in variables}) < 2:
        return
    devices = dict.fromkeys(str(device_of(x.data)) for x in variables)
    if len(devices) > 1:
        raise DeviceError(f"{name}: tensors on different devices: {', '.join(devices)}")
    dtypes = dict.fromkeys(str(x.data.dtype) for x in variables if x.data.dtype.kind == "f")
    if len(dtypes) > 1:
        raise TypeError(
            f"{name}: tensors of different floating dtypes: {', '.join(dtypes)}; "
            "convert one with .to(dtype)"
        )
