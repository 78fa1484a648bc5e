"""Optimisers, schedules and data loaders."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

import minigrad as mg
from tests.common import refuses
from tests.parity.differences import row


@row("muon")
def muon() -> None:
    def update(library: Any, size: tuple[int, ...]) -> np.ndarray:
        p = library.zeros(*size, requires_grad=True)
        p.grad = library.tensor(np.arange(1.0, 1 + np.prod(size), dtype="float32").reshape(size))
        library.optim.Muon([p], lr=1.0, weight_decay=0).step()
        return np.array(p.detach().numpy())

    ours, theirs = update(mg, (2, 9)), update(torch, (2, 9))
    assert not np.array_equal(ours, theirs)
    np.testing.assert_allclose(ours, theirs, atol=0.02)
    np.testing.assert_array_equal(update(mg, (2, 1, 3, 3)).reshape(2, 9), ours)
    with np.testing.assert_raises_regex(ValueError, "2D parameters"):
        update(torch, (2, 1, 3, 3))


@row("distributed-sampler")
def distributed_sampler() -> None:
    def dealt(library: Any) -> list[int]:
        data = library.utils.data
        parts = [data.DistributedSampler(range(5), 2, r, shuffle=False) for r in range(2)]
        return sorted(i for part in parts for i in part)

    assert dealt(mg) == [0, 1, 2, 3, 4]
    assert dealt(torch) == [0, 0, 1, 2, 3, 4]


class Draws:
    """Samples that are drawn."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> float:
        return random.random()


@row("worker-draws")
def worker_draws() -> None:
    def drawn(library: Any, workers: int) -> list[float]:
        library.manual_seed(0)
        loader = library.utils.data.DataLoader(
            Draws(), 2, num_workers=workers, multiprocessing_context="fork"
        )
        return [number for batch in loader for number in batch.tolist()]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of too many workers
        assert drawn(torch, 1) != drawn(torch, 3)
    assert drawn(mg, 1) == drawn(mg, 3)


@row("loader-orders")
def loader_orders() -> None:
    def order(library: Any, number: int, **options: Any) -> list[int]:
        library.manual_seed(number)
        (batch,) = library.utils.data.DataLoader([*range(50)], 50, shuffle=True, **options)
        return [int(i) for i in batch.tolist()]

    assert order(torch, 0) != order(torch, 1)
    assert order(mg, 0) == order(mg, 1) != order(mg, 0, seed=1)
    given = (order(mg, 0, generator=mg.Generator().manual_seed(seed)) for seed in (1, 2))
    assert next(given) != next(given)


@row("iterable-datasets")
def iterable_datasets() -> None:
    class Stream(torch.utils.data.IterableDataset[int]):
        def __iter__(self) -> Iterator[int]:
            return iter(range(3))

    assert len([*torch.utils.data.DataLoader(Stream())]) == 3
    text = "dataset: expected an object with __len__ and __getitem__"
    refuses(TypeError, text, lambda: mg.data.DataLoader(Stream()))
    assert [*torch.utils.data.DataLoader([7], batch_size=None)] == [7]
    refuses(TypeError, "batch_size: ", lambda: mg.data.DataLoader([7], batch_size=None))


@row("pinned-memory")
def pinned_memory() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of PyTorch's, where it has no effect either
        theirs = [*torch.utils.data.DataLoader([1, 2], pin_memory=True)]
    ours = [*mg.data.DataLoader([1, 2], pin_memory=True)]
    assert [int(x) for x in theirs] == [x.item() for x in ours] == [1, 2]
