"""The training loop, which yields the figures of every epoch. Callers print, save and plot.

for metrics in fit(run):
    print(metrics.epoch, metrics.test_accuracy)
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

import minigrad as mg
from cifar import environment, progress_bar
from cifar.results import tta
from cifar.results.metrics import EpochMetrics, evaluate
from cifar.results.record import Opening
from cifar.training import parallel
from cifar.training.run import Run, arrays, trained
from cifar.training.step import SkipOverflow, StepResults, make_step

OPENING_STEPS = 10  # of a run, whose results are kept for `cifar verify` to repeat
READ_EVERY = {"cpu": 0.0, "gpu": 0.5}  # seconds; reading a loss waits for the GPU
MAX_SKIPPED = 10  # batches in a row; more are not a fault of the batches


def fit(run: Run) -> Iterator[EpochMetrics]:
    """Train ``run`` from its present epoch and step on, and yield after every epoch.

    A signal in ``run.stop`` ends training within an epoch, at the step in ``run.progress``. Leaving
    the iterator ends it between epochs.

    Raises:
        UserError: the loss, the weights or the optimiser's state became infinite or NaN.
    """
    while run.progress.epoch < run.recipe.epochs:
        with flush_denormal():
            with mg.memory.advice(run.recipe.batch_size, run.device):
                train_epoch(run)
            check_arrays(run)
            if run.stopping:
                return
            metrics = end_epoch(run)
        yield metrics


def train_opening(run: Run) -> Opening:
    """Train the first steps of a new run."""
    with flush_denormal():
        train_epoch(run, OPENING_STEPS)
    return run.progress.opening


@contextmanager
def flush_denormal() -> Iterator[None]:
    """Context in which the CPU takes subnormal numbers for zero. Filters that nothing needs decay
    to such numbers, and processors may take many times as long for them."""
    mg.set_flush_denormal(True)
    try:
        yield
    finally:
        mg.set_flush_denormal(False)


def train_epoch(run: Run, steps: int | None = None) -> None:
    """Train one epoch, from ``progress.step`` on. It ends early after a signal in ``run.stop`` or
    after ``steps`` steps."""
    progress = run.progress
    if progress.step == 0 and progress.epoch in dict(run.recipe.restarts):
        run.optimizer = run.recipe.make_optimizer(
            trained(run.model), len(run.train), progress.epoch
        )
        run.step = None
    if run.leave_groups():
        run.step = None
    if run.step is None:
        run.step = make_step(
            run.model, run.objective, run.optimizer, run.settings.capture, run.averager
        )
    run.set_training()
    started = time.perf_counter() - progress.seconds - progress.compile_seconds
    compiled_before = progress.compile_seconds
    skipped_in_a_row, results, last_read = 0, StepResults(), started
    bar = progress_bar.Bar(
        len(run.train.dataset),
        progress.seen,
        disable=not run.settings.progress,
        desc=f"epoch {progress.epoch + 1}/{run.recipe.epochs}",
    )

    def read_results() -> None:
        for result in results.read():
            count(run, *result)
        progress.compile_seconds = compiled_before + compilation.seconds
        progress.seconds = time.perf_counter() - started - progress.compile_seconds
        seen = max(1, progress.seen)
        figures = {"loss": f"{progress.loss / seen:.3f}", "acc": f"{progress.correct / seen:.2%}"}
        bar.show(figures | ({"skipped": progress.skipped} if progress.skipped else {}))

    with bar, mg.watch_compilation(lambda name: None) as compilation:
        batches = run.train.epoch(progress.epoch, progress.step)
        for images, labels in itertools.islice(batches, steps):
            mg.manual_seed(run.settings.seed, progress.epoch, progress.step)  # for dropout
            size = run.images_of(progress.step)
            with bar.step(size), mg.distributed.part_of_whole(size):
                loss, correct = run.step(images, labels)
            progress.step += 1
            progress.lr = run.optimizer.param_groups[0]["lr"]
            run.after_step()
            skipped = getattr(run.step, "skipped", False)
            skipped_in_a_row = skipped_in_a_row + 1 if skipped else 0
            if skipped_in_a_row == MAX_SKIPPED:
                batches_in_words = f"{MAX_SKIPPED} batches in a row"
                raise run.failure(f"{batches_in_words} overflowed in bf16, up to {run.place()}")
            results.add(progress.step, size, skipped, loss, correct)
            opening = progress.epoch == 0 and progress.step <= OPENING_STEPS
            if opening or time.perf_counter() >= last_read + READ_EVERY[run.device.type]:
                read_results()
                last_read = time.perf_counter()
            if run.agree_to_stop():
                break
        read_results()


def count(run: Run, number: int, images: int, skipped: bool, loss: float, correct: int) -> None:
    """Add the result of step ``number`` to the run's progress."""
    progress = run.progress
    loss = loss / images if run.recipe.reduction == "sum" else loss
    if skipped:
        progress.skipped += 1
    else:
        check_loss(run, loss, f"at {run.place(number)}")
        progress.seen += images
        progress.loss += loss * images
        progress.correct += correct
    losses = progress.opening.losses
    if progress.epoch == 0 and len(losses) == number - 1 < OPENING_STEPS:
        losses.append(loss if math.isfinite(loss) else str(loss))
        if number == min(OPENING_STEPS, len(run.train)):
            progress.opening.sha256 = mg.checkpoint.digest(run.model.state_dict())


