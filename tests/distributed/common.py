"""Training over ranks: a stand-in for them that is threads of one process, and one tiny training.

``mpirun -n 4 python -m tests.distributed.common`` trains with the first 1, 2, 3 and 4 ranks.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

import minigrad as mg
from minigrad import distributed, nn
from minigrad.distributed import Group, ReduceOp, Work
from minigrad.distributed.group import Alone

COMBINE = {
    ReduceOp.SUM: np.add,
    ReduceOp.PRODUCT: np.multiply,
    ReduceOp.MIN: np.minimum,
    ReduceOp.MAX: np.maximum,
}


class Threads(Group):
    """A rank that is a thread. Like MPI's, a call ends when all ranks have made it; unlike MPI, the
    ranks must make equal calls, or one of them fails."""

    def __init__(self, rank: int, shared: Shared) -> None:
        self.rank, self.size, self.shared = rank, shared.size, shared
        self.calls: list[int] = []  # bytes of each

    def _meet(self, key: str, array: Any) -> list[Any]:
        slots = self.shared.slots
        slots[self.rank] = (key, array)
        self.shared.barrier.wait(20)
        found = list(slots)
        self.shared.barrier.wait(20)
        assert len({key for key, _ in found}) == 1, found
        return [value for _, value in found]

    def all_reduce(self, array: Any, op: ReduceOp = ReduceOp.SUM) -> Work:
        self.calls.append(array.nbytes)
        arrays = self._meet(f"{op} {array.shape} {array.dtype}", array.copy())
        array[...] = COMBINE[op].reduce(arrays)
        return Work()

    def broadcast(self, array: Any, src: int = 0) -> Work:
        array[...] = self._meet(f"from {src} {array.shape}", array.copy())[src]
        return Work()

    def barrier(self) -> Work:
        self._meet("barrier", None)
        return Work()

    def broadcast_object(self, value: Any, src: int = 0) -> Any:
        return self._meet(f"object {src}", value)[src]

    def channel(self) -> Group:
        return self


class OfThread(Group):
    """The group to join where each thread is a rank of its own: see :func:`as_group`."""

    def __init__(self) -> None:
        self.own = threading.local()

    def __getattribute__(self, name: str) -> Any:
        own = object.__getattribute__(self, "own")
        return own if name == "own" else getattr(own.rank, name)


class Shared:
    def __init__(self, size: int) -> None:
        self.size, self.slots = size, [None] * size
        self.barrier = threading.Barrier(size)


def on_ranks(size: int, act: Callable[[Threads], Any]) -> list[Any]:
    """What ``act(rank)`` returns on each of ``size`` threads."""
    shared, results, errors = Shared(size), [None] * size, []

    def run(rank: int) -> None:
        try:
            results[rank] = act(Threads(rank, shared))
        except BaseException as error:
            errors.append(error)
            shared.barrier.abort()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in sorted(errors, key=lambda e: isinstance(e, threading.BrokenBarrierError)):
        raise error
    return results


# ---------------------------------------------------------------------------- one training


def network(sync: Group | None) -> nn.Module:
    mg.manual_seed(3)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16, 6),
        nn.BatchNorm1d(6),
        nn.Dropout(0.2),
        nn.Linear(6, 3),
    ).double()
    if sync is not None:
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model, sync)
    return model


def mirrored(images: mg.Tensor, generator: np.random.Generator) -> mg.Tensor:
    """Half of the images mirrored, each brighter by an amount of its own."""
    total, rows = mg.data.rows_of_batch(len(images))
    flip, more = generator.random((2, total))[:, rows]
    a = images.data.copy()
    a[flip < 0.5] = a[flip < 0.5][..., ::-1]
    return mg.Tensor(a + more[:, None, None, None])


def train(
    group: Group | None = None,
    images: int = 22,
    batch: int = 8,
    steps: int = 20,
    weighted: bool = False,
    bucket: float = 25,
) -> tuple[dict[str, np.ndarray], list[float], list[int]]:
    """Weights and losses after ``steps``, and the images that this rank saw; alone if ``group`` is
    None."""
    rng = np.random.default_rng(0)
    pictures = mg.tensor(rng.standard_normal((images, 2, 4, 4)))
    labels = mg.tensor(rng.integers(0, 3, images))
    weight = mg.tensor([0.2, 1.0, 3.0], dtype="float64") if weighted else None
    model = network(group)
    optimizer = mg.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    group = group or Alone()
    rank, size = group.rank, group.size
    averager = distributed.GradientAverager(model.parameters(), bucket, group)
    loader = mg.data.DataLoader(
        mg.data.TensorDataset(pictures, labels, mg.arange(images)),
        batch,
        shuffle=True,
        transform=mirrored,
        num_replicas=size,
        rank=rank,
    )
    losses: list[float] = []
    seen: list[int] = []
    while len(losses) < steps:
        epoch, start = divmod(len(losses), len(loader))
        for x, y, numbers in loader.epoch(epoch, start):
            mg.manual_seed(0, len(losses))
            seen += numbers.tolist()
            total = min(batch, images - start * batch)
            start += 1
            with distributed.part_of_whole(total, group):
                loss = mg.functional.cross_entropy(model(x), y, weight)
            optimizer.zero_grad()
            if weight is None:
                averager.backward(loss, len(y), total)
                mean = np.array(loss.item() * len(y) / total if len(y) else 0.0)
            else:
                share = float(weight.data[y.data].sum())
                whole = averager.backward(loss, share)
                mean = np.array(loss.item() * share / whole if len(y) else 0.0)
            group.all_reduce(mean).wait()
            optimizer.step()
            losses.append(float(mean))
            if len(losses) == steps:
                break
    return {k: v.numpy().copy() for k, v in model.state_dict().items()}, losses, seen


def furthest(found: tuple[Any, ...], expected: tuple[Any, ...]) -> float:
    """The largest difference between two trainings."""
    pairs = [(found[0][name], expected[0][name]) for name in expected[0]]
    return max(float(np.abs(a - b).max()) for a, b in [*pairs, (np.array(found[1]), expected[1])])


def main() -> None:
    """Under mpirun: compare the training on the first ranks with that of one process."""
    distributed.init_process_group()
    whole: Any = distributed.group.current()
    for images, batch in ((22, 8), (18, 5)):
        alone = train(None, images, batch, steps=8)
        for size in range(1, whole.size + 1):
            group = whole.subgroup(size)
            if group is not None:
                found = train(group, images, batch, steps=8, bucket=1e-4)
                if group.rank == 0:
                    print(f"{size} ranks, {images} by {batch}: {furthest(found, alone):.2e}")
            distributed.barrier()
    distributed.destroy_process_group()


if __name__ == "__main__":
    sys.exit(main())
