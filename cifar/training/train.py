"""The one visible training loop: recipe in, trained model, metrics and pictures out."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import math
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

import minigrad as mg
from cifar import datasets, environment, metadata, models, process, progress_bar, recipes
from cifar.datasets import augment, subsets
from cifar.errors import UserError
from cifar.recipes import overrides
from cifar.results import plots, records

F = mg.functional
STATE, BEFORE = "state.safetensors", "state-before.safetensors"
SCHEMA = 4  # of these files; 2 had no opening, 3 no count of skipped batches
EVALUATION_BATCH = 250
OPENING = 10  # steps of a run whose outcome is kept, for `cifar verify` to repeat
READ_EVERY = {"cpu": 0.0, "gpu": 0.5}  # seconds: a loss that is read is waited for
DRAW_EVERY = 5.0  # seconds: to draw the curves takes a fifth of one
# What of a record decides how sums are rounded.
DECIDING = ("threads", "kernels", "precision", "blas", "cpu", "device", "versions")
LOSSES = ("cross_entropy", "focal_loss")

Objective: TypeAlias = Callable[[mg.Tensor, mg.Tensor], mg.Tensor]  # of logits and labels
# Of a batch's images and labels; its loss and how many guesses were right, scalars both.
Step: TypeAlias = Callable[[mg.Tensor, mg.Tensor], tuple[mg.Tensor, mg.Tensor]]
MOST_SKIPPED = 10  # batches in a row, after which it is not the batches that are at fault


@dataclass(frozen=True)
class Settings:
    """What a run is, beyond its recipe.

    Attributes:
        recipe: name of the recipe.
        device: cpu, gpu, gpu:N or auto.
        dataset: "auto", "cifar10" or "synthetic".
        data_dir: folder of CIFAR-10; the usual places unless given.
        seed: of initialisation, order, augmentation and dropout.
        out: folder for everything the run writes.
        resume: continue the run in --out; where there is none yet, start it.
        overrides: recipe fields to replace, such as {"epochs": 2}.
        progress: show a bar.
        precision: how a GPU multiplies in convolutions and linear layers: fp32, tf32 or bf16 (see
            minigrad/gpu/precision.py); the card's default unless given.
        detect_anomaly: name the layer and operation in which NaN or infinity first appears; slower.
        capture: on a GPU, record the training step once and replay it from then on (see
            minigrad/gpu/cuda_graph.py): the same values, sooner.
        command: the words of a command line that train, for lines to paste; --resume and --out say
            all else.
    """

    recipe: str = "simple"
    device: str = "auto"
    dataset: str = "auto"
    data_dir: str | None = None
    seed: int = 0
    out: str = "runs/simple"
    resume: bool = False
    overrides: dict[str, Any] = field(default_factory=dict)
    progress: bool = True
    precision: str | None = None
    detect_anomaly: bool = False
    capture: bool = False
    command: tuple[str, ...] = field(default=("cifar", "train"), compare=False)


@dataclass
class Progress:
    """Where a run is: all that changes besides weights, optimiser and schedule.

    ``loss`` and ``correct`` are sums over the ``seen`` images of the current epoch, ``skipped``
    its batches that overflowed (see :class:`Skipping`); ``opening`` holds the losses of the run's
    first steps, and the digest of the weights after them.
    """

    epoch: int = 0
    step: int = 0
    seen: int = 0
    loss: float = 0.0
    correct: int = 0
    seconds: float = 0.0
    skipped: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    opening: dict[str, Any] = field(default_factory=lambda: {"losses": []})

    def end_epoch(self, line: dict[str, Any]) -> None:
        self.history.append(line)
        self.epoch += 1
        self.step, self.seen, self.loss, self.correct, self.seconds = 0, 0, 0.0, 0, 0.0
        self.skipped = 0


@dataclass
class Run:
    """All that a run works with.

    Attributes:
        train: training batches, augmented.
        held, held_name: what is evaluated after every epoch: the validation images of a recipe
            that holds some out ("validation"), else the test set ("test").
        test: the test set.
        objective: the training loss of (logits, labels), a scalar.
        saved: how far the state on disk is, in words.
        step: of (images, labels), see :func:`make_step`; from the first epoch on.
        record: what the run is and what can change its results; stored in every file it writes.
        data_dir: the folder of data that the run was pointed to, as its files note it.
    """

    settings: Settings
    recipe: recipes.Recipe
    out: Path
    record: dict[str, Any]
    model: mg.nn.Module
    optimizer: mg.optim.Optimizer
    schedule: Any
    objective: Objective
    train: mg.data.DataLoader
    held: mg.data.DataLoader
    held_name: str
    test: mg.data.DataLoader
    progress: Progress
    data_dir: str | None = None
    saved: str = "nothing was saved before it"
    step: Step | None = None
    drawn: float = -math.inf  # when its curves were, by time.perf_counter

    @property
    def best(self) -> dict[str, Any]:
        """The line of the epoch with the highest accuracy on the held images."""
        return max(self.progress.history, key=lambda line: line[f"{self.held_name}_accuracy"])

    def again(self, *more: str) -> str:
        """The command line that resumes it."""
        out = str(self.out)
        out = os.path.join(".", out) if out.startswith("-") else out  # not to be taken for a flag
        words = [*self.settings.command, "--resume", "--out", out, *more]
        return " ".join(process.shell_word(word) for word in words)


@process.batches_can_be_smaller()
def run(settings: Settings) -> list[dict[str, Any]]:
    """Train as ``settings`` say and return the metrics, one dict per epoch.

    Writes into ``settings.out``: ``last.safetensors`` and ``best.safetensors`` (weights; the best
    by accuracy on the held images), ``state.safetensors`` (what ``resume`` needs; the one before it
    is kept as ``state-before.safetensors``), ``metrics.jsonl``, ``curves.png`` (all along),
    ``predictions.png`` and, of a long-tailed training set, ``classes.png``. The weights' files note
    recall and number of images by class wherever the test set was evaluated with them
    ("per_class").

    Raises:
        UserError: a mistake in the settings, the data or the output folder, and nothing is trained;
            or the loss, the weights or the optimiser's state became infinite or NaN: what was saved
            before is whole.
        KeyboardInterrupt: Ctrl-C or SIGTERM, after the state was saved.
    """
    recipe, device = checked_recipe(settings), find_device(settings.device)
    if not (settings.resume and _holds_run(Path(settings.out))):
        overrides.refuse_idle(recipe, settings.overrides)
    use_precision(settings.precision, device)
    if settings.capture and device.type != "gpu":
        raise UserError(f"capture: a step is recorded on a GPU, not on {device}: leave it out")
    if settings.capture and settings.detect_anomaly:
        raise UserError(
            "capture: a recorded step cannot be watched by detect_anomaly: leave one out"
        )
    with process.outliving_its_terminal(), _output_folder(settings) as out:
        test_set, this = prepare(settings, recipe, device, out)
        progress = this.progress
        with process.stop_on_signals() as stop, _watched(this):
            while progress.epoch < recipe.epochs:
                with mg.memory.advice(recipe.batch_size, device):
                    _train_epoch(this, stop)
                _check_state(this)
                if stop:
                    _save_state(this)
                    _draw_curves(this)
                    where = f"epoch {progress.epoch + 1}, step {progress.step}"
                    print(f"stopped at {where}; continue with: {this.again()}", file=sys.stderr)
                    raise KeyboardInterrupt
                _end_epoch(this)
                _draw_curves(this, DRAW_EVERY)
        _draw_curves(this)
        logits = _logits(this.model, this.test, 24)
        with plots.beside(out / "predictions.png") as path:
            plots.predictions(test_set, logits, this.record, path)
        if recipe.long_tail < 1:
            counts = dict(zip(this.record["classes"], this.record["images_per_class"], strict=True))
            title = f"{recipe.name} on {this.record['dataset']}"
            with plots.beside(out / "classes.png") as path:
                plots.class_counts(counts, title, path)
        return progress.history


def prepare(
    settings: Settings, recipe: recipes.Recipe, device: mg.device, out: Path
) -> tuple[datasets.Dataset, Run]:
    """Load the data, make the model and all around it, and put a resumed run back."""
    training_set = datasets.load(settings.dataset, "train", settings.data_dir)
    test_set = datasets.load(training_set.name, "test", settings.data_dir)
    real = training_set.name == "cifar10"
    folder = datasets.chosen_folder(settings.data_dir) if real else None
    training_set, held_set = subsets.split(training_set, recipe.validation, recipe.long_tail)
    counts = subsets.class_counts(training_set.labels, len(training_set.classes))
    _check_smallest_batch(recipe, training_set)

    model = models.create(recipe.model, len(training_set.classes), settings.seed).to(device)
    record = _record(settings, recipe, device, training_set, counts, model)
    evaluation = augment.evaluation(recipe.mean, recipe.std)

    def batches(data: datasets.Dataset, size: int, **options: Any) -> mg.data.DataLoader:
        images, labels = (mg.tensor(a, device=device) for a in (data.images, data.labels))
        return mg.data.DataLoader(images, labels, size, **options)

    # Evaluation keeps few of a batch's arrays: what fits in training, or 32 images, fits.
    at_once = min(EVALUATION_BATCH, max(32, recipe.batch_size))
    test = batches(test_set, at_once, transform=evaluation)
    optimizer, schedule = make_optimizer(recipe, model)
    this = Run(
        settings,
        recipe,
        out,
        record,
        model,
        optimizer,
        schedule,
        make_objective(recipe, model, counts, device),
        batches(
            training_set,
            recipe.batch_size,
            shuffle=True,
            transform=augment.training(recipe.augmentation, recipe.mean, recipe.std),
            seed=settings.seed,
        ),
        batches(held_set, at_once, transform=evaluation) if held_set else test,
        held_set.split if held_set else "test",
        test,
        Progress(),
        records.folder_to_note(folder),
    )
    if settings.resume and _holds_run(out):
        _load_state(this, device)
    held = f", {len(held_set):,} validation" if held_set else ""
    print(
        f"{recipe.name}: {record['parameters']:,} parameters on {device}{_how(record)}, "
        f"{len(training_set):,} training{held} and {len(test_set):,} test images of "
        f"{training_set.name}, {this.progress.epoch} of {recipe.epochs} epochs done"
        f"{_stretched(recipe)}, in {out}"
    )
    if recipe.long_tail < 1:
        print("images per class: " + ", ".join(map(str, counts)))
    return test_set, this


def _stretched(recipe: recipes.Recipe) -> str:
    """What the first line says of a schedule that follows another number of epochs."""
    own = recipes.load(recipe.name)
    followed = own.lasting(recipe.epochs).schedule_in_words()
    if followed in ("", own.schedule_in_words()) or followed != recipe.schedule_in_words():
        return ""
    return f" (its schedule in proportion: {followed} in place of {own.schedule_in_words()})"


def _check_smallest_batch(recipe: recipes.Recipe, data: datasets.Dataset) -> None:
    """Raise before training where an epoch has a batch of one image that the model cannot train on:
    batch norm of vectors needs two."""
    if (len(data) % recipe.batch_size or recipe.batch_size) > 1:
        return
    one = mg.zeros(1, *data.images.shape[1:])
    model = models.create(recipe.model, len(data.classes), 0).train()
    try:
        with mg.no_grad():
            model(one)
    except ValueError as error:
        raise UserError(
            f"batch_size: {recipe.batch_size} of {len(data):,} training images leaves a batch of "
            f"one, on which {recipe.model} cannot train ({error}); choose another --batch-size"
        ) from None


def make_optimizer(
    recipe: recipes.Recipe, model: mg.nn.Module, epoch: int = 0
) -> tuple[mg.optim.Optimizer, Any]:
    """A fresh optimiser and its schedule (None for a constant rate), to start at ``epoch``."""
    kind = getattr(mg.optim, recipe.optimizer)
    lr = dict(recipe.restarts).get(epoch, recipe.lr)
    optimizer = kind(model.parameters(), lr=lr, **recipe.optimizer_options)
    if recipe.schedule is None:
        return optimizer, None
    schedule = getattr(mg.optim.lr_scheduler, recipe.schedule)
    return optimizer, schedule(optimizer, **recipe.schedule_options)


def make_objective(
    recipe: recipes.Recipe, model: mg.nn.Module, counts: np.ndarray, device: mg.device
) -> Objective:
    """The training loss of (logits, labels): the recipe's loss and its L2 term."""
    weight = None
    if recipe.class_balance is not None:
        try:
            weights = subsets.class_balanced_weights(counts, recipe.class_balance)
        except ValueError as error:  # a tail so long that a class has no image
            raise UserError(f"class_balance: {error}") from None
        weight = mg.tensor(weights, device=device)

    def objective(logits: mg.Tensor, labels: mg.Tensor) -> mg.Tensor:
        w = None if weight is None else weight.to(logits.dtype)
        if recipe.loss == "focal_loss":
            loss = F.focal_loss(logits, labels, recipe.gamma, w)
        else:
            loss = F.cross_entropy(logits, labels, w)
        return loss + penalty(model, recipe.l2) if recipe.l2 else loss

    return objective


