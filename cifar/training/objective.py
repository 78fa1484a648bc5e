"""The training loss of a recipe."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import minigrad as mg
from cifar.datasets import subsets
from cifar.errors import UserError
from cifar.recipes import Recipe
from cifar.results.metrics import l2_penalty

F = mg.functional


@dataclass(frozen=True)
class Objective:
    """The training loss of (logits, labels), a scalar: the recipe's loss, as a mean or a sum, and
    its L2 term.

    Attributes:
        weight: of each class; None for equal weights.
    """

    recipe: Recipe
    model: mg.nn.Module
    weight: mg.Tensor | None = None

    def __call__(self, logits: mg.Tensor, labels: mg.Tensor) -> mg.Tensor:
        recipe = self.recipe
        w = None if self.weight is None else self.weight.to(logits.dtype)
        if recipe.loss == "focal_loss":
            loss = F.focal_loss(logits, labels, recipe.gamma, w)
        else:
            loss = F.cross_entropy(
                logits,
                labels,
                w,
                reduction=recipe.reduction,
                label_smoothing=recipe.label_smoothing,
            )
        return loss + l2_penalty(self.model, recipe.l2) if recipe.l2 else loss

    @property
    def total(self) -> float | None:
        """1 for losses that are sums; None for means, whose total is Σ share."""
        return 1.0 if self.recipe.reduction == "sum" else None

    def share(self, labels: mg.Tensor) -> float:
        """The weight of a part's loss: the loss of the batch is Σ share · loss over its parts,
        divided by :attr:`total`."""
        if self.total is not None:
            return self.total
        if self.weight is None:
            return len(labels)
        return float(self.weight.data[labels.data].sum(dtype=np.float64))


def make_objective(
    recipe: Recipe, model: mg.nn.Module, counts: np.ndarray, device: mg.device
) -> Objective:
    """The training loss of a recipe.

    Args:
        counts: training images of each class, for class-balanced weights.

    Raises:
        UserError: the weights are class-balanced and a class has no image.
    """
    weight = None
    if recipe.class_balance is not None:
        try:
            weights = subsets.class_balanced_weights(counts, recipe.class_balance)
        except ValueError as error:
            raise UserError(f"class_balance: {error}") from None
        weight = mg.tensor(weights, device=device)
    return Objective(recipe, model, weight)
