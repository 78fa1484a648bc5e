"""Pictures of a study, from few trials and from many."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
from PIL import Image

from cifar.search import pictures


@pytest.fixture(scope="module")
def study():
    def objective(trial):
        lr = trial.suggest_float("lr", 1e-3, 1e-1, log=True)
        trial.suggest_categorical("pooling", ["avg", "max"])
        for i in range(trial.suggest_int("stages", 1, 2)):
            trial.suggest_int(f"blocks.{i + 1}", 1, 5)
        trial.report(lr, 1)
        if trial.number % 5 == 4:
            raise optuna.TrialPruned
        return lr

    found = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.RandomSampler(0), storage=None
    )
    found.optimize(objective, 30)
    return found


@pytest.mark.parametrize("count", [1, 30])
@pytest.mark.parametrize("name", ["history", "parallel"])
def test_of_trials(study, tmp_path, name, count):
    path = tmp_path / "x.png"
    getattr(pictures, name)(study.trials[:count], path)
    with Image.open(path) as picture:
        assert len(np.unique(np.asarray(picture.convert("L")))) > 20


def test_importances(study, tmp_path):
    found = pictures.importance(study)
    assert max(found, key=found.get) == "lr"
    assert sum(found.values()) == pytest.approx(1)
    pictures.importances(found, tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 1000
    assert pictures.importance(optuna.create_study()) == {}


def test_places_on_an_axis(study):
    scale = pictures._Scale(study.trials, "lr")
    values = [one.params["lr"] for one in study.trials]
    assert scale.place(min(values)) == 0
    assert scale.place(max(values)) == 1
    assert scale.place(np.sqrt(min(values) * max(values))) == pytest.approx(0.5)
    assert pictures._Scale(study.trials, "pooling").ticks() == [(0.0, "avg"), (1.0, "max")]
