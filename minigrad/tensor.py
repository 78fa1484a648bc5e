"""Tensor and tape: reverse-mode automatic differentiation.

An operation is one function of raw arrays that returns its result and its own derivative::

    @op
    def mul(a, b):
        '''y = a b,  dL/da = g b,  dL/db = g a'''
        return a * b, lambda g, needs: (g * b, g * a)

:func:`op`, where the contract stands, turns it into a function of Tensors and records a
:class:`Node` on the tape: the closure, and the nodes it sends gradients to. :meth:`Tensor.backward`
walks the tape from the result to the leaves (Griewank & Walther, *Evaluating Derivatives*, 2008,
ch. 3). What backward needs is what the closure names; nothing else is kept. Gradients are first
order only: backward is not recorded.

Writing into ``tensor.data`` between forward and backward is not detected: operations keep the very
arrays they saw, so the gradients would be those of the overwritten values.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import math
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from .backend import (
    CPU,
    Array,
    DeviceError,
    add,
    add_into,
    check_current,
    device,
    device_of,
    get_xp,
    move,
    on,
    out_of_memory,
    raise_alarms,
)
from .sums import total

Number: TypeAlias = "bool | int | float"
Backward: TypeAlias = "Callable[[Array, tuple[bool, ...]], tuple[Array | None, ...]]"
Observer: TypeAlias = "Callable[[str, tuple[Any, ...], dict[str, Any], Tensor], object]"
SweepObserver: TypeAlias = "Callable[[Node, Array, tuple[Array | None, ...]], object]"


class _Mode(threading.local):
    enabled = True
    observer: Observer | None = None
    sweep_observer: SweepObserver | None = None


_mode = _Mode()


def is_grad_enabled() -> bool:
    """Whether operations are being recorded on this thread (see :class:`no_grad`)."""
    return _mode.enabled


class no_grad(contextlib.ContextDecorator):
    """Context manager and decorator under which nothing is recorded and nothing is kept."""

    def __enter__(self) -> None:
        self._before = [*getattr(self, "_before", ()), is_grad_enabled()]
        _mode.enabled = False

    def __exit__(self, *_: object) -> None:
        _mode.enabled = self._before.pop()

    def _recreate_cm(self) -> no_grad:
        return no_grad()

    def __call__(self, func: Any) -> Any:
        if not callable(func):
            raise TypeError(f"no_grad: expected a function to decorate, got {type(func).__name__}")
        if inspect.isgeneratorfunction(func) or inspect.iscoroutinefunction(func):
            # Its body runs only after the call has returned, and would be recorded.
            raise NotImplementedError(
                "no_grad: decorating a generator or coroutine is not supported; "
                "write 'with no_grad():' inside it"
            )
        return super().__call__(func)


@contextlib.contextmanager
def observe(observer: Observer, sweep_observer: SweepObserver | None = None) -> Iterator[None]:
    """Call ``observer(name, inputs, params, result)`` after each operation on this thread, with
    what the operation was given and the Tensor that came of it; and ``sweep_observer(node, g,
    gradients)`` after each derivative, with the gradient that arrived and those that it gave."""
    before = _mode.observer, _mode.sweep_observer
    _mode.observer, _mode.sweep_observer = observer, sweep_observer
    try:
        yield
    finally:
        _mode.observer, _mode.sweep_observer = before


class Node:
    """An operation on the tape: its derivative and where its gradients go. It holds no values."""

    __slots__ = ("__weakref__", "backward", "dtype", "inputs", "name", "shape")

    def __init__(
        self, name: str, y: Array, inputs: tuple[Node | Tensor | None, ...], backward: Backward
    ) -> None:
        self.name, self.inputs = name, inputs
        self.shape, self.dtype = y.shape, y.dtype
        self.backward: Backward | None = backward


class Tensor:
    """An array on a device that can remember how it was computed.

    Args:
        data: Tensor, NumPy or CuPy array (shared, not copied), number or nested list. Python
            floats become float32, Python integers int64, as in PyTorch.
        requires_grad: record operations on it and accumulate ``grad`` (floating dtypes only).

    Attributes:
        data: the raw array, of any memory order (see :mod:`minigrad.backend`).
        grad: Tensor of the same shape, dtype and device, or None. A leaf owns its gradient.
        requires_grad: whether ``backward`` fills ``grad`` (leaf) or passes through (result).
    """

    __slots__ = ("__weakref__", "_grad", "data", "node", "requires_grad")
    __array_ufunc__ = None  # numpy_array * tensor must come to Tensor.__rmul__, not broadcast
    __hash__ = object.__hash__

    data: Array
    _grad: Tensor | None
    node: Node | None
    requires_grad: bool

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        self.data = as_array(data)
        if requires_grad is not False:  # as it is for every result
            requires_grad = as_bool("requires_grad", requires_grad)
        if requires_grad and self.data.dtype.kind != "f":
            raise TypeError(
                f"requires_grad: only floating dtypes can require gradients, got {self.data.dtype}"
            )
        self._grad = None
        self.node = None
        self.requires_grad = requires_grad

    # -- what it is

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.data.shape)

    @property
    def ndim(self) -> int:
        return int(self.data.ndim)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.data.dtype

    @property
    def device(self) -> device:
        return device_of(self.data)

    @property
    def grad(self) -> Tensor | None:
        """The gradient that ``backward`` added up."""
        return self._grad

    @grad.setter
    def grad(self, gradient: Tensor | None) -> None:
        if gradient is not None:
            check_gradient("grad", self, gradient)
        self._grad = gradient

    @property
    def is_leaf(self) -> bool:
        """True if no recorded operation produced it."""
        return self.node is None

    def size(self, dim: int | None = None) -> Any:
        """``shape``, or its entry ``dim``."""
        if dim is None:
            return self.shape
        if isinstance(dim, bool) or not isinstance(dim, (int, np.integer)):
            raise TypeError(f"dim: expected a whole number, got {dim!r}")
        if not -self.ndim <= dim < self.ndim:
            raise IndexError(f"dim: expected one of {self.ndim} dimensions, got {dim}")
        return self.shape[dim]

    def numel(self) -> int:
        """Number of elements."""
        return int(self.data.size)

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of a 0-d tensor")
        return int(self.data.shape[0])

    def __iter__(self) -> Iterator[Tensor]:
        if not self.ndim:
            raise TypeError("iteration over a 0-d tensor")
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.dtype.kind == "f":
            raise TypeError(f"index: expected an integer tensor, got {self.dtype}")
        return int(self.item())

    def __repr__(self) -> str:
        text = np.array2string(move(self.data, CPU), precision=4, separator=", ", prefix="tensor(")
        notes = "" if self.dtype in (np.float32, np.int64, np.bool_) else f", dtype={self.dtype}"
        if self.device.type == "gpu":
            notes += f", device='{self.device}'"
        if self.node is not None:
            notes += f", grad_fn=<{self.node.name}>"
        elif self.requires_grad:
            notes += ", requires_grad=True"
        return f"tensor({text}{notes})"

    def __format__(self, format_spec: str) -> str:
        """A 0-d tensor is formatted as its number, another as ``str`` does."""
        if self.ndim == 0:
            return format(self.item(), format_spec)
        if format_spec:
            raise TypeError(
                f"format: expected a 0-d tensor for {format_spec!r}, got shape {self.shape}"
            )
        return str(self)

    # -- values out

    def detach(self) -> Tensor:
        """The same memory, outside the graph."""
        return Tensor(self.data)

    def numpy(self) -> np.ndarray:
        """The NumPy array itself (shared memory).

        Raises:
            RuntimeError: the tensor requires gradients: ``detach()`` it first.
            DeviceError: it lives on a GPU: call ``cpu()`` first.
        """
        if self.requires_grad:
            raise RuntimeError("numpy(): the tensor requires grad; use tensor.detach().numpy()")
        if self.device.type != "cpu":
            raise DeviceError(f"numpy(): the tensor is on {self.device}; use tensor.cpu().numpy()")
        return self.data

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """What ``np.asarray`` takes: :meth:`numpy`'s array, and its errors."""
        return np.array(self.numpy(), dtype, copy=copy)

    def tolist(self) -> Any:
        """The values as Python numbers in nested lists; of a 0-d tensor, its number."""
        values = move(self.data, CPU).tolist()
        raise_alarms()
        return values

    def item(self) -> Any:
        """The value of a one-element tensor as a Python number."""
        if self.data.size != 1:
            raise ValueError(f"item(): expected a tensor with one element, got shape {self.shape}")
        value = self.data.item()
        raise_alarms()
        return value

    def zero_grad(self) -> None:
        """Forget ``grad`` (None, as PyTorch's ``set_to_none=True``)."""
        self.grad = None

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Switch ``requires_grad`` of a leaf in place and return it."""
        if self.node is not None:
            raise RuntimeError("requires_grad_: only a leaf can be switched; detach() it first")
        self.requires_grad = Tensor(self.data, requires_grad).requires_grad
        return self

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: bool = False,
        create_graph: bool = False,
    ) -> None:
        """Add dself/dleaf to the ``grad`` of every leaf that requires it.

        The graph is freed as the sweep passes, so that memory falls while it runs; a second call
        raises unless ``retain_graph=True``.

        Args:
            gradient: dL/dself, of self's shape, dtype and device; 1 if self has one element.
            retain_graph: keep the graph for another call.
            create_graph: not supported, gradients are first order only.
        """
        if as_bool("create_graph", create_graph):
            raise NotImplementedError(
                "backward: create_graph=True (gradients are first order only)"
            )
        if not self.requires_grad:
            raise RuntimeError("backward: this tensor does not require grad: nothing was recorded")
        if gradient is None:
            if self.data.size != 1:
                raise RuntimeError(
                    f"backward: a tensor of shape {self.shape} needs an explicit gradient; "
                    "only one-element tensors default to 1"
                )
            seed = get_xp(self.data).ones_like(self.data)
        else:
            check_gradient("gradient", self, gradient)
            seed = gradient.data
        retain_graph = as_bool("retain_graph", retain_graph)
        _sweep(self if self.node is None else self.node, seed, retain_graph)

    if TYPE_CHECKING:  # Bound by minigrad.ops.methods: every operation is also a method.

        def __getattr__(self, name: str) -> Any: ...
        def __add__(self, other: Tensor | Number) -> Tensor: ...
        def __radd__(self, other: Number) -> Tensor: ...
        def __sub__(self, other: Tensor | Number) -> Tensor: ...
        def __rsub__(self, other: Number) -> Tensor: ...
        def __mul__(self, other: Tensor | Number) -> Tensor: ...
        def __rmul__(self, other: Number) -> Tensor: ...
        def __truediv__(self, other: Tensor | Number) -> Tensor: ...
        def __rtruediv__(self, other: Number) -> Tensor: ...
        def __pow__(self, other: Number) -> Tensor: ...
        def __matmul__(self, other: Tensor) -> Tensor: ...
        def __neg__(self) -> Tensor: ...
        def __getitem__(self, index: Any) -> Tensor: ...
        def __lt__(self, other: Tensor | Number) -> Tensor: ...
        def __le__(self, other: Tensor | Number) -> Tensor: ...
        def __gt__(self, other: Tensor | Number) -> Tensor: ...
        def __ge__(self, other: Tensor | Number) -> Tensor: ...


def check_gradient(name: str, of: Tensor, gradient: Any) -> None:
    """``gradient`` must be a Tensor of the shape, dtype and device of ``of``."""
    if not isinstance(gradient, Tensor):
        raise TypeError(f"{name}: expected a Tensor, got {type(gradient).__name__}")
    if gradient.data.shape == of.data.shape and _kind(gradient.data) == _kind(of.data):
        return  # a device takes a moment to name
    for what in ("shape", "dtype", "device"):
        came, expected = getattr(gradient, what), getattr(of, what)
        if came != expected:
            raise ValueError(f"{name}: expected {what} {expected}, got {came}")


# ---------------------------------------------------------------------------- the sweep


class _Gradient:
    """A gradient on its way: the sum so far, and whether its memory is ours to add into."""

    __slots__ = ("array", "owned")

    def __init__(self, array: Array, owned: bool) -> None:
        self.array, self.owned = array, owned

    def add(self, other: Array) -> None:
        if self.owned:
            add_into(self.array, other)
        else:
            self.array, self.owned = add(self.array, other), True


def _count_uses(root: Node) -> dict[Node, int]:
    """For every node below ``root``, how many of its gradients the sweep has to wait for."""
    uses, pending = {root: 0}, [root]
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
    return uses


@np.errstate(all="ignore")  # infinities and NaN come without a warning, as in PyTorch
def _sweep(root: Node | Tensor, seed: Array, retain_graph: bool) -> None:
    """Send ``seed`` from ``root`` down to the leaves: each node once, after all that use it."""
    gradients: dict[Node | Tensor, _Gradient] = {root: _Gradient(seed, owned=False)}
    uses = _count_uses(root) if isinstance(root, Node) else {}
    ready = [root] if isinstance(root, Node) else []
    while ready:
        node = ready.pop()
        inputs, backward = node.inputs, node.backward
        if not retain_graph:
            node.inputs, node.backward = (), None
        arrived = gradients.pop(node, None)
        if arrived is not None and backward is not None:
            _send(node, inputs, backward, arrived.array, gradients)
        del backward, arrived  # frees what the operation kept before the next one allocates
        for child in inputs:
            if isinstance(child, Node):
                uses[child] -= 1
                if uses[child] == 0:
                    ready.append(child)
    # What has been frozen since forward takes none.
    leaves = {x: g for x, g in gradients.items() if isinstance(x, Tensor) and x.requires_grad}
    for leaf in leaves:  # all, before any changes: ``data`` may have been replaced
        if leaf._grad is not None:
            check_gradient("grad", leaf, leaf._grad)
    for leaf, gradient in leaves.items():
        if leaf._grad is None:
            array = gradient.array if gradient.owned else gradient.array.copy(order="K")
            leaf._grad = Tensor(array)
        elif is_writable(leaf._grad.data):
            leaf._grad.data += gradient.array
        else:
            leaf._grad = Tensor(leaf._grad.data + gradient.array)


def _send(
    node: Node,
    inputs: tuple[Node | Tensor | None, ...],
    backward: Backward,
    g: Array,
    gradients: dict[Node | Tensor, _Gradient],
) -> None:
    """Run one node's derivative and hand each gradient to the input it belongs to."""
    name = node.name
    try:
        results = backward(g, tuple(target is not None for target in inputs))
    except MemoryError as error:
        raise out_of_memory(f"backward of {name}", error) from error
    if type(results) is not tuple or len(results) != len(inputs):
        raise TypeError(
            f"{name}: backward: expected a tuple of {len(inputs)} gradients, an array or None for "
            f"each input, got {_described(results)}"
        )
    if _mode.sweep_observer is not None:
        _mode.sweep_observer(node, g, results)
    seen: list[int] = []
    for i, (target, result) in enumerate(zip(inputs, results, strict=True)):
        if target is None or result is None:
            continue
        if type(result) is not np.ndarray and not _is_array(result):
            raise _unfit(name, i, f"an array of {target.dtype}", _described(result))
        xp = get_xp(result)  # not g's after a move to another device
        result = xp.asarray(result)  # 0-d arrays multiply to a NumPy scalar
        # A view that repeats elements, as a mean's gradient is, can be read but not added into.
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


