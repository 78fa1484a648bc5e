"""Tensor: an array with a record of how it was computed, and conversion from and to other types.

Writing into the array ``tensor.data`` between forward and backward is not detected: operations keep
the arrays themselves, so the gradients would be those of the overwritten values. Writes by methods
such as ``tensor.add_`` are detected (see :mod:`minigrad.writes`).
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from . import check, tape
from .device import CPU, Array, DeviceError, device, device_of, get_xp, move, raise_deferred_errors
from .hooks import Hooks, RemovableHandle
from .options import lacks
from .tape import Variable

Number: TypeAlias = "bool | int | float"


class Tensor(Variable):
    """An array on a device that can record how it was computed.

    Args:
        data: Tensor, NumPy or CuPy array (shared, not copied), number or nested list. Python
            floats become float32 and Python integers int64, as in PyTorch.
        requires_grad: record operations on it and accumulate ``grad`` (floating dtypes only).

    Attributes:
        data: the raw array, in any memory order (see :mod:`minigrad.layout`).
        grad: Tensor of the same shape, dtype and device, or None. A leaf owns its gradient.
    """

    __slots__ = ("_grad",)
    __array_ufunc__ = None  # so that numpy_array * tensor calls Tensor.__rmul__
    __hash__ = object.__hash__

    _grad: Tensor | None

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        plain = type(data) is np.ndarray and data.dtype in check.DTYPES  # a shortcut
        self.data = data if plain else as_array(data)
        self._grad = self._hooks = self.node = None
        self._requires_grad = False
        if requires_grad is not False:
            self.requires_grad = requires_grad

    # -- what it is

    @property
    def device(self) -> device:
        """The device that holds the values."""
        return device_of(self.data)

    @property
    def requires_grad(self) -> bool:
        """Whether ``backward`` computes gradients for it, which can be changed of leaves only."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, requires_grad: bool) -> None:
        check.boolean("requires_grad", requires_grad)
        if self.node is not None and not requires_grad:
            raise RuntimeError("requires_grad: only a leaf can be switched; detach() it first")
        if requires_grad and self.data.dtype.kind != "f":
            raise TypeError(
                f"requires_grad: only floating dtypes can require gradients, got {self.data.dtype}"
            )
        self._requires_grad = requires_grad

    @property
    def grad(self) -> Tensor | None:
        """The accumulated gradient."""
        return self._grad

    @grad.setter
    def grad(self, gradient: Tensor | None) -> None:
        if gradient is not None:
            check_gradient("grad", self, gradient)
        self._grad = gradient

    def _check_accumulate(self) -> None:
        if self._grad is not None:
            check_gradient("grad", self, self._grad)

    def _accumulate(self, gradient: Array, owned: bool) -> None:
        grad = self._grad
        if grad is None:
            self._grad = Tensor(gradient if owned else tape.copy.run(gradient))
        elif grad.node is None and check.is_writable(grad.data):
            tape.add_into.run(grad.data, gradient)
        else:
            self._grad = Tensor(grad.data + gradient)

    def _accumulate_recorded(self, gradient: Variable) -> None:
        assert isinstance(gradient, Tensor)
        if self._grad is not None:
            self._grad = self._grad + gradient
        elif gradient.node is not None:
            self._grad = gradient
        else:
            self._grad = Tensor(gradient.data.copy(order="K"))  # others may share the memory

    @property
    def is_leaf(self) -> bool:
        """True if no recorded operation computed it."""
        return self.node is None

    @property
    def grad_fn(self) -> tape.Node | None:
        """The operation that made it, with ``name()`` and ``next_functions``; None for a leaf."""
        return self.node

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

    nelement = numel

    @property
    def is_cuda(self) -> bool:
        """Whether it is on a GPU."""
        return self.device.type == "gpu"

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
            notes += f", grad_fn={self.node}"
        elif self.requires_grad:
            notes += ", requires_grad=True"
        return f"tensor({text}{notes})"

    def __format__(self, format_spec: str) -> str:
        """A 0-d tensor is formatted as its number; other tensors only by ``str``."""
        if self.ndim == 0:
            return format(self.item(), format_spec)
        if format_spec:
            raise TypeError(
                f"format: expected a 0-d tensor for {format_spec!r}, got shape {self.shape}"
            )
        return str(self)

    # -- values out

    def detach(self) -> Tensor:
        """A tensor that shares memory but is outside the graph."""
        return Tensor(self.data)

    @lacks(force=False)
    def numpy(self) -> np.ndarray:
        """The NumPy array itself (shared memory).

        Raises:
            RuntimeError: the tensor requires gradients; call ``detach()`` first.
            DeviceError: it is on a GPU; call ``cpu()`` first.
        """
        if self.requires_grad:
            raise RuntimeError("numpy(): the tensor requires grad; use tensor.detach().numpy()")
        if self.device.type != "cpu":
            raise DeviceError(f"numpy(): the tensor is on {self.device}; use tensor.cpu().numpy()")
        return self.data

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Support for ``np.asarray``: the array, and the errors, of :meth:`numpy`."""
        return np.array(self.numpy(), dtype, copy=copy)

    def tolist(self) -> Any:
        """The values as nested lists of Python numbers; a number for a 0-d tensor."""
        values = move(self.data, CPU).tolist()
        raise_deferred_errors()
        return values

    def item(self) -> Any:
        """The value of a one-element tensor as a Python number."""
        if self.data.size != 1:
            raise ValueError(f"item(): expected a tensor with one element, got shape {self.shape}")
        value = self.data.item()
        raise_deferred_errors()
        return value

    def zero_grad(self) -> None:
        """Set ``grad`` to None (PyTorch's ``set_to_none=True``)."""
        self.grad = None

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set ``requires_grad`` of a leaf in place; returns itself."""
        self.requires_grad = requires_grad
        return self

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Tensor | Sequence[Tensor] | None = None,
    ) -> None:
        """Add dself/dleaf to the ``grad`` of every leaf that requires it.

        The graph is freed during the backward pass, so memory shrinks meanwhile. A second call
        raises unless the first had ``retain_graph=True``.

        Args:
            gradient: dL/dself, with self's shape, dtype and device; 1 if self has one element.
            retain_graph: keep the graph for another call (default: the value of ``create_graph``).
            create_graph: record how the gradients are computed, so that they can be differentiated
                again. A ``grad`` then refers to its graph, and the graph to the leaf: set ``grad``
                to None to free them, or use :func:`minigrad.autograd.grad`.
            inputs: the tensors to whose ``grad`` is added, instead of all leaves.

        Raises:
            NotImplementedError: with ``create_graph``, the derivative of an operation cannot be
                differentiated; the message names the operation.
        """
        backward_of((self,), (gradient,), retain_graph, create_graph, inputs)

    # -- hooks

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Make ``backward`` call ``hook(grad)`` with the complete gradient of this tensor, before
        it is used. Hooks are called in the order of registration.

        Args:
            hook: returns None, or a Tensor of the same shape, dtype and device that replaces the
                gradient. It must not write to its argument, because other gradients may share its
                memory. Its operations are not recorded.

        Returns:
            A handle: ``handle.remove()``, or the end of ``with handle:``, removes the hook.

        Raises:
            RuntimeError: the tensor does not require grad.
        """
        check.function("hook", hook)
        return self._gradient_hooks("register_hook").add(_of_arrays(hook))

    def retain_grad(self) -> None:
        """Make ``backward`` add the gradient of this result to its ``grad``, after its hooks, as
        for a leaf.

        Raises:
            RuntimeError: the tensor does not require grad.
        """
        hooks = self._gradient_hooks("retain_grad")
        if self.node is not None:
            hooks.retained = weakref.ref(self)

    @property
    def retains_grad(self) -> bool:
        """Whether :meth:`retain_grad` was called on this result; False for a leaf."""
        hooks = None if self.node is None else self.node._hooks
        return hooks is not None and hooks.retained is not None

    def _gradient_hooks(self, caller: str) -> Hooks:
        if not self.requires_grad:
            raise RuntimeError(f"{caller}: this tensor does not require grad: it gets no gradient")
        holder = self if self.node is None else self.node
        if holder._hooks is None:
            holder._hooks = Hooks()
        return holder._hooks

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        """Pickled, a tensor is a leaf without hooks and gradient, as in PyTorch."""
        reduced: tuple[Any, ...] = super().__reduce_ex__(protocol)  # type: ignore[assignment]
        make, args, (attributes, slots), *rest = reduced
        alone = dict.fromkeys(("_grad", "_hooks", "node"))
        return make, args, (attributes, slots | alone), *rest

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        """A leaf without hooks; its ``grad`` is copied too, as in PyTorch.

        Raises:
            RuntimeError: the tensor is the result of an operation.
        """
        if self.node is not None:
            raise RuntimeError("deepcopy: only a leaf can be copied; detach() it first")
        make, args, (attributes, slots), *_ = self.__reduce_ex__(2)
        result: Tensor = make(*args)
        memo[id(self)] = result
        for name, value in {**(attributes or {}), **slots, "_grad": self._grad}.items():
            setattr(result, name, copy.deepcopy(value, memo))
        return result

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
        def __floordiv__(self, other: Tensor | Number) -> Tensor: ...
        def __rfloordiv__(self, other: Number) -> Tensor: ...
        def __mod__(self, other: Tensor | Number) -> Tensor: ...
        def __rmod__(self, other: Number) -> Tensor: ...
        def __pow__(self, other: Tensor | Number) -> Tensor: ...
        def __rpow__(self, other: Number) -> Tensor: ...
        def __and__(self, other: Tensor | Number) -> Tensor: ...
        def __or__(self, other: Tensor | Number) -> Tensor: ...
        def __xor__(self, other: Tensor | Number) -> Tensor: ...
        def __invert__(self) -> Tensor: ...
        def __abs__(self) -> Tensor: ...
        def __matmul__(self, other: Tensor) -> Tensor: ...
        def __neg__(self) -> Tensor: ...
        def __getitem__(self, index: Any) -> Tensor: ...
        def __setitem__(self, index: Any, value: Tensor | Number) -> None: ...
        def __lt__(self, other: Tensor | Number) -> Tensor: ...
        def __le__(self, other: Tensor | Number) -> Tensor: ...
        def __gt__(self, other: Tensor | Number) -> Tensor: ...
        def __eq__(self, other: object) -> Tensor: ...  # type: ignore[override]
        def __ne__(self, other: object) -> Tensor: ...  # type: ignore[override]
        def __ge__(self, other: Tensor | Number) -> Tensor: ...


tape.operation.make_tensor = Tensor


def _of_arrays(hook: Callable[[Tensor], Tensor | None]) -> Callable[[Array], Array]:
    """``hook`` as a function of the gradient's array. It does not refer to the tensor. The
    attribute ``recorded`` takes the gradient as a Tensor and returns one."""

    def recorded(grad: Tensor) -> Tensor:
        expected = Tensor(grad.data)
        replaced = hook(grad)
        replaced = grad if replaced is None else replaced  # its ``data`` may be replaced
        check_gradient("hook: its result", expected, replaced)
        return replaced

    def call(g: Array) -> Array:
        return recorded(Tensor(g)).data

    call.recorded = recorded  # type: ignore[attr-defined]
    return call


def backward_of(
    tensors: Sequence[Tensor],
    gradients: Sequence[Tensor | None],
    retain_graph: bool | None,
    create_graph: bool,
    inputs: Tensor | Sequence[Tensor] | None,
) -> None:
    """:meth:`Tensor.backward` of several tensors together."""
    wanted = None if inputs is None else wanted_of("backward", inputs)
    gradients_by_target = sweep("backward", tensors, gradients, retain_graph, create_graph, wanted)
    for x in wanted or ():
        if (gradient := gradients_by_target.get(end_of(x))) is not None:
            gradient.give(x)


def wanted_of(caller: str, inputs: Any) -> list[Tensor]:
    """The tensors whose gradients are requested; they must require one."""
    wanted = [inputs] if isinstance(inputs, Tensor) else check.items("inputs", inputs, "Tensors")
    if not wanted:
        raise RuntimeError(f"{caller}: inputs: expected at least one Tensor, got none")
    for i, x in enumerate(wanted):
        if not check.tensor("inputs", x).requires_grad:
            raise RuntimeError(f"{caller}: inputs: number {i} does not require grad")
    return wanted


def sweep(
    caller: str,
    outputs: Sequence[Tensor],
    gradients: Sequence[Tensor | None],
    retain_graph: bool | None,
    create_graph: bool,
    wanted: Sequence[Tensor] | None,
) -> dict[tape.Node | Variable, tape.Gradient]:
    """:func:`minigrad.tape.sweep` from ``outputs``, with checks of its arguments."""
    create_graph = check.boolean("create_graph", create_graph)
    keep = create_graph if retain_graph is None else check.boolean("retain_graph", retain_graph)
    seeds = []
    for i, (y, g) in enumerate(zip(outputs, gradients, strict=True)):
        name = "gradient" if len(outputs) == 1 else f"gradient {i}"
        seeds.append((end_of(y), _seed(caller, y, g, name)))
    targets = None if wanted is None else {end_of(x) for x in wanted}
    if not create_graph:
        return tape.sweep([(end, tape.Gradient(g.data)) for end, g in seeds], keep, targets)
    with tape.enable_grad():
        kind = tape.backward.recorded
        return tape.sweep([(end, kind(g)) for end, g in seeds], keep, targets)


def end_of(x: Tensor) -> tape.Node | Variable:
    """The target of the gradients of x: the operation that computed it, or x itself."""
    return x if x.node is None else x.node


def _seed(caller: str, y: Tensor, gradient: Any, name: str) -> Tensor:
    """The gradient of the output ``y``, by default 1."""
    if not y.requires_grad:
        raise RuntimeError(f"{caller}: this tensor does not require grad: nothing was recorded")
    if gradient is not None:
        check_gradient(name, y, gradient)
        return gradient
    if y.data.size != 1:
        raise RuntimeError(
            f"{caller}: a tensor of shape {y.shape} needs an explicit gradient; "
            "only one-element tensors default to 1"
        )
    one = get_xp(y.data).empty(y.data.shape, y.data.dtype)
    one.fill(1)
    return Tensor(one)


def check_gradient(name: str, of: Tensor, gradient: Any) -> None:
    """``gradient`` must be a Tensor of the shape, dtype and device of ``of``."""
    if not isinstance(gradient, Tensor):
        raise TypeError(f"{name}: expected a Tensor, got {type(gradient).__name__}")
    g, x = gradient.data, of.data
    if g.shape == x.shape and g.dtype == x.dtype and type(g) is type(x) is np.ndarray:
        return  # a shortcut
    for what in ("shape", "dtype", "device"):
        got, expected = getattr(gradient, what), getattr(of, what)
        if got != expected:
            raise ValueError(f"{name}: expected {what} {expected}, got {got}")


def as_array(data: Any, floats: Any = np.float32) -> Array:
    """``data`` as an array: shared if it is one, otherwise copied. Python floats become
    ``floats``."""
    if type(data) is np.ndarray:
        array = data
    elif isinstance(data, Tensor):
        return data.data
    elif isinstance(data, np.ma.MaskedArray):
        raise TypeError("data: expected plain numbers, got MaskedArray; fill what it masks first")
    elif isinstance(data, (np.generic, np.ndarray)):
        array = np.asarray(data)  # no subclass: np.matrix multiplies differently
    elif hasattr(data, "__cuda_array_interface__"):
        array = data
    else:
        try:
            array = np.asarray(data)
        except ValueError as error:
            raise ValueError(f"data: expected a rectangular nest of numbers ({error})") from None
        meant = _dtypes(data)
        if not meant and array.dtype == np.uint64:  # NumPy's choice for integers beyond int64
            raise ValueError(f"data: {array.max()} does not fit into int64")
        if array.dtype == np.float64 and array.dtype not in meant:
            with np.errstate(all="ignore"):  # infinity where it overflows, as in PyTorch
                array = array.astype(floats)
    if array.dtype not in check.DTYPES:
        raise TypeError(f"data: expected numbers, got {type(data).__name__} of {array.dtype}")
    return array


def _dtypes(data: Any) -> set[Any]:
    """The dtypes of the arrays, NumPy scalars and Tensors in nested lists."""
    if isinstance(data, (list, tuple)):
        plain = set(map(type, data)) <= {float, int, bool}
        return set() if plain else set().union(*map(_dtypes, data))
    return {data.dtype} if hasattr(data, "dtype") else set()
