"""A whole training, which writes models, metrics and pictures into a folder."""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import minigrad as mg
from cifar import datasets, process, recipes
from cifar.device import find_device, use_precision
from cifar.errors import UserError
from cifar.recipes import Recipe, overrides
from cifar.results import plots
from cifar.results.metrics import EpochMetrics, recall_by_class
from cifar.results.record import SavedRecord
from cifar.training import parallel, state
from cifar.training.loop import fit
from cifar.training.run import Run, Settings, holds_run, make_run, resumes

DRAW_EVERY = 5.0  # seconds: to draw the curves takes a fifth of one


def run(settings: Settings) -> list[EpochMetrics]:
    """Train, and return the metrics of every epoch; see :func:`open_run`."""
    with open_run(settings) as run:
        for metrics in fit(run):
            print(in_words(metrics))
            save(run, metrics)
    if len(run.progress.history) == run.recipe.epochs:
        print(time_in_words(run.progress.history))
    return run.progress.history


@contextmanager
def open_run(settings: Settings) -> Iterator[Run]:
    """A run to train with :func:`~cifar.training.loop.fit`: a new one, or a saved one to resume.
    The first Ctrl-C or SIGTERM stops it at the next step.

    :func:`save` writes into ``settings.out``: ``last.safetensors`` and ``best.safetensors``
    (weights of the last epoch, and of the one with the best accuracy on the validation images),
    ``state.safetensors`` (for ``resume``; the previous one is kept as
    ``state-before.safetensors``), ``metrics.jsonl`` and ``curves.png``. If the test set was
    evaluated with the weights, their file has recall and number of images by class ("per_class").
    At the end ``predictions.png`` is added and, for a long-tailed training set, ``classes.png``.

    Raises:
        UserError: a mistake in the settings, the data or the output folder, before training; or the
            loss, the weights or the optimiser's state became infinite or NaN, and the last saved
            state is intact.
        KeyboardInterrupt: at the end, if a signal stopped the run; the state is saved.
    """
    recipe, device = checked_recipe(settings), find_device(parallel.own_gpu(settings.device))
    if not resumes(settings, Path(settings.out)):
        overrides.refuse_idle(recipe, settings.overrides)
    use_precision(settings.precision, device)
    if settings.capture and device.type != "gpu":
        raise UserError(f"capture: a step is recorded on a GPU, not on {device}: leave it out")
    if settings.capture and mg.distributed.get_world_size() > 1:
        raise UserError("capture: a recorded step cannot call for other ranks: leave it out")
    if settings.capture and settings.detect_anomaly:
        raise UserError(
            "capture: a recorded step cannot be watched by detect_anomaly: leave one out"
        )
    with (
        process.suggest_smaller_batch(),
        process.outlive_terminal(),
        _folder_of_rank_0(settings) as out,
    ):
        run, test_set = prepare(settings, recipe, device, out)
        with process.stop_on_signals() as run.stop, _watched(run):
            yield run
            if run.stopping and run.progress.epoch < recipe.epochs:
                if mg.distributed.get_rank() == 0:
                    state.save(run)
                    _draw_curves(run)
                mg.distributed.barrier()  # it is saved before any rank ends
                print(
                    f"stopped at {run.place()}; continue with: {run.resuming_command()}",
                    file=sys.stderr,
                )
                raise KeyboardInterrupt
        if mg.distributed.get_rank():
            return
        _draw_curves(run)
        if not settings.trial:
            _draw_predictions(run, test_set)


def checked_recipe(settings: Settings) -> Recipe:
    """The recipe with its overrides.

    Raises:
        UserError: a value is out of range.
    """
    if settings.seed < 0:
        raise UserError(f"seed: expected a whole number from 0, got {settings.seed}")
    recipe = recipes.load(settings.recipe)
    if (epochs := settings.overrides.get("epochs", recipe.epochs)) >= 1:
        recipe = recipe.lasting(epochs)
    return dataclasses.replace(recipe, **settings.overrides)