def _unfit(name: str, i: int, expected: str, came: object) -> TypeError:
    return TypeError(f"{name}: backward: gradient of input {i}: expected {expected}, got {came}")


def _unbroadcast(g: Array, shape: tuple[int, ...]) -> Array:
    """Sum ``g`` to ``shape``, which broadcasts to its own: the transpose of broadcasting."""
    extra = g.ndim - len(shape)
    stretched = tuple(
        i for i in range(g.ndim) if i < extra or (shape[i - extra] == 1 and g.shape[i] != 1)
    )
    summed = total(g, stretched, keepdims=True) if stretched else g
    return summed.reshape(shape)


# ---------------------------------------------------------------------------- operations


def op(function: Callable[..., tuple[Array, Backward]]) -> Callable[..., Tensor]:
    """Make a differentiable function of Tensors from a function of arrays; a decorator.

    ``function(*arrays, **params)`` returns ``(y, backward)``: the result, an array, and the
    derivative, ``backward(g, needs)``, which takes the gradient of the result and returns a tuple
    with an array or None for each positional argument::

        @mg.op
        def scale(x, w):
            return x * w, lambda g, needs: (g * w, g * x)

    The contract:

    - ``needs[i]`` says whether anybody asked for the gradient of argument i; None stands for zeros.
    - A gradient has the dtype of its argument, and its shape or one that it broadcasts to, such as
      that of the result: the engine sums it back.
    - A gradient is new memory, or ``g`` or a view of it. It is never an array that the closure
      keeps, and backward writes neither into ``g`` nor into what the closure keeps.
    - The closure names arrays, never the Tensor that comes of it: no reference cycle, so memory is
      freed by reference count as the sweep passes.

    Returns:
        A function whose positional arguments may be Tensors, None, or Python and NumPy scalars.
        Scalars reach ``function`` as Python numbers, so they never change a dtype. Tensors share
        one device and one floating dtype. Keyword arguments are handed on as they are. The
        undecorated function is its attribute ``raw``.

    Raises:
        TypeError: what ``function`` or ``backward`` returns breaks the contract; raised by the call
            or by ``Tensor.backward``. :func:`gradcheck` finds values that are wrong.
    """
    if not callable(function):
        raise TypeError(f"function: expected a function to decorate, got {type(function).__name__}")
    name = getattr(function, "__name__", type(function).__name__).strip("_")

    @functools.wraps(function)
    def apply(*inputs: Any, **params: Any) -> Tensor:
        arrays = [_unwrap(name, x) for x in inputs]
        tensors = [x for x in inputs if isinstance(x, Tensor)]
        _check_alike(name, tensors)
        for key, value in params.items():
            if isinstance(value, Tensor):  # no gradient would come of it
                raise TypeError(f"{name}: {key}: expected a Tensor as a positional argument only")
        with np.errstate(all="ignore"):  # as in _sweep
            try:
                returned = function(*arrays, **params)
            except MemoryError as error:
                raise out_of_memory(name, error) from error
        if type(returned) is not tuple or len(returned) != 2 or not callable(returned[1]):
            raise _breach(name, returned)
        y, backward = returned
        if type(y) is not np.ndarray and not _is_array(y):
            raise _breach(name, returned)
        try:
            result = Tensor(y)
        except TypeError:
            raise _breach(name, returned) from None
        recorded = _mode.enabled and True in [x.requires_grad for x in tensors]
        if recorded and y.dtype.kind == "f":
            result.requires_grad = True
            result.node = Node(name, y, tuple(_target(x) for x in inputs), backward)
        if _mode.observer is not None:
            _mode.observer(name, inputs, params, result)
        return result

    apply.raw = function  # type: ignore[attr-defined]
    return apply


