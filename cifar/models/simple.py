"""The *simple* study's network: two convolutions and two linear layers, 6,447,754 parameters."""

from minigrad import nn


def create(num_classes: int = 10, image_size: int = 32) -> nn.Module:
    """Images (N, 3, image_size, image_size) to logits (N, num_classes).

    Raises:
        ValueError: ``image_size`` is below 6.
    """
    if image_size < 6:
        raise ValueError(f"expected 6 pixels or more, got {image_size}")
    side = (image_size - 4) // 2  # after two convolutions and the pooling
    return nn.Sequential(
        nn.Conv2d(3, 32, 3),  # 32 x 30 x 30
        nn.ReLU(),
        nn.BatchNorm2d(32),
        nn.Conv2d(32, 64, 3),  # 64 x 28 x 28
        nn.ReLU(),
        nn.MaxPool2d(2),  # 64 x 14 x 14
        nn.BatchNorm2d(64),
        nn.Flatten(),
        nn.Linear(64 * side * side, 512),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(512, num_classes),
    )
