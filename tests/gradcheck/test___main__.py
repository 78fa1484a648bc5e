"""The command finds right and wrong derivatives of users' functions, and says what is amiss."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from minigrad.gradcheck.__main__ import main

ROOT = Path(__file__).parents[2]
OPS = """
import minigrad as mg
from minigrad.tape import op

@op
def square(x):
    return x * x, lambda g, needs: (2 * x * g,)

@op
def scaled(x, w, *, factor=3.0):
    return factor * x * w, lambda g, needs: (factor * w * g, factor * x * g)

@op
def wrong(x, w):
    def backward(g, needs):
        gw = x * g
        gw[1, 2] *= 1.5
        return w * g, gw
    return x * w, backward

@op
def broken(x):
    return x.reshape(7), lambda g, needs: (g,)

def plain(x, n=2):
    return (x.exp() * n).sum()

def of_positive(x, fixed):
    if (x.detach().numpy() < 0).any():
        raise ValueError("x: expected no negative numbers")
    return x ** 2 * fixed.detach()

def log_of(x):
    return x.log()

def noisy(x):
    return mg.functional.dropout(x, 0.5)

def twice(x):
    return x, x

def constant(x):
    return x.detach()

def with_inputs(x, n):
    return x ** n
with_inputs.inputs = lambda: (mg.tensor([1.0, 2.0], "float64", requires_grad=True), 3)
log_of.inputs = lambda: mg.tensor([1.0, 2.0], "float64", requires_grad=True)

class Layer:
    square = square

number = 3
"""


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    (tmp_path / "my_ops.py").write_text(OPS)
    (tmp_path / "needs_missing.py").write_text("import no_such_package")
    (tmp_path / "raises.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("my_ops", "needs_missing", "raises"):
        monkeypatch.delitem(sys.modules, name, raising=False)

    def run(*args: str) -> tuple[int, str, str]:
        code = main(args)
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


@pytest.mark.parametrize(
    "args",
    [
        ["square", "--shape", "3,4"],
        ["Layer.square", "--shape", ""],
        ["scaled", "--shape", "3,4", "--shape", "4"],
        ["plain", "--shape", "5", "--seed", "3"],
        ["log_of", "--shape", "5", "--low", "0.5"],
        ["log_of"],
        ["noisy", "--shape", "20"],
        ["with_inputs"],
        ["wrong", "--shape", "2,3", "--shape", "2,3", "--rtol", "1"],
        ["wrong", "--shape", "2,3", "--shape", "2,3", "--constant", "1"],
        ["of_positive", "--shape", "5", "--shape", "5", "--constant", "1", "--domain", "0=0,2"],
        ["log_of", "--shape", "5", "--domain", "0=0.1,9", "--low", "-5"],
        ["log_of", "--domain", "0=1,2"],
    ],
)
def test_right(run, args):
    code, out, err = run(f"my_ops:{args[0]}", *args[1:])
    assert (code, err) == (0, "")
    assert out.startswith(f"my_ops:{args[0]} is right for inputs ")


def test_wrong(run):
    code, out, err = run("my_ops:wrong", "--shape", "2,3", "--shape", "2,3")
    assert (code, out) == (1, "")
    assert err.startswith("my_ops:wrong is wrong: gradcheck: input 1, index (1, 2): analytical ")
    assert "numerical " in err
    assert "(1 of 6 elements of this input are off)" in err


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["my_ops"], "expected module:function, got 'my_ops'"),
        (["no_module:f"], "there is no module 'no_module'"),
        (["my_ops.inner:f"], "there is no module 'my_ops.inner'"),
        (["needs_missing:f"], "'needs_missing' cannot be imported: No module named"),
        (["raises:f"], "'raises' cannot be imported: ZeroDivisionError"),
        (["my_ops:cube"], "'my_ops' has no 'cube'"),
        (["my_ops:number"], "'my_ops:number' is no function but int"),
        (["my_ops:square"], "give the shape of each input"),
        (["my_ops:square", "--shape", "a"], "argument --shape: invalid"),
        (["my_ops:square", "--shape", "3", "--eps", "0"], "eps: expected a step above 0"),
        (["my_ops:broken", "--shape", "3"], "my_ops:broken: ValueError: cannot reshape"),
        (
            ["my_ops:log_of", "--shape", "3"],
            "index (1,) is nan: give inputs inside",
        ),
        (["my_ops:log_of", "--shape", "3", "--domain", "0=0,inf"], "expected two ends to draw"),
        (
            ["my_ops:log_of", "--shape", "3", "--domain", "1=0,1"],
            "domains: expected a whole number",
        ),
        (["my_ops:log_of", "--shape", "3", "--domain", "1"], "expected N=LOW,HIGH, got '1'"),
        (
            ["my_ops:log_of", "--shape", "3", "--domain", "x=1,2"],
            "N=LOW,HIGH, got 'x=1,2'",
        ),
        (["my_ops:log_of", "--shape", "3", "--constant", "1"], "constant: expected a whole number"),
        (
            ["my_ops:log_of", "--domain", "0=5,6"],
            "index (0,): 1 is not in its domain, 5",
        ),
        (["my_ops:twice", "--shape", "3"], "return one floating Tensor, got tuple"),
        (["my_ops:constant", "--shape", "3"], "depends on no input"),
        ([], "the following arguments are required"),
    ],
)
def test_cannot_check(run, args, text):
    code, out, err = run(*args)
    assert (code, out) == (2, "")
    assert text in err
    assert err.count("\n") == 1


def test_as_a_command(tmp_path):
    (tmp_path / "my_ops.py").write_text(OPS)
    command = [sys.executable, "-m", "minigrad.gradcheck", "my_ops:square", "--shape", "2"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "my_ops:square is right for inputs (2,)\n"
