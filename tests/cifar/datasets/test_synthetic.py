"""The synthetic set: pinned bytes, balance, and that it is hard for a linear classifier."""

from __future__ import annotations

import numpy as np
import pytest

from cifar import datasets


@pytest.mark.parametrize(
    ("split", "size", "fingerprint"),
    [
        ("train", 20_000, "43bcfd767836f3a514517c15be2207f27fb227613a8ade002bfd1802654f523a"),
        ("test", 4_000, "4cb94b114441b7332bc1437eb45ee5256a50149131c74f4eeef917c09217f658"),
    ],
)
def test_synthetic_is_the_same_everywhere(split: str, size: int, fingerprint: str) -> None:
    drawn = datasets.load("synthetic", split)
    assert drawn.images.shape == (size, 3, 32, 32)
    assert drawn.labels.shape == (size,)
    assert [drawn.images.dtype, drawn.labels.dtype] == ["uint8", "int64"]
    assert drawn.images.flags.c_contiguous
    assert not drawn.images.flags.writeable
    assert len(drawn.classes) == len(set(drawn.classes)) == 10
    assert np.bincount(drawn.labels).tolist() == [size // 10] * 10
    assert np.ptp(np.bincount(drawn.labels[:1234])) == 1
    assert drawn.fingerprint == fingerprint


def test_synthetic_splits_share_no_image() -> None:
    train, test = (datasets.load("synthetic", split).images for split in ("train", "test"))
    seen = {image.tobytes() for image in train}
    assert len(seen) == len(train)
    assert seen.isdisjoint(image.tobytes() for image in test)


def test_a_linear_classifier_is_lost_on_synthetic() -> None:
    """Ridge regression on a quarter of the pixels and 5,000 images: near chance (0.1)."""
    train, test = (datasets.load("synthetic", split) for split in ("train", "test"))

    def features(drawn: datasets.Dataset, count: int) -> np.ndarray:
        pixels = drawn.images[:count, :, ::2, ::2].reshape(count, -1) / np.float32(255) - 0.5
        return np.hstack([pixels, np.ones((count, 1), np.float32)])

    x, y = features(train, 5000), np.eye(10, dtype=np.float32)[train.labels[:5000]]
    weights = np.linalg.solve(x.T @ x + 10 * np.eye(x.shape[1], dtype=np.float32), x.T @ y)
    guesses = (features(test, 4000) @ weights).argmax(axis=1)
    assert (guesses == test.labels).mean() < 0.2
