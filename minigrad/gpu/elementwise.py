"""Element-wise passes on a GPU that keep memory order, where CuPy's functions return C order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..device import Array, get_xp
from ..layout import memory_order


def elementwise(function: Callable[..., Any], *arrays: Array) -> Array:
    """Apply ``function(out, *arrays)`` to ``arrays``, broadcast; it fills its first argument.

    The result has the dtype of the first array and the memory order of the first array of full
    shape. ``function`` gets the axes in that order, so its first argument is in C order.
    """
    xp = get_xp(arrays[0])
    shape = np.broadcast_shapes(*(a.shape for a in arrays))
    full = [a for a in arrays if a.shape == shape]
    order = memory_order(full[0]) if full else list(range(len(shape)))
    whole = [a if a.shape == shape else xp.broadcast_to(a, shape) for a in arrays]
    memory = [a.transpose(order) for a in whole]
    result = xp.empty(memory[0].shape, arrays[0].dtype)
    function(result, *memory)
    return result.transpose([order.index(i) for i in range(len(shape))])
