"""Optimisers on the CPU: updates in place, over blocks of all parameters that the cores share.

A block stays in a core's cache, so each value is read from memory once per step, however many
passes NumPy needs. A compiled kernel needs one, and one call for all small parameters: Python takes
longer to hand over their arrays one by one than the kernel takes to update them.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..device import Array
from ..layout import memory_order
from ..optim import kernel_numbers
from ..optim.adagrad import adadelta, adagrad
from ..optim.adam import adam
from ..optim.adam_variants import adamax, nadam, radam
from ..optim.kernel_numbers import Numbers
from ..optim.optimizer import Options, Rule
from ..optim.rmsprop import rmsprop
from ..optim.sgd import sgd
from .compiled import kernels
from .elementwise import BLOCK
from .threads import launch, parallel, split_range, workspace

# ---------------------------------------------------------------------------- blocks in NumPy


def sgd_blocks(
    p: Array,
    g: Array,
    b: Array,
    lr: float,
    momentum: float,
    take: float,
    decay: float,
    sign: float,
    nesterov: bool,
) -> None:
    """The kernel ``sgd`` in NumPy; b may be empty."""
    t = workspace("update", p.shape, p.dtype)
    g = _decayed(p, g, decay, sign)
    if len(b):
        b *= momentum
        b += np.multiply(g, take, out=t)
        g = np.add(g, np.multiply(b, momentum, out=t), out=t) if nesterov else b
    p -= np.multiply(g, lr, out=t)


def adam_blocks(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    v_max: Array,
    rate: float,
    eps: float,
    keep1: float,
    take1: float,
    keep2: float,
    take2: float,
    decay: float,
    shrink: float,
    sign: float,
    amsgrad: bool,
) -> None:
    """The kernel ``adam`` in NumPy; v_max may be empty."""
    t = workspace("update", p.shape, p.dtype)
    if shrink != 1:
        p *= shrink
    g = _decayed(p, g, decay, sign)
    _move_towards(m, g, keep1, take1, t)
    _add_square(v, g, keep2, take2, t)
    np.sqrt(np.maximum(v_max, v, out=v_max) if amsgrad else v, out=t)
    t += eps
    np.divide(m, t, out=t)
    t *= rate
    p -= t


def rmsprop_blocks(
    p: Array,
    g: Array,
    v: Array,
    b: Array,
    mean: Array,
    lr: float,
    keep: float,
    take: float,
    eps: float,
    decay: float,
    momentum: float,
    sign: float,
    centered: bool,
) -> None:
    """The kernel ``rmsprop`` in NumPy; b and mean may be empty."""
    t = workspace("update", p.shape, p.dtype)
    g = _decayed(p, g, decay, sign)
    _add_square(v, g, keep, take, t)
    if centered:
        _move_towards(mean, g, keep, take, t)
        np.multiply(mean, mean, out=t)
        np.sqrt(np.subtract(v, t, out=t), out=t)
    else:
        np.sqrt(v, out=t)
    t += eps
    np.divide(g, t, out=t)
    if momentum:
        b *= momentum
        b += t
        np.multiply(b, lr, out=t)
    else:
        t *= lr
    p -= t


def _decayed(p: Array, g: Array, decay: float, sign: float) -> Array:
    """±g + λ p in a scratch array, or g itself."""
    if decay == 0 and sign == 1:
        return g
    d = workspace("decayed", p.shape, p.dtype)
    np.multiply(p, decay, out=d)
    return np.subtract(d, g, out=d) if sign < 0 else np.add(d, g, out=d)


def _move_towards(mean: Array, g: Array, keep: float, take: float, t: Array) -> None:
    """mean ← keep mean + take g with keep + take = 1, in the form that rounds the smaller term
    (PyTorch's ``lerp_``)."""
    np.subtract(g, mean, out=t)
    if take < 0.5:
        t *= take
        mean += t
    else:
        t *= keep
        np.subtract(g, t, out=mean)


def _add_square(v: Array, g: Array, keep: float, take: float, t: Array) -> None:
    """v ← keep v + take g²."""
    np.multiply(g, g, out=t)
    t *= take
    v *= keep
    v += t


# ---------------------------------------------------------------------------- registrations


def _update(
    function: Callable[..., Any], lists: Sequence[Sequence[Array]], numbers: Sequence[float]
) -> None:
    """Run ``function(p, g, *state, *numbers)`` over flat blocks of all parameters, in one parallel
    pass. A parameter and its state are dense and share one memory order; a block of missing state
    is empty."""
    work: list[list[Array]] = []
    for p, *others in zip(*lists, strict=True):
        arrays = [p, *(a for a in others if a is not None)]
        if not all(a.flags.c_contiguous for a in arrays):
            order = memory_order(p)
            arrays = [np.ascontiguousarray(a.transpose(order)) for a in arrays]
        flat = [a.reshape(-1) for a in arrays]
        for i, a in enumerate(others, 1):
            if a is None:
                flat.insert(i, flat[0][:0])
        for part in split_range(p.size, -(-p.size // BLOCK), align=16):
            work.append([a[part] for a in flat])
    parallel(lambda i: function(*work[i], *numbers), len(work), sum(len(a[0]) for a in work))


def _by_kernel(name: str, lists: Sequence[Sequence[Array]], numbers: Sequence[float]) -> None:
    """Run the kernel of the rule ``name`` on all parameters. The memory orders are as in
    ``_update``."""
    params, gradients, *state = lists
    gradients = list(map(_alike, params, gradients))
    used = [s for s in state if s[0] is not None]
    if len(used) < len(state):
        name += "_" + "".join("01"[s[0] is not None] for s in state)
    dtype, sizes = params[0].dtype, [p.size for p in params]
    fast, total = kernels("optim", dtype), sum(sizes)
    assert fast is not None  # see `_is_compiled`
    update = fast.update(name, dtype.type, len(used), len(numbers))
    arrays = itertools.chain(params, gradients, *used)
    table = np.array([*sizes, *map(id, arrays)]).reshape(-1, len(sizes))
    values = np.array(numbers, dtype)
    # A pass over one array reads and writes a float32; here all are read, and all but g written.
    moved = total * (2 * len(table) - 3) * dtype.itemsize // 8
    launch(update, total, moved, table, values, align=16)


def _alike(p: Array, g: Array) -> Array:
    """``g``, or a copy of it, in the memory order of ``p``."""
    if g.strides == p.strides or (g.flags.c_contiguous and p.flags.c_contiguous):
        return g
    copy = np.empty_like(p)
    copy[...] = g
    return copy


@functools.cache
def _has_addresses() -> bool:
    """Whether arrays have their address where the kernels look for it. To ask each for its
    attribute takes longer than a step."""
    a = np.empty(1)
    found = ctypes.c_size_t.from_address(id(a) + object.__basicsize__).value
    return bool(found == a.ctypes.data)


def _is_compiled(p: Array, *_: Any) -> bool:
    return kernels("optim", p.dtype) is not None and _has_addresses()


def _register(
    rule: Rule, numbers: Callable[..., Numbers], blocks: Callable[..., None] | None = None
) -> None:
    """Register the compiled kernel that has ``rule``'s name, and ``blocks`` in NumPy. Both take
    what ``numbers`` computes from the rule's options."""

    def by_kernel(*lists: Sequence[Array], options: Callable[[], Options]) -> None:
        now = options()
        if blocks is not None and now.get("fresh"):  # the first step has the bits of NumPy's
            _update(blocks, lists, numbers(**now))
        else:
            _by_kernel(rule.name, lists, numbers(**now))

    rule.on("cpu", _is_compiled)(by_kernel)
    if blocks is None:
        return
    in_blocks = blocks

    def by_numpy(*lists: Sequence[Array], options: Callable[[], Options]) -> None:
        _update(in_blocks, lists, numbers(**options()))

    rule.on("cpu")(by_numpy)


_register(sgd, kernel_numbers.sgd_numbers, sgd_blocks)
_register(adam, kernel_numbers.adam_numbers, adam_blocks)
_register(rmsprop, kernel_numbers.rmsprop_numbers, rmsprop_blocks)
_register(nadam, kernel_numbers.nadam_numbers)
_register(radam, kernel_numbers.radam_numbers)
_register(adamax, kernel_numbers.adamax_numbers)
_register(adagrad, kernel_numbers.adagrad_numbers)
_register(adadelta, kernel_numbers.adadelta_numbers)
