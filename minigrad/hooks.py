"""Hooks: functions that a module or a tensor calls with the values and gradients that pass it."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from typing import Any


class Hooks(OrderedDict[object, Any]):
    """Hooks in the order in which they are called.

    Attributes:
        retained: the tensor that keeps the gradient after all of them (``Tensor.retain_grad``).
    """

    retained: weakref.ref[Any] | None = None

    def add(self, hook: Any, prepend: bool = False) -> RemovableHandle:
        """Put ``hook`` last, or first if ``prepend``."""
        key = object()
        self[key] = hook
        if prepend:
            self.move_to_end(key, last=False)
        return RemovableHandle(self, key)


class RemovableHandle:
    """What registering a hook returns: :meth:`remove`, or the end of a ``with`` block, removes it.

    The handle keeps nothing alive. In a copy of a module it belongs to the hook of the copy.
    """

    def __init__(self, hooks: Hooks, key: object) -> None:
        self._hooks, self._key = weakref.ref(hooks), key

    def remove(self) -> None:
        """Remove the hook, if it is still there. A call that has begun runs it all the same."""
        hooks = self._hooks()
        if hooks is not None:
            hooks.pop(self._key, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def __getstate__(self) -> tuple[Hooks | None, object]:
        return self._hooks(), self._key

    def __setstate__(self, state: tuple[Hooks | None, object]) -> None:
        hooks, self._key = state
        self._hooks = weakref.ref(Hooks() if hooks is None else hooks)
