"""Optimisers on a GPU: one launch of a kernel of optim.cu for all parameters that share options.

A recorded launch reads its numbers from memory that is refilled before each replay.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..device import Array, device, device_of, get_xp, move
from ..optim.adam import adam
from ..optim.kernel_numbers import Numbers, adam_numbers, rmsprop_numbers, sgd_numbers
from ..optim.optimizer import Options, Rule
from ..optim.rmsprop import rmsprop
from ..optim.sgd import sgd
from . import capture
from . import launch as cuda

THREADS, CHUNK = 256, 2048  # threads, and elements, per block


def _register(rule: Rule, numbers: Callable[..., Numbers], count: int) -> None:
    """Register the kernel of ``rule``'s name, which takes ``count`` numbers."""

    def launch(*lists: Sequence[Array], options: Callable[[], Options]) -> None:
        params, grads, *state = lists
        where, dtype = device_of(params[0]), params[0].dtype
        sizes, starts, blocks = _chunks(tuple(p.size for p in params), where)
        capture.keep(sizes, starts)
        grads = [_like(p, g) for p, g in zip(params, grads, strict=True)]
        arrays = [*params, *grads, *(a for slot in state for a in slot if a is not None)]
        values = capture.varying(lambda: numbers(**options()), count, dtype, where.xp)
        args = (arrays, sizes, starts, len(params), values)
        cuda.launch("optim", rule.name, blocks, THREADS, args, REAL=dtype, CHUNK=CHUNK)

    rule.on("gpu", _is_usable)(launch)


def _is_usable(p: Array, *_: Any) -> bool:
    return cuda.usable(p)


def _like(p: Array, g: Array) -> Array:
    """``g`` in the memory order of ``p``."""
    if g.strides == p.strides:
        return g
    copy = get_xp(p).empty_like(p)
    copy[...] = g
    return copy


@functools.lru_cache(maxsize=16)
def _chunks(sizes: tuple[int, ...], where: device) -> tuple[Array, Array, int]:
    """On the device, each parameter's size and its first block; and the number of blocks."""
    starts = np.cumsum([0, *(cuda.blocks(size, CHUNK) for size in sizes)])
    device_arrays = (move(a, where) for a in (np.array(sizes, np.int64), starts.astype(np.int32)))
    return (*device_arrays, int(starts[-1]))


_register(sgd, sgd_numbers, 6)
_register(adam, adam_numbers, 10)
_register(rmsprop, rmsprop_numbers, 8)
