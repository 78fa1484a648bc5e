"""``cifar explore`` writes a page of the recipe's training step, and changes nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from cifar import cli, datasets, models
from cifar.cli import explore
from cifar.datasets import whitening
from tests.cifar.cli.calls import assert_one_error, said


def test_a_page(small, here, capsys):
    assert said(capsys, "explore tiny --set l2=0.5") == (
        "a training step of tiny on 8 images is in explore-tiny.html\n"
    )
    page = Path("explore-tiny.html").read_text("utf-8")
    assert "tiny: one training step" in page
    for operation in ("conv2d", "batch_norm", "max_pool2d", "dropout", "linear", "cross_entropy"):
        assert operation in page
    said(capsys, "explore tiny --batch 3 --seed 1 --out x.html")
    assert Path("x.html").stat().st_size < len(page.encode())


def test_a_recipe_of_ones_own(here, capsys):
    said(capsys, "new-recipe mine.py")
    said(capsys, "explore ./mine.py --dataset synthetic --set loss=focal_loss --set gamma=2")
    assert "focal_loss" in Path("explore-mine.html").read_text("utf-8")


def test_the_step_is_that_of_training(here, monkeypatch, capsys):
    """With whitened filters, and the weights of the classes that the recipe leaves."""
    seen = []
    monkeypatch.setattr(explore, "make_objective", lambda *given: seen.append(given) or 1 / 0)
    for words in ("speed-94", "long-tail-cb-focal"):
        with pytest.raises(ZeroDivisionError):
            explore.write_page(explore.Explore(words, dataset="synthetic"))
    (_, whitened, _, _), (recipe, _, counts, _) = seen
    first = datasets.load("synthetic", "train").images[: seen[0][0].whiten]
    expected = models.create("speed-94")
    whitening.whiten(expected, first, seen[0][0].mean, seen[0][0].std)
    assert (whitened.whiten.weight.numpy() == expected.whiten.weight.numpy()).all()
    assert counts.min() == round(recipe.long_tail * counts.max())


@pytest.mark.parametrize(
    ("option", "text"),
    [
        (["--batch", "1"], "batch: expected a whole number from 2, got 1"),
        (["--seed", "-1"], "seed: expected a whole number from 0, got -1"),
        (["--out", "nowhere/x.html"], "out: cannot write nowhere/x.html: "),
        (["--set", "l2=-1"], "l2: expected a finite number from 0, got -1.0"),
        (["--set", "lr=5"], "set: lr has no effect on the page"),
        (["--set", "gamma=2"], "gamma: has no effect with loss=cross_entropy"),
    ],
)
def test_pages_that_cannot_be_made(small, here, capsys, option, text):
    code = cli.main(["explore", "tiny", *option])
    assert_one_error(code, capsys.readouterr(), text)
