"""What a report says of its runs."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cifar import recipes
from cifar.results import report
from cifar.results.report import words
from tests.cifar.results.report.common import run


def of_study(name, done=None, **changes):
    """The sentence on a run of that recipe, of which so many epochs are done."""
    data = {k: changes.pop(k) for k in ("dataset", "init", "freeze") if k in changes}
    recipe = dataclasses.replace(recipes.load(name), **changes)
    one = run(recipe=recipes.plain(recipe), overrides=changes, **data)
    last = dataclasses.replace(one.history[-1], epoch=done or recipe.epochs)
    one.history[:] = [last]
    return words.differences(report.group([one])[0])


def test_what_differs_from_the_study():
    assert of_study("simple").startswith("Nothing that the study fixes differs")
    assert of_study("simple", done=3) == (
        "What differs from the study: only 3 of 10 epochs are done."
    )
    assert of_study("gated", epochs=2, lr=0.5) == (
        "What differs from the study: 2 epochs, not 50; lr is 0.5, not 0.001."
    )
    found = of_study("simple", dataset="synthetic", init={"file": "x", "sha256": ""}, freeze=["a"])
    assert found == (
        "What differs from the study: the images are those of synthetic, not of CIFAR-10; training "
        "began from the weights of another run; some parameters were not trained. The study's "
        "figures are therefore left out."
    )
    (own,) = report.group([run(name="mine.py")])
    assert "does not come with cifar" in words.differences(own)


@pytest.mark.parametrize(
    ("counts", "end"),
    [
        ([[3, 0], [0, 3]], "lies on the diagonal."),
        ([[3, 1], [0, 3]], " The commonest mistakes: cat taken for owl (1)."),
    ],
)
def test_what_is_confused_most(counts, end):
    assert words.confusion(np.array(counts), ["cat", "owl"]).endswith(end)
