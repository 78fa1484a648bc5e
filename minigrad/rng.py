"""Reproducible random numbers: one seed, numbered draws, bit-identical on every device.

Every draw comes from Philox 4x64-10, a counter-based generator (Salmon et al., *Parallel random
numbers: as easy as 1, 2, 3*, SC 2011), whose output is a pure function of a key and a counter. The
key is a hash of the arguments of ``manual_seed``; the counter starts at the number of the draw. So
a training loop that calls ``manual_seed(seed, epoch, step)`` makes the same draws in a resumed run
as in an uninterrupted one, and no state has to be saved.

Threads that have not called ``manual_seed`` share the sequence of the main thread: each draw is
made once, by any of them. A thread that has called it uses a sequence of its own and makes the
draws that it would make alone.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from . import check
from .cpu.elementwise import BLOCK
from .cpu.threads import parallel, split_range
from .creation import floats_on, naming_allocation
from .device import move
from .memory import empty
from .options import lacks, spread
from .tensor import Tensor


class Draw(NamedTuple):
    """One draw of the sequence: a separate stream of 64-bit words, 2^192 blocks of four."""

    key: tuple[int, int]
    number: int

    def philox(self, block: int = 0) -> np.random.Philox:
        """The stream, starting at ``block``."""
        counter = np.array([block, 0, 0, self.number], np.uint64)
        return np.random.Philox(key=np.array(self.key, np.uint64), counter=counter)

    def keep_mask(self, shape: tuple[int, ...], drop: float) -> np.ndarray:
        """Boolean array of ``shape``, each entry True with probability ``1 - drop`` (to 2^-32).

        Each entry compares a 32-bit word of the stream with :func:`threshold`, so the mask is
        identical on every device.
        """
        keep = empty(shape, np.bool_)
        flat, limit = keep.reshape(-1), np.uint64(threshold(drop))
        parts = split_range(flat.size, -(-flat.size // BLOCK), align=8)  # eight words to a block

        def task(i: int) -> None:
            part = flat[parts[i]]
            words = self.philox(parts[i].start // 8).random_raw(-(-part.size // 2))
            np.greater_equal(words.view(np.uint32)[: part.size], limit, out=part)

        parallel(task, len(parts))
        return keep


class _Sequence:
    """The draws of one seed. Each is made once, by whichever thread asks."""

    def __init__(self, seed: int, *stream: int) -> None:
        first, second = np.random.SeedSequence(seed, spawn_key=stream).generate_state(2, np.uint64)
        self._key = int(first), int(second)
        self._numbers = itertools.count()  # next() is atomic without a lock

    def next(self) -> Draw:
        return Draw(self._key, next(self._numbers))

    def start_at(self, number: int) -> None:
        self._numbers = itertools.count(number)


_shared = _Sequence(0)


class _Thread(threading.local):
    own: _Sequence | None = None  # after the thread's first manual_seed


_thread = _Thread()


def manual_seed(seed: int, *stream: int) -> None:
    """Restart the calling thread's sequence of random draws.

    The main thread's sequence also serves all threads that have not called this. If two threads
    that train two models both call it, each makes the draws that it would make alone.

    Args:
        seed: whole number >= 0, the seed of the run.
        stream: whole numbers >= 0 that select an independent sequence of this seed, such as epoch
            and step.

    Raises:
        ValueError: an argument is not a whole number >= 0.
    """
    global _shared
    for number in (seed, *stream):
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or number < 0:
            raise ValueError(
                f"seed: expected whole numbers from 0, got {check.shown((seed, *stream))}"
            )
    sequence = _Sequence(int(seed), *map(int, stream))
    _thread.own = sequence
    if threading.current_thread() is threading.main_thread():
        _shared = sequence


def threshold(drop: float) -> int:
    """The smallest 32-bit word whose entry is kept; 2^32, above all words, for ``drop`` 1."""
    return round(drop * 2**32)


def next_draw() -> Draw:
    """The next draw of the calling thread's sequence."""
    return (_thread.own or _shared).next()


@contextmanager
def drawn_again() -> Iterator[None]:
    """What is drawn within it on the calling thread is drawn again after it."""
    sequence = _thread.own or _shared
    start = sequence.next().number
    sequence.start_at(start)
    try:
        yield
    finally:
        sequence.start_at(start)


def generator() -> np.random.Generator:
    """A NumPy generator of the next draw of the sequence."""
    return np.random.Generator(next_draw().philox())


@lacks(generator=None, out=None, layout=None, pin_memory=False)
@spread("size")
def randn(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of shape ``size`` (integers or one tuple) drawn from the standard normal.

    Values are drawn on the CPU, so a seed gives the same values on every device.
    """
    shape, to, where = check.shape(size, at_least=1), *floats_on(dtype, device)
    if to.kind != "f":
        raise TypeError(f"dtype: expected a floating dtype, got {to}")
    with naming_allocation("randn", shape, to):
        values = generator().standard_normal(shape, np.float32).astype(to)
        return Tensor(move(values, where), requires_grad)
