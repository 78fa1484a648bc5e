"""The training loss that a recipe asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

import minigrad as mg
from cifar.datasets import subsets
from cifar.errors import UserError
from cifar.recipes import Recipe
from cifar.results.metrics import l2_penalty

F = mg.functional
Objective: TypeAlias = Callable[[mg.Tensor, mg.Tensor], mg.Tensor]  # of logits and labels


def make_objective(
    recipe: Recipe, model: mg.nn.Module, counts: np.ndarray, device: mg.device
) -> Objective:
    """The training loss of (logits, labels), a scalar: the recipe's loss, as a mean or a sum, and
    its L2 term.

    Args:
        counts: training images of each class, for class-balanced weights.

    Raises:
        UserError: the weights are to be class-balanced and a class has no image.
    """
    weight = None
    if recipe.class_balance is not None:
        try:
            weights = subsets.class_balanced_weights(counts, recipe.class_balance)
        except ValueError as error:
            raise UserError(f"class_balance: {error}") from None
        weight = mg.tensor(weights, device=device)

    def objective(logits: mg.Tensor, labels: mg.Tensor) -> mg.Tensor:
        w = None if weight is None else weight.to(logits.dtype)
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
        return loss + l2_penalty(model, recipe.l2) if recipe.l2 else loss

    return objective
