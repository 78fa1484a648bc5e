"""Test-time augmentation is the paper's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import minigrad as mg
from cifar.results import tta
from tests.common import host


def test_logits_are_the_papers():
    """As the code of arXiv 2404.00498 has it: half of the image, half of the mean of two that are
    moved, each the mean of both ways round."""
    rng = np.random.default_rng(0)
    images, weight = rng.normal(size=(3, 3, 6, 5)), rng.normal(size=(90, 4))

    def model(x):
        return x.reshape(len(x), 90) @ (mg.tensor(weight) if isinstance(x, mg.Tensor) else w)

    w, x = torch.tensor(weight), torch.tensor(images)

    def mirror(x):
        return 0.5 * model(x) + 0.5 * model(x.flip(-1))

    padded = F.pad(x, (1,) * 4, "reflect")
    moved = [mirror(padded[:, :, :6, :5]), mirror(padded[:, :, 2:, 2:])]
    expected = 0.5 * mirror(x) + 0.5 * torch.stack(moved).mean(0)
    np.testing.assert_allclose(host(tta.logits(model, mg.tensor(images))), expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_views(dtype):
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 8, 8)).astype(dtype)
    found = list(tta.views(mg.tensor(images)))
    assert sum(weight for weight, _ in found) == 1
    assert len({view.numpy().tobytes() for _, view in found}) == 6
    for (_, view), (_, other) in zip(found[::2], found[1::2], strict=True):
        np.testing.assert_array_equal(view.numpy()[..., ::-1], other.numpy())
    (_, image), (_, down) = found[0], found[2]
    np.testing.assert_array_equal(image.numpy(), images)
    np.testing.assert_array_equal(down.numpy()[:, :, 1:, 1:], images[:, :, :-1, :-1])
    assert {view.dtype for _, view in found} == {np.dtype(dtype)}
