"""A study that several workers share, and the assignment of its trials to workers.

A study has one Optuna trial for each of its ``trials``, created in the state WAITING. A worker
locks the file ``trial-N.lock`` before it sets a trial to RUNNING, and until it has reported the
result. The operating system releases the lock when the process ends in any way. So if a trial is
RUNNING and its lock is free, it has lost its worker, and the next process that gets the lock
continues it. This needs no timeout, and a suspended worker keeps its trial.

If machines share a study but not the folder, each runs only its own trials: a trial stores the
identity of its folder, its *place*.
"""

from __future__ import annotations

import inspect
import platform
import time
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from cifar import process
from cifar.errors import UserError
from cifar.search.request import Plan

PLAN, PLACE, HOST, REASON, PARAMETERS = "plan", "place", "host", "reason", "parameters"
LOST = "lost"  # [epochs done, workers lost since the last of them]
UNPLACED_SECONDS = 3.0  # in which a running worker stores the place of its trial


@dataclass
class Study:
    """A study and the folder of its trials on this machine.

    Attributes:
        plan: the settings that its workers share.
        storage: Optuna's storage.
        study_id: ID of the study in the storage.
        out: the folder.
        trials: number of trials.
        place: identity of the folder.
    """

    plan: Plan
    storage: BaseStorage
    study_id: int
    out: Path
    trials: int
    place: str
    _unplaced: dict[int, float] = field(default_factory=dict)

    def all(self) -> list[FrozenTrial]:
        """All trials, in order."""
        trials = self.storage.get_all_trials(self.study_id, deepcopy=False)
        return [trial for trial in trials if trial.number < self.trials]

    def folder(self, number: int) -> Path:
        """The folder of a trial."""
        return self.out / f"trial-{number:04}"

    def optuna(self, number: int = 0) -> optuna.Study:
        """The Optuna study. With a sampler that does not depend on other trials, trial ``number``
        draws the same values in every process."""
        return optuna.load_study(
            study_name=self.plan.name,
            storage=self.storage,
            sampler=make_sampler(
                self.plan.sampler, zlib.crc32(b"%d %d" % (self.plan.seed, number))
            ),
            pruner=make_pruner(self.plan.pruner),
        )

    @property
    def attrs(self) -> dict[str, Any]:
        """The attributes of the study."""
        return self.storage.get_study_user_attrs(self.study_id)

    def note(self, name: str, value: Any) -> None:
        self.storage.set_study_user_attr(self.study_id, name, value)

    @contextmanager
    def take(self) -> Iterator[FrozenTrial | None]:
        """Context with a trial to run, locked against other workers; None if all others have ended
        or are locked. A trial that lost its worker comes before one that never started."""
        open_ones = [trial for trial in self.all() if not trial.state.is_finished()]
        for trial in sorted(open_ones, key=lambda trial: trial.state != TrialState.RUNNING):
            if trial.state == TrialState.RUNNING and not self._is_ours(trial):
                continue
            with process.held(self.folder(trial.number).with_suffix(".lock")) as held:
                if held and self._begin(trial):
                    yield self.storage.get_trial(trial._trial_id)
                    return
        yield None

    def _is_ours(self, trial: FrozenTrial) -> bool:
        """Whether a running trial belongs to this folder. If its worker was lost before it stored
        the place, the file of its lock exists."""
        place = trial.user_attrs.get(PLACE)
        if place is not None:
            return bool(place == self.place)
        if not self.folder(trial.number).with_suffix(".lock").exists():
            return False
        since = self._unplaced.setdefault(trial.number, time.monotonic())
        return time.monotonic() > since + UNPLACED_SECONDS

    def _begin(self, trial: FrozenTrial) -> bool:
        """Set a trial, whose lock we hold, to RUNNING; False if another machine has taken it."""
        trial_id = trial._trial_id
        now = self.storage.get_trial(trial_id)
        if now.state == TrialState.WAITING:
            try:
                if not self.storage.set_trial_state_values(trial_id, TrialState.RUNNING):
                    return False
            except UpdateFinishedTrialError:
                return False
        elif now.state != TrialState.RUNNING or now.user_attrs.get(PLACE, self.place) != self.place:
            return False
        self.storage.set_trial_user_attr(trial_id, PLACE, self.place)
        self.storage.set_trial_user_attr(trial_id, HOST, platform.node())
        return True

    def count_lost(self, trial: FrozenTrial) -> int:
        """The number of workers that a trial has lost since its last epoch. A worker that starts it
        is counted in advance, until :meth:`not_lost`."""
        done = len(trial.intermediate_values)
        before, lost = trial.user_attrs.get(LOST, (done, -1))
        lost = int(lost) + 1 if before == done else 1
        self.storage.set_trial_user_attr(trial._trial_id, LOST, [done, lost])
        return lost

    def not_lost(self, trial: FrozenTrial) -> None:
        """Record that a worker left the trial, perhaps after some epochs, and was not lost."""
        now = self.storage.get_trial(trial._trial_id)
        (before, lost), done = now.user_attrs[LOST], len(now.intermediate_values)
        lost = lost - 1 if done == before else -1
        self.storage.set_trial_user_attr(trial._trial_id, LOST, [done, lost])

    def finish(
        self, trial: FrozenTrial, state: TrialState, value: float | None = None, reason: str = ""
    ) -> None:
        """End a trial whose lock we hold."""
        if reason:
            self.storage.set_trial_user_attr(trial._trial_id, REASON, reason)
        self.optuna(trial.number).tell(trial.number, value, state=state)


