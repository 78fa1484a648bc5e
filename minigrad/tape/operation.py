"""Operations: functions of Tensors, made from functions of arrays and recorded on the tape."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, overload

import numpy as np
from numpy import ndarray

from .. import quiet
from ..device import Array, DeviceError, check_current, device_of
from ..dispatch import Dispatched
from ..events import listeners
from ..memory import out_of_memory
from .graph import Backward, Node, Target, Variable
from .modes import _mode
from .twice import Rule

NUMBERS = frozenset((bool, int, float, type(None)))  # the exact types of most operands
UNCHANGED = frozenset(np.dtype(code) for code in "fd")  # by :func:`minigrad.sums.in_float32`
make_tensor: Any = None  # Tensor; set by minigrad.tensor, which imports the tape


class Operation(Dispatched):
    """A differentiable function of Tensors; see :func:`op`.

    Attributes:
        definition: the function of arrays that :func:`op` decorated.
        twice: the rule to differentiate its derivative, or None.
    """

    def __init__(
        self, definition: Callable[..., tuple[Array, Backward]], twice: Rule | None = None
    ) -> None:
        super().__init__(definition)
        self.name = getattr(definition, "__name__", type(definition).__name__).strip("_")
        self.twice = None if twice is None else twice.of(definition)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Bind like a function, so that an operation can be a method."""
        return self if instance is None else types.MethodType(self, instance)

    def __call__(self, *inputs: Any, **params: Any) -> Any:
        name = self.name
        arrays: list[Any] = []
        targets: list[Target] = []
        recorded, alike, dtype = False, True, None
        for x in inputs:  # one loop: each takes as long as the sum of two small arrays
            if not isinstance(x, Variable):
                arrays.append(x if type(x) in NUMBERS else _number(name, x))
                targets.append(None)
                continue
            array = x.data
            arrays.append(array)
            if x._requires_grad:
                recorded = True
                targets.append(x if x.node is None else x.node)
            else:
                targets.append(None)
            if type(array) is not ndarray:
                alike = False
            elif (own := array.dtype).kind == "f":
                if own is not dtype and dtype is not None:
                    alike = False
                dtype = own
        if not alike:
            _check_alike(name, [x.data for x in inputs if isinstance(x, Variable)])
        for key in params:
            if isinstance(params[key], Variable):  # it would get no gradient
                raise TypeError(f"{name}: {key}: expected a Tensor as a positional argument only")
        if following := listeners():
            for listener in following:
                listener.begin_operation(self, inputs, params)
        before = quiet.enter()
        try:
            # If the last tensor has one of these dtypes, no other is of float16.
            if self.adapted is None or dtype in UNCHANGED:
                function = self.choose(arrays, params)
            else:
                function = self.adapted
            returned = function(*arrays, **params)
        except MemoryError as error:
            raise out_of_memory(name, error) from error
        finally:
            quiet.leave(before)
        if type(returned) is not tuple or len(returned) != 2 or not callable(returned[1]):
            raise _breach(name, returned)
        y, backward = returned
        if type(y) is not ndarray and not is_array(y):
            raise _breach(name, returned)
        try:
            result = make_tensor(y)
        except TypeError:
            raise _breach(name, returned) from None
        if recorded and _mode.grad_enabled and y.dtype.kind == "f":
            result._requires_grad = True
            result.node = node = Node(self, y, tuple(targets), backward)
            if self.twice is not None:
                node.recall = self.twice.recall(arrays, params, y, backward)
        for listener in following:
            listener.operation(name, inputs, params, result)
        return result


@overload
def op(function: Callable[..., Any], *, twice: Rule | None = None) -> Operation: ...


@overload
def op(*, twice: Rule | None) -> Callable[[Callable[..., Any]], Operation]: ...


def op(function: Any = None, *, twice: Rule | None = None) -> Any:
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
      is freed by reference count during the backward pass.

    ``@op(twice=...)`` gives the rule to differentiate the derivative (:mod:`minigrad.tape.twice`).
    Without it, ``create_graph=True`` raises an error that names the operation.

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
    if twice is not None and not isinstance(twice, Rule):
        raise TypeError(f"twice: expected a rule or None, got {type(twice).__name__}")
    if function is None and twice is not None:
        return lambda function: op(function, twice=twice)
    if not callable(function):
        raise TypeError(f"function: expected a function to decorate, got {type(function).__name__}")
    return Operation(function, twice)


def _breach(name: str, returned: Any) -> TypeError:
    return TypeError(
        f"{name}: expected it to return (y, backward), an array of numbers and a function of "
        f"(g, needs), got {described(returned)}"
    )


def is_array(x: Any) -> bool:
    """Whether an operation may return ``x``: an array, or a NumPy scalar in place of a 0-d
    array."""
    return isinstance(x, (np.ndarray, np.generic)) or hasattr(x, "__cuda_array_interface__")


def described(returned: Any) -> str:
    """The result of an operation, described for an error message."""
    if isinstance(returned, tuple):
        inner = ", ".join(map(described, returned[:8]))
        return f"({inner}{', ...' if len(returned) > 8 else ''})"
    kind = type(returned).__name__
    return f"{kind} of {returned.dtype}" if hasattr(returned, "dtype") else kind


def target(x: Any) -> Target:
    """The target of the gradient of input ``x``, or None if it needs none."""
    if not isinstance(x, Variable) or not x.requires_grad:
        return None
    return x if x.node is None else x.node


def _number(name: str, x: Any) -> Any:
    """``x`` as a Python number, or None."""
    if isinstance(x, np.generic):
        return x.item()  # np.float64 is a float too, but would change an operation's dtype
    if x is None or isinstance(x, (bool, int, float)):
        return x
    raise TypeError(f"{name}: expected a Tensor or a number, got {type(x).__name__}")


def kind_of(array: Array) -> Any:
    """Dtype and device, in a form that is fast to compare."""
    return array.dtype if isinstance(array, np.ndarray) else (array.dtype, array.device.id)


def _check_alike(name: str, arrays: list[Array]) -> None:
    """Raise unless all share a floating dtype and a device, on a GPU the current one."""
    first = arrays[0]
    check_current(name, first)  # the others are on the same device, or refused
    kind = kind_of(first)
    if False not in [kind_of(x) == kind for x in arrays]:
        return
    devices = dict.fromkeys(str(device_of(x)) for x in arrays)
    if len(devices) > 1:
        raise DeviceError(f"{name}: tensors on different devices: {', '.join(devices)}")
    dtypes = dict.fromkeys(str(x.dtype) for x in arrays if x.dtype.kind == "f")
    if len(dtypes) > 1:
        raise TypeError(
            f"{name}: tensors of different floating dtypes: {', '.join(dtypes)}; "
            "convert one with .to(dtype)"
        )
