"""Muon on the CPU: each core updates matrices of its own, and BLAS computes symmetric products by
one half."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..device import Array
from ..optim import muon
from ..optim.optimizer import Options
from .threads import get_num_threads, parallel


def _orthogonal(matrix: Array, coefficients: Sequence[float], steps: int, eps: float) -> Array:
    """:func:`minigrad.optim.muon.orthogonal`, as X ← F X with F = a + b S + c S² and S = X Xᵀ.

    If X is wide, two steps are one: S of the second is F S F, which needs no product as large as
    X. Of more steps the rounding errors would grow with a².
    """
    a, b, c = coefficients
    x = matrix / np.maximum(np.linalg.norm(matrix), matrix.dtype.type(eps))
    tall = len(x) > x.shape[1]
    x = np.ascontiguousarray(x.T if tall else x)
    n, together = len(x), 2 if x.shape[1] > 2 * len(x) else 1
    for done in range(0, steps, together):
        square = np.matmul(x, x.T)
        factors: Any = None
        for k in range(done, min(done + together, steps)):
            if k > done:
                square = factors @ square @ factors.T
            factor = np.matmul(square, square.T)  # S is symmetric
            factor *= c
            factor += b * square
            factor.ravel()[:: n + 1] += a
            factors = factor if k == done else factor @ factors
        x = factors @ x
    return x.T if tall else x


def _update(arrays: Sequence[Array], now: Options) -> None:
    """The rule's formula."""
    (p, g, b), momentum, lr = arrays, now["momentum"], now["lr"]
    b *= momentum
    b += (1 - momentum) * g
    u = (1 - momentum) * g + momentum * b if now["nesterov"] else b
    matrix = u.reshape(len(u), math.prod(u.shape[1:]))
    o = _orthogonal(matrix, now["ns_coefficients"], int(now["ns_steps"]), now["eps"])
    if now["normalize_weight"]:
        p *= math.sqrt(len(p)) / np.linalg.norm(p)
    p *= 1 - lr * now["weight_decay"]
    o *= lr * muon._scale(matrix.shape, now["adjust_lr_fn"])
    p -= o.reshape(p.shape)


@muon.muon.on("cpu", when=lambda p, *_: p.dtype.char in "fd")
def by_cores(*lists: Sequence[Array], options: Callable[[], Options]) -> None:
    """Of fewer matrices than threads, BLAS shares the products."""
    if len(lists[0]) < get_num_threads():
        muon.muon.definition(*lists, options=options)
        return
    now, jobs = options(), [*zip(*lists, strict=True)]
    jobs.sort(key=_work, reverse=True)  # the longest first, so that no core waits long for another
    parallel(lambda i: _update(jobs[i], now), len(jobs))


def _work(arrays: Sequence[Array]) -> int:
    """How long an update takes."""
    p = arrays[0]
    return int(p.size * min(len(p), p.size // max(1, len(p))))
