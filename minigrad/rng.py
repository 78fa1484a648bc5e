"""Random numbers that can be replayed: one seed, counted draws, the same bits on every device.

Every draw comes from Philox 4x64-10, a counter-based generator (Salmon et al., *Parallel random
numbers: as easy as 1, 2, 3*, SC 2011): its output is a pure function of a key and a counter. The
key is a hash of ``manual_seed``'s arguments, the counter starts at the number of the draw, so a
training loop that calls ``manual_seed(seed, epoch, step)`` draws in a resumed run just what it drew
in the uninterrupted one, and no state has to be saved.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .backend import BLOCK, device, empty, move, parallel, spans
from .tensor import Tensor, as_dtype, as_shape, naming_what_was_asked, shown

_key = np.random.SeedSequence(0).generate_state(2, np.uint64)
_draws = 0


def manual_seed(seed: int, *stream: int) -> None:
    """Start the sequence of random draws anew.

    Args:
        seed: whole number from 0, the run's seed.
        stream: whole numbers from 0 that pick an independent sequence of that seed, such as epoch
            and step.

    Raises:
        ValueError: a negative number or something else than a whole number.
    """
    global _key, _draws
    for number in (seed, *stream):
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or number < 0:
            raise ValueError(f"seed: expected whole numbers from 0, got {shown((seed, *stream))}")
    _key = np.random.SeedSequence(int(seed), spawn_key=tuple(map(int, stream))).generate_state(
        2, np.uint64
    )
    _draws = 0


class Draw(NamedTuple):
    """One draw of the sequence: a stream of 64-bit words of its own, 2^192 blocks of four."""

    key: tuple[int, int]
    number: int

    def philox(self, block: int = 0) -> np.random.Philox:
        """The stream from a block on."""
        counter = np.array([block, 0, 0, self.number], np.uint64)
        return np.random.Philox(key=np.array(self.key, np.uint64), counter=counter)

    def keep_mask(self, shape: tuple[int, ...], drop: float) -> np.ndarray:
        """Boolean array of ``shape``, each entry True with probability ``1 - drop`` (to 2^-32).

        An entry is a 32-bit word of the stream compared with :func:`threshold`, so that the mask
        is the same bits on every device.
        """
        keep = empty(shape, np.bool_)
        flat, limit = keep.reshape(-1), np.uint64(threshold(drop))
        parts = spans(flat.size, -(-flat.size // BLOCK), align=8)  # eight words to a block

        def task(i: int) -> None:
            part = flat[parts[i]]
            words = self.philox(parts[i].start // 8).random_raw(-(-part.size // 2))
            np.greater_equal(words.view(np.uint32)[: part.size], limit, out=part)

        parallel(task, len(parts))
        return keep


def threshold(drop: float) -> int:
    """The 32-bit word from which on an entry is kept; 2^32, beyond all, for ``drop`` 1."""
    return round(drop * 2**32)


def next_draw() -> Draw:
    """The next draw of the sequence."""
    global _draws
    _draws += 1
    return Draw((int(_key[0]), int(_key[1])), _draws - 1)


def generator() -> np.random.Generator:
    """A NumPy generator over the next draw of the sequence."""
    return np.random.Generator(next_draw().philox())


def randn(
    *size: Any, dtype: Any = "float32", device: Any = "cpu", requires_grad: bool = False
) -> Tensor:
    """A tensor of shape ``size`` (integers or one tuple) drawn from the standard normal.

    Drawn on the CPU, so a seed gives the same values on every device.
    """
    shape, to, where = as_shape(size, at_least=1), as_dtype(dtype), _device(device)
    if to.kind != "f":
        raise TypeError(f"dtype: expected a floating dtype, got {to}")
    with naming_what_was_asked("randn", shape, to):
        values = generator().standard_normal(shape, np.float32).astype(to)
        return Tensor(move(values, where), requires_grad)


_device = device  # the class, where a parameter is called device
