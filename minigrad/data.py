"""Batches of arrays on one device, in a reproducible order."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from . import check
from .device import device_of, move
from .options import lacks
from .tensor import Tensor

Transform = Callable[[Tensor, np.random.Generator], Tensor]


def replayable(seed: int, *stream: int) -> np.random.Generator:
    """A generator whose draws depend only on (seed, …)."""
    for name, number in (("seed", seed), *(("stream", n) for n in stream)):
        check.integer(name, number, 0)
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=stream)))


class DataLoader:
    """Batches (images, labels), shuffled by (seed, epoch), changed by (seed, epoch, batch).

    Each iteration gives the next epoch, with a new order and new augmentation; :meth:`epoch` gives
    any epoch by number. Batches do not depend on earlier draws, so an epoch can be entered at any
    batch and continues exactly as in an uninterrupted run.

    Args:
        images: Tensor (N, ...) of any dtype. Batches are on its device.
        labels: Tensor (N,) on the same device.
        batch_size: images per batch; the last batch of an epoch may be smaller.
        shuffle: use a new order in each epoch instead of the given one.
        transform: ``transform(images, generator)`` returns the images of the batch, for
            augmentation and normalisation.
        seed: whole number from 0.
        drop_last: leave out a smaller last batch.
    """

    @lacks(
        sampler=None,
        batch_sampler=None,
        num_workers=0,
        collate_fn=None,
        pin_memory=False,
        timeout=0,
        worker_init_fn=None,
        multiprocessing_context=None,
        generator=None,
        prefetch_factor=None,
        persistent_workers=False,
        pin_memory_device="",
        in_order=True,
    )
    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        batch_size: int = 1,
        shuffle: bool | None = None,
        transform: Transform | None = None,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        check.tensor("images", images)
        check.tensor("labels", labels)
        if images.ndim == 0 or labels.shape != images.shape[:1]:
            raise ValueError(
                f"labels: expected shape (N,) for images (N, ...), got {labels.shape} for "
                f"{images.shape}"
            )
        check.beside("labels", labels, images, "images")
        self.images, self.labels = images, labels
        self.batch_size = check.integer("batch_size", batch_size, 1)
        self.shuffle = shuffle is not None and check.boolean("shuffle", shuffle)
        self.transform = None if transform is None else check.function("transform", transform)
        self.seed = check.integer("seed", seed, 0)
        self.drop_last = check.boolean("drop_last", drop_last)
        self._epochs = itertools.count()

    def __len__(self) -> int:
        """Batches per epoch."""
        n = len(self.images)
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)

    def epoch(self, number: int = 0, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of epoch ``number``, from batch ``start`` on."""
        number, start = check.integer("number", number, 0), check.integer("start", start, 0)
        n = len(self.images)
        order: Any = np.arange(n)
        if self.shuffle:
            order = replayable(self.seed, 0, number).permutation(n)
        order = move(order, device_of(self.images.data))
        for batch in range(start, len(self)):
            index = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            images = Tensor(self.images.data[index])
            if self.transform is not None:
                images = self.transform(images, replayable(self.seed, 1, number, batch))
                count = len(index)
                if not isinstance(images, Tensor) or images.shape[:1] != (count,):
                    came = getattr(images, "shape", type(images).__name__)
                    raise ValueError(
                        f"transform: expected a Tensor of {count} images from it, got {came}"
                    )
            yield images, Tensor(self.labels.data[index])

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of the next epoch, beginning with epoch 0.

        A run that may be resumed should use :meth:`epoch`.
        """
        return self.epoch(next(self._epochs))