def prepare(
    settings: Settings, recipe: Recipe, device: mg.device, out: Path
) -> tuple[Run, datasets.Dataset]:
    """Create or resume the run, and print a summary; returns the run and the test set."""
    run, test_set = make_run(settings, recipe, device, out)
    if resumes(settings, out):
        state.resume(run)
    validation = len(run.val.dataset) if run.val_name == "validation" else 0
    held = f", {validation:,} validation" if validation else ""
    record = run.record
    print(
        f"{recipe.name}: {record.parameters:,} parameters on {device}{_kernels_in_words(run)}, "
        f"{_ranks_in_words(run)}"
        f"{len(run.train.dataset):,} training{held} and {len(test_set):,} test images of "
        f"{record.dataset}, {run.progress.epoch} of {recipe.epochs} epochs done"
        f"{_schedule_in_words(recipe)}, in {out}"
    )
    if recipe.long_tail < 1:
        print("images per class: " + ", ".join(map(str, record.images_per_class)))
    return run, test_set


# ---------------------------------------------------------------------------- what is printed


def _kernels_in_words(run: Run) -> str:
    if run.record.kernels == "CUDA":
        return f" in {run.record.precision}"
    if run.record.kernels == "NumPy":
        return f" in plain NumPy (for two to four times the speed, {mg.console.install('fast')})"
    return ""


def _ranks_in_words(run: Run) -> str:
    if run.record.ranks == 1:
        return ""
    norms = " with synchronised batch norm" if run.record.sync_batch_norm else ""
    return f"{run.record.ranks} ranks{norms}, "


def _schedule_in_words(recipe: Recipe) -> str:
    """The schedule in words, if it is the recipe's own for another number of epochs."""
    if recipes.is_own(recipe.name):
        return ""
    own = recipes.load(recipe.name)
    stretched = own.lasting(recipe.epochs).schedule_in_words()
    if stretched in ("", own.schedule_in_words()) or stretched != recipe.schedule_in_words():
        return ""
    return f" (its schedule in proportion: {stretched} in place of {own.schedule_in_words()})"


def in_words(metrics: EpochMetrics) -> str:
    """An epoch's figures as one line."""
    figures = metrics.as_dict()
    parts = [part for part in ("train", "validation", "test") if f"{part}_loss" in figures]
    shown = "; ".join(
        f"{part} loss {figures[f'{part}_loss']:.4f}, accuracy {figures[f'{part}_accuracy']:.2%}"
        for part in parts
    )
    if metrics.test_tta_accuracy is not None:
        shown += f" ({metrics.test_tta_accuracy:.2%} with test-time augmentation)"
    gpu = f", {metrics.gpu_memory_mb:.0f} MB of the GPU" if metrics.gpu_memory_mb else ""
    skipped = f"; {metrics.skipped} skipped (overflow)" if metrics.skipped else ""
    return (
        f"epoch {metrics.epoch}: {shown}; {metrics.seconds:.0f} s, "
        f"{metrics.images_per_second:.0f} images/s{gpu}{skipped}"
    )


def time_in_words(history: list[EpochMetrics]) -> str:
    """The times of a whole run."""
    seconds, compiled, evaluated = (
        sum(getattr(metrics, name) or 0.0 for metrics in history)
        for name in ("seconds", "compile_seconds", "evaluation_seconds")
    )
    return (
        f"training steps took {seconds:.1f} s, data and augmentation included; besides, kernels "
        f"were compiled for {compiled:.1f} s and epochs evaluated for {evaluated:.1f} s"
    )


# ---------------------------------------------------------------------------- what is written


