"""Figures that are caught instead of written."""

from __future__ import annotations

import pytest

from cifar.results.plots import figure


@pytest.fixture
def figures(monkeypatch):
    """The figures that were drawn, caught instead of written."""
    caught = []
    monkeypatch.setattr(figure, "save", lambda figure, path: caught.append(figure))
    return caught
