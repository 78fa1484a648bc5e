"""The device and the precision that a person asks for, or an error that names them."""

from __future__ import annotations

import pytest

import minigrad as mg
from cifar.device import find_device, use_precision
from cifar.errors import UserError
from tests.common import refuses


def test_the_device_of_a_name():
    assert find_device("cpu") == mg.device("cpu")
    text = "device: expected 'cpu', 'gpu', 'gpu:N' or 'auto', got 'tpu'"
    refuses(UserError, text, lambda: find_device("tpu"))


@pytest.mark.parametrize(
    ("name", "text"), [("bf16", "bf16 is for GPUs"), ("fp16", "'fp32', 'tf32', 'bf16', got 'fp16'")]
)
def test_a_precision_that_cannot_be(name, text):
    before = mg.get_precision()
    try:
        refuses(UserError, text, lambda: use_precision(name, mg.device("cpu")))
        use_precision("fp32", mg.device("cpu"))
    finally:
        mg.set_precision(before)
