"""What pictures of particular operations need is what the operations do."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad.explore.capture import record

F = mg.functional


def only(loss, *inputs):
    recording = record(loss, inputs)
    return recording, recording.runs[0].details


def test_convolution():
    x, w = mg.randn(2, 4, 6, 6), mg.randn(4, 2, 3, 3, requires_grad=True)
    _, found = only(lambda x: F.conv2d(x, w, None, 2, 1, 1, 2).sum(), x)
    assert found == {
        "kind": "conv2d", "kernel": (3, 3), "stride": (2, 2), "dilation": (1, 1),
        "padding": (1, 1), "groups": 2,
    }  # fmt: skip


@pytest.mark.parametrize("relu", [False, True])
def test_the_three_terms_of_batch_norm(relu):
    """w r (g − s/m − x̂ t/m), of the numbers kept, is the gradient."""
    x = mg.randn(4, 3, 5, 5, requires_grad=True)
    w, b = mg.randn(3, requires_grad=True), mg.randn(3, requires_grad=True)
    g = mg.randn(4, 3, 5, 5)
    recording, d = only(
        lambda x: (F.batch_norm(x, None, None, w, b, training=True, relu=relu) * g).sum(), x
    )
    first = x.data[0].astype(np.float64)
    mean, r, weight, s, t = (
        np.array(d[k])[:, None, None] for k in ("mean", "r", "weight", "s", "t")
    )
    normal = (first - mean) * r
    arrived = g.data[0] * (normal * weight + b.data[:, None, None] > 0) if relu else g.data[0]
    expected = weight * r * (arrived - s / d["count"] - normal * t / d["count"])
    assert d["relu"] is relu
    sent = recording.values[recording.runs[0].inputs[0]].gradient.maps
    np.testing.assert_allclose(sent, expected, rtol=1e-3, atol=1e-5)


def test_batch_norm_without_weights():
    _, found = only(lambda x: F.batch_norm(x, None, None, training=True).sum(),
                    mg.randn(4, 3, requires_grad=True))  # fmt: skip
    assert found["weight"] == [1.0] * 3 or found["weight"] == [1.0] * 8


@pytest.mark.parametrize("padding", [0, 1])
def test_the_places_of_maxima(padding):
    x = mg.tensor(np.round(mg.randn(2, 3, 7, 7).data), requires_grad=True)  # with ties
    _, found = only(lambda x: F.max_pool2d(x, 3, 2, padding).sum(), x)
    _, indices = torch.nn.functional.max_pool2d(
        torch.tensor(x.data[:1]), 3, 2, padding, return_indices=True
    )
    place = np.array(found["place"])
    i, j = np.indices(place.shape[1:])
    rows = i * 2 - padding + place // 3
    columns = j * 2 - padding + place % 3
    assert np.array_equal(rows * 7 + columns, indices[0].numpy())


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_softmax_minus_target(reduction):
    x, labels = mg.randn(12, 4, requires_grad=True), mg.tensor([0, 1, 2, 3] * 3)
    recording, d = only(lambda x: F.cross_entropy(x, labels, reduction=reduction), x)
    expected = (np.array(d["p"]) - np.array(d["t"])) / d["divisor"]
    np.testing.assert_allclose(recording.values[0].gradient.maps[0][:8], expected, atol=1e-6)


def test_no_pictures_of_other_forms():
    _, found = only(lambda x: F.cross_entropy(x, mg.tensor([[0, 1]])),
                    mg.randn(1, 3, 2, requires_grad=True))  # fmt: skip
    assert found == {}
