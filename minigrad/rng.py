"""Random numbers that can be replayed: one seed, counted draws, the same bits on every device.

Every draw comes from Philox 4x64-10, a counter-based generator (Salmon et al., *Parallel random
numbers: as easy as 1, 2, 3*, SC 2011): its output is a pure function of a key and a counter. The
key is a hash of ``manual_seed``'s arguments, the counter starts at the number of the draw, so a
training loop that calls ``manual_seed(seed, epoch, step)`` draws in a resumed run just what it drew
in the uninterrupted one, and no state has to be saved.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .backend import Array, device, move
from .tensor import Tensor, as_dtype, as_shape

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
            raise ValueError(f"seed: expected whole numbers from 0, got {(seed, *stream)}")
    _key = np.random.SeedSequence(int(seed), spawn_key=tuple(map(int, stream))).generate_state(
        2, np.uint64
    )
    _draws = 0


def generator() -> np.random.Generator:
    """A NumPy generator over the next draw of the sequence."""
    global _draws
    counter = np.array([0, 0, 0, _draws], np.uint64)  # 2^192 values before two draws would meet
    _draws += 1
    return np.random.Generator(np.random.Philox(key=_key, counter=counter))


def keep_mask(shape: tuple[int, ...], drop: float, where: device) -> Array:
    """Boolean array of ``shape``, each entry True with probability ``1 - drop`` (to 2^-32).

    An entry is a 32-bit word of the Philox stream compared with a threshold, so the mask is the
    same bits on every device.
    """
    size = int(np.prod(shape))
    words = generator().bit_generator.random_raw(-(-size // 2)).view(np.uint32)[:size]
    return move((words >= np.uint64(round(drop * 2**32))).reshape(shape), where)


def randn(
    *size: Any, dtype: Any = "float32", device: Any = "cpu", requires_grad: bool = False
) -> Tensor:
    """A tensor of shape ``size`` (integers or one tuple) drawn from the standard normal.

    Drawn on the CPU, so a seed gives the same values on every device.
    """
    values = (
        generator().standard_normal(as_shape(size, at_least=1), np.float32).astype(as_dtype(dtype))
    )
    return Tensor(move(values, _device(device)), requires_grad)


_device = device  # the class, where a parameter is called device
