"""A worker of a search, which trains one trial after another until all have ended.

python -m cifar.search.worker < settings.json
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

import msgspec
import optuna
from optuna.trial import FrozenTrial, TrialState

import minigrad as mg
from cifar import recipes
from cifar.errors import Diverged, UserError
from cifar.results.metrics import EpochMetrics
from cifar.search import request
from cifar.search.request import Settings
from cifar.search.storage import open_storage
from cifar.search.study import PARAMETERS, Study, open_study
from cifar.training import run as runs
from cifar.training import train
from cifar.training.loop import fit
from cifar.training.run import Run

POLL = 0.5  # seconds between looks for a trial that lost its worker


def work(settings: Settings, parent: int | None = None) -> None:
    """Run trials until all of the study have ended, or process ``parent`` has ended."""
    storage = open_storage(settings.place_of_storage)
    study = open_study(request.plan(settings), storage, settings.folder, settings.trials)
    while parent is None or os.getppid() == parent:
        with study.take() as trial:
            if trial is not None:
                run_trial(study, trial, settings)
                continue
        if all(trial.state.is_finished() for trial in study.all()):
            return
        time.sleep(POLL)


def run_trial(study: Study, one: FrozenTrial, settings: Settings) -> None:
    """Train a trial to its end, from its last saved epoch on.

    Raises:
        KeyboardInterrupt: a signal stopped it; it can be continued.
        UserError: the sampler needs a package that is not installed.
    """
    lost = study.count_lost(one)
    if lost > settings.max_retry:
        why = f"lost {lost} workers in a row within an epoch, more than max_retry"
        study.finish(one, TrialState.FAIL, reason=why)
        return
    try:  # samplers import theirs when they first need them
        trial = optuna.trial.Trial(study.optuna(one.number), one._trial_id)
        _draw_again(trial, one)
        chosen = _settings(study, trial, settings)
    except ImportError as error:
        raise UserError(f"sampler: {study.plan.sampler} needs a package: {error}") from None
    try:
        state, value, reason = _train(study, trial, chosen)
    except (Diverged, MemoryError) as error:
        state, value, reason = TrialState.FAIL, None, str(error).partition(";")[0]
    except KeyboardInterrupt:
        study.not_lost(one)
        raise
    study.finish(one, state, value, reason)
    remove_state(study, one.number)


def _draw_again(trial: optuna.trial.Trial, lost_trial: FrozenTrial) -> None:
    """Draw again the values that a lost worker had drawn, so that the others are the same."""
    for name, distribution in lost_trial.distributions.items():
        if not (distribution.single() or name in trial.relative_params):
            trial.study.sampler.sample_independent(trial.study, lost_trial, name, distribution)


def remove_state(study: Study, number: int) -> None:
    """Remove the state for resuming, which has several times the size of the weights."""
    for name in (runs.STATE, runs.STATE_BEFORE):
        with suppress(OSError):
            (study.folder(number) / name).unlink()


def _settings(study: Study, trial: optuna.trial.Trial, settings: Settings) -> runs.Settings:
    """The settings for training ``trial``."""
    plan, out = study.plan, study.folder(trial.number)
    space = plan.space
    return runs.Settings(
        recipes.load(space.recipe) if recipes.is_own(space.recipe) else space.recipe,
        device=settings.device,
        dataset=plan.dataset,
        data_dir=settings.data_dir,
        seed=plan.seed,
        out=str(out),
        resume=runs.holds_run(out),
        overrides=space.changes(space.draw(trial)),
        progress=False,
        trial=True,
        image_size=plan.image_size,
        test_share=plan.test_share,
        split_seed=plan.split_seed,
    )


def _train(
    study: Study, trial: optuna.trial.Trial, settings: runs.Settings
) -> tuple[TrialState, float | None, str]:
    """Train a trial; returns its final state, its validation accuracy, and the reason if it did not
    complete."""
    opened = False
    try:
        with train.open_run(settings) as run:
            opened = True
            most, size = study.plan.space.max_parameters, run.record.parameters or 0
            trial.set_user_attr(PARAMETERS, size)
            if most is not None and size > most:
                why = f"{size:,} parameters, more than {most:,}"
                return TrialState.PRUNED, None, why
            for metrics in _epochs(run):
                accuracy = metrics.accuracy(run.val_name)
                _report(trial, metrics.epoch, accuracy)
                if metrics.epoch < run.recipe.epochs and trial.should_prune():
                    return TrialState.PRUNED, None, f"pruned after epoch {metrics.epoch}"
    except UserError as error:  # of what it drew
        if opened:
            raise
        return TrialState.FAIL, None, str(error)
    return TrialState.COMPLETE, accuracy, ""


def _epochs(run: Run) -> Iterator[EpochMetrics]:
    """Yield the epochs done before, and then those trained now, each after it is saved."""
    yield from [*run.progress.history]
    for metrics in fit(run):
        train.save(run, metrics)
        yield metrics


def _report(trial: optuna.trial.Trial, epoch: int, accuracy: float) -> None:
    """Report an epoch to the study, unless this was done before."""
    if epoch not in trial.storage.get_trial(trial._trial_id).intermediate_values:
        trial.report(accuracy, epoch)


def main() -> int:
    """Run the worker with the settings on stdin; returns the exit code."""
    settings = msgspec.json.decode(sys.stdin.read(), type=Settings)
    try:
        work(settings, os.getppid())
    except (UserError, mg.DeviceError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return mg.console.INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
