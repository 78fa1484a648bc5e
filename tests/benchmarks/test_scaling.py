"""Cost per image is measured at every point, and drawn again from the file alone."""

from __future__ import annotations

import json
import sys

import pytest

from benchmarks import contest, scaling
from benchmarks.contest import QUICK


@pytest.mark.parametrize("contestant", ["minigrad", "torch nchw keeping"])
def test_a_contestant(contestant):
    points = [(1, 16), (2, 8)]
    first, second = scaling.measure(contestant, 1, "gated", points, seconds=1e-9)
    assert min(len(first), len(second)) == scaling.LEAST
    assert min(*first, *second) > 0


@pytest.fixture
def fake(monkeypatch):
    """Contestants whose image costs pixels / threads ms, but PyTorch's channels_last half of it."""

    def child(_, contestant, threads, model, points, seconds):
        part = 2000 if "channels_last" in contestant else 1000
        return [[batch * size**2 / threads / part, 9.0, 0.0] for batch, size in points]

    monkeypatch.setattr(contest, "in_child", child)


def run(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["scaling", *map(str, words)])
    scaling.main()


def test_from_the_command_to_the_plot(monkeypatch, fake, tmp_path, capsys):
    out, first, again = (tmp_path / name for name in ("x.json", "x.png", "y.png"))
    points = ["--batches", 1, 2, "--sizes", 16, 32, "--batch", 2, "--threads", 2, 1, "--rounds", 1]
    run(monkeypatch, *points, "--out", out, "--plot", first)
    found = json.loads(out.read_text())
    assert [(row["threads"], row["batch"], row["size"]) for row in found["results"]] == [
        (threads, *point) for threads in (1, 2) for point in ((2, 16), (1, 32), (2, 32))
    ]
    assert set(found["results"][0]["ms_per_image"]) == set(QUICK)
    assert scaling.pair(found["results"][0]) == (256, 128)
    assert scaling.pair(found["results"][-1]) == (512, 256)
    assert "0.50" in capsys.readouterr().out
    run(monkeypatch, "--redraw", out, "--plot", again)
    assert first.read_bytes() == again.read_bytes()
    assert first.read_bytes().startswith(b"\x89PNG")


def test_what_is_drawn(monkeypatch, fake, tmp_path):
    from matplotlib.figure import Figure

    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    rows = scaling.compare("gated", [(1, 32), (4, 32), (4, 64)], [1, 2], 0.1, 1)
    found = {"model": "gated", "batch": 4, "machine": {"cpu": "X"}, "results": rows}
    scaling.draw(found, tmp_path / "x.png")
    by_batch, by_size = drawn[0].axes
    assert [line.get_label() for line in by_batch.lines] == [
        "minigrad, 1 thread",
        "PyTorch, 1 thread",
        "minigrad, 2 threads",
        "PyTorch, 2 threads",
    ]
    assert by_batch.lines[0].get_xydata().tolist() == [[1, 1024], [4, 1024]]
    assert by_size.lines[3].get_xydata().tolist() == [[32, 256], [64, 1024]]
    assert "(ms)" in by_batch.get_ylabel()
    assert "(pixels)" in by_size.get_xlabel()


def test_a_model_of_one_size_is_refused(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, "--model", "simple", "--sizes", 16)
    assert "model: simple does not take images of 16 x 16" in capsys.readouterr().err


def test_a_damaged_file(monkeypatch, tmp_path):
    (tmp_path / "x.json").write_text('{"results": []}')
    for name, expected in (("x.json", "not a file that --out wrote"), ("y.json", "No such file")):
        with pytest.raises(SystemExit, match=expected):
            run(monkeypatch, "--redraw", tmp_path / name, "--plot", tmp_path / "x.png")
