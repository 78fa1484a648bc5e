"""The *gated* study's basic network: two gated blocks, 228,441 parameters."""

from cifar.models.gated import GatedBlock
from minigrad import nn


def create(num_classes: int = 10, image_size: int = 32) -> nn.Module:
    """Images (N, 3, image_size, image_size) to logits (N, num_classes); any size."""
    return nn.Sequential(
        GatedBlock(3, 64),
        GatedBlock(64, 128),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(128, num_classes),
    )
