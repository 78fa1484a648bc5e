"""The *simple* study's network in PyTorch."""

from torch import nn


def create(num_classes: int = 10) -> nn.Module:
    """Images (N, 3, 32, 32) to logits (N, num_classes)."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 3),
        nn.ReLU(),
        nn.BatchNorm2d(32),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(64),
        nn.Flatten(),
        nn.Linear(64 * 14 * 14, 512),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(512, num_classes),
    )