def penalty(model: mg.nn.Module, factor: float) -> mg.Tensor:
    """``factor`` times the sum of squares of all 3 x 3 kernels: a scalar."""
    kernels = [p for p in model.parameters() if p.shape[2:] == (3, 3)]
    first, *others = ((kernel * kernel).sum() for kernel in kernels)
    return sum(others, first) * factor


def step(
    model: mg.nn.Module,
    objective: Objective,
    optimizer: mg.optim.Optimizer,
    images: mg.Tensor,
    labels: mg.Tensor,
) -> tuple[mg.Tensor, mg.Tensor]:
    """One update of the model from one batch; returns its logits and its loss before that."""
    logits, loss = gradients(model, objective, optimizer, images, labels)
    optimizer.step()
    return logits, loss


def gradients(
    model: mg.nn.Module,
    objective: Objective,
    optimizer: mg.optim.Optimizer,
    images: mg.Tensor,
    labels: mg.Tensor,
) -> tuple[mg.Tensor, mg.Tensor]:
    """:func:`step` without its update."""
    logits = model(images)
    loss = objective(logits, labels)
    optimizer.zero_grad()
    loss.backward()
    return logits, loss


def outcome(
    model: mg.nn.Module,
    objective: Objective,
    optimizer: mg.optim.Optimizer,
    images: mg.Tensor,
    labels: mg.Tensor,
) -> tuple[mg.Tensor, mg.Tensor]:
    """:func:`step`; the batch's loss and how many guesses were right."""
    logits, loss = step(model, objective, optimizer, images, labels)
    return loss, hits(logits, labels)