def _breach(name: str, returned: Any) -> TypeError:
    return TypeError(
        f"{name}: expected it to return (y, backward), an array of numbers and a function of "
        f"(g, needs), got {_described(returned)}"
    )


def _is_array(x: Any) -> bool:
    """Whether ``x`` is what an operation may return: an array, or NumPy's scalar in place of one
    without dimensions."""
    return isinstance(x, (np.ndarray, np.generic)) or hasattr(x, "__cuda_array_interface__")


def _described(returned: Any) -> str:
    """What an operation returned, as an error says it."""
    if isinstance(returned, tuple):
        inner = ", ".join(map(_described, returned[:8]))
        return f"({inner}{', ...' if len(returned) > 8 else ''})"
    kind = type(returned).__name__
    return f"{kind} of {returned.dtype}" if hasattr(returned, "dtype") else kind


def _target(x: Any) -> Node | Tensor | None:
    """Where the gradient of the input ``x`` goes, if anywhere."""
    if not isinstance(x, Tensor) or not x.requires_grad:
        return None
    return x if x.node is None else x.node


def _unwrap(name: str, x: Any) -> Any:
    if isinstance(x, Tensor):
        return x.data
    if x is None or isinstance(x, (bool, int, float)):
        # np.float64 is a float, but an array operation would let it change the dtype.
        return x.item() if isinstance(x, np.generic) else x
    if isinstance(x, np.generic):
        return x.item()
    raise TypeError(f"{name}: expected a Tensor or a number, got {type(x).__name__}")


