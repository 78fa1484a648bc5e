"""minigrad beside PyTorch: a recipe trained by both from the same weights, on the same batches in
the same order, with the same dropout masks.

    comparison, out = run(Settings("simple", steps=50, dtype="float64"))

Loss and accuracy of both, and how far apart their logits, gradients and weights are, step by step;
time and memory of each in a process of its own. docs/pytorch.md says what to expect and why.
"""

from __future__ import annotations

import dataclasses
import json
import math
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from cifar import environment, models, process, progress_bar, recipes
from cifar.datasets import subsets
from cifar.errors import UserError
from cifar.recipes import overrides
from cifar.results import plots
from cifar.training import train
from cifar.twins import reference

if TYPE_CHECKING:
    from cifar.twins.reference.training import Training

Array: TypeAlias = NDArray[Any]

DTYPES = ("float32", "float64")
QUANTITIES = ("logits", "gradients", "weights")
OURS, THEIRS = "minigrad", "PyTorch"
WARM_UP, TIMED, PATIENCE = 3, 20, 60.0  # steps, steps at most, and about how many seconds


@dataclass(frozen=True)
class Settings:
    """What to train on both sides.

    Attributes:
        recipe: name of the recipe.
        epochs: passes over the training set.
        steps: stop after this many steps in all.
        dtype: float32 or float64, of weights, batches and all arithmetic.
        rerun_threads: numbers of threads on each of which PyTorch is trained once more, from the
            same weights and on the same batches: how far PyTorch is from itself, on the CPU.
        device: cpu, gpu, gpu:N or auto, for both.
        dataset: cifar10, synthetic or auto.
        data_dir: where CIFAR-10 lies; None looks in the usual places.
        seed: of initialisation, order, augmentation and dropout.
        out: folder for compare.json and compare.png, which are replaced.
        timing: also measure time and memory.
        overrides: recipe fields to replace, such as {"batch_size": 32}.
        progress: show a bar.
    """

    recipe: str = "simple"
    epochs: int = 1
    steps: int | None = None
    dtype: str = "float32"
    rerun_threads: tuple[int, ...] = ()
    device: str = "auto"
    dataset: str = "auto"
    data_dir: str | None = None
    seed: int = 0
    out: str = "runs/compare-simple"
    timing: bool = True
    overrides: dict[str, Any] = field(default_factory=dict)
    progress: bool = True


@dataclass
class Comparison:
    """What both did. The contestants are "minigrad", "PyTorch" and PyTorch's runs on other numbers
    of threads.

    Attributes:
        record: what was trained and what can change the result, as in a run's files, and dtype,
            steps and rerun_threads.
        machine: what it ran on: processor, versions, commit, command.
        losses, accuracies: by contestant, of the batch of every step, before its update, in
            training mode.
        differences: by contestant other than "PyTorch", against it: one dict per step looked at
            with "step" (from 1) and, for logits and gradients of that step and weights after it,
            "X_absolute", the largest absolute difference of any value, and "X_relative", that
            divided by PyTorch's largest absolute value.
        epochs: one dict per epoch: "epoch" (from 1), "steps", and by contestant its lr, the means
            of loss and accuracy over the epoch's training images, and, where the epoch was not cut
            short, loss and accuracy on the held images.
        speed: by contestant "seconds_per_step" (median), "images_per_second" and
            "peak_memory_mb": the growth of the process's largest resident size since the library
            was imported, None on a GPU.
    """

    record: dict[str, Any]
    machine: dict[str, Any]
    losses: dict[str, list[float]] = field(default_factory=dict)
    accuracies: dict[str, list[float]] = field(default_factory=dict)
    differences: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    epochs: list[dict[str, Any]] = field(default_factory=list)
    speed: dict[str, dict[str, float | None]] = field(default_factory=dict)

    @property
    def contestants(self) -> list[str]:
        """minigrad, PyTorch, then PyTorch's other runs."""
        return list(self.losses)


