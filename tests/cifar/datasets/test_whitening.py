"""The filters whiten: responses of different ones are uncorrelated and have variance 1."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minigrad as mg
from cifar import models
from cifar.datasets import whitening
from cifar.errors import UserError
from tests.common import refuses

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 3, 9, 9)).cumsum(2).cumsum(3) % 256


def test_responses_are_white():
    images = torch.tensor(IMAGES / 255.0)
    found = whitening.filters(images.numpy(), 2, eps=0.0)
    responses = torch.nn.functional.conv2d(images, torch.tensor(found[:12])).transpose(0, 1)
    rows = responses.flatten(1).numpy()
    np.testing.assert_allclose(rows @ rows.T / rows.shape[1], np.eye(12), atol=1e-9)
    np.testing.assert_array_equal(found[12:], -found[:12])


def test_rare_components_are_not_magnified():
    """A component of variance λ gets the variance λ / (λ + ε)."""
    images = np.zeros((4, 3, 5, 5))
    images[:, 0] = 1e-3  # one component, of λ = 4e-6
    largest = whitening.filters(images, 2, eps=1e-6)[11, 0]
    assert abs(largest.sum()) * 1e-3 == pytest.approx(np.sqrt(4 / 5))


def test_a_models_first_layer():
    model = models.create("speed-94")
    before = model.whiten.weight.detach().numpy().copy()
    whitening.whiten(model, IMAGES.astype(np.uint8), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    after = model.whiten.weight.detach().numpy()
    expected = whitening.filters(((IMAGES / 255 - 0.5) / 0.25).astype(np.float64), 2)
    assert not np.allclose(before, after)
    np.testing.assert_allclose(np.abs(after), np.abs(expected), rtol=1e-3, atol=1e-3)
    assert not model.whiten.weight.requires_grad


def test_models_without_such_a_layer():
    images = IMAGES.astype(np.uint8)
    text = "whiten: expected a model with a convolution of that name"
    for model in (models.create("simple"), mg.nn.Linear(2, 2)):
        refuses(UserError, text, lambda m=model: whitening.whiten(m, images, (0, 0, 0), (1, 1, 1)))
