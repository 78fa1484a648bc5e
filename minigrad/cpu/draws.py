"""Random numbers on the CPU, shared among the cores: the bits that NumPy's Generator draws.

Philox is a function of a counter, so every thread computes the words of its own part of a stream.
Where each number takes a fixed number of words, its place in the stream is known: :func:`share`.
Others take one word, and sometimes more: :func:`drawn`.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np

from ..device import Array
from ..memory import empty
from .compiled import is_compiled, kernels
from .threads import parallel, split_range

PIECE = 1 << 15  # numbers of a task
COST = 8  # of a number, beside a sum
FEW = 1 << 11  # numbers; NumPy is as fast with fewer, and nothing has to be compiled
SPARE = 64  # words behind a part, which its last number hardly ever uses up

# Numba's own copy of NumPy's ziggurat tables. It is private: without it, NumPy draws.
TABLES = "numba.np.random._constants"

Philox: TypeAlias = Callable[[int], np.random.Philox]  # a stream, from a block of four words on


def _kernels(count: int) -> ModuleType | None:
    """The kernels for so many numbers, or None where NumPy draws them."""
    if count < FEW or not is_compiled() or not _has_tables():
        return None
    return kernels("draws", np.dtype(np.float64))


@functools.cache
def _has_tables() -> bool:
    return importlib.util.find_spec(TABLES) is not None


def share(
    philox: Philox, size: int, each: int, fill: Callable[[np.random.Generator, slice], object]
) -> None:
    """Call ``fill(generator, part)`` for parts of ``size`` numbers, of which ``each`` come from a
    block. The generator is where the part begins."""
    parts = split_range(size, -(-size // PIECE), align=each)

    def task(i: int) -> None:
        fill(np.random.Generator(philox(parts[i].start // each)), parts[i])

    parallel(task, len(parts), COST * size)


def random(philox: Philox, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Numbers from [0, 1): multiples of 2^-24, for float64 of 2^-48, drawn as two of these, and for
    float16, which rounds more to 1, of 2^-11."""
    out = empty(shape, dtype)
    flat, second = out.reshape(-1), out.size

    def fill(generator: np.random.Generator, part: slice) -> None:
        if dtype == np.float32:
            generator.random(out=flat[part], dtype=np.float32)
            return
        values = generator.random(part.stop - part.start, np.float32)
        if dtype == np.float16:
            values = np.floor(values * np.float32(2**11)) * np.float32(2.0**-11)
        flat[part] = values
        if dtype == np.float64:
            block, skipped = divmod(second + part.start, 8)
            rest = np.random.Generator(philox(block)).random(
                skipped + part.stop - part.start, np.float32
            )
            flat[part] += rest[skipped:] * np.float64(2.0**-24)

    share(philox, out.size, 8, fill)
    return out


def uniform(
    philox: Philox, shape: tuple[int, ...], dtype: np.dtype[Any], low: float, high: float
) -> Array:
    """Numbers from [low, high), drawn in float64. Those that ``dtype`` rounds to ``high`` become
    the number before it, if there is one from ``low`` on."""
    out = empty(shape, dtype)
    flat = out.reshape(-1)
    end = dtype.type(high)
    last = np.nextafter(end, dtype.type(low))

    def fill(generator: np.random.Generator, part: slice) -> None:
        flat[part] = generator.uniform(low, high, part.stop - part.start)
        np.minimum(flat[part], last, out=flat[part])

    share(philox, out.size, 4, fill)
    return out


def normal(philox: Philox, shape: tuple[int, ...], dtype: np.dtype[Any], *numbers: float) -> Array:
    """Numbers of the standard normal, drawn in float32; or of a normal with this mean and standard
    deviation, drawn in float64."""
    out = empty(shape, dtype)
    fast = _kernels(out.size)
    if fast is None:
        generator: Any = np.random.Generator(philox(0))
        if not numbers:
            out[...] = generator.standard_normal(shape, np.float32)
        else:
            out[...] = generator.normal(*numbers, shape)
    elif not numbers:
        drawn(philox, out.reshape(-1), fast.normal_single, np.float32, 32)
    else:
        mean, deviation = numbers

        def scaled(values: Array) -> Array:
            values *= deviation
            values += mean
            return values

        drawn(philox, out.reshape(-1), fast.normal, np.float64, 64, scaled)
    return out


