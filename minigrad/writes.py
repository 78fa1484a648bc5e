"""In-place writes: results in memory that is there, and errors where backward needs what was in it.

:func:`into` offers the memory of a tensor to an operation on that tensor. An implementation that
writes element by element takes it (:func:`takes`); the result of any other is copied there.

An operation keeps its arrays without copying. Every in-place write stores the time at which it
changed the memory of an array, and every node on the tape the time at which it was recorded. If an
array of a node was written after the node was recorded, its gradient would be wrong, and backward
raises an error, as in PyTorch. Before the first write, nothing is checked.

Optimisers, initialisers, ``load_state_dict``, averages of models and the functions of ``nn.utils``
note what they write. A program's own write into the array ``tensor.data`` is not detected.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .device import Array
from .kept import kept_arrays, owner

time = 0  # the number of writes so far
_written: dict[int, tuple[weakref.ref[Any], int]] = {}  # by the id of the memory's owner
_many = 1000  # entries, beyond which those of freed memory are dropped


def note(*arrays: Array) -> None:
    """Record that the memory of ``arrays`` has been written."""
    global time, _many
    time += 1
    for array in arrays:
        whole = owner(array)
        _written[id(whole)] = weakref.ref(whole), time
    if len(_written) > _many:
        for key in [key for key, (reference, _) in _written.items() if reference() is None]:
            del _written[key]
        _many = max(1000, 2 * len(_written))


class _Offer(threading.local):
    holder: Any = None  # of an array, ``data``, in which the result may be written


_offer = _Offer()


def into(
    holder: Any, function: Callable[..., Any], args: Sequence[Any], options: Mapping[str, Any]
) -> tuple[Any, bool]:
    """The result of ``function(holder, *args, **options)``, and whether it was written into
    ``holder.data``, an array that nothing else refers to.

    ``function`` is one operation on ``holder``, or several of which only the last is on it. So a
    holder that was written has no ``data``.
    """
    before, _offer.holder = _offer.holder, holder
    try:
        return function(holder, *args, **options), _offer.holder is None
    finally:
        _offer.holder = before


def takes(x: Array) -> bool:
    """Whether an operation shall write its result into ``x``, its first operand. It has found that
    it can: what follows does not fail, and reads no element after it was written."""
    holder = _offer.holder
    if holder is None or holder.data is not x:
        return False
    _offer.holder = None
    del holder.data
    note(x)
    return True


def check_unwritten(name: str, recorded: int, backward: Callable[..., Any]) -> None:
    """Raise RuntimeError if memory that ``backward`` keeps was written after ``recorded``."""
    if recorded == time:
        return
    for _, array in kept_arrays(backward):
        whole = owner(array)
        reference, when = _written.get(id(whole), (None, 0))
        if reference is not None and reference() is whole and when > recorded:
            raise RuntimeError(
                f"backward: an array that '{name}' keeps has been changed in place since forward; "
                "change a clone() instead, or change it after backward()"
            )
