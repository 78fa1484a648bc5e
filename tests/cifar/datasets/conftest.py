"""The tiny CIFAR-10 for tests that find, download, unpack and read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cifar import datasets
from tests.cifar.datasets import tiny_cifar10


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, no $MINIGRAD_DATA, the tiny CIFAR-10, and no way to the network."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("MINIGRAD_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    tiny_cifar10.install(monkeypatch.setattr)
    datasets._announce_synthetic.cache_clear()
    return home