def hits(logits: mg.Tensor, labels: mg.Tensor) -> mg.Tensor:
    """How many guesses are right, an int64 scalar."""
    return (logits.argmax(1) == labels).sum()


class Skipping:
    """:func:`outcome` that leaves everything as it was where a loss or gradient is not finite.

    For bf16, whose rounding can carry a large number over to infinity in one batch and in none
    before or after it (cf. Micikevicius et al. 2018, "Mixed precision training", who skip such
    updates too). Batch norm's running statistics, which the forward pass has moved by then, are put
    back.

    Args:
        capture: record all but the update, and replay it (see :class:`minigrad.CapturedStep`).

    Attributes:
        skipped: whether the last call was one.
    """

    def __init__(
        self,
        model: mg.nn.Module,
        objective: Objective,
        optimizer: mg.optim.Optimizer,
        capture: bool = False,
    ) -> None:
        self.model, self.objective, self.optimizer = model, objective, optimizer
        self.attempt = mg.CapturedStep(self._attempt) if capture else self._attempt
        self.skipped = False

    def _attempt(self, images: mg.Tensor, labels: mg.Tensor) -> tuple[Any, ...]:
        """Loss, hits, gradients, whether all is finite, and the buffers as they were before."""
        before = [buffer.data.copy() for buffer in self.model.buffers()]
        logits, loss = gradients(self.model, self.objective, self.optimizer, images, labels)
        found = [p.grad for p in self.model.parameters()]
        finite = mg.get_xp(loss.data).isfinite(loss.data)
        for gradient in found:
            if gradient is not None:
                finite = finite & mg.get_xp(gradient.data).isfinite(gradient.data).all()
        return loss, hits(logits, labels), found, finite, before

    def __call__(self, images: mg.Tensor, labels: mg.Tensor) -> tuple[mg.Tensor, mg.Tensor]:
        loss, right, found, finite, before = self.attempt(images, labels)
        self.skipped = not finite
        if self.skipped:
            for buffer, value in zip(self.model.buffers(), before, strict=True):
                buffer.data[...] = value
        else:
            for p, gradient in zip(self.model.parameters(), found, strict=True):
                p.grad = gradient  # a replay writes the recorded ones and assigns none
            self.optimizer.step()
        return loss, right


def make_step(this: Run) -> Step:
    """:func:`outcome` of the run as it is now, captured if that is asked for; in bf16
    :class:`Skipping`."""
    parts, capture = (this.model, this.objective, this.optimizer), this.settings.capture
    if mg.get_precision() == "bf16":
        return Skipping(*parts, capture)
    present = functools.partial(outcome, *parts)
    return mg.CapturedStep(present) if capture else present


