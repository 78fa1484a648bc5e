"""The *speed* study's wider network: 4,606,520 parameters, of which 4,604,440 are trained."""

from cifar.models.speed_94 import SpeedNet
from minigrad import nn


def create(num_classes: int = 10, image_size: int = 32) -> nn.Module:
    """Images (N, 3, image_size, image_size) to logits (N, num_classes)."""
    return SpeedNet((128, 384, 384), 1 / 9, num_classes, image_size)
