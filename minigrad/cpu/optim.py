"""Optimisers on the CPU: updates in place, over blocks of all parameters that the cores share.

A block stays in a core's cache, so each value is read from memory once per step, however many
passes NumPy needs. A compiled kernel needs one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..device import Array
from ..layout import memory_order
from ..optim.adam import adam
from ..optim.kernel_numbers import Numbers, adam_numbers, rmsprop_numbers, sgd_numbers
from ..optim.optimizer import Options, Rule
from ..optim.rmsprop import rmsprop
from ..optim.sgd import sgd
from .compiled import kernels
from .elementwise import BLOCK
from .threads import parallel, split_range, workspace

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


def _register(
    rule: Rule, numbers: Callable[..., Numbers], blocks: Callable[..., None], compiled: Any
) -> None:
    """Register the compiled kernel that has ``rule``'s name, and ``blocks`` in NumPy.

    Args:
        numbers: the numbers that both take, computed from the rule's options.
        compiled: the condition under which the kernel serves.
    """

    def by_kernel(*lists: Sequence[Array], options: Callable[[], Options]) -> None:
        now, dtype = options(), lists[0][0].dtype
        if now.get("fresh"):  # the first step is bit-identical to NumPy's
            _update(blocks, lists, numbers(**now))
            return
        kernel = getattr(kernels("optim", dtype), rule.name)
        values = [n if isinstance(n, bool) else dtype.type(n) for n in numbers(**now)]
        _update(kernel, lists, values)

    def by_numpy(*lists: Sequence[Array], options: Callable[[], Options]) -> None:
        _update(blocks, lists, numbers(**options()))

    rule.on("cpu", compiled)(by_kernel)
    rule.on("cpu")(by_numpy)


def _is_compiled(p: Array, *_: Any) -> bool:
    return kernels("optim", p.dtype) is not None


def _is_compiled_with_momentum(p: Array, g: Array, b: Array) -> bool:
    return b is not None and _is_compiled(p)


_register(sgd, sgd_numbers, sgd_blocks, _is_compiled_with_momentum)
_register(adam, adam_numbers, adam_blocks, _is_compiled)
_register(rmsprop, rmsprop_numbers, rmsprop_blocks, _is_compiled)