def step_schedule(schedule: Any, held_loss: float) -> None:
    """End an epoch: the next one's rate, which may depend on the loss on the held images."""
    if isinstance(schedule, mg.optim.ReduceLROnPlateau):
        schedule.step(held_loss)
    elif schedule is not None:
        schedule.step()


def opening(this: Run) -> dict[str, Any]:
    """Train a fresh run's first steps; their losses and the digest of the weights after them."""
    _train_epoch(this, [], OPENING)
    return this.progress.opening


class Tally:
    """What came of steps, left on the device until it is read of all of them at once: the CPU then
    waits for the GPU, and the GPU for the CPU to ask for more."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, int, bool]] = []
        self.losses: list[mg.Tensor] = []
        self.hits: list[mg.Tensor] = []

    def add(
        self, number: int, images: int, skipped: bool, loss: mg.Tensor, hits: mg.Tensor
    ) -> None:
        self.steps.append((number, images, skipped))
        self.losses.append(mg.Tensor(loss.data.copy()))  # a captured step writes the next there
        self.hits.append(mg.Tensor(hits.data.copy()))

    def read(self) -> list[tuple[int, int, bool, float, int]]:
        """Of every step since the last reading: its number, images, whether it was skipped, loss
        and right guesses."""
        if not self.steps:
            return []
        losses, hits = _read(self.losses), _read(self.hits)
        found = [
            (*step, loss, hit) for step, loss, hit in zip(self.steps, losses, hits, strict=True)
        ]
        self.steps, self.losses, self.hits = [], [], []
        return found


def _read(values: list[mg.Tensor]) -> list[Any]:
    """Scalars' values, by one copy from the device."""
    found: list[Any] = mg.stack(values).cpu().numpy().tolist()
    return found


def _train_epoch(this: Run, stop: list[int], steps: int | None = None) -> None:
    """One pass over the training set, from ``progress.step`` on; returns early on a signal, and
    after so many ``steps``."""
    recipe, progress, seed = this.recipe, this.progress, this.settings.seed
    restarts = progress.step == 0 and progress.epoch in dict(recipe.restarts)
    if restarts:
        this.optimizer, this.schedule = make_optimizer(recipe, this.model, progress.epoch)
    this.model.train()
    started = time.perf_counter() - progress.seconds
    if this.step is None or restarts:
        this.step = make_step(this)
    in_a_row, tally, read = 0, Tally(), started
    every = READ_EVERY[this.train.images.device.type]

    def take_in() -> None:
        """Read what the steps came to, and show it."""
        for number, images, skipped, loss, hits in tally.read():
            _enter(this, number, images, skipped, loss, hits)
        progress.seconds = time.perf_counter() - started
        seen = max(1, progress.seen)
        figures = {
            "loss": f"{progress.loss / seen:.3f}",
            "acc": f"{progress.correct / seen:.2%}",
            **({"skipped": progress.skipped} if progress.skipped else {}),
        }
        bar.show(figures)

    with progress_bar.Bar(
        len(this.train.images),
        progress.seen,
        disable=not this.settings.progress,
        desc=f"epoch {progress.epoch + 1}/{recipe.epochs}",
    ) as bar:
        batches = this.train.epoch(progress.epoch, progress.step)
        for images, labels in itertools.islice(batches, steps):
            mg.manual_seed(seed, progress.epoch, progress.step)  # dropout's stream
            with bar.step(len(labels)):
                loss, right = this.step(images, labels)
            progress.step += 1
            skipped = getattr(this.step, "skipped", False)
            in_a_row = in_a_row + 1 if skipped else 0
            if in_a_row == MOST_SKIPPED:
                what = f"{in_a_row} batches in a row overflowed in bf16, up to"
                raise _went_wrong(this, f"{what} {_now(this).removeprefix('at ')}")
            tally.add(progress.step, len(labels), skipped, loss, right)
            opening = progress.epoch == 0 and progress.step <= OPENING
            if opening or time.perf_counter() >= read + every:
                take_in()
                read = time.perf_counter()
            if stop:
                break
        take_in()


def _enter(this: Run, number: int, images: int, skipped: bool, loss: float, hits: int) -> None:
    """Into the run's progress, what came of its last step or, on a GPU, of one before it."""
    progress = this.progress
    if skipped:
        progress.skipped += 1
    else:
        _check_finite(this, loss, _now(this, number))
        progress.seen += images
        progress.loss += loss * images
        progress.correct += hits
    losses = progress.opening["losses"]
    if progress.epoch == 0 and len(losses) == number - 1 < OPENING:
        losses.append(loss if math.isfinite(loss) else str(loss))
        if number == min(OPENING, len(this.train)):
            progress.opening["sha256"] = mg.checkpoint.digest(this.model.state_dict())


def _check_finite(this: Run, loss: float, when: str) -> None:
    if not math.isfinite(loss):
        raise _went_wrong(this, f"loss: became {loss} {when}")


def _check_state(this: Run) -> None:
    """Raise before weights or moments that are not finite are saved: the loss of the last step was
    that of the weights before its update."""
    for name, value in _state(this).items():
        if value.dtype.kind == "f" and not bool(mg.get_xp(value).isfinite(value).all()):
            raise _went_wrong(this, f"{name}: became NaN or infinite {_now(this)}")


def _went_wrong(this: Run, what: str) -> UserError:
    flag = "--detect-anomaly"
    again = this.again(flag) if _holds_run(this.out) else flag
    find = "" if this.settings.detect_anomaly else f"; {again} finds the layer and the operation"
    return UserError(f"{what}; {this.saved}; try a smaller --lr{find}")


