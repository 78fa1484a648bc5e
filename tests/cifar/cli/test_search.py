"""The command: a search, what it found, and a training by the best settings."""

from __future__ import annotations

import dataclasses

import pytest

from cifar import cli
from cifar.cli.search import require_optuna
from cifar.errors import UserError
from cifar.results import plots
from cifar.search import search, worker
from tests.cifar.cli.calls import assert_one_error, said
from tests.cifar.search.conftest import write_world
from tests.common import refuses


def test_search_show_and_train(here, capsys, monkeypatch):
    settings = dataclasses.replace(write_world(here), trials=2, out=None)
    for name in ("curves", "predictions", "confusion", "mistakes"):  # most of a second each
        monkeypatch.setattr(plots, name, lambda *_: None)

    class Here(search._Workers):
        def run(self, study, stop, show):
            worker.work(self.settings)
            capsys.readouterr()
            show(study.all())

    monkeypatch.setattr(search, "_Workers", Here)
    data = f"--dataset arrays --data-dir {settings.data_dir} --device cpu"
    assert cli.main(f"search tiny.toml --trials 2 {data} --no-progress".split()) == 0
    out = capsys.readouterr().out
    assert "of the validation images, " in out
    assert "of the test images\n" in out
    assert "next: cifar train runs/search-tiny/best.py\n" in out
    shown = said(capsys, "search show runs/search-tiny")
    assert shown.splitlines()[-2:] == out.splitlines()[-2:]
    assert cli.main(f"train runs/search-tiny/best.py --epochs 1 --out x {data}".split()) == 0
    assert "test accuracy" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("search", "SPACE"),
        ("search nonesuch", "space: expected FILE.toml or one of resnet"),
        ("search resnet --trials 0", "trials: expected a whole number from 1 to 10000, got 0"),
        ("search show", "PLACE"),
        ("search show nowhere", "study: expected a search's folder, a journal or a URL"),
    ],
)
def test_mistakes(here, capsys, arguments, text):
    assert_one_error(cli.main(arguments.split()), capsys.readouterr(), text)


def test_help_of_both(capsys):
    for words, flag in (("search --help", "--sampler"), ("search show --help", "--study")):
        with pytest.raises(SystemExit):
            cli.main(words.split())
        assert flag in capsys.readouterr().out


def test_without_optuna(monkeypatch):

    def missing(name, *rest):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr("importlib.import_module", missing)
    refuses(UserError, "search needs Optuna and rich (No module named 'optuna'); ", require_optuna)
