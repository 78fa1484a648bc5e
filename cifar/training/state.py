"""The state of a run on disk, from which it can be resumed. It is checked before it is used."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import minigrad as mg
from cifar import metadata, process, recipes
from cifar.errors import UserError
from cifar.recipes import Recipe
from cifar.recipes.optimizers import Optimizers
from cifar.results.metrics import EpochMetrics
from cifar.results.record import Record, decode, rounding_differences
from cifar.training.run import STATE, STATE_BEFORE, Progress, Run, arrays, holds_run, trained

# Of these files; 2 had no opening, 3 no count of skipped batches, 4 one optimiser, and 5 held rates
# and places of schedules, though not all that schedules move.
SCHEMA = 6
# Options of schedules that counted steps, not epochs, before schema 6 if schedule_every was "step".
RECOUNTED = {"T_0", "total_steps", "step_size_up", "step_size_down"}


@dataclass(frozen=True)
class SavedOptimizer:
    """Steps by parameter number."""

    steps: dict[str, int]


@dataclass(frozen=True)
class State:
    """The metadata of a state file.

    Rates are not in it: they follow from the recipe and the history.

    Attributes:
        data_dir: see :attr:`cifar.training.run.Run.data_dir`.
    """

    schema: int
    record: Record
    progress: Progress
    optimizer: SavedOptimizer
    data_dir: str | None = None

    @property
    def done(self) -> str:
        """The epoch and step of the run, in words."""
        return f"({self.progress.epoch} epochs, {self.progress.step} steps done)"


def save(run: Run) -> None:
    """Write the state, and keep the previous one."""
    saved = run.optimizer.state_dict()
    steps = {str(number): state.get("step", 0) for number, state in saved["state"].items()}
    progress = dataclasses.asdict(run.progress)
    progress["history"] = [metrics.as_dict() for metrics in run.progress.history]
    note: dict[str, Any] = {
        "schema": SCHEMA,
        "record": run.record.as_note(),
        "progress": progress,
        "optimizer": {"steps": steps},
        **({"data_dir": run.data_dir} if run.data_dir else {}),
    }
    mg.checkpoint.keep(run.out / STATE, run.out / STATE_BEFORE)
    mg.save(arrays(run), run.out / STATE, note)
    run.saved = _is_whole(run.progress)


def _is_whole(progress: Progress) -> str:
    done = f"{progress.epoch} epochs, {progress.step} steps"
    return f"the state before it ({done} done) is whole"


# ---------------------------------------------------------------------------- reading


def find(out: Path) -> State | None:
    """The state of the run in a folder, or None if none was saved.

    Raises:
        UserError: the run cannot be resumed.
    """
    return read(out, mg.device("cpu"))[1] if holds_run(out) else None


def read(out: Path, device: mg.device) -> tuple[dict[str, mg.Tensor], State]:
    """The arrays and the state in a folder.

    Raises:
        UserError: the file is damaged, of another version of minigrad, or not from training; the
            message names it and gives advice.
    """
    try:
        return _read(out / STATE, device)
    except ValueError as error:
        raise UserError(f"resume: {error}; {_way_out(out)}") from None


def _read(path: Path, device: mg.device) -> tuple[dict[str, mg.Tensor], State]:
    tensors, note = metadata.read(path, device)
    schema: Any = note.get("schema")
    if metadata.is_whole(schema) and schema not in (2, 3, 4, 5, SCHEMA):
        age = "a newer" if schema > SCHEMA else "an older"
        raise ValueError(f"{path} is of {age} minigrad (schema {schema}, expected {SCHEMA})")
    try:
        return tensors, decode(note, State)
    except ValueError as error:
        raise ValueError(f"{path} is not the state of a run ({error})") from None


def _way_out(out: Path) -> str:
    """Advice for a state that cannot be read: the previous one may be intact."""
    try:
        _, state = _read(out / STATE_BEFORE, mg.device("cpu"))
    except ValueError:
        return "start again with another --out"
    words = ("mv", str(out / STATE_BEFORE), str(out / STATE))
    command = " ".join(map(process.shell_word, words))
    return f"{_is_whole(state.progress)}: run {command}, then --resume again"


# ---------------------------------------------------------------------------- resuming


def resume(run: Run) -> None:
    """Restore a saved run, which must have the same recipe (except more epochs), seed and data.

    Raises:
        UserError: it is a different run, or its state cannot be used.
    """
    arrays_of, state = mg.distributed.from_rank_0(lambda: _read_on_cpu(run.out))
    tensors = {name: mg.tensor(array, device=run.device) for name, array in arrays_of.items()}
    _check_same_run(run, state.record)
    opening = state.progress.opening
    opening.began = opening.began or state.record
    for change in rounding_differences(opening.began, run.record):
        print(
            f"note: the run was started with {change}: it goes on, but not bit for bit as it would "
            "have",
            file=sys.stderr,
        )
    if state.schema < 6 and run.recipe.schedule_every == "step":
        groups = (group.schedule_options or {} for group in run.recipe.groups.values())
        used = {name for options in (run.recipe.schedule_options, *groups) for name in options}
        if changed := sorted(RECOUNTED & used):
            names = ", ".join(changed)
            note = f"the run was started when {names} counted steps; now epochs: its rates differ"
            print(f"note: {note}", file=sys.stderr)
    try:
        _put_back(run, tensors, state)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        why = metadata.brief(error)
        raise UserError(f"resume: {run.out / STATE} does not fit the recipe: {why}") from None
    done = run.progress.epoch
    whole = done >= run.recipe.epochs and not run.settings.trial
    if whole and run.progress.history[-1].test_accuracy is None:
        raise UserError(
            f"epochs: expected more than the {done} that are done, since the test set is kept for "
            f"the last one, got {run.recipe.epochs}"
        )
    run.record = dataclasses.replace(run.record, init=state.record.init)
    run.saved = _is_whole(state.progress)


def _read_on_cpu(out: Path) -> tuple[dict[str, Any], State]:
    """:func:`read` as rank 0 can send it to the others."""
    tensors, state = read(out, mg.device("cpu"))
    return {name: tensor.numpy() for name, tensor in tensors.items()}, state


def _check_same_run(run: Run, record: Record) -> None:
    then = record.recipe
    if then.epochs > run.recipe.epochs:
        raise UserError(
            f"epochs: expected the {then.epochs} of the run in {run.out}, or more, got "
            f"{run.recipe.epochs}"
        )
    ours, theirs = _identity(run.recipe, run.record), _identity(then, record)
    if ours != theirs:
        theirs = _identity(recipes.continued(then, run.recipe.epochs), record)
    different = [
        f"{name} {metadata.brief(theirs[name])}, not {metadata.brief(ours[name])}"
        for name in ours
        if theirs[name] != ours[name]
    ]
    if different:
        raise UserError(f"resume: the run in {run.out} has {'; '.join(different)}")


def _identity(recipe: Recipe, record: Record) -> dict[str, Any]:
    """The values that a resumed run must share with the saved one."""
    fields = {
        k: v for k, v in recipes.plain(recipe).items() if k not in ("name", "epochs", "claim")
    }
    shared = {
        name: getattr(record, name) for name in ("seed", "dataset", "data_fingerprint", "freeze")
    }
    return {"recipe": recipe.name, **fields, **shared}


def _scheduled(run: Run) -> Optimizers:
    """A new optimiser with the rates, and all else that schedules move, of the run's present step.

    The schedules take the steps of the run once more, whose rates depend on nothing but the recipe
    and the losses of the history. So a schedule needs no saved state, and one that was stretched to
    more epochs goes on as if so many had been asked for at first.
    """
    progress, recipe, per_epoch = run.progress, run.recipe, len(run.train)
    first = max((e for e, _ in recipe.restarts if e <= progress.epoch), default=0)
    optimizer = recipe.make_optimizer(trained(run.model), per_epoch, first)
    if recipe.schedule_every == "step":
        for _ in range((progress.epoch - first) * per_epoch + progress.step):
            optimizer.step_schedules()
    else:
        for metrics in progress.history[first:]:
            optimizer.step_schedules(getattr(metrics, f"{run.val_name}_loss"))
    return optimizer


def _put_back(run: Run, tensors: dict[str, mg.Tensor], state: State) -> None:
    """Restore the run from a state, after checking everything that training relies on.

    Raises:
        ArithmeticError, AttributeError, LookupError, TypeError, ValueError: :func:`save` never
            writes such a state.
    """
    _check_progress(run, state.progress)
    progress = run.progress = state.progress
    own = run.model.state_dict()
    for name, value in tensors.items():
        like = own.get(name.removeprefix("model."))
        dtype = "float32" if like is None else like.dtype  # the others' is the parameters'
        _expect(f"{name} of dtype", value.dtype, value.dtype == dtype)
        if value.dtype.kind == "f":
            finite = bool(mg.get_xp(value.data).isfinite(value.data).all())
            _expect(f"{name} with", "NaN or infinity", finite)
    run.model.load_state_dict(_below("model.", tensors))
    if run.average is not None:
        run.average.load_state_dict(_below("average.", tensors))

    done = progress.epoch * len(run.train) + progress.step
    states = {}
    for number, step in state.optimizer.steps.items():
        _expect("steps", step, 0 <= step <= done)
        states[int(number)] = {"step": step, **_below(f"optimizer.{number}.", tensors)}
    run.optimizer = _scheduled(run)
    groups = run.optimizer.state_dict()["param_groups"]
    run.optimizer.load_state_dict({"state": states, "param_groups": groups})
    different = sorted(arrays(run).keys() ^ tensors.keys())
    _expect("tensors, among them", different, not different)


def _expect(name: str, given: object, fits: bool) -> None:
    if not fits:
        raise ValueError(f"{name} {metadata.brief(given)}")


def _check_progress(run: Run, p: Progress) -> None:
    """Raise a ValueError if the run cannot have this progress."""
    seen = min(p.step * run.recipe.batch_size, len(run.train.dataset))
    _expect("skipped", p.skipped, 0 <= p.skipped <= p.step)
    least = max(0, seen - p.skipped * run.recipe.batch_size)
    begun = sys.float_info.min if p.step else 0  # seconds: images are divided by them
    for name, fits in (
        ("history", len(p.history) == p.epoch),
        ("step", 0 <= p.step <= len(run.train)),
        ("seen", least <= p.seen <= seen),
        ("loss", metadata.is_number(p.loss)),
        ("correct", 0 <= p.correct <= p.seen),
        ("lr", p.lr is None or metadata.is_number(p.lr, 0)),
        ("seconds", metadata.is_number(p.seconds, begun)),
        ("compile_seconds", metadata.is_number(p.compile_seconds, 0)),
    ):
        _expect(name, getattr(p, name), fits)
    for epoch, metrics in enumerate(p.history, start=1):
        _expect("epoch", metrics.epoch, metrics.epoch == epoch)
        _expect("history", metrics, _is_complete(metrics, run.val_name))


def _is_complete(metrics: EpochMetrics, val_name: str) -> bool:
    needed = ("train_loss", "train_accuracy", f"{val_name}_accuracy")
    return all(getattr(metrics, name) is not None for name in needed)


def _below(prefix: str, tensors: dict[str, mg.Tensor]) -> dict[str, mg.Tensor]:
    """The tensors whose names start with ``prefix``, by the names without it."""
    return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}
