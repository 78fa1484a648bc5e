"""Reproducible random numbers: one seed, numbered draws, bit-identical on every device.

Every draw comes from Philox 4x64-10, a counter-based generator (Salmon et al., *Parallel random
numbers: as easy as 1, 2, 3*, SC 2011), whose output is a pure function of a key and a counter. The
key is a hash of the arguments of ``manual_seed``; the counter starts at the number of the draw. So
a training loop that calls ``manual_seed(seed, epoch, step)`` makes the same draws in a resumed run
as in an uninterrupted one, and no state has to be saved.

Threads that have not called ``manual_seed`` share the sequence of the main thread: each draw is
made once, by any of them. A thread that has called it has its own sequence, which does not depend
on other threads.
"""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from . import check
from .cpu import draws
from .cpu.threads import parallel, split_range
from .creation import LACKED, beside, floats_on, naming_allocation
from .device import CPU, move
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

        def fill(generator: np.random.Generator, part: slice) -> None:
            count = part.stop - part.start
            words = generator.bit_generator.random_raw(-(-count // 2)).view(np.uint32)
            np.greater_equal(words[:count], limit, out=flat[part])

        draws.share(self.philox, flat.size, 8, fill)
        return keep

    def uniform(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], low: float, high: float
    ) -> np.ndarray:
        """Numbers from [low, high), drawn in float64."""
        return draws.uniform(self.philox, shape, dtype, low, high)

    def normal(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], mean: float, std: float
    ) -> np.ndarray:
        """Numbers of a normal distribution, drawn in float64."""
        return draws.normal(self.philox, shape, dtype, mean, std)


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


class Part(NamedTuple):
    """The rows of a batch that belong to one of several processes: every ``of``-th from ``first``
    on.

    Attributes:
        first, of: number of the process, and how many there are.
        total: rows of the whole batch.
    """

    first: int
    of: int
    total: int

    @property
    def rows(self) -> slice:
        """These rows of the whole batch."""
        return slice(self.first, None, self.of)

    def __len__(self) -> int:
        return len(range(self.first, self.total, self.of))


class _Thread(threading.local):
    own: _Sequence | None = None  # after the thread's first manual_seed
    part: Part | None = None


_thread = _Thread()


def manual_seed(seed: int, *stream: int) -> None:
    """Restart the calling thread's sequence of random draws.

    All threads that have not called this use the main thread's sequence. If two threads that train
    two models both call it, their draws do not depend on each other.

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


class Generator:
    """A separate sequence of random draws, like ``torch.Generator``: for random tensors, the order
    of a ``DataLoader``, its samplers and ``random_split``.

    Args:
        device: only "cpu"; drawn tensors can be moved.
    """

    def __init__(self, device: Any = "cpu") -> None:
        check.unsupported("device", str(device), "cpu")
        self.manual_seed(0)

    def manual_seed(self, seed: int) -> Generator:
        """Restart from ``seed``, an integer >= 0; returns the generator."""
        self._seed = check.integer("seed", seed, 0)
        self._sequence = _Sequence(self._seed)
        return self

    def initial_seed(self) -> int:
        """The seed of the last start."""
        return self._seed

    def seed(self) -> int:
        """Restart from a random seed of the operating system; returns the seed."""
        self.manual_seed(int(np.random.SeedSequence().generate_state(1, np.uint64)[0]))
        return self._seed

    def next_draw(self) -> Draw:
        """The next draw of this generator."""
        return self._sequence.next()


def drawn_by(name: str, value: Any) -> np.random.Generator:
    """A NumPy generator for the next draw of ``value``, a Generator, or of the thread's sequence if
    it is None."""
    return np.random.Generator(next_draw_of(name, value).philox())


def next_draw_of(name: str, value: Any) -> Draw:
    """The next draw of ``value``, a Generator, or of the thread's sequence if it is None."""
    if value is None:
        return next_draw()
    if not isinstance(value, Generator):
        raise TypeError(f"{name}: expected a Generator, got {type(value).__name__}")
    return value.next_draw()


def replayable(seed: int, *stream: int) -> np.random.Generator:
    """A NumPy generator whose draws depend on the numbers alone: the same for the same
    (seed, …)."""
    for name, number in (("seed", seed), *(("stream", n) for n in stream)):
        check.integer(name, number, 0)
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=stream)))


def threshold(drop: float) -> int:
    """The smallest 32-bit word whose entry is kept; 2^32, above all words, for ``drop`` 1."""
    return round(drop * 2**32)


