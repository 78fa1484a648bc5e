"""CIFAR-10 as it was published."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from cifar import datasets
from cifar.datasets import cifar10
from tests.cifar.datasets.tiny_cifar10 import FOLDER

REAL = next(
    (
        place
        for place in (os.environ.get("MINIGRAD_DATA"), Path("~/.cache/minigrad").expanduser())
        if place and (Path(place) / FOLDER).is_dir()
    ),
    None,
)


@pytest.mark.skipif(REAL is None, reason=f"no {FOLDER} in $MINIGRAD_DATA or ~/.cache/minigrad")
@pytest.mark.parametrize(
    ("split", "first", "fingerprint"),
    [
        (
            "train",
            [6, 9, 9, 4, 1],
            "973ef2abb5897efc795681a4d79a6f5f642fa2bcb1a828f7476017c89db53a57",
        ),
        (
            "test",
            [3, 8, 8, 0, 6],
            "2c33b053d1cd726af8d86e174a96dd89d7000ba1412add026d68142375b89d51",
        ),
    ],
)
def test_the_real_one(split, first, fingerprint):
    real = datasets.load("cifar10", split, REAL, download=False)
    assert real.labels[:5].tolist() == first
    assert np.bincount(real.labels).tolist() == [len(real) // 10] * 10
    assert real.fingerprint == fingerprint


def test_published_mirrors_are_https():
    assert cifar10.ARCHIVE.schemes == ("https://",)
    assert all(url.startswith("https://") for url in cifar10.ARCHIVE.mirrors)
