"""The setting of how GPUs multiply, on cards that are and are not there."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import minigrad as mg
from minigrad.gpu import precision
from tests.common import refuses


@pytest.fixture(autouse=True)
def _default() -> None:
    mg.set_precision(None)


class Card:
    """What is looked at of an array on a GPU."""

    device = SimpleNamespace(id=0)


def card(monkeypatch, capability: int | None) -> Card:
    monkeypatch.setattr(precision, "is_gpu_available", lambda: capability is not None)
    monkeypatch.setattr(precision, "_capability", lambda index: capability)
    return Card()


@pytest.mark.parametrize(("capability", "default"), [(75, "fp32"), (80, "tf32"), (120, "tf32")])
def test_default_of_a_card(monkeypatch, capability, default):
    x = card(monkeypatch, capability)
    assert (mg.get_precision(), precision.precision_of(x)) == (default, default)


@pytest.mark.parametrize("name", precision.PRECISIONS)
def test_asked_for(monkeypatch, name):
    x = card(monkeypatch, 90)
    mg.set_precision(name)
    assert (mg.get_precision(), precision.precision_of(x)) == (name, name)
    mg.set_precision(None)
    assert mg.get_precision() == "tf32"


def test_a_card_without_it(monkeypatch):
    x = card(monkeypatch, 75)
    mg.set_precision("fp32")
    assert precision.precision_of(x) == "fp32"
    mg.set_precision("bf16")
    refuses(mg.DeviceError, "capability 8.0, this one has 7.5", lambda: precision.precision_of(x))


def test_without_a_gpu(monkeypatch):
    card(monkeypatch, None)
    assert mg.get_precision() == "fp32"


def test_the_cpu_multiplies_in_full():
    x = mg.tensor(np.float32([[1 + 2**-20]]))
    mg.set_precision("bf16")
    assert mg.functional.linear(x, x).item() == np.float32(1 + 2**-20) ** 2
    assert mg.functional.conv2d(x[None, None], x[None, None]).item() != 1


def test_another_name():
    refuses(
        ValueError, "one of 'fp32', 'tf32', 'bf16', got 'fp16'", lambda: mg.set_precision("fp16")
    )