def open_study(plan: Plan, storage: BaseStorage, out: Path, trials: int) -> Study:
    """The study of that plan with at least ``trials`` trials; it is created if necessary.

    Raises:
        UserError: the existing study has another plan, the folder cannot be locked, or Optuna has
            no such sampler or pruner.
    """
    make_sampler(plan.sampler, 0)
    make_pruner(plan.pruner)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with process.held(out / "study.lock", wait=True):
            place = _place(out)
            study = optuna.create_study(
                study_name=plan.name, storage=storage, direction="maximize", load_if_exists=True
            )
            _compare(study, plan)
            for _ in range(len(study.get_trials(deepcopy=False)), trials):
                study.enqueue_trial({})
    except OSError as error:
        raise UserError(f"out: cannot use {out}: {error.strerror or error}") from None
    study_id = storage.get_study_id_from_name(plan.name)
    return Study(plan, storage, study_id, out, trials, place)


def find_study(storage: BaseStorage, out: Path, name: str | None) -> Study:
    """The study in a storage, with all its trials.

    Raises:
        UserError: there is none of that name; or, without a name, none or several; or ``cifar
            search`` did not make it.
    """
    known = {trial.study_name: trial for trial in storage.get_all_studies()}
    if name is None and len(known) != 1:
        what = f"name one of {', '.join(sorted(known))}" if known else "there is no study"
        raise UserError(f"study: {what}")
    chosen = known.get(name) if name else next(iter(known.values()))
    if chosen is None:
        raise UserError(f"study: expected one of {', '.join(sorted(known))}, got {name!r}")
    try:
        plan = msgspec.convert(chosen.user_attrs.get(PLAN), Plan)
    except msgspec.ValidationError as error:
        raise UserError(f"study: {chosen.study_name} is not of `cifar search`: {error}") from None
    count = len(storage.get_all_trials(chosen._study_id, deepcopy=False))
    return Study(plan, storage, chosen._study_id, out, count, "")


def _place(out: Path) -> str:
    """The identity of a folder, stored in it."""
    file = out / "place"
    with suppress(FileNotFoundError):
        return file.read_text("utf-8")
    place = uuid.uuid4().hex
    file.write_text(place, "utf-8")
    return place


def _compare(study: optuna.Study, plan: Plan) -> None:
    """Store the plan of a new study; raise if that of an existing one differs."""
    ours = msgspec.to_builtins(plan)
    theirs = study.user_attrs.get(PLAN)
    if theirs is None:
        study.set_user_attr(PLAN, ours)
        return
    pairs = {name: (theirs.get(name), ours[name]) for name in ours if name != "space"}
    space = theirs.get("space") or {}
    pairs |= {f"space.{name}": (space.get(name), value) for name, value in ours["space"].items()}
    different = [f"{name} {a}, not {b}" for name, (a, b) in pairs.items() if a != b]
    if different:
        raise UserError(
            f"search: the study {study.study_name} has {'; '.join(different):.400}; leave that as "
            "it is, or choose another --out or --storage"
        )


def make_sampler(name: str, seed: int) -> optuna.samplers.BaseSampler:
    """An Optuna sampler by name, such as random or TPESampler.

    Raises:
        UserError: there is none of that name, or it needs arguments other than a seed.
    """
    sampler: optuna.samplers.BaseSampler = _make("sampler", optuna.samplers, name, seed=seed)
    return sampler


def make_pruner(name: str | None) -> optuna.pruners.BasePruner:
    """An Optuna pruner by name, such as median; None never prunes.

    Raises:
        UserError: there is none of that name, or it needs arguments.
    """
    pruner: optuna.pruners.BasePruner = _make("pruner", optuna.pruners, name or "nop")
    return pruner


def _make(what: str, module: Any, name: str, **options: Any) -> Any:
    suffix = what.capitalize()
    kinds = {
        n: kind
        for n, kind in vars(module).items()
        if inspect.isclass(kind) and n.endswith(suffix) and not n.startswith("Base")
    }
    short = {n.removesuffix(suffix).lower(): kind for n, kind in kinds.items()}
    kind = kinds.get(name) or short.get(name.lower())
    if kind is None:
        raise UserError(f"{what}: expected one of {', '.join(sorted(short))}, got {name!r}")
    taken = inspect.signature(kind).parameters
    try:
        return kind(**{k: v for k, v in options.items() if k in taken})
    except (TypeError, ValueError, ImportError) as error:
        raise UserError(f"{what}: {name} cannot be made here: {error}") from None
