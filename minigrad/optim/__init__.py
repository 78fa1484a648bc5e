"""Optimisers and learning-rate schedules under the names of ``torch.optim``."""

from . import schedules as lr_scheduler
from .optimizers import SGD, Adam, AdamW, Optimizer, RMSprop
from .schedules import (
    CosineAnnealingLR,
    LambdaLR,
    LRScheduler,
    MultiStepLR,
    ReduceLROnPlateau,
    StepLR,
)

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "CosineAnnealingLR",
    "LRScheduler",
    "LambdaLR",
    "MultiStepLR",
    "Optimizer",
    "RMSprop",
    "ReduceLROnPlateau",
    "StepLR",
    "lr_scheduler",
]
