"""What several of these tests use."""

from __future__ import annotations

import itertools
import os

import numpy as np

import minigrad as mg
from cifar import datasets
from cifar.datasets.augment import Augmentation
from cifar.recipes.groups import ParameterGroup
from cifar.recipes.recipe import Lookahead
from cifar.training import step as steps
from tests.cifar import tiny

FILES = ["metrics.jsonl", *(f"{n}.safetensors" for n in ("best", "last", "state", "state-before"))]


LOAD = datasets.load


def counted(accuracy):
    """What ten images of each of ten classes, so often recognised, are taken for."""
    hits = round(10 * accuracy)
    return np.eye(10, dtype=int) * hits + np.roll(np.eye(10, dtype=int), 1) * (10 - hits)


def send(signals, at):
    """An ``each_batch`` that sends ``signals`` to this process at batch ``at``."""

    def each_batch(number, images):
        for s in signals if number == at else ():
            os.kill(os.getpid(), s)
        return images

    return each_batch


WAYS = {
    "momentum": {"optimizer": "SGD", "optimizer_options": {"momentum": 0.9}},
    "RMSprop": {"optimizer": "RMSprop", "optimizer_options": {}},
    "AdamW": {"optimizer": "AdamW", "optimizer_options": {}},
    "cosine": {"schedule": "CosineAnnealingLR", "schedule_options": {"T_max": 3}},
    "plateau": {"schedule": "ReduceLROnPlateau", "schedule_options": {"threshold": 0.9}},
    "one cycle": {
        "schedule": "OneCycleLR",
        "schedule_options": {"max_lr": 0.02, "total_steps": 4},
        "schedule_every": "step",
    },
    "cycles of momentum": {
        "optimizer": "SGD",
        "optimizer_options": {"momentum": 0.9},
        "schedule": "CyclicLR",
        "schedule_options": {"base_lr": 1e-3, "max_lr": 1e-2, "step_size_up": 1},
        "schedule_every": "step",
    },
    "warm restarts": {
        "schedule": "CosineAnnealingWarmRestarts",
        "schedule_options": {"T_0": 1},
        "schedule_every": "step",
    },
    "restart": {"restarts": ((1, 1e-3),)},
    "penalty": {"l2": 1e-2},
    "held out": {"validation": 20},
    "groups": {
        "optimizer": "Muon",
        "optimizer_options": {"momentum": 0.6, "normalize_weight": True},
        "schedule": "PiecewiseLinear",
        "schedule_options": {"points": ((0, 0.5), (1, 1.0), (3, 0.0))},
        "schedule_every": "step",
        "groups": {
            "norms": ParameterGroup("1.*", "Adam", 1e-2, {}, epochs=1),
            "biases": ParameterGroup("*.bias", "SGD", 1e-2, {"momentum": 0.9, "nesterov": True}),
        },
        "lookahead": Lookahead(every=2, decay=0.8, power=1.0),
        "reduction": "sum",
        "label_smoothing": 0.2,
        "augmentation": Augmentation(crop=2, flip=True, alternating=True, fill="reflect"),
        "tta": True,
    },
    "long tail": {"long_tail": 0.2, "loss": "focal_loss", "gamma": 1.0, "class_balance": 0.99},
}


def spoil(number, images):
    """NaN from the second epoch on."""
    return images if number < tiny.STEPS + 1 else mg.Tensor(images.data * np.float32("nan"))


WHOLE = "the state before it (1 epochs, 0 steps done) is whole; try a smaller --lr"


def spoil_gradient(model, loss):
    model[0].weight.grad.data[0, 0, 0, 0] = np.inf


def spoil_all(model, loss):
    loss.data[...] = np.nan
    for tensor in (
        model[1].running_mean,
        model[1].running_var,
        *(p.grad for p in model[6].parameters()),
    ):
        tensor.data[...] = np.nan


def overflowing(patch, spoil, at):
    """Training in bf16 whose ``at``-th attempts, counted from 0, go wrong as ``spoil`` does it."""
    taken, gradients = itertools.count(), steps.gradients

    def attempt(model, objective, *others):
        logits, loss = gradients(model, objective, *others)
        if next(taken) in at:
            spoil(model, loss)
        return logits, loss

    patch.setattr(mg, "get_precision", lambda: "bf16")
    patch.setattr(steps, "gradients", attempt)
