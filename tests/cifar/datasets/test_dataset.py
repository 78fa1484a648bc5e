"""A data set's arrays cannot be changed, and its fingerprint covers all of them."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from cifar.datasets import Dataset


def make(labels: list[int]) -> Dataset:
    images = np.arange(2 * 3 * 32 * 32, dtype=np.uint8).reshape(2, 3, 32, 32)
    return Dataset("a", "test", images, np.array(labels), ("x", "y"))


def test_arrays_are_read_only():
    data = make([0, 1])
    for array in (data.images, data.labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    assert len(data) == 2


def test_the_fingerprint_covers_images_and_labels():
    data = make([0, 1])
    raw = data.images.tobytes() + data.labels.astype("<i8").tobytes()
    assert data.fingerprint == hashlib.sha256(raw).hexdigest()
    assert make([1, 0]).fingerprint != data.fingerprint
