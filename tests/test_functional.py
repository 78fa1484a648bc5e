"""The functions are public; tests/test_options.py compares what they take with PyTorch."""

from __future__ import annotations

import minigrad as mg


def test_every_function_is_public():
    assert mg.functional.__all__ == sorted(mg.functional.__all__)
    assert all(callable(getattr(mg.functional, name)) for name in mg.functional.__all__)
