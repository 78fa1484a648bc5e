"""The figures of a model on a labelled set."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from cifar.results import metrics
from tests.cifar import tiny


def test_evaluate_weighs_images_not_batches(monkeypatch):
    model = tiny.create("tiny", 10, seed=1)
    data = tiny.load("", "test")
    arrays = mg.tensor(data.images, dtype="float32"), mg.tensor(data.labels)
    uneven, one = (mg.data.DataLoader(mg.data.TensorDataset(*arrays), size) for size in (7, 30))
    (loss, counts), (expected, all_counts) = (
        metrics.evaluate(model, uneven),
        metrics.evaluate(model, one),
    )
    assert loss == pytest.approx(expected, rel=1e-5)
    np.testing.assert_array_equal(counts, all_counts)
    assert not model.training


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1))
def test_confusion_counts_pairs(pairs):
    guesses, labels = np.array(pairs).T
    expected = np.zeros((4, 4), int)
    for guess, label in pairs:
        expected[label, guess] += 1
    np.testing.assert_array_equal(metrics.confusion(guesses, labels, 4), expected)
