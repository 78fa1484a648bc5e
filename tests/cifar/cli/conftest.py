"""Where commands are tried: an empty folder, and tiny things in place of real ones."""

from __future__ import annotations

import pytest

from tests.cifar import tiny


@pytest.fixture
def here(monkeypatch, tmp_path):
    """An empty working directory, and no CIFAR-10 on this machine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path.parent / "cupy"))
    monkeypatch.delenv("MINIGRAD_DATA", raising=False)
    return tmp_path


@pytest.fixture
def small(monkeypatch, here):
    tiny.install(monkeypatch.setattr)
    return monkeypatch