def end_epoch(run: Run) -> EpochMetrics:
    """Evaluate, step the schedule, and add the epoch's figures to the run's progress."""
    progress = run.progress
    if not progress.seen:
        raise run.failure(f"every batch of epoch {progress.epoch + 1} overflowed in bf16")
    parallel.broadcast(run.model.buffers())
    last = progress.epoch + 1 == run.recipe.epochs and not run.settings.trial
    run.test_confusion, figures, began = None, {}, time.perf_counter()
    for part, data in {run.val_name: run.val, **({"test": run.test} if last else {})}.items():
        with progress_bar.compiling(not run.settings.progress):
            loss, confusion = evaluate(run.model, data, run.recipe.l2)
        check_loss(run, loss, f"on the {part} set after epoch {progress.epoch + 1}")
        figures[f"{part}_loss"] = loss
        figures[f"{part}_accuracy"] = int(confusion.trace()) / int(confusion.sum())
        if part == "test":
            run.test_confusion = confusion
        if last and run.recipe.tta:
            _, confusion = evaluate(run.model, data, logits_of=tta.logits)
            figures[f"{part}_tta_accuracy"] = int(confusion.trace()) / int(confusion.sum())
    on_gpu = run.device.type == "gpu"
    metrics = EpochMetrics(
        epoch=progress.epoch + 1,
        lr=run.optimizer.param_groups[0]["lr"] if progress.lr is None else progress.lr,
        train_loss=progress.loss / progress.seen,
        train_accuracy=progress.correct / progress.seen,
        **figures,
        seconds=round(progress.seconds, 3),
        compile_seconds=round(progress.compile_seconds, 3),
        evaluation_seconds=round(time.perf_counter() - began, 3),
        training_seconds=round(sum(m.seconds for m in progress.history) + progress.seconds, 3),
        images_per_second=round(progress.seen / progress.seconds, 1),
        peak_memory_mb=environment.peak_memory_mb(),
        gpu_memory_mb=round(mg.memory.held(run.device) / 1e6, 1) if on_gpu else None,
        skipped=progress.skipped if isinstance(run.step, SkipOverflow) else None,
    )
    if run.recipe.schedule_every == "epoch":
        run.optimizer.step_schedules(figures[f"{run.val_name}_loss"])
    progress.end_epoch(metrics)
    return metrics


def check_loss(run: Run, loss: float, when: str) -> None:
    if not math.isfinite(loss):
        raise run.failure(f"loss: became {loss} {when}")


def check_arrays(run: Run) -> None:
    """Raise before weights or moments that are not finite are saved. The loss of the last step does
    not show them, because it was computed before the step's update."""
    for name, value in arrays(run).items():
        if value.dtype.kind == "f" and not bool(mg.get_xp(value).isfinite(value).all()):
            raise run.failure(f"{name}: became NaN or infinite at {run.place()}")
