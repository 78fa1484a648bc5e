"""Averaging of gradients over ranks, in buckets, while backward still computes others.

Li et al., "PyTorch Distributed: Experiences on Accelerating Data Parallel Training", VLDB 2020.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import check
from ..device import Array, device_of, get_xp
from ..events import Listener, listen
from ..tensor import Tensor
from .group import Group, Work, current

MIB = 2**20


class Bucket:
    """Gradients that are sent in one message.

    Attributes:
        parameters: the parameters, with the slice of ``flat`` for each.
        flat: the concatenated gradients, each in C order.
    """

    def __init__(self, parameters: list[Any]) -> None:
        self.places: dict[int, slice] = {}
        end = 0
        for p in parameters:
            self.places[id(p)] = slice(end, end + p.numel())
            end += p.numel()
        first = parameters[0].data
        self.parameters = parameters
        self.flat: Array = get_xp(first).zeros(end, first.dtype)
        self.missing: set[int] = set()
        self.work: Work | None = None

    def start(self) -> None:
        """Expect new gradients of the parameters that still require one."""
        self.work = None
        self.missing = {id(p) for p in self.parameters if p.requires_grad}
        for p in self.parameters:
            p.grad = None  # else it would be added to while it is sent
            if not p.requires_grad:
                self.part(p)[...] = 0

    def part(self, p: Any) -> Array:
        """The view of p's gradient in ``flat``, in its shape."""
        return self.flat[self.places[id(p)]].reshape(p.shape)