def next_draw() -> Draw:
    """The next draw of the calling thread's sequence."""
    return (_thread.own or _shared).next()


@contextmanager
def part_of_batch(part: Part | None) -> Iterator[None]:
    """Context in which this thread works on ``part`` of a batch. Draws for each row of a batch are
    then made for the whole batch, and the part's rows are taken from them."""
    before, _thread.part = _thread.part, part
    try:
        yield
    finally:
        _thread.part = before


def current_part() -> Part | None:
    """The part of a batch that this thread works on; None for whole batches."""
    return _thread.part


def rows_of_batch(count: int) -> tuple[int, slice]:
    """For a function that draws for each of ``count`` rows: the number of rows to draw for, and
    which of them to use. If processes share a batch, they draw for the whole batch and use their
    own rows, so that the draws are those of a single process."""
    part = _thread.part
    if part is None:
        return count, slice(None)
    if count != len(part):
        raise ValueError(f"count: expected the {len(part)} rows of this process, got {count}")
    return part.total, part.rows


@contextmanager
def drawn_again() -> Iterator[None]:
    """Context after which the calling thread repeats the draws made within it."""
    sequence = _thread.own or _shared
    start = sequence.next().number
    sequence.start_at(start)
    try:
        yield
    finally:
        sequence.start_at(start)


def generator() -> np.random.Generator:
    """A NumPy generator for the next draw of the sequence."""
    return np.random.Generator(next_draw().philox())


def _drawn(
    name: str,
    size: tuple[Any, ...],
    to: np.dtype[Any],
    where: Any,
    requires_grad: bool,
    generator: Any,
) -> Tensor:
    """The tensor of ``rand`` or ``randn``, drawn on the CPU, so a seed gives the same values
    everywhere."""
    shape = check.shape(size, at_least=1)
    if to.kind != "f" and (name == "rand" or 0 not in shape):
        raise TypeError(f"dtype: expected a floating dtype, got {to}")
    draw = draws.random if name == "rand" else draws.normal
    philox = next_draw_of("generator", generator).philox
    with naming_allocation(name, shape, to):
        return Tensor(move(draw(philox, shape, to), where), requires_grad)


