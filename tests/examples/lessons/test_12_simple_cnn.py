"""Lesson 12: what it says holds, and its exercises can be solved."""

from __future__ import annotations

import numpy as np

import minigrad as mg
from minigrad import nn

F = mg.functional


def test_it_learns_and_shows(lesson):
    assert np.mean(lesson.losses[-10:]) < np.log(10) - 0.2 < max(lesson.losses[:10])
    assert (lesson.first_filters != lesson.model[0].weight.detach().numpy()).any()
    page = (lesson.folder / "12_simple_cnn.html").read_text("utf-8")
    assert "conv2d" in page
    assert "cross_entropy" in page


def test_exercise_1(lesson):
    """The second convolution does most of the work; the first linear layer has nearly all weights.
    A filter's weights are used at every pixel, a matrix's once."""
    work, weights = {}, {}
    for number, layer in enumerate(lesson.model):
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            weights[number] = layer.weight.numel()
            places = {0: 30 * 30, 3: 28 * 28}.get(number, 1)
            work[number] = weights[number] * places
    assert work == {0: 194_400, 3: 903_168, 8: 200_704, 11: 640}
    assert weights[8] / sum(weights.values()) > 0.98
    assert max(work, key=work.get) == 3


def test_exercise_2(lesson):
    image = lesson.pixels[:1].detach()
    wanted = mg.tensor([(int(lesson.labels[0].item()) + 1) % 10])
    before = image.numpy().copy()
    for _ in range(100):
        image = image.detach()
        image.requires_grad = True
        logits = lesson.model(image)
        if logits.argmax(1).item() == wanted.item():
            break
        F.cross_entropy(logits, wanted).backward()
        image = mg.tensor(image.detach().numpy() - 0.004 * np.sign(image.grad.numpy()))
    assert logits.argmax(1).item() == wanted.item()
    assert np.abs(image.detach().numpy() - before).mean() < 0.1  # of a range of 1
