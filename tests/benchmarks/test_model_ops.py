"""Each operation is timed on the same work in both libraries, its parts apart."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from benchmarks import contest, model_ops, study
from cifar import environment

PEAKS = {"gflops": 100.0, "gb_per_second": 10.0}


def case(op, tensors, options=(), gradients=True, products=0, parts=("forward", "input")):
    call = study.Call(op, tuple(tensors.items()), tuple(options), gradients, products)
    return model_ops.Case(call, "simple", "", parts)


CONV = case(
    "conv2d",
    {"input": (16, 3, 6, 6), "weight": (8, 3, 3, 3), "bias": (8,)},
    [("stride", (1, 1)), ("padding", (1, 1))],
    parts=("forward", "input", "parameters"),
)
X, Y = 16 * 3 * 36, 16 * 8 * 36
POOL = case("max_pool2d", {"input": (16, 3, 6, 6)}, [("kernel_size", 2), ("stride", 2)])
RELU = case("relu", {"input": (16, 3, 6, 6)})
NORM = case(
    "batch_norm",
    {
        "input": (16, 3, 6, 6),
        "running_mean": (3,),
        "running_var": (3,),
        "weight": (3,),
        "bias": (3,),
        "residual": (16, 3, 6, 6),
    },
    [("training", True), ("relu", True)],
    parts=("forward", "input", "parameters"),
)
LOSS = case("cross_entropy", {"input": (4, 10), "target": (4,)})


@pytest.mark.parametrize("contestant", model_ops.QUICK)
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (CONV, {"forward": X + Y, "input": X + Y, "parameters": X + Y}),
        (POOL, {"forward": X + X // 4, "input": 2 * X + X // 4}),
        (RELU, {"forward": 2 * X, "input": 3 * X}),
        (NORM, {"forward": 3 * X, "input": 5 * X, "parameters": 3 * X}),
        (LOSS, {"forward": 41, "input": 41}),
    ],
    ids=lambda value: value.op if isinstance(value, model_ops.Case) else "",
)
def test_every_part_runs_again_and_again(contestant, given, expected):
    made = model_ops.actions(contest.engine(contestant, 1), given)
    assert {part: size for part, (_, size) in made.items()} == {
        part: 4 * count for part, count in expected.items()
    }
    for run, _ in made.values():
        run()
        run()


def test_a_part_asks_for_its_own_gradients_only(monkeypatch):
    asked = {}
    engine = contest.engine("minigrad", 1)
    original = engine.functional.conv2d

    def conv(**arguments):
        needed = {name for name in ("input", "weight", "bias") if arguments[name].requires_grad}
        asked[part] = needed
        return original(**arguments)

    monkeypatch.setattr(engine.functional, "conv2d", conv)
    for part in CONV.parts:  # read by conv
        model_ops._part(engine, CONV.call, part)
    assert asked == {
        "forward": {"input", "weight", "bias"},
        "input": {"input"},
        "parameters": {"weight", "bias"},
    }


def test_the_state_of_every_models_optimizer_is_known():
    assert {study.update(model)[0] for model in study.MODELS} <= model_ops.STATE.keys()


@pytest.mark.parametrize("contestant", model_ops.QUICK)
def test_an_optimizer(contestant):
    engine = contest.engine(contestant, 1)
    made = model_ops.actions(engine, model_ops.Case(None, "gated", "", ("step",)))
    step, size = made["step"]
    step()
    assert size == 4 * 5 * 1_118_300  # RMSprop: parameter and square both ways, gradient once
    optimizer = study.optimizer(engine, "gated", [p := engine.parameter(2, 3)])
    p.requires_grad, p.grad = True, engine.parameter(2, 3)
    optimizer.step()
    (state,) = optimizer.state.values()
    assert sum(np.shape(value) == (2, 3) for value in state.values()) == model_ops.STATE["RMSprop"]


def test_cases():
    found = model_ops.cases(("simple", "gated-basic"), (*study.OPERATIONS, model_ops.OPTIMIZER))
    names = [(one.op, one.label) for one in found]
    assert len(set(names)) == len(names)
    assert ("conv2d", "64×32×30×30 → 64×32×3×3") in names
    assert ("conv2d", "128×64×32×32 → 128×64×3×3, padding 1") in names
    assert ("max_pool2d", "64×64×28×28, kernel 2, stride 2") in names
    # gated-basic's dropout of nothing is left out
    assert [label for op, label in names if op == "dropout"] == ["64×512, p 0.5"]
    assert [x.label for x in found if x.op == model_ops.OPTIMIZER] == [
        "Adam of simple",
        "RMSprop of gated-basic",
    ]
    assert {x.op for x in model_ops.cases(("simple",), ("linear", "relu"))} == {"linear", "relu"}


def test_compare(monkeypatch):
    ms = {"minigrad": 2.0, "torch nchw keeping": 1.0, "torch channels_last keeping": 4.0}

    def child(_, contestant, **work):
        part = {"times": [ms[contestant] / 1e3] * 3, "bytes": 10**6}
        chosen = model_ops.cases(tuple(work["chosen"]), tuple(work["ops"]))
        return [dict.fromkeys(one.parts, part) for one in chosen]

    monkeypatch.setattr(contest, "in_child", child)
    rows = model_ops.compare(("simple",), ("conv2d", "relu"), None, 1, 0.1, 2, PEAKS)
    conv, relu = rows[0], rows[-1]
    assert (conv["part"], relu["part"]) == ("forward", "input")
    assert conv["best_torch"] == "torch nchw keeping"
    assert conv["ratio"] == pytest.approx(0.5)
    assert conv["rate"] == pytest.approx(2 * 64 * 32 * 30 * 30 * 27 / 2e-3 / 1e9)
    assert conv["of_peak"] == pytest.approx(conv["rate"] / 100)
    assert (relu["rate"], relu["unit"]) == (pytest.approx(0.5), "GB/s")
    assert relu["of_peak"] == pytest.approx(0.05)


def test_the_command_line(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(environment, "peaks", lambda _: PEAKS)
    monkeypatch.setattr(
        contest, "in_child", lambda _, contestant, **work: model_ops.measure(contestant, **work)
    )
    out = tmp_path / "x.json"
    words = (
        "--model four-block --op relu --op cross_entropy --rounds 1 --seconds 0.0001 --threads 1"
    )
    monkeypatch.setattr(sys, "argv", ["model_ops", *words.split(), "--out", str(out)])
    model_ops.main()
    written = json.loads(out.read_text())
    assert {row["op"] for row in written["results"]} == {"relu", "cross_entropy"}
    assert all(set(row["ms"]) == set(model_ops.QUICK) for row in written["results"])
    assert "geometric mean" in capsys.readouterr().out


def test_nothing_to_do_is_said(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["model_ops", "--model", "resnet-32", "--op", "dropout"])
    with pytest.raises(SystemExit):
        model_ops.main()
    assert "no model of resnet-32 calls dropout" in capsys.readouterr().err