@process.batches_can_be_smaller()
def run(settings: Settings) -> tuple[Comparison, Path]:
    """Compare as ``settings`` say; returns the figures and the folder they were written to.

    Raises:
        UserError: a mistake in the settings, the data or the output folder; PyTorch is missing; or
            a loss became infinite or NaN.
        KeyboardInterrupt: Ctrl-C or SIGTERM, after what there was had been written.
    """
    reference.require_torch("cifar compare")
    from cifar.twins.reference import training

    asked = train.Settings(
        settings.recipe,
        settings.device,
        settings.dataset,
        settings.data_dir,
        settings.seed,
        settings.out,
        overrides={**settings.overrides, "epochs": settings.epochs},
    )
    recipe, device = train.checked_recipe(asked), train.find_device(settings.device)
    _check(settings, device)
    overrides.refuse_idle(recipe, settings.overrides)
    train.use_precision("fp32", device)  # as PyTorch does here
    torch_device = training.find_device(device.type, device.index)
    out = Path(settings.out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"out: cannot make the folder {out}: {error.strerror}") from None

    _, this = train.prepare(asked, recipe, device, out)
    more = {name: getattr(settings, name) for name in ("dtype", "steps", "rerun_threads")}
    where = {**environment.describe("torch"), "gpu": training.gpu_name(torch_device)}
    comparison = Comparison({**this.record, **more}, where)
    if settings.timing:
        for name in (OURS, THEIRS):
            comparison.speed[name] = _measure_alone(
                name,
                recipe,
                _counts(this),
                settings.dtype,
                str(device),
                torch_device,
                mg.get_num_threads(),
            )
    contestants = make_contestants(this, settings.dtype, torch_device, settings.rerun_threads)
    with process.stop_on_signals() as stop:
        for _ in lockstep(this, contestants, comparison, stop, settings.progress):
            text = json.dumps(dataclasses.asdict(comparison), ensure_ascii=False)
            mg.checkpoint.write_text(out / "compare.json", text + "\n")
            with plots.beside(out / "compare.png") as path:
                plots.comparison(dataclasses.asdict(comparison), path)
    if stop:
        done = len(comparison.losses[OURS])
        print(f"stopped after step {done}; what there is lies in {out}", file=sys.stderr)
        raise KeyboardInterrupt
    return comparison, out


def _check(settings: Settings, device: mg.device) -> None:
    """Raise for settings that the recipe's own check does not see."""
    steps, reruns, threads = settings.steps, settings.rerun_threads, mg.get_num_threads()
    for name, fits, expected in (
        ("steps", steps is None or steps >= 1, "at least 1"),
        ("dtype", settings.dtype in DTYPES, f"one of {', '.join(DTYPES)}"),
        ("rerun_threads", not reruns or device.type == "cpu", f"none on {device}"),
        (
            "rerun_threads",
            all(n >= 1 for n in reruns) and len({threads, *reruns}) == 1 + len(reruns),
            f"numbers from 1 that differ from each other and from the first run's {threads}",
        ),
    ):
        if not fits:
            raise UserError(f"{name}: expected {expected}, got {getattr(settings, name)}")


def _counts(this: train.Run) -> list[int]:
    """Training images of each class."""
    labels = this.train.labels.cpu().numpy()
    return [int(n) for n in subsets.class_counts(labels, len(this.record["classes"]))]


# ---------------------------------------------------------------------------- the two sides


class Ours:
    """minigrad's side, with the methods of :class:`cifar.twins.reference.training.Training`.

    Args:
        recipe: how to train.
        model: what to train.
        counts: training images of each class.
    """

    optimizer: mg.optim.Optimizer
    schedule: Any

    def __init__(self, recipe: recipes.Recipe, model: mg.nn.Module, counts: Sequence[int]) -> None:
        self.recipe, self.model = recipe, model
        self.device = next(model.parameters()).device
        self.objective = train.make_objective(recipe, model, np.array(counts), self.device)

    @property
    def lr(self) -> float:
        """The learning rate in force."""
        return float(self.optimizer.param_groups[0]["lr"])

    def start_epoch(self, epoch: int) -> None:
        """Before epoch ``epoch``, from 0: a fresh optimiser at first and at every restart."""
        if epoch in (0, *dict(self.recipe.restarts)):
            self.optimizer, self.schedule = train.make_optimizer(self.recipe, self.model, epoch)
        self.model.train()

    def step(self, images: Array, labels: Array) -> tuple[float, Array]:
        """One update: the loss and the logits before it."""
        batch = (mg.Tensor(a).to(str(self.device)) for a in (images, labels))
        logits, loss = train.step(self.model, self.objective, self.optimizer, *batch)
        return loss.item(), logits.detach().cpu().numpy()

    def end_epoch(self, held_loss: float) -> None:
        """After an epoch: the schedule's step."""
        train.step_schedule(self.schedule, held_loss)

    def gradients(self) -> dict[str, Array]:
        """The last step's gradients by parameter name."""
        found = ((name, p.grad) for name, p in self.model.named_parameters())
        return {name: grad.cpu().numpy() for name, grad in found if grad is not None}

    def weights(self) -> dict[str, Array]:
        """The parameters by name: on the CPU the live ones."""
        return {name: p.detach().cpu().numpy() for name, p in self.model.named_parameters()}


