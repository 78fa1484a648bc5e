"""The memory that arrays take on a device, and how large a batch fits where it ran out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .backend import OutOfMemoryError, device, memory_held, memory_used, out_of_memory


def used(where: device | str) -> int:
    """Bytes of the arrays on a device; on the CPU of those that its pool made."""
    return memory_used(device(where))


def held(where: device | str) -> int:
    """Bytes held on a device: of arrays, and of freed ones kept for the next.

    It does not fall until memory runs out: it is what the most that was ever in use took.
    """
    return memory_held(device(where))


def fitting(batch: int, before: int, used: int, asked: int, free: int) -> int:
    """About how many images fit, at most, where a step of ``batch`` images did not.

    The step took ``used + asked - before`` bytes at least: it had not come to its end. What it
    takes grows in proportion to the batch, and ``used + free - before`` bytes were there for it.

    Args:
        before: bytes of arrays before the step: weights, moments, data.
        used, asked, free: bytes of arrays at the failure, asked for then, and left.
    """
    took, room = used + asked - before, used + free - before
    most = batch * room // took if took > 0 else batch
    return max(0, min(batch - 1, most))  # what is left may be enough, but in pieces


@contextmanager
def advice(batch: int, where: device) -> Iterator[None]:
    """Within it, steps of ``batch`` images that run out of a GPU's memory say how many would fit.

    Raises:
        OutOfMemoryError: in place of any MemoryError.
    """
    before = memory_used(where)
    try:
        yield
    except MemoryError as error:
        known = error if isinstance(error, OutOfMemoryError) else out_of_memory("a step", error)
        if known.asked is None or known.used is None or known.free is None:
            raise known from error
        count = fitting(batch, before, known.used, known.asked, known.free)
        text = f"{known}; of the {batch} images of a batch at most about {count} fit"
        raise OutOfMemoryError(text, known.asked, known.used, known.free) from error