def _kind(array: Array) -> Any:
    """Dtype and device, as something cheap to compare."""
    return array.dtype if isinstance(array, np.ndarray) else (array.dtype, array.device.id)


def _check_alike(name: str, tensors: list[Tensor]) -> None:
    """Raise unless all share a floating dtype and a device, on a GPU the current one."""
    if tensors:  # the others are on the same device, or refused
        check_current(name, tensors[0].data)
    # Nearly always all are alike, and the names below cost more than a small operation.
    if len({_kind(x.data) for x in tensors}) < 2:
        return
    devices = dict.fromkeys(str(x.device) for x in tensors)
    if len(devices) > 1:
        raise DeviceError(f"{name}: tensors on different devices: {', '.join(devices)}")
    dtypes = dict.fromkeys(str(x.dtype) for x in tensors if x.dtype.kind == "f")
    if len(dtypes) > 1:
        raise TypeError(
            f"{name}: tensors of different floating dtypes: {', '.join(dtypes)}; "
            "convert one with .to(dtype)"
        )


# ---------------------------------------------------------------------------- making tensors

# Bools, signed, unsigned, floats of this machine's byte order: no complex numbers, no objects.
_DTYPES = frozenset(np.dtype(code) for code in "?bhilqBHILQefd")


def as_array(data: Any, floats: Any = np.float32) -> Array:
    """``data`` as an array: shared if it is one, else copied; Python floats become ``floats``."""
    if type(data) is np.ndarray:
        array = data
    elif isinstance(data, Tensor):
        return data.data
    elif isinstance(data, np.ma.MaskedArray):
        raise TypeError("data: expected plain numbers, got MaskedArray; fill what it masks first")
    elif isinstance(data, (np.generic, np.ndarray)):
        array = np.asarray(data)  # not a subclass: a matrix multiplies in another way
    elif hasattr(data, "__cuda_array_interface__"):
        array = data
    else:
        try:
            array = np.asarray(data)
        except ValueError as error:
            raise ValueError(f"data: expected a rectangular nest of numbers ({error})") from None
        meant = _dtypes(data)
        if not meant and array.dtype == np.uint64:  # NumPy's refuge for what int64 does not hold
            raise ValueError(f"data: {array.max()} does not fit into int64")
        if array.dtype == np.float64 and array.dtype not in meant:
            with np.errstate(all="ignore"):  # infinity where it overflows, as in PyTorch
                array = array.astype(floats)
    if array.dtype not in _DTYPES:
        raise TypeError(f"data: expected numbers, got {type(data).__name__} of {array.dtype}")
    return array