def make_contestants(
    this: train.Run, dtype: str, torch_device: str, rerun_threads: Sequence[int] = ()
) -> dict[str, Ours | Training]:
    """minigrad, PyTorch, and PyTorch on other numbers of threads, by name: all with the weights of
    ``this.model``, which becomes minigrad's, and all with minigrad's dropout masks."""
    from cifar.twins.reference.training import Training

    counts = _counts(this)
    this.model.to(dtype)
    for loader in (this.train, this.held):
        loader.transform = _in_dtype(dtype, loader.transform)
    found: dict[str, Ours | Training] = {OURS: Ours(this.recipe, this.model, counts)}
    start = {name: value.cpu().numpy() for name, value in this.model.state_dict().items()}

    names = {THEIRS: mg.get_num_threads()}
    names |= {f"{THEIRS}, {n} thread{'s' * (n > 1)}": n for n in rerun_threads}
    for name, threads in names.items():
        twin = Training(this.recipe, counts, dtype, torch_device, threads)
        twin.load(start)
        twin.share_masks(shared_mask(dtype))
        found[name] = twin
    return found


def shared_mask(dtype: str) -> Callable[[tuple[int, ...], float], Array]:
    """The masks of minigrad's dropout layers, for a twin's.

    Draws are counted from ``manual_seed`` on: after the same seed, a twin's first layer gets the
    mask that minigrad's first layer got, and so on. Nothing has to be recorded.
    """
    return lambda shape, p: mg.functional.dropout(mg.ones(shape, dtype=dtype), p).numpy()


def _in_dtype(dtype: str, transform: mg.data.Transform | None) -> mg.data.Transform:
    assert transform is not None
    return lambda images, generator: transform(images, generator).to(dtype)


# ---------------------------------------------------------------------------- side by side


def lockstep(
    this: train.Run,
    contestants: Mapping[str, Ours | Training],
    comparison: Comparison,
    stop: Sequence[int] = (),
    progress: bool = False,
) -> Iterator[None]:
    """Train all contestants on the same batches, filling ``comparison``; yields after every epoch,
    and for the last time after ``comparison.record["steps"]`` steps or once ``stop`` holds
    something.

    Raises:
        UserError: a loss became infinite or NaN.
    """
    recipe, limit = this.recipe, comparison.record["steps"] or math.inf
    losses = comparison.losses = {name: [] for name in contestants}
    accuracies = comparison.accuracies = {name: [] for name in contestants}
    comparison.differences = {name: [] for name in contestants if name != THEIRS}
    done, ended = 0, False
    total = int(min(recipe.epochs * len(this.train), limit))
    with progress_bar.Bar(total, disable=not progress, unit="step") as bar:
        for epoch in range(recipe.epochs):
            sizes: list[int] = []
            for one in contestants.values():
                one.start_epoch(epoch)
            for images, labels in _arrays(this.train.epoch(epoch)):
                logits = {}
                with bar.step(1):
                    for name, one in contestants.items():
                        mg.manual_seed(this.settings.seed, epoch, len(sizes))  # dropout's stream
                        loss, logits[name] = one.step(images, labels)
                        losses[name].append(loss)
                        accuracies[name].append(float((logits[name].argmax(1) == labels).mean()))
                sizes.append(len(labels))
                done += 1
                _check_finite({name: values[-1] for name, values in losses.items()}, done)
                ended = done >= limit or bool(stop)
                if ended or len(sizes) == len(this.train) or is_looked_at(done):
                    _note_differences(comparison, contestants, logits, done)
                if ended:
                    break
            _end_epoch(this, contestants, comparison, sizes)
            yield
            if ended:
                return


def is_looked_at(step: int) -> bool:
    """Whether gradients and weights are compared at ``step``, from 1: that takes about as long as a
    step itself."""
    return step <= 20 or step % 10 == 0


