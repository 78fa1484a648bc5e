"""Find the operation, and the module, in which NaN or infinity first appears.

    with mg.detect_anomaly(model):
        loss = mg.functional.cross_entropy(model(images), labels)
        loss.backward()

Every result and every gradient is checked, which costs one pass over each. (PyTorch's
``torch.autograd.detect_anomaly`` checks only gradients, and only for NaN.)
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from .device import Array, get_xp
from .events import Listener, listen
from .nn import Module
from .options import lacks
from .tape import Node
from .tensor import Tensor


@lacks(check_nan=True)
def detect_anomaly(model: Module | None = None) -> AbstractContextManager[None]:
    """Raise FloatingPointError as soon as an operation on this thread, or its derivative, gives NaN
    or infinity.

    The message names the operation and says whether its inputs were finite. With ``model`` it also
    names the module that was running, and any parameter or buffer that is not finite itself. An
    infinity counts even if a later operation would remove it, such as a mask of -inf.
    """
    if model is not None and not isinstance(model, Module):
        raise TypeError(f"model: expected a Module or None, got {type(model).__name__}")
    return _searching(model)  # a generator would check ``model`` only when entered


@contextmanager
def _searching(model: Module | None) -> Iterator[None]:
    with listen(_Search(model)):
        yield


class _Search(Listener):
    def __init__(self, model: Module | None) -> None:
        self.model = model
        self.running: list[str] = []  # paths of the modules whose forward is running
        self.places: weakref.WeakKeyDictionary[Node, str] = weakref.WeakKeyDictionary()
        modules = model.named_modules() if model is not None else ()
        self.paths = {module: path or type(module).__name__ for path, module in modules}

    def enter(self, module: Module, inputs: tuple[Any, ...]) -> None:
        if module in self.paths:
            self.running.append(self.paths[module])

    def leave(self, module: Module, inputs: tuple[Any, ...], result: Any) -> None:
        if module in self.paths:
            self.running.pop()

    def operation(
        self, name: str, inputs: tuple[Any, ...], params: dict[str, Any], result: Tensor
    ) -> None:
        if result.node is not None:
            self.places[result.node] = self._place()
        if not (wrong := _wrong(result.data)):
            return
        # Inputs that are not finite came from no operation: the search would have ended there.
        given = [
            f"{name} with {problem}"
            for name, array in self._given(inputs, params)
            if (problem := _wrong(array))
        ]
        cause = f"was given {' and '.join(given)}" if given else f"made {wrong} of finite inputs"
        raise FloatingPointError(f"{name}{self._place()} {cause}")

    def derivative(self, node: Node, g: Array, gradients: tuple[Array | None, ...]) -> None:
        place = self.places.get(node, "")
        name = node.operation.name
        if wrong := _wrong(g):  # a sum of finite terms overflowed, or a hook made it
            raise FloatingPointError(f"the gradient of {name}'s result{place} has {wrong}")
        for number, gradient in enumerate(gradients):
            if gradient is not None and (wrong := _wrong(gradient)):
                raise FloatingPointError(
                    f"the derivative of {name}{place} made {wrong} of a finite gradient, in "
                    f"the gradient of its input {number}"
                )

    def _place(self) -> str:
        return f" in {self.running[-1]}" if self.running else ""

    def _given(
        self, inputs: tuple[Any, ...], params: dict[str, Any]
    ) -> Iterator[tuple[str, Array]]:
        """The input arrays of an operation with their names in the model. Arrays among ``params``
        that are not the model's are left out, because they may hold results."""
        state = self.model.state_dict() if self.model is not None else {}
        names = {id(tensor.data): name for name, tensor in state.items()}
        for number, x in enumerate(inputs):
            if isinstance(x, Tensor):
                yield names.get(id(x.data), f"input {number}"), x.data
        for value in params.values():
            if id(value) in names:
                yield names[id(value)], value


def _wrong(array: Array) -> str:
    """The number of NaN and infinite values of ``array``, in words; "" if there are none."""
    if array.dtype.kind != "f":
        return ""
    xp = get_xp(array)
    if bool(xp.isfinite(array).all()):
        return ""
    counts = {"NaN": int(xp.isnan(array).sum()), "infinite": int(xp.isinf(array).sum())}
    words = " and ".join(f"{count} {what}" for what, count in counts.items() if count)
    return f"{words} of {array.size} values"