def _now(this: Run, step: int | None = None) -> str:
    step = this.progress.step if step is None else step
    return f"at epoch {this.progress.epoch + 1}, step {step}"


@contextmanager
def _watched(this: Run) -> Iterator[None]:
    """Where the settings ask for it, find the operation in which numbers first went wrong."""
    if not this.settings.detect_anomaly:
        yield
        return
    try:
        with mg.detect_anomaly(this.model):
            yield
    except FloatingPointError as error:
        raise _went_wrong(this, f"{error}, after {_now(this).removeprefix('at ')}") from None


def _end_epoch(this: Run) -> None:
    """Evaluate, step the schedule, write the epoch's line, and save models and state."""
    progress, name = this.progress, this.held_name
    if not progress.seen:
        raise _went_wrong(this, f"every batch of epoch {progress.epoch + 1} overflowed in bf16")
    line: dict[str, Any] = {
        "epoch": progress.epoch + 1,
        "lr": this.optimizer.param_groups[0]["lr"],
        "train_loss": progress.loss / progress.seen,
        "train_accuracy": progress.correct / progress.seen,
    }
    last = progress.epoch + 1 == this.recipe.epochs
    parts = {name: this.held, **({"test": this.test} if last else {})}
    note: dict[str, Any] = {}
    for part, data in parts.items():
        with progress_bar.compiling(not this.settings.progress):
            loss, found = evaluate(this.model, data, this.recipe.l2)
        _check_finite(this, loss, f"on the {part} set after epoch {progress.epoch + 1}")
        accuracy = int(found.trace()) / int(found.sum())
        line |= {f"{part}_loss": loss, f"{part}_accuracy": accuracy}
        if part == "test":
            note["per_class"] = _per_class(found, this.record["classes"])
    line |= {
        "seconds": round(progress.seconds, 3),
        "images_per_second": round(progress.seen / progress.seconds, 1),
        "peak_memory_mb": environment.peak_memory_mb(),
        **_gpu_memory(this.train.images.device),
    }
    if isinstance(this.step, Skipping):
        line["skipped"] = progress.skipped
    step_schedule(this.schedule, line[f"{name}_loss"])
    progress.end_epoch(line)
    shown = "; ".join(
        f"{part} loss {line[f'{part}_loss']:.4f}, accuracy {line[f'{part}_accuracy']:.2%}"
        for part in ("train", *parts)
    )
    gpu = f", {line['gpu_memory_mb']:.0f} MB of the GPU" if "gpu_memory_mb" in line else ""
    skipped = f"; {line['skipped']} skipped (overflow)" if line.get("skipped") else ""
    print(
        f"epoch {line['epoch']}: {shown}; {line['seconds']:.0f} s, "
        f"{line['images_per_second']:.0f} images/s{gpu}{skipped}"
    )
    note |= {**this.record, "metrics": line, "best_epoch": this.best["epoch"]}
    note |= {"opening": progress.opening, **_data_place(this)}
    mg.save(this.model.state_dict(), this.out / "last.safetensors", note)
    if this.best is line:
        note["picked_on"] = name
        mg.save(this.model.state_dict(), this.out / "best.safetensors", note)
    lines = "".join(json.dumps(line) + "\n" for line in progress.history)
    mg.checkpoint.write_text(this.out / "metrics.jsonl", lines)
    _save_state(this)  # last: what was written before it, a resumed run writes again


def _draw_curves(this: Run, every: float = 0.0) -> None:
    """The curves so far, unless that was done in the last ``every`` seconds."""
    history, now = this.progress.history, time.perf_counter()
    if history and now >= this.drawn + every:
        with plots.beside(this.out / "curves.png") as path:
            plots.curves(history, this.record, path, recipes.course(this.record["recipe"]))
        this.drawn = time.perf_counter()


def _gpu_memory(device: mg.device) -> dict[str, float]:
    """What the run holds of a GPU's memory, in MB of 10^6 bytes; it must not grow from epoch to
    epoch."""
    return {} if device.type == "cpu" else {"gpu_memory_mb": round(mg.memory.held(device) / 1e6, 1)}


def evaluate(
    model: mg.nn.Module, data: mg.data.DataLoader, l2: float = 0.0
) -> tuple[float, np.ndarray]:
    """Mean cross-entropy (and the L2 term) over ``data`` and its :func:`confusion`, in evaluation
    mode."""
    model.eval()
    losses, guesses, truths = [], [], []  # read at the end: to read waits for a GPU
    with mg.no_grad():
        for images, labels in data:
            logits = model(images)
            losses.append(F.cross_entropy(logits, labels, reduction="sum"))
            guesses.append(logits.argmax(1))
            truths.append(labels)
        term = penalty(model, l2).item() if l2 else 0.0
    loss = 0.0
    for value in _read(losses):
        loss += value
    guessed, true = (mg.cat(parts).cpu().numpy() for parts in (guesses, truths))
    return loss / len(data.images) + term, confusion(guessed, true, logits.shape[1])