def _arrays(batches: Iterable[tuple[mg.Tensor, mg.Tensor]]) -> Iterator[tuple[Array, Array]]:
    return ((images.cpu().numpy(), labels.cpu().numpy()) for images, labels in batches)


def _check_finite(losses: Mapping[str, float], step: int) -> None:
    if not all(map(math.isfinite, losses.values())):
        each = ", ".join(f"{name} {loss}" for name, loss in losses.items())
        raise UserError(f"loss: became infinite or NaN at step {step} ({each}): try a smaller lr")


def difference(a: Mapping[str, Array], b: Mapping[str, Array]) -> tuple[float, float]:
    """The largest |a − b| over all values of all arrays, and that divided by the largest |b|.

    One scale for all: a bias before batch norm has a gradient of 0 but for rounding, so relative to
    itself two engines differ by all of it.
    """
    largest = max(float(np.abs(a[name] - values).max()) for name, values in b.items())
    scale = max(float(np.abs(values).max()) for values in b.values())
    return largest, largest / scale if scale else largest


def _note_differences(
    comparison: Comparison,
    contestants: Mapping[str, Ours | Training],
    logits: Mapping[str, Array],
    step: int,
) -> None:
    def values(name: str) -> tuple[dict[str, Array], ...]:
        one = contestants[name]
        return {"": logits[name]}, one.gradients(), one.weights()

    reference_values = values(THEIRS)
    for name, lines in comparison.differences.items():
        line: dict[str, float] = {"step": step}
        pairs = zip(QUANTITIES, values(name), reference_values, strict=True)
        for quantity, came, expected in pairs:
            absolute, relative = difference(came, expected)
            line |= {f"{quantity}_absolute": absolute, f"{quantity}_relative": relative}
        lines.append(line)


def _end_epoch(
    this: train.Run,
    contestants: Mapping[str, Ours | Training],
    comparison: Comparison,
    sizes: Sequence[int],
) -> None:
    """Evaluate after a whole epoch, step the schedules, and note the epoch's figures."""
    whole, held = len(sizes) == len(this.train), this.held_name
    line: dict[str, Any] = {"epoch": len(comparison.epochs) + 1, "steps": len(sizes)}
    for name, one in contestants.items():
        found = line[name] = {"lr": one.lr}
        for metric, values in (
            ("loss", comparison.losses[name]),
            ("accuracy", comparison.accuracies[name]),
        ):
            found[f"train_{metric}"] = float(np.average(values[-len(sizes) :], weights=sizes))
        if whole:
            if isinstance(one, Ours):
                loss, confusion = train.evaluate(one.model, this.held, this.recipe.l2)
                accuracy = float(np.trace(confusion) / confusion.sum())
            else:
                loss, accuracy = one.evaluate(_arrays(this.held))
            found |= {f"{held}_loss": loss, f"{held}_accuracy": accuracy}
            one.end_epoch(loss)
    comparison.epochs.append(line)


# ---------------------------------------------------------------------------- time and memory


