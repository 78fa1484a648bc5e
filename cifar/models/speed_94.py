"""The *speed* study's network: 1,972,792 parameters, of which 1,971,352 are trained.

Jordan, *94% on CIFAR-10 in 3.29 seconds on a single GPU* (arXiv 2404.00498), and the variant with
Muon in the paper's repository.
"""

from __future__ import annotations

from collections.abc import Sequence

from minigrad import Tensor, nn, no_grad


def shifting_norm(num_features: int) -> nn.Module:
    """Batch norm that learns only its shift; its running statistics follow within a few batches."""
    norm = nn.BatchNorm2d(num_features, eps=1e-12, momentum=0.4)
    norm.get_parameter("weight").requires_grad = False
    return norm


def passing_convolution(in_channels: int, out_channels: int) -> nn.Module:
    """A 3 x 3 convolution that keeps the size. Its first ``in_channels`` filters are initialised as
    the identity, the others at random."""
    conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
    nn.init.dirac_(conv.weight.detach()[:in_channels])
    return conv


class Group(nn.Module):
    """gelu(bn(conv(gelu(bn(pool(conv(x))))))), which halves the size and changes the channels."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = passing_convolution(in_channels, out_channels)
        self.pool = nn.MaxPool2d(2)
        self.norm1 = shifting_norm(out_channels)
        self.conv2 = passing_convolution(out_channels, out_channels)
        self.norm2 = shifting_norm(out_channels)
        self.activation = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.activation(self.norm1(self.pool(self.conv1(x))))
        return self.activation(self.norm2(self.conv2(x)))


class SpeedNet(nn.Module):
    """A whitening layer, three groups, global max pooling, and a linear layer.

    The filters of ``whiten`` are not trained. They are random until the recipe's ``whiten``
    computes them from training images (see :mod:`cifar.datasets.whitening`).

    Args:
        widths: channels of the three groups.
        scale: factor of the logits.
        image_size: side of the square images.

    Raises:
        ValueError: the images are too small.
    """

    def __init__(
        self, widths: Sequence[int], scale: float, num_classes: int, image_size: int
    ) -> None:
        super().__init__()
        side = (image_size - 1) // 2 // 2 // 2
        if side < 1:
            raise ValueError(f"expected at least 9 pixels, got {image_size}")
        whitened = 2 * 3 * 2 * 2  # filters: the components of a patch, and their negatives
        self.whiten = nn.Conv2d(3, whitened, 2)
        self.whiten.weight.requires_grad = False
        first, second, third = widths
        self.layers = nn.Sequential(
            nn.GELU(),
            Group(whitened, first),
            Group(first, second),
            Group(second, third),
            nn.MaxPool2d(side),
            nn.Flatten(),
        )
        self.head = nn.Linear(third, num_classes, bias=False)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layers(self.whiten(x))) * self.scale


def create(num_classes: int = 10, image_size: int = 32) -> nn.Module:
    """Images (N, 3, image_size, image_size) to logits (N, num_classes). The head's weights are
    initialised with standard deviation 1."""
    model = SpeedNet((64, 256, 256), 1 / 256, num_classes, image_size)
    with no_grad():
        model.head.weight.mul_(1 / model.head.weight.std())
    return model
