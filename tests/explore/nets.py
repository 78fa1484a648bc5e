"""Small networks that the explorer's tests look into."""

from __future__ import annotations

import minigrad as mg
from minigrad import nn

F = mg.functional


class Block(nn.Module):
    """relu(x + bn(conv(x))): x is used twice, so two gradients come to it."""

    def __init__(self, channels):
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x):
        return F.relu(x + self.bn(self.conv(x)))


class Net(nn.Module):
    def __init__(self):
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.blocks = nn.ModuleList([Block(4), Block(4)])
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Linear(4 * 4 * 4, 5)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(F.dropout(self.pool(x).flatten(1), 0.25))


def step(seed=0):
    """A network, its loss as a function, and the arguments of that."""
    mg.manual_seed(seed)
    net = Net()
    images, labels = mg.randn(3, 3, 8, 8), mg.tensor([0, 4, 2])

    def loss(images, labels):
        return F.cross_entropy(net(images), labels)

    return net, loss, {"images": images, "labels": labels}
