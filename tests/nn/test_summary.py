"""Module.summary: a model as a table."""

from __future__ import annotations

import io

import minigrad as mg
from minigrad import nn


class Tied(nn.Module):
    def __init__(self):
        self.first = nn.Linear(3, 3)
        self.again = self.first
        self.rest = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5))
        self.rest[0].bias.requires_grad = False

    def forward(self, x):
        return self.rest(self.again(self.first(x))), x


def test_the_table():
    model = Tied()
    model.rest[1].eval()
    before = model.rest[0].running_mean.tolist()
    model.summary(mg.ones((2, 3)), file=(file := io.StringIO()))
    assert file.getvalue() == (
        "module             result    parameters\n"
        "───────────────────────────────────────\n"
        "Tied               2×3, 2×3\n"
        "  first Linear     2×3               12\n"
        "  first Linear     2×3\n"
        "  rest Sequential  2×3\n"
        "    0 BatchNorm1d  2×3                6\n"
        "    1 Dropout      2×3\n"
        "15 parameters are learnt, 3 frozen; 72 B\n"
    )
    assert (model.training, model.rest[0].training, model.rest[1].training) == (True, True, False)
    assert model.rest[0].running_mean.tolist() == before


def test_it_prints(capsys):
    nn.Linear(2, 1).summary(mg.ones((1, 2)))
    assert "3 parameters are learnt; 12 B" in capsys.readouterr().out