@lacks(**LACKED)
@spread("size")
def randn(
    *size: Any,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """A tensor of shape ``size`` (integers or one tuple) drawn from the standard normal.

    Values are drawn on the CPU, so a seed gives the same values on every device.
    """
    return _drawn("randn", size, *floats_on(dtype, device), requires_grad, generator)


@lacks(**LACKED)
@spread("size")
def rand(
    *size: Any,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """A tensor of shape ``size`` (integers or one tuple) drawn uniformly from [0, 1)."""
    return _drawn("rand", size, *floats_on(dtype, device), requires_grad, generator)


@lacks(layout=None, memory_format=None, pin_memory=False)
def randn_like(
    input: Tensor,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """:func:`randn` with the shape of ``input``, by default with its dtype and device."""
    to, where = beside(input, dtype, device)
    return _drawn("randn", (input.shape,), to, where, requires_grad, generator)


@lacks(layout=None, memory_format=None, pin_memory=False)
def rand_like(
    input: Tensor,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """:func:`rand` with the shape of ``input``, by default with its dtype and device."""
    to, where = beside(input, dtype, device)
    return _drawn("rand", (input.shape,), to, where, requires_grad, generator)


@lacks(**LACKED)
def randint(
    low: int = 0,
    high: Any = None,
    size: Any = None,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Integers drawn uniformly from [low, high), int64 unless ``dtype`` is given.

    ``randint(high, size)`` starts at 0.
    """
    if size is None:
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    if not isinstance(size, (tuple, list)):
        raise TypeError(f"size: expected a tuple or list of sizes, got {check.shown(size)}")
    low = check.integer("low", low, -(2**62), 2**62)
    high = check.integer("high", high, low + 1, 2**62)
    to = np.dtype(np.int64) if dtype is None else check.dtype("dtype", dtype)
    check.fits("low", low, to)
    check.fits("high", high - 1, to)
    shape, where = check.shape((size,)), floats_on(None, device)[1]
    with naming_allocation("randint", shape, to):
        values = draws.integers(next_draw_of("generator", generator).philox, shape, to, low, high)
        return Tensor(move(values, where), requires_grad)


@lacks(**LACKED)
def randperm(
    n: int,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """The numbers from 0 to n − 1 in random order, int64 unless ``dtype`` is given."""
    n = check.integer("n", n, 0)
    to = np.dtype(np.int64) if dtype is None else check.dtype("dtype", dtype)
    if to.kind == "b":
        raise TypeError("dtype: expected integers or floats, got bool")
    if to.kind == "f":  # beyond, neighbours round to the same number
        check.integer("n", n, 0, 2 ** (np.finfo(str(to)).nmant + 1) + 1)
    elif n:
        check.fits("n", n - 1, to)
    where = floats_on(None, device)[1]
    with naming_allocation("randperm", (n,), to):
        values = draws.permutation(next_draw_of("generator", generator).philox, n)
        values = values.astype(to, copy=False)
        return Tensor(move(values, where), requires_grad)


def check_probabilities(name: str, value: Tensor) -> None:
    """Raise an error unless the Tensor is empty, or floating and from 0 to 1."""
    if not value.numel():
        return
    low, high = check.floating(name, value).data.min(), value.data.max()
    if not (low >= 0 and high <= 1):
        raise ValueError(f"{name}: expected probabilities, got {low} to {high}")


@lacks(out=None)
def bernoulli(
    input: Tensor, p: float | None = None, *, generator: Generator | None = None
) -> Tensor:
    """1 with the probability given by each element, or with probability ``p``; otherwise 0.

    ``input`` is floating, unless ``p`` is given or it is empty.
    """
    x = move(check.tensor("input", input).data, CPU)
    if p is not None:
        chance = check.number("p", p, 0, 1)
    else:
        check_probabilities("input", input)
    drawn, chances = empty(x.shape, x.dtype), np.ascontiguousarray(x).reshape(-1)

    def fill(generator: np.random.Generator, part: slice) -> None:
        numbers = generator.random(part.stop - part.start)
        drawn.reshape(-1)[part] = numbers < (chances[part] if p is None else chance)

    draws.share(next_draw_of("generator", generator).philox, x.size, 4, fill)
    return Tensor(move(drawn, input.device))


@lacks(out=None)
def multinomial(
    input: Tensor,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """``num_samples`` indices drawn in proportion to the weights (C,), or those of each row of
    (N, C); int64.

    Args:
        replacement: whether an index may be drawn again.
    """
    check.floating("input", check.tensor("input", input, (1, 2)))
    replacement = check.boolean("replacement", replacement)
    weights = move(input.data, CPU).astype(np.float64, "C")
    most = np.inf if replacement else weights.shape[-1]
    count = check.integer("num_samples", num_samples, 1, most)
    low, high = weights.min(initial=0), weights.max(initial=0)
    if not (0 <= low <= high < math.inf and weights.sum(-1).all()):
        raise ValueError("input: expected finite weights from 0 with a sum above it in each row")
    philox = next_draw_of("generator", generator).philox
    rows = weights.reshape(-1, weights.shape[-1])
    indices = np.empty((len(rows), count), np.int64)
    if replacement:
        shares = np.cumsum(rows, -1)
        spots = np.random.Generator(philox(0)).random((len(rows), count)) * shares[:, -1:]
        for row, share, spot in zip(indices, shares, spots, strict=True):
            row[:] = np.searchsorted(share, spot, "right")
    else:  # the first of exponential clocks, each at its weight's pace
        times = draws.exponential(philox, rows.shape)
        parts = split_range(len(rows), -(-rows.size // draws.PIECE))

        def first(i: int) -> None:
            clocks = np.divide(times[parts[i]], rows[parts[i]], out=times[parts[i]])
            early = np.argpartition(clocks, count - 1, -1)[:, :count]
            order = np.take_along_axis(clocks, early, -1).argsort(-1, kind="stable")
            indices[parts[i]] = np.take_along_axis(early, order, -1)

        parallel(first, len(parts), draws.COST * rows.size)
        if (np.take_along_axis(rows, indices, -1) == 0).any():
            raise ValueError(f"num_samples: expected as many weights above 0, got {count}")
    return Tensor(move(indices.reshape(*weights.shape[:-1], count), input.device))


@contextmanager
def seed_restored() -> Iterator[None]:
    """Context whose calls of :func:`manual_seed` end with it: the sequences from before go on."""
    global _shared
    own, shared = _thread.own, _shared
    try:
        yield
    finally:
        _thread.own = own
        if threading.current_thread() is threading.main_thread():  # no other one sets it
            _shared = shared