def _dtypes(data: Any) -> set[Any]:
    """The dtypes of what a nest holds besides Python numbers: arrays, their scalars and Tensors."""
    if isinstance(data, (list, tuple)):
        plain = set(map(type, data)) <= {float, int, bool}
        return set() if plain else set().union(*map(_dtypes, data))
    return {data.dtype} if hasattr(data, "dtype") else set()


def tensor(
    data: Any,
    dtype: Any = None,
    device: str | device | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A new tensor with a copy of ``data``.

    Args:
        data: number, nested list, array or Tensor.
        dtype: NumPy dtype or its name; by default that of an array, float32 for Python floats,
            int64 for Python integers.
        device: "cpu" (default for Python and NumPy data), "gpu", "gpu:N", "auto" or a device.
        requires_grad: whether to accumulate gradients in ``.grad``.

    Raises:
        ValueError: a Python number does not fit into the integer ``dtype`` asked for.
    """
    array = as_array(data) if dtype is None else as_array(data, np.float64)  # rounded but once
    to = as_dtype(dtype) if dtype is not None else array.dtype
    if to.kind in "iu" and not isinstance(data, Tensor) and not hasattr(data, "dtype"):
        low, high = np.iinfo(to).min, np.iinfo(to).max
        rounded = array.dtype.kind == "f" and to.itemsize == 8  # 2^63 - 1 as a float is 2^63
        below = array < float(high) if rounded else array <= high
        for number in array[~((array >= low) & below)]:
            raise ValueError(f"data: {number} does not fit into {to}")
    where = device_of(array) if device is None else _device(device)
    with np.errstate(all="ignore"):
        return Tensor(move(array, where).astype(to), requires_grad)


_device = device  # the class, where a parameter is called device


def shown(value: Any) -> str:
    """``value`` as an error shows it: on one line, and not all of a long one."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."


def as_dtype(
    dtype: Any, name: str = "dtype", what: str = "a NumPy dtype or its name"
) -> np.dtype[Any]:
    """``dtype`` as a NumPy dtype of a supported kind: bool, integer or floating."""
    try:
        # np.dtype(None) is float64, and that of whatever has a dtype its dtype.
        found = None if dtype is None or isinstance(dtype, Tensor) else np.dtype(dtype)
    except (TypeError, ValueError, SyntaxError):
        found = None
    if found is None:
        raise TypeError(f"{name}: expected {what}, got {shown(dtype)}")
    if found not in _DTYPES:
        raise TypeError(f"{name}: expected bool, integer or float up to 64 bits, got {found}")
    return found


def as_bool(name: str, value: Any) -> bool:
    """A flag: what is merely true or false to Python, such as "no", is more likely a mistake."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}: expected True or False, got {shown(value)}")
    return bool(value)


def is_writable(array: Array) -> bool:
    """Whether ``array`` may be written into, as NumPy's may not always be."""
    return not isinstance(array, np.ndarray) or array.flags.writeable


def _filled(
    fill: str, size: tuple[Any, ...], dtype: Any, where: Any, requires_grad: bool
) -> Tensor:
    shape, to, where = as_shape(size, at_least=1), as_dtype(dtype), _device(where)
    with naming_what_was_asked(fill, shape, to), on(where):
        return Tensor(getattr(where.xp, fill)(shape, to), requires_grad)


@contextlib.contextmanager
def naming_what_was_asked(
    name: str, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Iterator[None]:
    """OutOfMemoryError that says so where an array of ``shape`` does not fit into memory."""
    try:
        if math.prod(shape) * dtype.itemsize >= 1 << 63:  # for NumPy a ValueError
            raise MemoryError("more bytes than there are addresses")
        yield
    except MemoryError as error:
        raise out_of_memory(f"{name} of size {shape} and dtype {dtype}", error) from error


def as_shape(size: tuple[Any, ...], at_least: int = 0) -> tuple[int, ...]:
    """``(2, 3)`` from either ``f(2, 3)`` or ``f((2, 3))``; sizes must be integers from 0."""
    if len(size) < at_least:
        raise TypeError("size: expected the sizes or a tuple of them, () for a 0-d tensor")
    if len(size) == 1 and isinstance(size[0], (tuple, list)):
        size = tuple(size[0])
    if len(size) > 64:  # NumPy's limit
        raise ValueError(f"size: expected at most 64 dimensions, got {len(size)}")
    for n in size:
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 0:
            raise ValueError(f"size: expected whole numbers from 0, got {shown(size)}")
    return tuple(int(n) for n in size)


def zeros(
    *size: Any, dtype: Any = "float32", device: Any = "cpu", requires_grad: bool = False
) -> Tensor:
    """A tensor of zeros of shape ``size`` (integers or one tuple)."""
    return _filled("zeros", size, dtype, device, requires_grad)


def ones(
    *size: Any, dtype: Any = "float32", device: Any = "cpu", requires_grad: bool = False
) -> Tensor:
    """A tensor of ones of shape ``size`` (integers or one tuple)."""
    return _filled("ones", size, dtype, device, requires_grad)
