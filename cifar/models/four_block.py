"""The *four-block* study's network: four convolution blocks and two linear layers.

2,091,018 parameters. The study gives the 15,488 features and the 3 x 3 kernels; the first two
kernels are our interpretation.
"""

from minigrad import nn


def create(num_classes: int = 10, image_size: int = 32) -> nn.Module:
    """Images (N, 3, image_size, image_size) to logits (N, num_classes).

    Raises:
        ValueError: ``image_size`` is below 12.
    """
    if image_size < 12:
        raise ValueError(f"expected 12 pixels or more, got {image_size}")
    side = image_size // 2 - 5
    return nn.Sequential(
        nn.Conv2d(3, 16, 5, padding=2),  # 16 x 32 x 32
        nn.BatchNorm2d(16),
        nn.MaxPool2d(2),  # 16 x 16 x 16
        nn.ReLU(),
        nn.Conv2d(16, 32, 5, padding=1),  # 32 x 14 x 14
        nn.BatchNorm2d(32),
        nn.MaxPool2d(2, stride=1),  # 32 x 13 x 13
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, padding=1),  # 64 x 13 x 13
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(2, stride=1),  # 64 x 12 x 12
        nn.Conv2d(64, 128, 3, padding=1),  # 128 x 12 x 12
        nn.BatchNorm2d(128),
        nn.ReLU(),
        nn.MaxPool2d(2, stride=1),  # 128 x 11 x 11
        nn.Flatten(),
        nn.Linear(128 * side * side, 128),
        nn.BatchNorm1d(128),
        nn.ReLU(),
        nn.Linear(128, num_classes),
    )
