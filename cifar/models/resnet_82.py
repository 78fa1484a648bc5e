"""The *resnet* study's network: 82 layers with twice the usual width, 4,959,770 parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from minigrad import Tensor, nn


class BasicBlock(nn.Module):
    """relu(bn(conv(relu(bn(conv(x))))) + shortcut(x)) (He et al., CVPR 2016).

    If the shape changes, the shortcut is a 1 x 1 convolution and batch norm.

    Args:
        kernel_size, shortcut_kernel: odd; 3 and 1 in the paper.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        kernel_size: int = 3,
        shortcut_kernel: int = 1,
    ) -> None:
        super().__init__()
        k, s = kernel_size, shortcut_kernel
        self.conv1 = nn.Conv2d(in_channels, out_channels, k, stride, k // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, k, 1, k // 2, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, s, stride, s // 2, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(self.bn1(self.conv1(x), relu=True))
        return self.bn2(y, residual=self.shortcut(x), relu=True)


def stages(
    blocks: Sequence[Sequence[Callable[[int, int, int], nn.Module]]],
    widths: Sequence[int],
    num_classes: int,
    image_size: int = 32,
    *,
    stem: int = 16,
    pool: Callable[[int], nn.Module] = nn.AvgPool2d,
    pooled: int = 1,
) -> nn.Module:
    """A residual network for square images: a convolution to ``stem`` channels, a stage of blocks
    for each of ``widths`` (the later stages halve the size), pooling, and a linear layer.

    Args:
        blocks: for each stage, functions of (in_channels, out_channels, stride) that make a block.
        pool: function of a window size that makes the pooling layer.
        pooled: rows and columns of the pooling's result.

    Raises:
        ValueError: ``image_size`` is not divisible by the stages and the pooling.
    """
    divisor = pooled * 2 ** (len(widths) - 1)
    window, rest = divmod(image_size, divisor)
    if rest or not window:
        raise ValueError(f"expected a multiple of {divisor} pixels, got {image_size}")
    layers: list[nn.Module] = []
    channels = stem
    for stage, (width, makers) in enumerate(zip(widths, blocks, strict=True)):
        for i, block in enumerate(makers):
            layers.append(block(channels, width, 2 if stage and i == 0 else 1))
            channels = width
    return nn.Sequential(
        nn.Conv2d(3, stem, 3, padding=1, bias=False),
        nn.BatchNorm2d(stem),
        nn.ReLU(),
        *layers,
        pool(window),
        nn.Flatten(),
        nn.Linear(channels * pooled * pooled, num_classes),
    )


def resnet(depth: int, width: int, num_classes: int = 10, image_size: int = 32) -> nn.Module:
    """Three stages of (depth − 4) / 6 blocks with 16, 32, 64 times ``width`` channels.

    Raises:
        ValueError: ``depth`` is not 6 n + 4 with n >= 1, or ``image_size`` is not a multiple of 4.
    """
    if depth < 10 or (depth - 4) % 6:
        raise ValueError(f"depth: expected 6 n + 4 with n from 1, got {depth}")
    blocks = [[BasicBlock] * ((depth - 4) // 6)] * 3
    return stages(blocks, [width * b for b in (16, 32, 64)], num_classes, image_size)


def create(num_classes: int = 10, image_size: int = 32) -> nn.Module:
    """Images (N, 3, image_size, image_size) to logits (N, num_classes)."""
    return resnet(82, 2, num_classes, image_size)
