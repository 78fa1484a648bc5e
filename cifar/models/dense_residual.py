"""The *dense-residual* study's network: five stages that also receive the network's input.

16,998,986 trainable parameters, 17,001,930 values with the running statistics.
"""

from __future__ import annotations

from minigrad import Tensor, nn
from minigrad import functional as F

STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # channels, convolutions


class Stage(nn.Module):
    """3 x 3 convolutions with ReLU, plus 1 x 1 convolutions of the input image and of the stage's
    input; then batch norm and 2 x 2 max pooling.

    Args:
        in_channels, channels, convolutions: input channels, channels and number of convolutions.
        image_channels: channels of the network's input.
        first: the first stage has only the image as input; later ones also its average-pooled copy.
    """

    def __init__(
        self, in_channels: int, channels: int, convolutions: int, image_channels: int, first: bool
    ) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(in_channels if i == 0 else channels, channels, 3, padding=1)
            for i in range(convolutions)
        )
        self.from_image = nn.Conv2d(image_channels, channels, 1)
        self.from_input = None if first else nn.Conv2d(in_channels, channels, 1)
        self.bn = nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor, image: Tensor) -> Tensor:
        y = x
        for conv in self.convs:
            y = F.relu(conv(y))
        if self.from_input is None:
            y = y + self.from_image(image)
        else:
            small = F.avg_pool2d(image, image.shape[2] // x.shape[2])
            y = y + self.from_image(small) + self.from_input(x)
        return self.pool(self.bn(y))


class DenseResidual(nn.Module):
    """The whole network; weights are Glorot-uniform, biases zero."""

    def __init__(self, num_classes: int = 10, image_size: int = 32) -> None:
        super().__init__()
        side, rest = divmod(image_size, 2 ** len(STAGES))
        if rest or not side:
            raise ValueError(f"expected a multiple of {2 ** len(STAGES)} pixels, got {image_size}")
        stages, channels = [], 3
        for i, (width, convolutions) in enumerate(STAGES):
            stages.append(Stage(channels, width, convolutions, 3, first=i == 0))
            channels = width
        self.stages = nn.ModuleList(stages)
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(512 * side * side, 1024),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(1024, 1024),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(1024, 256),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(256, num_classes),
        )
        for name, p in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(p)
            elif p.ndim > 1:  # not batch norm's scale
                nn.init.xavier_uniform_(p)

    def forward(self, image: Tensor) -> Tensor:
        x = image
        for stage in self.stages:
            x = stage(x, image)
        return self.head(x)


def create(num_classes: int = 10, image_size: int = 32) -> nn.Module:
    """Images (N, 3, image_size, image_size) to logits (N, num_classes).

    Raises:
        ValueError: ``image_size`` is no multiple of 32.
    """
    return DenseResidual(num_classes, image_size)
