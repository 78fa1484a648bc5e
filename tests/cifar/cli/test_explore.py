"""``cifar explore`` writes a page of the recipe's training step, and changes nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from cifar import cli
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


@pytest.mark.parametrize(
    ("option", "text"),
    [
        (["--batch", "1"], "batch: expected a whole number from 2, got 1"),
        (["--seed", "-1"], "seed: expected a whole number from 0, got -1"),
        (["--out", "nowhere/x.html"], "out: cannot write nowhere/x.html: "),
        (["--set", "lr=0"], "lr: expected a finite number above 0, got 0.0"),
    ],
)
def test_pages_that_cannot_be_made(small, here, capsys, option, text):
    code = cli.main(["explore", "tiny", *option])
    assert_one_error(code, capsys.readouterr(), text)
