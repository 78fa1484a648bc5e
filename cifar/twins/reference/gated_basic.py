"""The *gated* study's basic network: two gated blocks, 228,441 parameters."""

from torch import nn

from cifar.twins.reference.gated import GatedBlock


def create(num_classes: int = 10) -> nn.Module:
    """Images (N, 3, 32, 32) to logits (N, num_classes)."""
    return nn.Sequential(
        GatedBlock(3, 64),
        GatedBlock(64, 128),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(128, num_classes),
    )
