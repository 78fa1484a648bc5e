"""One training step: the update of the model from a batch; in bf16, an overflow skips it.

If several ranks train one model, each has a part of each batch. :func:`averaged_gradients` averages
the gradients over the ranks before the update; the rest of a step does not depend on the ranks.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeAlias

import minigrad as mg
from cifar.training.objective import Objective

Averager: TypeAlias = mg.distributed.GradientAverager
# Of a batch's images and labels: the loss, and how many guesses were right, both scalars.
Step: TypeAlias = Callable[[mg.Tensor, mg.Tensor], tuple[mg.Tensor, mg.Tensor]]


def step(
    model: mg.nn.Module,
    objective: Objective,
    optimizer: mg.optim.Optimizer,
    images: mg.Tensor,
    labels: mg.Tensor,
) -> tuple[mg.Tensor, mg.Tensor]:
    """Update the model from one batch; returns the logits and the loss before the update."""
    logits, loss = gradients(model, objective, optimizer, images, labels)
    optimizer.step()
    return logits, loss


def gradients(
    model: mg.nn.Module,
    objective: Objective,
    optimizer: mg.optim.Optimizer,
    images: mg.Tensor,
    labels: mg.Tensor,
) -> tuple[mg.Tensor, mg.Tensor]:
    """:func:`step` without its update."""
    logits = model(images)
    loss = objective(logits, labels)
    optimizer.zero_grad()
    loss.backward()
    return logits, loss


def averaged_gradients(
    model: mg.nn.Module,
    objective: Objective,
    optimizer: mg.optim.Optimizer,
    images: mg.Tensor,
    labels: mg.Tensor,
    averager: Averager,
) -> tuple[mg.Tensor, mg.Tensor]:
    """:func:`gradients` of a batch of which each rank has a part, perhaps an empty one; returns the
    loss of the whole batch, and the number of correct predictions."""
    share, sums, part = objective.share(labels), mg.zeros(2, device=labels.device).double(), None
    optimizer.zero_grad()
    # A rank without images computes nothing, unless others wait for its synchronised batch norms.
    if len(labels) or has_synchronized(model):
        logits = model(images)
        part = objective(logits, labels)
    if part is not None and len(labels):
        sums = mg.stack([part.detach().double() * share, num_correct(logits, labels).double()])
    total = averager.backward(part, share, objective.total)
    mg.distributed.all_reduce(sums)
    return sums[0] / total, sums[1].long()


def counted_step(
    model: mg.nn.Module,
    objective: Objective,
    optimizer: mg.optim.Optimizer,
    averager: Averager | None,
    images: mg.Tensor,
    labels: mg.Tensor,
) -> tuple[mg.Tensor, mg.Tensor]:
    """:func:`step`; returns the batch's loss and the number of correct predictions."""
    if averager is None:
        logits, loss = step(model, objective, optimizer, images, labels)
        return loss, num_correct(logits, labels)
    results = averaged_gradients(model, objective, optimizer, images, labels, averager)
    optimizer.step()
    return results


def num_correct(logits: mg.Tensor, labels: mg.Tensor) -> mg.Tensor:
    """The number of correct predictions, an int64 scalar."""
    return (logits.argmax(1) == labels).sum()


def has_synchronized(model: mg.nn.Module) -> bool:
    """Whether the forward pass of the model communicates with other ranks."""
    return any(isinstance(module, mg.nn.SyncBatchNorm) for module in model.modules())


def make_step(
    model: mg.nn.Module,
    objective: Objective,
    optimizer: mg.optim.Optimizer,
    capture: bool = False,
    averager: Averager | None = None,
) -> Step:
    """A function that runs :func:`counted_step` of these arguments; in bf16, :class:`SkipOverflow`.

    Args:
        capture: record it on a GPU, and replay it (see :class:`minigrad.CapturedStep`).
        averager: averages the gradients of several ranks.
    """
    if mg.get_precision() == "bf16":
        return SkipOverflow(model, objective, optimizer, capture, averager)
    plain = functools.partial(counted_step, model, objective, optimizer, averager)
    return mg.CapturedStep(plain) if capture else plain


class SkipOverflow:
    """:func:`counted_step` that changes nothing if the loss or a gradient is not finite.

    In bf16, rounding can turn a large number into infinity in a single batch (Micikevicius et al.
    2018, "Mixed precision training", skip such updates too). Batch norm's running statistics, which
    the forward pass has already updated, are restored.

    Args:
        capture: record everything but the update, and replay it (:class:`minigrad.CapturedStep`).
        averager: averages the gradients of several ranks.

    Attributes:
        skipped: whether the last call changed nothing.
    """

    def __init__(
        self,
        model: mg.nn.Module,
        objective: Objective,
        optimizer: mg.optim.Optimizer,
        capture: bool = False,
        averager: Averager | None = None,
    ) -> None:
        self.model, self.objective, self.optimizer = model, objective, optimizer
        self.averager = averager
        self.attempt = mg.CapturedStep(self._attempt) if capture else self._attempt
        self.skipped = False

    def _attempt(self, images: mg.Tensor, labels: mg.Tensor) -> tuple[Any, ...]:
        """Loss, correct predictions, gradients, whether all are finite, and the buffers before."""
        before = [buffer.data.copy() for buffer in self.model.buffers()]
        work = self.model, self.objective, self.optimizer, images, labels
        if self.averager is None:
            logits, loss = gradients(*work)
            correct = num_correct(logits, labels)
        else:
            loss, correct = averaged_gradients(*work, self.averager)
        found = [p.grad for p in self.model.parameters()]
        finite = mg.get_xp(loss.data).isfinite(loss.data)
        for gradient in found:
            if gradient is not None:
                finite = finite & mg.get_xp(gradient.data).isfinite(gradient.data).all()
        return loss, correct, found, finite, before

    def __call__(self, images: mg.Tensor, labels: mg.Tensor) -> tuple[mg.Tensor, mg.Tensor]:
        loss, correct, gradients, finite, before = self.attempt(images, labels)
        self.skipped = not finite
        if self.skipped:
            for buffer, value in zip(self.model.buffers(), before, strict=True):
                buffer.data[...] = value
        else:
            for p, gradient in zip(self.model.parameters(), gradients, strict=True):
                p.grad = gradient  # a replay writes into the recorded ones and assigns none
            self.optimizer.step()
        return loss, correct


class StepResults:
    """Losses and correct predictions of steps. They stay on the device until all are read at once,
    because reading waits for the GPU and leaves it idle."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, int, bool]] = []
        self.losses: list[mg.Tensor] = []
        self.correct: list[mg.Tensor] = []

    def add(
        self, number: int, images: int, skipped: bool, loss: mg.Tensor, correct: mg.Tensor
    ) -> None:
        self.steps.append((number, images, skipped))
        self.losses.append(mg.Tensor(loss.data.copy()))  # a captured step writes the next there
        self.correct.append(mg.Tensor(correct.data.copy()))

    def read(self) -> list[tuple[int, int, bool, float, int]]:
        """For every step since the last reading: its number, images, whether it was skipped, loss
        and correct predictions."""
        if not self.steps:
            return []
        losses, correct = (
            mg.stack(values).cpu().numpy().tolist() for values in (self.losses, self.correct)
        )
        results = [
            (*step, loss, right)
            for step, loss, right in zip(self.steps, losses, correct, strict=True)
        ]
        self.steps, self.losses, self.correct = [], [], []
        return results