class GradientAverager:
    """Gives every rank the mean gradient over all ranks' samples.

    Like PyTorch's ``DistributedDataParallel``, it puts gradients into buckets, starting with the
    last parameters, because backward reaches them first. A hook of each parameter reports its final
    gradient. When all gradients of a bucket are final, their sum over the ranks starts, and
    progresses while backward computes the others. Unlike PyTorch's class, it does not wrap the
    model: :meth:`backward` takes the place of ``loss.backward()``. Ranks may have different numbers
    of samples, or none.

    All ranks must create averagers in the same order, with the same parameters. A parameter that no
    longer requires a gradient gets none. A gradient is a view of its bucket, so the next call to
    ``backward`` overwrites it.

    Args:
        params: parameters of the model; those that require no gradient are ignored.
        bucket_cap_mb: largest size of a bucket in MiB, unless a single gradient is larger.
        process_group: the ranks (default: all).

    Attributes:
        bytes: bytes of gradients that each call to ``backward`` sums.
        buckets: the buckets in the order in which they are sent.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        bucket_cap_mb: float = 25,
        process_group: Group | None = None,
    ) -> None:
        cap = check.number("bucket_cap_mb", bucket_cap_mb, 0) * MIB
        self.group = current(process_group).channel()
        self.parameters: list[Any] = [
            check.tensor("params", p) for p in check.items("params", params, "Tensors")
        ]
        self.parameters = [p for p in self.parameters if p.requires_grad]
        self.buckets = [Bucket(held) for held in _divided(self.parameters[::-1], cap)]
        self._bucket_of = {id(p): b for b in self.buckets for p in b.parameters}
        self.bytes = sum(bucket.flat.nbytes for bucket in self.buckets)
        self._next = 0  # the first bucket that has not been sent
        self._active = False
        if self.group.size > 1:
            for p in self.parameters:
                p.register_hook(lambda gradient, p=p: self._final(p, gradient))

    def backward(self, loss: Tensor | None, weight: float, total: float | None = None) -> float:
        """Set the ``grad`` of every parameter to the gradient of the mean loss over all ranks'
        samples.

        With losses L_r and weights w_r, each gradient is Σ w_r ∂L_r / Σ w_r. It is set, not added
        to an earlier one, and 0 for a parameter that no loss depends on: on one rank as on several.

        Args:
            loss: a scalar, the mean over this rank's samples; None for a rank without samples, if
                the forward pass of the model does not communicate with other ranks.
            weight: weight of this rank, such as its number of samples; 0 without samples.
            total: divisor of Σ w_r ∂L_r, above 0, if known in advance: the sum of the weights, or 1
                to add losses that are sums. By default the weights are summed together with the
                gradients.

        Returns:
            The total.

        Raises:
            ValueError: the loss has several elements, a weight is below 0, no rank has samples, or
                ``total`` is not above 0.
        """
        weight = check.number("weight", weight, 0)
        if total is not None:
            total = check.number("total", total, 0)
            if total == 0:
                raise ValueError("total: expected a number above 0, got 0")
        if loss is not None and check.tensor("loss", loss).data.size != 1:
            raise ValueError(f"loss: expected one element, got shape {loss.shape}")
        if self.group.size == 1:
            return self._alone(loss, weight, total)
        sums, share = np.array([weight], np.float64), weight / (total or 1)
        summed = None if total is not None else self.group.all_reduce(sums)
        self._next, self._active = 0, True
        for bucket in self.buckets:
            bucket.start()
        if loss is not None:
            seed = Tensor(get_xp(loss.data).full_like(loss.data, share))
            with listen(_Polling(self)):
                loss.backward(seed)
        self._active = False
        for bucket in self.buckets[self._next :]:
            for p in bucket.parameters:
                if id(p) in bucket.missing:  # unused, or this rank has no samples
                    bucket.part(p)[...] = 0
            self._send(bucket)
        if summed is not None:
            summed.wait()
            total = float(sums[0])
            if not total > 0:
                raise _without_samples()
        assert total is not None
        self._give(1 if summed is None else total)
        return total

    def _alone(self, loss: Tensor | None, weight: float, total: float | None) -> float:
        """:meth:`backward` on one rank, which needs no buckets."""
        total = weight if total is None else total
        if total == 0:
            raise _without_samples()
        for p in self.parameters:
            p.grad = None  # else it would be added to
        if loss is not None:
            share = weight / total
            # A seed of 1 is backward's own: multiplications by it would only take time.
            seed = None if share == 1 else Tensor(get_xp(loss.data).full_like(loss.data, share))
            loss.backward(seed)
        for p in self.parameters:
            if p.requires_grad and p.grad is None:  # unused
                p.grad = Tensor(get_xp(p.data).zeros_like(p.data))
        return total

    def _final(self, p: Any, gradient: Tensor) -> None:
        """The gradient of ``p`` is final. Buckets are sent in the same order on every rank."""
        if not self._active:
            raise RuntimeError("backward: call GradientAverager.backward(loss, ...) in its place")
        bucket = self._bucket_of[id(p)]
        bucket.part(p)[...] = gradient.data
        bucket.missing.discard(id(p))
        while self._next < len(self.buckets) and not self.buckets[self._next].missing:
            self._send(self.buckets[self._next])

    def _send(self, bucket: Bucket) -> None:
        bucket.work = self.group.all_reduce(bucket.flat)
        self._next += 1

    def poll(self) -> None:
        """Advance the messages: MPI makes progress only during its calls."""
        for bucket in self.buckets[: self._next]:
            if bucket.work is not None and bucket.work.is_completed():
                continue
            break

    def _give(self, total: float) -> None:
        for bucket in self.buckets:
            assert bucket.work is not None
            bucket.work.wait()
            if total != 1:
                bucket.flat /= bucket.flat.dtype.type(total)
            for p in bucket.parameters:
                p.grad = Tensor(bucket.part(p)) if p.requires_grad else None


def _without_samples() -> ValueError:
    return ValueError("weight: expected one above 0 on some rank, got 0 on all")


class _Polling(Listener):
    """Advances the messages at every derivative."""

    def __init__(self, averager: GradientAverager) -> None:
        self._averager = averager

    def derivative(self, node: Any, g: Array, gradients: tuple[Array | None, ...]) -> None:
        self._averager.poll()


def _divided(parameters: list[Any], cap: float) -> list[list[Any]]:
    """The parameters in order, in lists of one dtype and device and at most ``cap`` bytes."""
    groups: list[list[Any]] = []
    size, kind = 0.0, None
    for p in parameters:
        this = p.dtype, str(device_of(p.data))
        if not groups or this != kind or size + p.data.nbytes > cap:
            groups.append([])
            size, kind = 0, this
        groups[-1].append(p)
        size += p.data.nbytes
    return groups
