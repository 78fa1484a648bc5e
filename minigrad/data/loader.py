"""Batches of any dataset, in a reproducible order."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import check
from ..options import lacks
from ..rng import Generator, Part, drawn_by, part_of_batch, replayable
from ..tensor import Tensor
from .collate import default_collate, without_samples
from .dataset import TensorDataset, by_number, gathered, samples_of
from .sampler import BatchSampler
from .workers import Key, Pool, Request, context_of

MOST = 1024  # workers

#: A function of a batch of images and a generator that returns the images, augmented.
Transform = Callable[[Tensor, np.random.Generator], Tensor]


@dataclass(frozen=True)
class _Fetch:
    """Makes a batch from the indices of its samples."""

    dataset: Any
    collate: Callable[[list[Any]], Any] | None
    transform: Transform | None
    rank: int = 0
    num_replicas: int = 1

    def __call__(self, key: Key, indices: list[int]) -> Any:
        part = Part(self.rank, self.num_replicas, len(indices)) if self.num_replicas > 1 else None
        with part_of_batch(part):
            return self._part(key, indices if part is None else indices[part.rows], indices)

    def _part(self, key: Key, indices: list[int], whole: list[int]) -> Any:
        batch = gathered(self.dataset, indices) if self.collate is None else None
        if batch is None:
            samples = samples_of(self.dataset, indices or whole[:1])
            batch = (self.collate or default_collate)(samples)
            batch = batch if indices else without_samples(batch)
        if self.transform is None:
            return batch
        seed, number, place = key
        generator = replayable(seed, 1, number, place)
        if isinstance(batch, Tensor):
            return self._transformed(batch, generator)
        if not isinstance(batch, (list, tuple)) or not isinstance(batch[0], Tensor):
            kind = type(batch).__name__
            raise TypeError(f"transform: expected batches that begin with a Tensor, got {kind}")
        return [self._transformed(batch[0], generator), *batch[1:]]

    def _transformed(self, images: Tensor, generator: np.random.Generator) -> Tensor:
        assert self.transform is not None
        changed, count = self.transform(images, generator), len(images)
        if not isinstance(changed, Tensor) or changed.shape[:1] != (count,):
            got = getattr(changed, "shape", type(changed).__name__)
            raise ValueError(f"transform: expected a Tensor of {count} images from it, got {got}")
        return changed


class DataLoader:
    """Batches of a dataset, like ``torch.utils.data.DataLoader``. The order depends on (seed,
    epoch), augmentation on (seed, epoch, batch).

    Each iteration over the loader gives the next epoch, with a new order and new augmentation;
    :meth:`epoch` gives a particular one. Nothing depends on earlier draws, so an epoch can be
    started at any batch, and the batches from there on are those of an uninterrupted run.

    A ``TensorDataset``, or a ``Subset`` of one, is indexed once per batch, on its own device.

    Workers are processes with copies of the dataset. Batches come in the same order as without
    workers. Before a batch is made, ``random``, NumPy's global generator and minigrad's are seeded
    by (seed, epoch, batch), so that random samples are reproducible with any number of workers. An
    exception in a worker is raised here, with the traceback in the worker as its cause.

    Args:
        dataset: has ``__len__`` and ``__getitem__``, such as a :class:`Dataset` or a list.
        batch_size: samples per batch; the last batch of an epoch may have fewer.
        shuffle: whether to draw a new order every epoch.
        sampler: an iterable of the indices of an epoch, instead of ``shuffle``.
        batch_sampler: an iterable of lists of indices, instead of ``batch_size`` and the other
            options for batches.
        num_workers: number of processes that make batches; 0 for the calling process.
        collate_fn: makes a batch from a list of samples (default: ``default_collate``).
        pin_memory, prefetch_factor: affect only the speed: ``pin_memory`` has no effect, and
            ``prefetch_factor`` batches (2) are requested from each worker in advance.
        drop_last: whether to drop a last, smaller batch.
        timeout: seconds to wait for a worker's batch; 0 for no limit.
        worker_init_fn: called in each worker with its number.
        multiprocessing_context: "fork", "spawn", "forkserver" or a context of ``multiprocessing``
            (default: Python's). With "spawn" and "forkserver" the dataset and all functions must be
            picklable, and importing the program's main module must not start it again.
        generator: a Generator from which each epoch draws its seed, instead of ``seed``.
        persistent_workers: keep workers, and their copies of the dataset, between epochs.
        transform: ``transform(images, generator)`` is applied to the first entry of a batch, for
            augmentation and normalisation of all its images at once.
        seed: integer >= 0.
        num_replicas, rank: number of processes that share each batch, and number of this process,
            which gets every ``num_replicas``-th sample from the ``rank``-th on. Each sample goes to
            one process, so a process may get an empty batch. The draws of ``transform`` are those
            of whole batches if it uses :func:`rows_of_batch`. (Not in PyTorch, where a
            ``DistributedSampler`` repeats samples so that all have the same number.)

    Raises:
        TypeError, ValueError: wrong arguments, or a batch that cannot be made.
        RuntimeError: a worker has ended, or took longer than ``timeout``.
    """

    @lacks(pin_memory_device="", in_order=True)
    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool | None = None,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[list[int]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        transform: Transform | None = None,
        seed: int = 0,
        num_replicas: int = 1,
        rank: int = 0,
    ) -> None:
        self.dataset = by_number("dataset", dataset)
        self.batch_size = check.integer("batch_size", batch_size, 1)
        self.shuffle = shuffle is not None and check.boolean("shuffle", shuffle)
        self.drop_last = check.boolean("drop_last", drop_last)
        self._set_order(sampler, batch_sampler, generator)
        self.num_workers = check.integer("num_workers", num_workers, 0, MOST)
        self.collate_fn = _function("collate_fn", collate_fn)
        self.transform = _function("transform", transform)
        self.worker_init_fn = _function("worker_init_fn", worker_init_fn)
        self.seed = check.integer("seed", seed, 0)
        self.num_replicas = check.integer("num_replicas", num_replicas, 1)
        self.rank = check.integer("rank", rank, 0, self.num_replicas - 1)
        self.timeout = check.number("timeout", timeout, 0)
        check.boolean("pin_memory", pin_memory)
        self._context = context_of(multiprocessing_context)
        self.prefetch_factor = (
            2 if prefetch_factor is None else check.integer("prefetch_factor", prefetch_factor, 1)
        )
        self.persistent_workers = check.boolean("persistent_workers", persistent_workers)
        if not num_workers:
            for name, given in {
                "timeout": self.timeout > 0,
                "prefetch_factor": prefetch_factor is not None,
                "persistent_workers": self.persistent_workers,
                "multiprocessing_context": multiprocessing_context is not None,
            }.items():
                if given:
                    raise ValueError(f"{name}: needs num_workers above 0")
        elif isinstance(dataset, TensorDataset) and dataset.tensors[0].device.type != "cpu":
            raise ValueError("num_workers: expected 0 for tensors on a GPU")
        self._passes = itertools.count()
        self._pool: Pool | None = None

    def _set_order(self, sampler: Any, batch_sampler: Any, generator: Any) -> None:
        """Set the source of the order; only one may be given."""
        for name, value in (("sampler", sampler), ("batch_sampler", batch_sampler)):
            if value is not None and (isinstance(value, type) or not hasattr(value, "__iter__")):
                kind = type(value).__name__
                raise TypeError(f"{name}: expected an iterable, got {kind}")
        if sampler is not None and self.shuffle:
            raise ValueError("sampler: expected it or shuffle, got both")
        whole = (self.batch_size, self.shuffle, self.drop_last, sampler)
        if batch_sampler is not None and whole != (1, False, False, None):
            raise ValueError(
                "batch_sampler: expected it or batch_size, shuffle, sampler and drop_last, got both"
            )
        if generator is not None and not isinstance(generator, Generator):
            raise TypeError(f"generator: expected a Generator, got {type(generator).__name__}")
        self.sampler, self.batch_sampler, self.generator = sampler, batch_sampler, generator

    def __len__(self) -> int:
        """Batches per epoch."""
        order: Any = self.batch_sampler
        if order is None:
            samples: Any = self.dataset if self.sampler is None else self.sampler
            order = BatchSampler(range(len(samples)), self.batch_size, self.drop_last)
        return len(order)

    def epoch(self, number: int = 0, start: int = 0) -> Iterator[Any]:
        """The batches of epoch ``number``, from batch ``start`` on.

        Raises:
            ValueError: the order comes from a sampler or a generator, which only give the next one.
        """
        number, start = check.integer("number", number, 0), check.integer("start", start, 0)
        for name in ("sampler", "batch_sampler", "generator"):
            if getattr(self, name) is not None:
                what = f"the order is that of a {name}, which gives the next epoch only"
                raise ValueError(f"number: {what}; iterate over the loader")
        return self._batches(self.seed, number, start)

    def __iter__(self) -> Iterator[Any]:
        """The batches of the next epoch: epoch 0 the first time, epoch 1 the second, …

        To resume a run, use epochs by number (:meth:`epoch`).
        """
        number = next(self._passes)
        if self.generator is None:
            return self._batches(self.seed, number, 0)
        seed = int(drawn_by("generator", self.generator).integers(2**63))
        return self._batches(seed, 0, 0)

    def _indices(self, seed: int, number: int) -> Iterator[list[int]]:
        """The indices of each batch of an epoch."""
        if self.batch_sampler is not None:
            yield from map(list, self.batch_sampler)
            return
        count, order = len(self.dataset), self.sampler
        if order is None:
            order = range(count)
        if self.shuffle:
            order = replayable(seed, 0, number).permutation(count).tolist()
        yield from BatchSampler(order, self.batch_size, self.drop_last)

    def _batches(self, seed: int, number: int, start: int) -> Iterator[Any]:
        numbered = itertools.islice(enumerate(self._indices(seed, number)), start, None)
        requests: Iterator[Request] = (((seed, number, place), batch) for place, batch in numbered)
        fetch = _Fetch(self.dataset, self.collate_fn, self.transform, self.rank, self.num_replicas)
        if not self.num_workers:
            for request in requests:
                yield fetch(*request)
            return
        pool, self._pool = self._pool, None
        if pool is None or not pool.is_own:
            pool = self._new_pool(fetch)
        done = False
        try:
            yield from pool.run(requests)
            done = True
        finally:
            if done and self.persistent_workers and self._pool is None:
                self._pool = pool
            else:
                pool.close(at_once=not done)

    def _new_pool(self, fetch: _Fetch) -> Pool:
        return Pool(
            fetch,
            self.num_workers,
            self._context,
            self.prefetch_factor,
            self.timeout,
            self.seed,
            self.dataset,
            self.worker_init_fn,
        )

    def __del__(self) -> None:
        if getattr(self, "_pool", None) is not None:
            self._pool.close()  # type: ignore[union-attr]


def _function(name: str, value: Any) -> Any:
    return None if value is None else check.function(name, value)
