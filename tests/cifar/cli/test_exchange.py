"""``cifar export`` and ``cifar import``: a model comes back from every format."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cifar import cli
from tests.cifar import tiny
from tests.cifar.cli.calls import said


def test_export_and_import(small, here, capsys):
    assert cli.main(["train", "tiny", "--epochs", "1", "--out", "run"]) == 0
    capsys.readouterr()
    evaluated = said(capsys, "evaluate run").splitlines()
    for suffix in ("safetensors", "pt", "onnx"):
        out = said(capsys, f"export run x.{suffix}")
        assert out == f"tiny, seed 0, epoch 1 is in x.{suffix}\n"
    out = said(capsys, "import tiny x.pt y.safetensors --dataset synthetic --set epochs=1")
    assert out == "the weights are in y.safetensors; next: cifar evaluate y.safetensors\n"
    assert said(capsys, "evaluate x.safetensors").splitlines()[:15] == evaluated[:15]
    np.save("x.npy", tiny.load("", "test").images)
    for model in ("run", "y.safetensors"):
        said(capsys, f"predict {model} x.npy --csv {model}.csv")
    assert Path("y.safetensors.csv").read_text() == Path("run.csv").read_text()
