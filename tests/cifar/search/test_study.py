"""Who runs which trial: each is taken once, and again only when its worker is lost."""

from __future__ import annotations

import dataclasses

import pytest
from optuna.trial import TrialState

from cifar.errors import UserError
from cifar.search import study as studies
from cifar.search.study import find_study, make_pruner, make_sampler
from tests.cifar.search.conftest import opened
from tests.common import refuses


def test_a_trial_is_held_by_one(asked):
    first, second = opened(asked), opened(asked)
    with first.take() as one, second.take() as other:
        assert (one.number, other.number) == (0, 1)
        assert one.state == other.state == TrialState.RUNNING
    with second.take() as again:  # its worker left it
        assert again.number == 0
        first.finish(again, TrialState.FAIL, reason="why")
    assert [one.state.name for one in second.all()] == ["FAIL", "RUNNING", "WAITING", "WAITING"]
    assert not list(asked.folder.glob("trial-*.lock"))


def test_no_trial_is_taken_that_has_ended(asked):
    study = opened(dataclasses.replace(asked, trials=1))
    with study.take() as one:
        study.finish(one, TrialState.PRUNED)
        with opened(asked).take() as other:
            assert other.number == 1  # of four, by now
    with study.take() as none:
        assert none is None


def test_trials_of_another_folder_are_left_alone(asked):
    """Two machines with one database, and each with a folder of its own."""
    url = f"sqlite:///{asked.folder.parent}/x.db"
    here = dataclasses.replace(asked, storage=url, trials=2)
    there = dataclasses.replace(here, out=f"{asked.out}-there")
    ours, theirs = opened(here), opened(there)
    with ours.take() as one:
        assert one.number == 0
    with theirs.take() as one:
        assert one.number == 1
    with theirs.take() as one, ours.take() as other:
        assert (one.number, other.number) == (1, 0)
    for study in (ours, theirs):
        with study.take() as one:
            study.finish(one, TrialState.COMPLETE, 0.5)
        with study.take() as none:
            assert none is None


def test_a_worker_lost_before_it_noted_its_place(asked, monkeypatch):
    study = opened(dataclasses.replace(asked, trials=1))
    (one,) = study.all()
    study.storage.set_trial_state_values(one._trial_id, TrialState.RUNNING)
    with study.take() as none:
        assert none is None  # another folder's, whose worker is about to note its place
    study.folder(0).with_suffix(".lock").touch()
    with study.take() as none:
        assert none is None
    monkeypatch.setattr(studies, "UNPLACED_SECONDS", 0.0)
    with study.take() as found:
        assert found.number == 0


def test_workers_lost_since_the_last_epoch(asked):
    study = opened(dataclasses.replace(asked, trials=1))
    for lost in range(3):
        with study.take() as one:
            assert study.count_lost(one) == lost
    study.storage.set_trial_intermediate_value(one._trial_id, 1, 0.5)
    for lost in (1, 2, 2):  # the second of these is only stopped
        with study.take() as one:
            assert study.count_lost(one) == lost
        if lost == 2:
            study.not_lost(one)
    study.storage.set_trial_intermediate_value(one._trial_id, 2, 0.5)  # and stopped after it
    study.not_lost(one)
    with study.take() as one:
        assert study.count_lost(one) == 0


def test_another_plan_is_refused(asked):
    opened(asked)
    for change, message in (
        ({"seed": 5}, "has seed 0, not 5; leave"),
        ({"epochs": 9}, "has space.epochs 2, not 9"),
        ({"pruner": "median"}, "has pruner None, not median"),
    ):
        other = dataclasses.replace(asked, **change)
        refuses(UserError, message, lambda other=other: opened(other))


def test_a_study_is_found(asked):
    study = opened(asked)
    assert find_study(study.storage, asked.folder, None).plan == study.plan
    assert find_study(study.storage, asked.folder, "tiny").trials == 4
    for name, message in (("x", "study: expected one of tiny, got 'x'"),):
        refuses(UserError, message, lambda name=name: find_study(study.storage, asked.folder, name))
    study.storage.create_new_study([2], "other")
    refuses(
        UserError, "name one of other, tiny", lambda: find_study(study.storage, asked.folder, None)
    )
    refuses(
        UserError, "other is not of `cifar search`",
        lambda: find_study(study.storage, asked.folder, "other"),
    )  # fmt: skip


def test_samplers_and_pruners_by_name():
    assert type(make_sampler("random", 1)).__name__ == "RandomSampler"
    assert type(make_sampler("TPESampler", 1)).__name__ == "TPESampler"
    assert type(make_pruner("median")).__name__ == "MedianPruner"
    assert type(make_pruner(None)).__name__ == "NopPruner"
    for make, message in (
        (lambda: make_sampler("x", 1), "sampler: expected one of bruteforce, cmaes, "),
        (lambda: make_sampler("grid", 1), "sampler: grid cannot be made here"),
        (lambda: make_pruner("threshold"), "pruner: threshold cannot be made here"),
    ):
        refuses(UserError, message, make)


@pytest.mark.parametrize("number", [0, 7])
def test_what_a_trial_draws_depends_on_its_number_alone(asked, number):
    study = opened(dataclasses.replace(asked, trials=8))
    draws = [study.optuna(n).sampler._rng.rng.random() for n in (number, number, number + 1)]
    assert draws[0] == draws[1] != draws[2]
