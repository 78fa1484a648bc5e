"""ResNet-32 of He et al. (CVPR 2016, §4.2) for the *long-tail* study, 464,154 parameters."""

from __future__ import annotations

from cifar.models.resnet_82 import stages
from minigrad import Tensor, nn
from minigrad import functional as F


class PlainShortcutBlock(nn.Module):
    """relu(bn(conv(relu(bn(conv(x))))) + x), with a shortcut without parameters. If the shape
    changes, every second row and column of x is dropped, and channels of zeros are added, half
    before and half after (option A)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.stride, self.extra = stride, out_channels - in_channels

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(self.bn1(self.conv1(x), relu=True))
        if self.stride != 1:
            x = x[:, :, :: self.stride, :: self.stride]
        if self.extra:
            half = self.extra // 2
            x = F.pad(x, (0, 0, 0, 0, half, self.extra - half))
        return self.bn2(y, residual=x, relu=True)


def create(num_classes: int = 10, image_size: int = 32) -> nn.Module:
    """Images (N, 3, image_size, image_size) to logits (N, num_classes)."""
    return stages([[PlainShortcutBlock] * 5] * 3, (16, 32, 64), num_classes, image_size)