def confusion(guesses: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Images by true class (row) and predicted class (column), int64 (classes, classes), of two
    arrays (N,) of class indices."""
    pairs = np.bincount(labels * classes + guesses, minlength=classes * classes)
    return pairs.reshape(classes, classes)


def _per_class(counts: np.ndarray, classes: list[str]) -> dict[str, dict[str, float]]:
    """Recall (0 of a class without images) and number of images by class name, of a
    :func:`confusion`."""
    hits, support = counts.diagonal().tolist(), counts.sum(axis=1).tolist()
    return {
        name: {"recall": hit / max(1, count), "support": count}
        for name, hit, count in zip(classes, hits, support, strict=True)
    }


def _logits(model: mg.nn.Module, data: mg.data.DataLoader, count: int) -> np.ndarray:
    """Logits of the first ``count`` images (at most one batch), (count, classes)."""
    model.eval()
    with mg.no_grad():
        images, _ = next(iter(data))
        return model(images[:count]).cpu().numpy()


# ---------------------------------------------------------------------------- settings and record


def checked_recipe(settings: Settings) -> recipes.Recipe:
    """The recipe with its overrides, checked before any work is done."""
    if settings.seed < 0:
        raise UserError(f"seed: expected a whole number from 0, got {settings.seed}")
    recipe = recipes.load(settings.recipe)
    recipe = recipe.lasting(settings.overrides.get("epochs", recipe.epochs))
    recipe = dataclasses.replace(recipe, **settings.overrides)
    beta = recipe.class_balance
    for name, fits, expected in (
        ("epochs", recipe.epochs >= 1, "at least 1"),
        ("batch_size", recipe.batch_size >= 1, "at least 1"),
        ("lr", 0 < recipe.lr < math.inf, "a finite number above 0"),
        ("loss", recipe.loss in LOSSES, f"one of {', '.join(LOSSES)}"),
        ("gamma", 0 <= recipe.gamma < math.inf, "a finite number from 0"),
        ("class_balance", beta is None or 0 <= beta < 1, "a number from 0, less than 1"),
        ("l2", 0 <= recipe.l2 < math.inf, "a finite number from 0"),
        ("mean", overrides.is_mean(recipe.mean), overrides.MEAN),
        ("std", overrides.is_std(recipe.std), overrides.STD),
    ):
        if not fits:
            raise UserError(f"{name}: expected {expected}, got {getattr(recipe, name)}")
    try:
        make_optimizer(recipe, mg.nn.Linear(1, 1))
    except (AttributeError, TypeError, ValueError, NotImplementedError) as error:
        raise UserError(f"optimizer and schedule of {recipe.name}: {error}") from None
    return recipe


def find_device(name: str) -> mg.device:
    """The device of that name, which a person gave; of several GPUs the one in use from now on.

    Raises:
        UserError: there is none of that name.
        minigrad.DeviceError: CuPy, the driver or the device is missing.
    """
    try:
        found = mg.device(name)
    except ValueError as error:
        raise UserError(str(error)) from None
    found.use()
    return found


def use_precision(name: str | None, device: mg.device) -> None:
    """Multiply on ``device`` from now on as a person asked; None: as it does by default.

    Raises:
        UserError: there is none of that name, or the CPU was to round, which it never does.
    """
    try:
        mg.set_precision(name)
    except ValueError as error:
        raise UserError(str(error)) from None
    if device.type == "cpu" and name not in (None, "fp32"):
        raise UserError(f"precision: {name} is for GPUs; the CPU multiplies in fp32: leave it out")


@contextmanager
def _output_folder(settings: Settings) -> Iterator[Path]:
    """The folder, made, tried and held; one that holds a run is only entered to resume it.

    A folder that was made here and in which nothing came to be written is removed at the end.
    """
    out = Path(settings.out)
    made: list[Path] = []
    try:
        made += [folder for folder in (out, *out.parents) if not folder.exists()]
        out.mkdir(parents=True, exist_ok=True)
        with process.alone_in(out):
            holds_run = _holds_run(out)
            if holds_run and not settings.resume:
                raise UserError(
                    f"out: {out} already holds a run; add --resume, or choose another --out"
                )
            if settings.resume and not holds_run:
                print(f"note: there is no run in {out} to resume; it starts now", file=sys.stderr)
            mg.checkpoint.remove_leftovers(out)
            tempfile.TemporaryFile(dir=out).close()  # tells before an epoch is trained
            yield out
    except OSError as error:
        raise UserError(f"out: cannot write to {out}: {error.strerror or error}") from None
    finally:
        for folder in made:
            with suppress(OSError):  # it is not empty
                folder.rmdir()


def _holds_run(out: Path) -> bool:
    """Whether a run was saved there; its state may have gone and the one before it be left."""
    return any((out / name).exists() for name in (STATE, BEFORE))


def _record(
    settings: Settings,
    recipe: recipes.Recipe,
    device: mg.device,
    data: datasets.Dataset,
    counts: np.ndarray,
    model: mg.nn.Module,
) -> dict[str, Any]:
    """What the run is and what can change its results; stored in every file it writes."""
    plain = dataclasses.asdict(recipe)
    return {
        "recipe": plain,
        "overrides": {name: plain[name] for name in settings.overrides},
        "seed": settings.seed,
        "dataset": data.name,
        "data_fingerprint": data.fingerprint,
        "classes": list(data.classes),
        "images_per_class": counts.tolist(),
        "parameters": sum(p.numel() for p in model.parameters()),
        "device": str(device),
        "threads": mg.get_num_threads(),
        "kernels": _kernels(device),
        "precision": mg.get_precision() if device.type == "gpu" else "fp32",
        "blas": environment.blas(),
        "cpu": environment.cpu(),
        "captured": settings.capture,
        "machine": platform.platform(),
        "versions": {
            "minigrad": mg.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }


def _kernels(device: mg.device) -> str:
    """What computes."""
    if device.type == "gpu":
        return "CUDA"
    return f"Numba {version('numba')}" if mg.is_compiled() else "NumPy"


def _how(record: dict[str, Any]) -> str:
    """What the first line says of it."""
    if record["kernels"] == "CUDA":
        return f" in {record['precision']}"
    if record["kernels"] == "NumPy":
        return f" in plain NumPy (for two to three times the speed, {mg.console.install('fast')})"
    return ""


# ---------------------------------------------------------------------------- state


def _state(this: Run) -> dict[str, Any]:
    """The arrays of the model and the optimiser by name."""
    arrays = {f"model.{name}": value.data for name, value in this.model.state_dict().items()}
    for number, state in this.optimizer.state_dict()["state"].items():
        moments = {name: array for name, array in state.items() if name != "step"}
        arrays |= {f"optimizer.{number}.{name}": array for name, array in moments.items()}
    return arrays


def _save_state(this: Run) -> None:
    saved = this.optimizer.state_dict()
    steps = {str(number): state.get("step", 0) for number, state in saved["state"].items()}
    note: dict[str, Any] = {
        "schema": SCHEMA,
        "record": this.record,
        **_data_place(this),
        "progress": dataclasses.asdict(this.progress),
        "optimizer": {"steps": steps, "param_groups": saved["param_groups"]},
        "schedule": _place(this.schedule) if this.schedule else None,
    }
    mg.checkpoint.keep(this.out / STATE, this.out / BEFORE)
    mg.save(_state(this), this.out / STATE, note)
    this.saved = _until(note["progress"])


def _place(schedule: Any) -> dict[str, Any]:
    """Where a schedule is: all of its state that is not the recipe's."""
    moving = ("last_epoch", "base_lrs", "best", "num_bad_epochs", "cooldown_counter")
    return {name: value for name, value in schedule.state_dict().items() if name in moving}


def _data_place(this: Run) -> dict[str, str]:
    """Where the data lie, for a note, if somebody said so."""
    return {"data_dir": this.data_dir} if this.data_dir else {}


def _load_state(this: Run, device: mg.device) -> None:
    """Put a saved run back; it must be the same recipe (but for more epochs), seed and data."""
    path = this.out / STATE
    tensors, note = _saved(this.out, device)
    then = records.recipe(note["record"]["recipe"])
    if then.epochs > this.recipe.epochs:
        raise UserError(
            f"epochs: expected the {then.epochs} of the run in {this.out}, or more, got "
            f"{this.recipe.epochs}"
        )
    followed = records.continued(then, this.recipe.epochs)
    came, saved = _identity(this.recipe, this.record), _identity(then, note["record"])
    if came != saved:
        saved = _identity(followed, note["record"])
    different = [
        f"{k} {metadata.brief(saved.get(k))}, not {metadata.brief(came[k])}"
        for k in came
        if saved.get(k) != came[k]
    ]
    if different:
        raise UserError(f"resume: the run in {this.out} has {'; '.join(different)}")
    for change in changes(note["record"], this.record):
        print(
            f"note: the run was started with {change}: it goes on, but not bit for bit as it would "
            "have",
            file=sys.stderr,
        )
    try:
        _put_back(this, tensors, note)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        why = metadata.brief(error)
        raise UserError(f"resume: {path} does not fit the recipe: {why}") from None
    if _schedule(this.recipe) != _schedule(then):
        _follow(this)
    done = this.progress.epoch
    if done >= this.recipe.epochs and "test_accuracy" not in this.progress.history[-1]:
        raise UserError(
            f"epochs: expected more than the {done} that are done, since the test set is kept for "
            f"the last one, got {this.recipe.epochs}"
        )
    this.saved = _until(note["progress"])


def saved_note(out: Path) -> dict[str, Any] | None:
    """The note of the run in a folder, or None where none was saved.

    Raises:
        UserError: it cannot be resumed.
    """
    return _saved(out, mg.device("cpu"))[1] if _holds_run(out) else None


def _saved(out: Path, device: mg.device) -> tuple[dict[str, mg.Tensor], dict[str, Any]]:
    """The state in a folder, or a UserError that says what to do without it."""
    try:
        return _read_state(out / STATE, device)
    except ValueError as error:
        raise UserError(f"resume: {error}; {_way_out(out)}") from None


def _schedule(recipe: recipes.Recipe) -> dict[str, Any]:
    """What decides the rates, as JSON holds it."""
    return {name: records.plain(getattr(recipe, name)) for name in recipes.SCHEDULE}


def _follow(this: Run) -> None:
    """Let the rate be what it is after so many epochs of the present recipe, whose schedule is not
    the one that the run had until now."""
    epoch, schedule = this.progress.epoch, this.schedule
    first = max((e for e, _ in this.recipe.restarts if e <= epoch), default=0)
    optimizer, fresh = make_optimizer(this.recipe, mg.nn.Linear(1, 1), first)
    if isinstance(fresh, mg.optim.ReduceLROnPlateau):
        return  # its rate follows the losses
    for _ in range(epoch - first if fresh else 0):
        fresh.step()
    if fresh:
        schedule.load_state_dict(fresh.state_dict())
    for group, like in zip(this.optimizer.param_groups, optimizer.param_groups, strict=True):
        group |= {name: like[name] for name in ("lr", "initial_lr") if name in like}


def _put_back(this: Run, tensors: dict[str, mg.Tensor], note: dict[str, Any]) -> None:
    """Let the run be what a state says, after a look at all that training will rely on.

    Raises:
        ArithmeticError, AttributeError, LookupError, TypeError, ValueError: it is not what
            :func:`_save_state` writes of such a run.
    """
    progress = this.progress = _checked_progress(this, note["progress"])
    own, saved = this.model.state_dict(), note["optimizer"]
    for name, value in tensors.items():
        like = own.get(name.removeprefix("model."))
        dtype = "float32" if like is None else like.dtype  # the optimiser's is its parameters'
        _expect(f"{name} of dtype", value.dtype, value.dtype == dtype)
        if value.dtype.kind == "f":
            finite = bool(mg.get_xp(value.data).isfinite(value.data).all())
            _expect(f"{name} with", "NaN or infinity", finite)
    this.model.load_state_dict(_below("model.", tensors))

    done = progress.epoch * len(this.train) + progress.step
    states = {}
    for number, step in saved["steps"].items():
        _expect("steps", step, metadata.is_whole(step, 0, done))
        states[int(number)] = {"step": step, **_below(f"optimizer.{number}.", tensors)}
    if this.schedule:
        own = _place(this.schedule)
        came = {name: note["schedule"][name] for name in own}
        _check_schedule(own, came, progress.epoch)
        this.schedule.load_state_dict(this.schedule.state_dict() | came)
    groups = this.optimizer.state_dict()["param_groups"]
    for group, came in zip(groups, saved["param_groups"], strict=True):
        for name in {"lr", "initial_lr"} & group.keys():  # all else is the recipe's
            _expect(name, came[name], metadata.is_number(came[name], 0))
            group[name] = came[name]
    this.optimizer.load_state_dict({"state": states, "param_groups": groups})
    different = sorted(_state(this).keys() ^ tensors.keys())
    _expect("tensors, among them", different, not different)


def _expect(name: str, came: object, fits: bool) -> None:
    if not fits:
        raise ValueError(f"{name} {metadata.brief(came)}")


def _checked_progress(this: Run, came: dict[str, Any]) -> Progress:
    """Where a state says that its run is, if it can be there.

    Raises:
        AttributeError, TypeError, ValueError: it cannot.
    """
    p = Progress(**came)
    losses = p.opening["losses"]
    seen = min(p.step * this.recipe.batch_size, len(this.train.images))
    _expect("skipped", p.skipped, metadata.is_whole(p.skipped, 0, p.step))
    least = max(0, seen - p.skipped * this.recipe.batch_size)
    begun = sys.float_info.min if p.step else 0  # seconds: images are divided by them
    for name, fits in (
        ("history", isinstance(p.history, list) and len(p.history) == p.epoch),
        ("step", metadata.is_whole(p.step, 0, len(this.train))),
        ("seen", metadata.is_whole(p.seen, least, seen)),
        ("loss", metadata.is_number(p.loss)),
        ("correct", metadata.is_whole(p.correct, 0, p.seen)),
        ("seconds", metadata.is_number(p.seconds, begun)),
        ("opening", isinstance(losses, list) and all(map(is_loss, losses))),
    ):
        _expect(name, getattr(p, name), fits)
    for epoch, line in enumerate(p.history, start=1):
        _expect("epoch", line["epoch"], metadata.is_whole(line["epoch"], epoch, epoch))
        for name in ("train_loss", "train_accuracy", f"{this.held_name}_accuracy", *line):
            most = 1 if name.endswith("_accuracy") else metadata.MAX_FLOAT
            _expect(name, line[name], metadata.is_number(line[name], -most, most))
    return p


def is_loss(value: object) -> bool:
    """Of an opening: a number, or the word for what is none, of a step that was skipped."""
    return metadata.is_number(value) or value in ("nan", "inf", "-inf")


def _check_schedule(own: dict[str, Any], came: dict[str, Any], epoch: int) -> None:
    """Raise unless ``came`` is of the kinds of numbers that a schedule's ``own`` state is of."""
    for name, value in came.items():
        like, most = own[name], epoch if name == "last_epoch" else math.inf
        if isinstance(like, list):
            fits = len(value) == len(like) and all(metadata.is_number(v, 0) for v in value)
        elif isinstance(like, int):
            fits = metadata.is_whole(value, 0, most)
        else:  # a plateau's best, infinite as it is at first
            fits = value == like or metadata.is_number(value)
        _expect(f"schedule's {name}", value, fits)


def _read_state(path: Path, device: mg.device) -> tuple[dict[str, mg.Tensor], dict[str, Any]]:
    """What :func:`_save_state` wrote.

    Raises:
        ValueError: the file is damaged, another minigrad's, or none of training's; the message
            names it and says which.
    """
    tensors, note = metadata.read(path, device)
    schema: Any = note.get("schema")
    record, progress = note.get("record"), note.get("progress")
    if (
        not metadata.is_whole(schema)
        or not isinstance(record, dict)
        or not isinstance(record.get("recipe"), dict)
        or not isinstance(progress, dict)
        or not all(metadata.is_whole(progress.get(name, 0)) for name in ("epoch", "step"))
        or not isinstance(note.get("optimizer"), dict)
    ):
        raise ValueError(f"{path} is not the state of a run")
    if schema not in (2, 3, SCHEMA):
        age = "a newer" if schema > SCHEMA else "an older"
        raise ValueError(f"{path} is of {age} minigrad (schema {schema}, expected {SCHEMA})")
    return tensors, note


def _way_out(out: Path) -> str:
    """What to do about a state that cannot be read: the one before it may be whole."""
    try:
        _, note = _read_state(out / BEFORE, mg.device("cpu"))
    except ValueError:
        return "start again with another --out"
    words = ("mv", str(out / BEFORE), str(out / STATE))
    command = " ".join(map(process.shell_word, words))
    return f"{_until(note['progress'])}: run {command}, then --resume again"


def _until(progress: dict[str, Any]) -> str:
    done = f"{progress.get('epoch')} epochs, {progress.get('step')} steps"
    return f"the state before it ({done} done) is whole"


def changes(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What differs between two records and decides how sums are rounded, in words."""
    return [
        f"{name} {metadata.brief(then[name])}, not {metadata.brief(now[name])}"
        for name in DECIDING
        if name in then and then[name] != now[name]
    ]


def _identity(recipe: recipes.Recipe, record: dict[str, Any]) -> dict[str, Any]:
    """What a resumed run must share with the saved one."""
    stored = records.plain(recipe)
    fields = {k: v for k, v in stored.items() if k not in ("name", "epochs", "claim")}
    shared = {k: record.get(k) for k in ("seed", "dataset", "data_fingerprint")}
    return {"recipe": recipe.name, **fields, **shared}


def _below(prefix: str, tensors: dict[str, mg.Tensor]) -> dict[str, mg.Tensor]:
    """The tensors whose names start with ``prefix``, without it."""
    return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}
