"""docs/names.md is what the code has, and CIFAR repositories find their names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import minigrad as mg
from tests.parity import names

VERSION = re.search(r"PyTorch (\d[\d.]*\d)", names.PAGE.read_text(encoding="utf-8"))[1]


@pytest.mark.skipif(torch.__version__.partition("+")[0] != VERSION, reason="another PyTorch")
def test_the_page_is_current():
    written = names.PAGE.read_text(encoding="utf-8")
    assert written == names.page(), "python -m tests.parity.names"


def test_the_names_of_cifar_repositories():
    """They are there, or out of scope."""
    assert [n for n in names.used() if names.has(mg, n) == bool(names.reason(n))] == []


def test_the_names_are_pytorchs():
    # as they were: two parts of it that are modules of their own, imported by themselves
    apart = {"nn.utils.prune", "torch.utils.tensorboard.SummaryWriter"}
    assert {n for n in names.used() if not names.has(torch, n)} <= apart
    assert all(any(n == o or n.startswith(o) for n in names.used()) for o in names.OUT_OF_SCOPE)
    assert len(names.REPOSITORIES) >= 10


def test_what_differs_is_here_and_explained():
    rows = (Path(names.PAGE).parent / "differences.md").read_text(encoding="utf-8")
    for path, note in names.DIFFERENT.items():
        home, _, name = path.rpartition(".")
        assert name in names.found(home).supported, path
        if re.fullmatch(r"[a-z]+(-[a-z]+)*", note):
            assert f"| `{note}` |" in rows
