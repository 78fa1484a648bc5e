"""The sides of a comparison: minigrad's training and PyTorch's, with the same methods, the same
weights and the same dropout masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from cifar import recipes
from cifar.datasets import subsets
from cifar.recipes.optimizers import Optimizers
from cifar.results.metrics import evaluate
from cifar.training.lookahead import Average
from cifar.training.objective import make_objective
from cifar.training.run import Run, leave_groups, trained
from cifar.training.step import step

if TYPE_CHECKING:
    from cifar.twins.reference.training import Training

OURS: Final = "minigrad"
THEIRS: Final = "PyTorch"

Array: TypeAlias = NDArray[Any]
Side: TypeAlias = "Ours | Training"


class Ours:
    """minigrad's side, with the methods of :class:`cifar.twins.reference.training.Training`.

    Args:
        recipe: the recipe.
        model: the model.
        counts: number of training images of each class.
        steps: number of steps of an epoch.
    """

    optimizer: Optimizers

    def __init__(
        self, recipe: recipes.Recipe, model: mg.nn.Module, counts: Sequence[int], steps: int = 1
    ) -> None:
        self.recipe, self.model, self.steps, self.done = recipe, model, steps, 0
        ahead = recipe.lookahead
        self.average = None if ahead is None else Average(model, ahead, recipe.epochs * steps)
        self.device = next(model.parameters()).device
        self.objective = make_objective(recipe, model, np.array(counts), self.device)

    @property
    def lr(self) -> float:
        """The current learning rate."""
        return float(self.optimizer.param_groups[0]["lr"])

    def start_epoch(self, epoch: int) -> None:
        """Before epoch ``epoch``, counted from 0: create a new optimiser if it is the first or a
        restart."""
        if epoch in (0, *dict(self.recipe.restarts)):
            self.optimizer = self.recipe.make_optimizer(trained(self.model), self.steps, epoch)
        leave_groups(self.recipe, dict(self.model.named_parameters()), epoch)
        self.model.train()

    def step(self, images: Array, labels: Array) -> tuple[float, Array]:
        """Update the model; returns the loss and the logits before the update."""
        batch = (mg.Tensor(a).to(str(self.device)) for a in (images, labels))
        logits, loss = step(self.model, self.objective, self.optimizer, *batch)
        if self.recipe.schedule_every == "step":
            self.optimizer.step_schedules()
        self.done += 1
        if self.average is not None:
            self.average.after_step(self.model, self.done)
        return loss.item(), logits.detach().cpu().numpy()

    def end_epoch(self, val_loss: float) -> None:
        """After an epoch: step the schedules."""
        if self.recipe.schedule_every == "epoch":
            self.optimizer.step_schedules(val_loss)

    def evaluate(self, loader: mg.data.DataLoader) -> tuple[float, float]:
        """Mean cross-entropy (and the L2 term) and accuracy, in evaluation mode."""
        loss, confusion = evaluate(self.model, loader, self.recipe.l2)
        return loss, float(np.trace(confusion) / confusion.sum())

    def gradients(self) -> dict[str, Array]:
        """The last step's gradients by parameter name."""
        grads = ((name, p.grad) for name, p in self.model.named_parameters())
        return {name: grad.cpu().numpy() for name, grad in grads if grad is not None}

    def weights(self) -> dict[str, Array]:
        """The parameters by name, on the CPU; not copied if the model is on the CPU."""
        return {name: p.detach().cpu().numpy() for name, p in self.model.named_parameters()}


def class_counts(run: Run) -> list[int]:
    """Training images of each class."""
    labels = run.train.dataset.tensors[1].cpu().numpy()
    return [int(n) for n in subsets.class_counts(labels, len(run.record.classes))]


def make_sides(
    run: Run, dtype: str, torch_device: str, rerun_threads: Sequence[int] = ()
) -> dict[str, Side]:
    """minigrad, PyTorch, and PyTorch on other numbers of threads, by name. All start with the
    weights of ``run.model``, which minigrad trains, and use minigrad's dropout masks."""
    from cifar.twins.reference.training import Training

    counts, steps = class_counts(run), len(run.train)
    run.model.to(dtype)
    for loader in (run.train, run.val):
        loader.transform = _in_dtype(dtype, loader.transform)
    sides: dict[str, Side] = {OURS: Ours(run.recipe, run.model, counts, steps)}
    start = {name: value.cpu().numpy() for name, value in run.model.state_dict().items()}

    threads_of = {THEIRS: mg.get_num_threads()}
    threads_of |= {f"{THEIRS}, {n} thread{'s' * (n > 1)}": n for n in rerun_threads}
    for name, threads in threads_of.items():
        twin = Training(run.recipe, counts, dtype, torch_device, threads, steps)
        twin.load(start)
        twin.share_masks(shared_mask(dtype))
        sides[name] = twin
    return sides


def shared_mask(dtype: str) -> Callable[[tuple[int, ...], float], Array]:
    """A function that returns the masks of minigrad's dropout layers, in their order.

    Draws are counted from ``manual_seed`` on. So with the same seed, each layer of a twin gets the
    mask of the corresponding layer of minigrad, and masks need not be recorded.
    """
    return lambda shape, p: mg.functional.dropout(mg.ones(shape, dtype=dtype), p).numpy()


def _in_dtype(dtype: str, transform: mg.data.Transform | None) -> mg.data.Transform:
    assert transform is not None
    return lambda images, generator: transform(images, generator).to(dtype)