def exponential(philox: Philox, shape: tuple[int, ...]) -> Array:
    """Numbers of the exponential of scale 1, in float64."""
    out = empty(shape, np.float64)
    fast = _kernels(out.size)
    if fast is None:
        np.random.Generator(philox(0)).standard_exponential(out=out)
    else:
        drawn(philox, out.reshape(-1), fast.exponential, np.float64, 64)
    return out


def integers(
    philox: Philox, shape: tuple[int, ...], dtype: np.dtype[Any], low: int, high: int
) -> Array:
    """Integers from ``low`` to ``high - 1``."""
    out = empty(shape, dtype)
    fast = _kernels(out.size)
    if fast is None or not 1 < high - low < 1 << 32:
        out[...] = np.random.Generator(philox(0)).integers(low, high, shape)
        return out

    def draw(*args: Any) -> None:
        fast.below(*args, low, high - low)

    drawn(philox, out.reshape(-1), draw, np.int64, 32)
    return out


def drawn(
    philox: Philox,
    out: Array,
    draw: Callable[..., None],
    dtype: Any,
    bits: int,
    finish: Callable[[Array], Array] | None = None,
) -> None:
    """Fill a vector with the numbers of a kernel ``draw`` (:mod:`minigrad.cpu.kernels.draws`), of
    ``dtype`` and from words of so many bits, or what ``finish`` makes of them.

    Each task takes the numbers that begin in its part of the stream. It assumes that none from the
    part before ends there; where one does, which is rare, the part is drawn again.
    """
    done = block = taken = 0
    while done < len(out):
        many, blocks, taken = _draw_some(
            philox, block, taken, out[done:], draw, dtype, bits, finish
        )
        done, block = done + many, block + blocks
        if not many:
            break  # kernels only note their types (minigrad.precompile)


def _draw_some(
    philox: Philox,
    block: int,
    taken: int,
    out: Array,
    draw: Callable[..., None],
    dtype: Any,
    bits: int,
    finish: Callable[[Array], Array] | None,
) -> tuple[int, int, int]:
    """A round of :func:`drawn` from ``block`` on, of whose words some are ``taken``: how many
    numbers came, from how many blocks, and how many words the last takes from the next block on."""
    each, kind = 256 // bits, np.dtype(f"u{bits // 8}")
    blocks = -(-(len(out) + len(out) // 32) // each) + 1
    parts = split_range(blocks * each, -(-len(out) // PIECE), align=each)
    found, values = np.zeros((len(parts), 2), np.int64), [np.empty(0, dtype)] * len(parts)

    def part(i: int, skipped: int = 0) -> None:
        count, spare = parts[i].stop - parts[i].start, SPARE
        values[i], found[i] = np.empty(count, dtype), -1
        while found[i, 1] < 0:
            start = philox(block + parts[i].start // each)
            words = start.random_raw(-(-(count + spare) * bits // 64)).view(kind)
            found[i] = 0
            draw(values[i], words, skipped, count, found[i])
            spare *= 16

    parallel(part, len(parts), COST * len(out))
    for i in range(len(parts)):
        if taken:
            part(i, taken)
        taken = int(found[i, 1])
    ends = np.cumsum(found[:, 0])

    def store(i: int) -> None:
        to = out[ends[i] - found[i, 0] : ends[i]]
        to[...] = values[i][: len(to)] if finish is None else finish(values[i][: len(to)])

    parallel(store, len(parts), len(out))
    return int(ends[-1]), blocks, taken


def permutation(philox: Philox, count: int) -> Array:
    """The integers from 0 to ``count - 1`` in random order."""
    fast, numbers = _kernels(count), np.arange(count)
    if fast is None or count >= 1 << 32:
        np.random.Generator(philox(0)).shuffle(numbers)
        return numbers
    blocks, left, block = -(-(count + count // 2) // 8), count - 1, 0
    while left:
        words = _raw(philox, block, blocks)
        left, block = fast.shuffle(numbers, words.view(np.uint32), left) or 0, block + blocks
    return numbers


def _raw(philox: Philox, block: int, blocks: int) -> Array:
    """The words of so many blocks from ``block`` on."""
    words = empty((4 * blocks,), np.uint64)

    def fill(generator: Any, part: slice) -> None:
        words[part] = generator.bit_generator.random_raw(part.stop - part.start)

    share(lambda first: philox(block + first), len(words), 4, fill)
    return words