def save(run: Run, metrics: EpochMetrics) -> None:
    """Write the metrics, models and state after an epoch, and the curves unless they were drawn
    just before. Of several ranks, only rank 0 writes."""
    if mg.distributed.get_rank():
        return
    confusion = run.test_confusion
    saved = SavedRecord(
        **{f.name: getattr(run.record, f.name) for f in dataclasses.fields(run.record)},
        metrics=metrics,
        best_epoch=run.best.epoch,
        opening=run.progress.opening,
        per_class=None if confusion is None else recall_by_class(confusion, run.record.classes),
        data_dir=run.data_dir,
    )
    mg.save(run.model.state_dict(), run.out / "last.safetensors", saved.as_note())
    if run.best is metrics:
        best = dataclasses.replace(saved, picked_on=run.val_name)
        mg.save(run.model.state_dict(), run.out / "best.safetensors", best.as_note())
    if run.record.source is not None:
        mg.checkpoint.write_text(run.out / "model.py", run.record.source.text)
    lines = "".join(json.dumps(line.as_dict()) + "\n" for line in run.progress.history)
    mg.checkpoint.write_text(run.out / "metrics.jsonl", lines)
    state.save(run)  # after these files, because a resumed run writes them again
    if time.perf_counter() >= run.drawn + DRAW_EVERY:
        _draw_curves(run)
        run.drawn = time.perf_counter()


def _draw_curves(run: Run) -> None:
    if run.progress.history and not run.settings.trial:
        with plots.beside(run.out / "curves.png") as path:
            plots.curves(run.progress.history, run.record, path, recipes.course(run.recipe))


def _draw_predictions(run: Run, test_set: datasets.Dataset) -> None:
    """Draw predictions of the first test images, and the classes of a long-tailed training set."""
    run.model.eval()
    with mg.no_grad():
        first = mg.data.DataLoader(run.test.dataset, 24, transform=run.test.transform)
        images, _ = next(iter(first))
        logits = run.model(images).cpu().numpy()
    with plots.beside(run.out / "predictions.png") as path:
        plots.predictions(test_set, logits, run.record, path)
    if run.recipe.long_tail < 1:
        counts = dict(zip(run.record.classes, run.record.images_per_class, strict=True))
        title = f"{run.recipe.name} on {run.record.dataset}"
        with plots.beside(run.out / "classes.png") as path:
            plots.class_counts(counts, title, path)


# ---------------------------------------------------------------------------- around a run


@contextmanager
def _watched(run: Run) -> Iterator[None]:
    """Detect anomalies in the block, if the settings ask for it."""
    if not run.settings.detect_anomaly:
        yield
        return
    try:
        with mg.detect_anomaly(run.model):
            yield
    except FloatingPointError as error:
        raise run.failure(f"{error}, after {run.place()}") from None


@contextmanager
def _folder_of_rank_0(settings: Settings) -> Iterator[Path]:
    """The :func:`_output_folder`, locked by rank 0; its errors are raised on every rank."""
    with ExitStack() as stack:
        yield mg.distributed.from_rank_0(lambda: stack.enter_context(_output_folder(settings)))


@contextmanager
def _output_folder(settings: Settings) -> Iterator[Path]:
    """Create and lock the folder, and check that it can be written. A folder with a run is only
    accepted to resume it.

    A folder that was created here is removed at the end if it is empty.
    """
    out = Path(settings.out)
    made: list[Path] = []
    try:
        made += [folder for folder in (out, *out.parents) if not folder.exists()]
        out.mkdir(parents=True, exist_ok=True)
        with process.alone_in(out):
            holds = holds_run(out)
            if holds and not settings.resume:
                raise UserError(
                    f"out: {out} already holds a run; add --resume, or choose another --out"
                )
            if settings.resume and not holds:
                print(f"note: there is no run in {out} to resume; it starts now", file=sys.stderr)
            mg.checkpoint.remove_leftovers(out)
            tempfile.TemporaryFile(dir=out).close()  # it fails here before an epoch is trained
            yield out
    except OSError as error:
        raise UserError(f"out: cannot write to {out}: {error.strerror or error}") from None
    finally:
        for folder in made:
            with suppress(OSError):  # it is not empty
                folder.rmdir()
