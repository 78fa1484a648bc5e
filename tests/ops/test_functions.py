"""One list makes functions and methods; every one has a docstring and refuses what is no Tensor."""

from __future__ import annotations

import pytest
import torch

import minigrad as mg
from minigrad.ops import functions
from tests.common import refuses


def test_one_definition():
    for name in functions.__all__:
        function = getattr(mg, name)
        if name != "split":  # whose argument has another name there
            assert function is vars(mg.Tensor)[name]
        assert hasattr(torch, name)
        assert function.__doc__, name
        assert function.__name__ == name


def test_lists_are_no_tensors():
    for name in {*functions.__all__} - {"pow"}:
        with pytest.raises(TypeError, match=r"Tensor|missing"):
            getattr(mg, name)([1.0])


def test_numbers_on_both_sides_are_no_tensors():
    refuses(TypeError, "input: expected a Tensor, got int", lambda: mg.pow(2, 3))