def _measure_alone(*arguments: Any) -> dict[str, float | None]:
    """:func:`measure` in a new process: two engines' threads and memory would mix in one."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, *arguments).result()


def measure(
    name: str,
    recipe: recipes.Recipe,
    counts: Sequence[int],
    dtype: str,
    device: str,
    torch_device: str,
    threads: int,
) -> dict[str, float | None]:
    """Time and memory of the recipe's training step on one random batch, each engine with dropout
    of its own, PyTorch eager and in NCHW; see :attr:`Comparison.speed`.

    Args:
        name: "minigrad" or "PyTorch".
        counts: training images of each class.
        threads: of either on the CPU.
    """
    if name == THEIRS:
        from cifar.twins.reference import training
    else:
        mg.functional.relu(mg.zeros(1))  # loads Numba and LLVM, which count as import
    before = environment.peak_memory_mb()
    one: Ours | Training
    if name == THEIRS:
        one = training.Training(recipe, counts, dtype, torch_device, threads)
    else:
        mg.set_num_threads(threads)
        mg.set_precision("fp32")
        model = models.create(recipe.model, len(counts)).to(device).to(dtype)
        one = Ours(recipe, model, counts)
    rng = np.random.default_rng(0)
    images = rng.standard_normal((recipe.batch_size, 3, 32, 32)).astype(dtype)
    labels = np.arange(recipe.batch_size) % len(counts)
    one.start_epoch(0)
    times: list[float] = []
    while len(times) < WARM_UP + TIMED and (sum(times) < PATIENCE or len(times) < WARM_UP + 3):
        started = time.perf_counter()
        one.step(images, labels)
        times.append(time.perf_counter() - started)
    median = statistics.median(times[WARM_UP:])
    return {
        "seconds_per_step": median,
        "images_per_second": recipe.batch_size / median,
        "peak_memory_mb": environment.peak_memory_mb() - before if device == "cpu" else None,
    }


# ---------------------------------------------------------------------------- tables

Table: TypeAlias = "tuple[tuple[str, ...], list[tuple[object, ...]]]"  # header and rows


def step_table(comparison: Comparison) -> Table:
    """Loss and accuracy of all contestants at the first, second, fifth, tenth, … and last step."""
    names = comparison.contestants
    header = ("step", *(f"{name}: loss" for name in names), *(f"{name}: %" for name in names))
    rows: list[tuple[object, ...]] = []
    for step in _shown(len(comparison.losses[OURS])):
        losses = (f"{comparison.losses[name][step - 1]:.6f}" for name in names)
        accuracies = (f"{100 * comparison.accuracies[name][step - 1]:.2f}" for name in names)
        rows.append((step, *losses, *accuracies))
    return header, rows


def difference_table(comparison: Comparison) -> Table:
    """The largest differences from PyTorch at the same steps: absolute (relative)."""
    names = list(comparison.differences)
    header = ("step", *(f"{name}: {quantity}" for name in names for quantity in QUANTITIES))
    by_step = [{int(d["step"]): d for d in comparison.differences[name]} for name in names]
    rows: list[tuple[object, ...]] = []
    for step in _shown(len(comparison.losses[OURS])):
        lines = [found[step] for found in by_step]
        cells = (
            f"{line[f'{q}_absolute']:.1e} ({line[f'{q}_relative']:.1e})"
            for line in lines
            for q in QUANTITIES
        )
        rows.append((step, *cells))
    return header, rows


def _shown(steps: int) -> list[int]:
    """1, 2, 5, 10, 20, 50, … up to ``steps``, and ``steps`` itself."""
    round_ones = (m * 10**e for e in range(len(str(steps))) for m in (1, 2, 5))
    return [*(n for n in round_ones if n < steps), steps]


def epoch_table(comparison: Comparison) -> Table:
    """Loss and accuracy of every contestant and epoch, and how far its accuracies are from
    PyTorch's, in points."""
    parts = [p for p in ("train", "validation", "test") if f"{p}_loss" in _last(comparison)]
    header = ["epoch", "contestant", "lr"]
    for part in parts:
        header += [f"{part} loss", f"{part} %", "− PyTorch's"]
    rows: list[tuple[object, ...]] = []
    for line in comparison.epochs:
        for name in comparison.contestants:
            found, expected = line[name], line[THEIRS]
            cells: list[object] = [line["epoch"], name, f"{found['lr']:.3g}"]
            for part in parts:
                if f"{part}_loss" not in found:
                    cells += [None] * 3
                    continue
                accuracy = 100 * found[f"{part}_accuracy"]
                away = accuracy - 100 * expected[f"{part}_accuracy"]
                shown = None if name == THEIRS else f"{away:+.2f}"
                cells += [f"{found[f'{part}_loss']:.4f}", f"{accuracy:.2f}", shown]
            rows.append(tuple(cells))
    return tuple(header), rows


def _last(comparison: Comparison) -> dict[str, Any]:
    """All metrics that minigrad has in any epoch, with their last values."""
    return {k: v for line in comparison.epochs for k, v in line[OURS].items()}


def speed_table(comparison: Comparison) -> Table:
    """Time per step and memory of both, and their ratio."""
    ours, theirs = (comparison.speed[name] for name in (OURS, THEIRS))
    rows: list[tuple[object, ...]] = []
    for metric, words, scale in (
        ("seconds_per_step", "ms per step, median", 1000),
        ("images_per_second", "images/s", 1),
        ("peak_memory_mb", "peak memory, MB", 1),
    ):
        a, b = ours[metric], theirs[metric]
        if a is not None and b is not None:
            ratio = f"{a / b:.2f}" if b else None
            rows.append((words, f"{scale * a:.1f}", f"{scale * b:.1f}", ratio))
    return ("each in a process of its own", OURS, THEIRS, "ratio"), rows
