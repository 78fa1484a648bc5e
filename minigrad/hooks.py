"""Hooks: functions that a module or a tensor calls with its values or gradients."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from typing import Any


class Hooks(OrderedDict[object, Any]):
    """Hooks in the order in which they are called.

    Attributes:
        retained: the tensor that keeps the gradient after all hooks (``Tensor.retain_grad``).
    """

    retained: weakref.ref[Any] | None = None

    def add(self, hook: Any, prepend: bool = False) -> RemovableHandle:
        """Add ``hook`` at the end, or at the beginning if ``prepend``."""
        key = object()
        self[key] = hook
        if prepend:
            self.move_to_end(key, last=False)
        return RemovableHandle(self, key)


class RemovableHandle:
    """The handle of a registered hook: :meth:`remove`, or the end of a ``with`` block, removes it.

    The handle keeps nothing alive. When a module is copied with its handle, the copied handle
    belongs to the copied hook.
    """

    def __init__(self, hooks: Hooks, key: object) -> None:
        self._hooks, self._key = weakref.ref(hooks), key

    def remove(self) -> None:
        """Remove the hook, if it is still registered. A call in progress still runs it."""
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
