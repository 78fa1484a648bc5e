"""Orders of samples, under the names of ``torch.utils.data``.

Each pass draws anew, from the given generator or from the sequence of ``manual_seed``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from itertools import islice
from typing import Any, Generic, TypeVar

import numpy as np

from .. import check, distributed
from ..nn.state import raw
from ..rng import Generator, drawn_by, replayable

T = TypeVar("T")


class Sampler(Generic[T]):
    """Base of samplers: ``__iter__`` gives the indices of an epoch, ``__len__`` their number."""

    def __iter__(self) -> Iterator[T]:
        raise NotImplementedError(f"{type(self).__name__}: a subclass defines __iter__")


class SequentialSampler(Sampler[int]):
    """The indices 0, 1, 2, …

    Args:
        data_source: its length is the number of samples.
    """

    def __init__(self, data_source: Sized) -> None:
        self.data_source = _sized("data_source", data_source)

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """Every sample once, in a random order.

    Args:
        data_source: its length is the number of samples.
        replacement: whether a sample may be drawn more than once.
        num_samples: number of indices in an epoch; None for the length of ``data_source``.
        generator: see the module.
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        self.data_source = _sized("data_source", data_source)
        self.replacement = check.boolean("replacement", replacement)
        self._number = None if num_samples is None else check.integer("num_samples", num_samples, 1)
        self.generator = _generator(generator)

    @property
    def num_samples(self) -> int:
        """The number of indices in an epoch."""
        return len(self.data_source) if self._number is None else self._number

    def __iter__(self) -> Iterator[int]:
        draw, count = drawn_by("generator", self.generator), len(self.data_source)
        if not count:
            return
        if self.replacement:
            yield from draw.integers(count, size=self.num_samples).tolist()
            return
        left = self.num_samples
        while left > 0:
            yield from draw.permutation(count)[:left].tolist()
            left -= count

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """The given indices, in a random order.

    Args:
        indices: indices of samples.
        generator: see the module.
    """

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices = _sized("indices", indices)
        self.generator = _generator(generator)

    def __iter__(self) -> Iterator[int]:
        for i in drawn_by("generator", self.generator).permutation(len(self.indices)).tolist():
            yield self.indices[i]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """Samples drawn in proportion to their weights.

    Args:
        weights: a weight >= 0 for each sample.
        num_samples: number of indices in an epoch.
        replacement: whether a sample may be drawn more than once.
        generator: see the module.
    """

    def __init__(
        self,
        weights: Sequence[float],
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        values = np.asarray(raw(weights))
        if values.dtype.kind not in "biuf" or values.ndim != 1:
            raise TypeError(f"weights: expected a sequence of numbers, got {check.shown(weights)}")
        self.weights = values.astype(np.float64)
        if not (np.isfinite(self.weights).all() and (self.weights >= 0).all()):
            raise ValueError("weights: expected finite numbers from 0")
        self.num_samples = check.integer("num_samples", num_samples, 1)
        self.replacement = check.boolean("replacement", replacement)
        drawable = np.count_nonzero(self.weights)
        if not drawable or (not replacement and drawable < self.num_samples):
            what = f"{self.num_samples} weights above 0" if drawable else "a weight above 0"
            raise ValueError(f"weights: expected {what}, got {drawable}")
        self.generator = _generator(generator)

    def __iter__(self) -> Iterator[int]:
        draw, p = drawn_by("generator", self.generator), self.weights / self.weights.sum()
        indices = draw.choice(len(p), self.num_samples, replace=self.replacement, p=p)
        return iter(indices.tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """Lists of the indices of another sampler.

    Args:
        sampler: any iterable of indices.
        batch_size: number of indices in a list; the last list of an epoch may have fewer.
        drop_last: whether to drop a last, shorter list.
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        if not hasattr(sampler, "__iter__"):
            kind = type(sampler).__name__
            raise TypeError(f"sampler: expected an iterable of indices, got {kind}")
        self.sampler = sampler
        self.batch_size = check.integer("batch_size", batch_size, 1)
        self.drop_last = check.boolean("drop_last", drop_last)

    def __iter__(self) -> Iterator[list[int]]:
        indices = iter(self.sampler)
        while batch := [*islice(indices, self.batch_size)]:
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __len__(self) -> int:
        n = len(_sized("sampler", self.sampler))
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)


def _sized(name: str, value: Any) -> Any:
    if isinstance(value, type) or not hasattr(value, "__len__"):
        raise TypeError(f"{name}: expected something with a length, got {type(value).__name__}")
    return value


def _generator(value: Any) -> Generator | None:
    if value is not None and not isinstance(value, Generator):
        raise TypeError(f"generator: expected a Generator, got {type(value).__name__}")
    return value


class DistributedSampler(Sampler[int]):
    """The samples of one of several processes: every ``num_replicas``-th from the ``rank``-th on.

    Each sample goes to one process, so some processes may get one more than others. (PyTorch
    repeats samples, so that all have the same number.)

    Args:
        dataset: any object with a length.
        num_replicas: number of processes (default: that of the process group).
        rank: number of this process (default: that in the group).
        shuffle: whether to draw a new order every epoch, the same in all processes.
        seed: seed of the order, the same in all processes.
        drop_last: whether to drop samples at the end so that all processes get the same number.
    """

    def __init__(
        self,
        dataset: Sized,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        self.dataset = _sized("dataset", dataset)
        of = distributed.get_world_size() if num_replicas is None else num_replicas
        self.num_replicas = check.integer("num_replicas", of, 1)
        number = distributed.get_rank() if rank is None else rank
        self.rank = check.integer("rank", number, 0, self.num_replicas - 1)
        self.shuffle = check.boolean("shuffle", shuffle)
        self.seed = check.integer("seed", seed, 0)
        self.drop_last = check.boolean("drop_last", drop_last)
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch for the next order; it must be the same in all processes."""
        self.epoch = check.integer("epoch", epoch, 0)

    @property
    def num_samples(self) -> int:
        """The number of samples of this process."""
        return len(self._part(range(len(self.dataset))))

    def _part(self, order: Sequence[int]) -> Sequence[int]:
        end = len(order) - len(order) % self.num_replicas if self.drop_last else len(order)
        return order[self.rank : end : self.num_replicas]

    def __iter__(self) -> Iterator[int]:
        order: Sequence[int] = range(len(self.dataset))
        if self.shuffle:
            order = replayable(self.seed, 0, self.epoch).permutation(len(order)).tolist()
        return iter(self._part(order))

    def __len__(self) -> int:
        return self.num_samples
