"""The *gated* study's improved network: blocks of convolution branches weighted by gates.

1,118,300 parameters.
"""

from __future__ import annotations

from minigrad import Tensor, nn
from minigrad import functional as F


class GatedBlock(nn.Module):
    """relu(Σ aᵢ · convᵢ(x)) with a = sigmoid(linear(mean of x over height and width)).

    Args:
        in_channels, out_channels: of each branch, a 3 x 3 convolution that keeps the image size.
        branches: number of branches.
        norm: batch norm after each convolution.
        dropout: probability of zeroing an element of the result.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        branches: int = 3,
        norm: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.gate = nn.Linear(in_channels, branches)
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 3, padding=1), nn.BatchNorm2d(out_channels)
            )
            if norm
            else nn.Conv2d(in_channels, out_channels, 3, padding=1)
            for _ in range(branches)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        weights = F.sigmoid(self.gate(x.mean((2, 3))))[:, :, None, None, None]
        first, *others = (branch(x) * weights[:, i] for i, branch in enumerate(self.branches))
        return self.dropout(F.relu(sum(others, first)))


def create(num_classes: int = 10, image_size: int = 32) -> nn.Module:
    """Images (N, 3, image_size, image_size) to logits (N, num_classes); any size from 8 on."""
    layers: list[nn.Module] = []
    for c, o in ((3, 64), (64, 128), (128, 256)):
        layers += [GatedBlock(c, o, norm=True, dropout=0.1), nn.MaxPool2d(2)]
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, num_classes)
    )
