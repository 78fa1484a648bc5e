"""A run of training: its settings, its objects, and its progress."""

from __future__ import annotations

import math
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from cifar import datasets, environment, models, own_code, process
from cifar.datasets import augment, subsets, whitening
from cifar.errors import Diverged
from cifar.own_code import Source
from cifar.recipes import Recipe, plain
from cifar.recipes.groups import divide
from cifar.recipes.optimizers import Optimizers
from cifar.results.metrics import EVALUATION_BATCH, EpochMetrics
from cifar.results.record import Init, Opening, Record, encode_path
from cifar.training import parallel, tuning
from cifar.training.lookahead import Average
from cifar.training.objective import Objective, make_objective
from cifar.training.step import Step

STATE, STATE_BEFORE = "state.safetensors", "state-before.safetensors"


@dataclass(frozen=True)
class Settings:
    """The settings of a run.

    Attributes:
        recipe: name of the recipe, or a recipe.
        device: cpu, gpu, gpu:N or auto.
        dataset: "auto", "cifar10", "synthetic" or "folder".
        data_dir: folder of CIFAR-10 (default: the usual places), or of the user's own images.
        image_size, test_share, split_seed: see :class:`cifar.datasets.Options`.
        init: a file of weights to start from.
        freeze: patterns of the names of parameters that are not trained, such as "features.*".
        source: source of the user's own model (default: read from the file that the recipe names).
        seed: seed of initialisation, order, augmentation and dropout.
        out: folder for all files of the run.
        resume: continue the run in ``out``, or start it if there is none yet.
        overrides: recipe fields to replace, such as {"epochs": 2}.
        progress: whether to show a progress bar.
        precision: how a GPU multiplies in convolutions and linear layers: fp32, tf32 or bf16 (see
            minigrad/gpu/precision.py); by default, that of the GPU.
        detect_anomaly: name the layer and operation in which NaN or infinity first appears; slower.
        capture: on a GPU, record the training step once and replay it (see
            minigrad/gpu/cuda_graph.py): the same values, faster.
        trial: whether the run is a trial of a search, which does not evaluate the test set and
            draws no pictures.
        sync_batch_norm: whether several ranks normalise over the whole batch.
        command: start of a command line that trains, to which --resume and --out are added in
            messages.
    """

    recipe: str | Recipe = "simple"
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
    image_size: int | None = None
    test_share: float | None = None
    split_seed: int = 0
    init: str | None = None
    freeze: tuple[str, ...] = ()
    source: Source | None = None
    trial: bool = False
    sync_batch_norm: bool = False
    command: tuple[str, ...] = field(default=("cifar", "train"), compare=False)

    @property
    def data_options(self) -> datasets.Options:
        """How the images are read.

        Raises:
            UserError: a value is out of range.
        """
        return datasets.Options(self.image_size, self.test_share, self.split_seed)


@dataclass
class Progress:
    """The progress of a run: all its state besides weights, optimiser and schedule.

    Attributes:
        epoch: number of epochs done.
        step, seen: steps and images of the present epoch so far.
        loss, correct: sums over these images.
        lr: rate of the last step of the first parameter group; None before the first step, and in
            files that do not tell it.
        seconds: time of the epoch so far; in the first one, with that of whitening.
        compile_seconds: time in which kernels were compiled, not included in ``seconds``.
        skipped: batches of the epoch that overflowed.
        history: metrics of the epochs done.
        opening: the run's first steps.
    """

    epoch: int = 0
    step: int = 0
    seen: int = 0
    loss: float = 0.0
    correct: int = 0
    seconds: float = 0.0
    compile_seconds: float = 0.0
    skipped: int = 0
    history: list[EpochMetrics] = field(default_factory=list)
    lr: float | None = None
    opening: Opening = field(default_factory=Opening)

    def end_epoch(self, metrics: EpochMetrics) -> None:
        self.history.append(metrics)
        self.epoch += 1
        self.step, self.seen, self.loss, self.correct, self.skipped = 0, 0, 0.0, 0, 0
        self.seconds = self.compile_seconds = 0.0


@dataclass
class Run:
    """The objects of a run.

    Attributes:
        record: settings, and everything that can change the results; stored in every file.
        optimizer: the optimisers and their schedules, as one.
        objective: the training loss of (logits, labels), a scalar.
        average: the average of a recipe with a lookahead.
        train: training batches, augmented.
        val, val_name: the data evaluated after every epoch: the validation images, if the recipe
            holds some out ("validation"), otherwise the test set ("test").
        test: the test set.
        data_dir: the folder of data that the user named, as stored in the run's files.
        saved: epoch and step of the state on disk, in words.
        step: see :func:`cifar.training.step.make_step`; created at the start of an epoch.
        averager: averages the gradients of several ranks.
        stop: signals received by this process that stop the run.
        agreed: whether any rank received one, as known to all ranks after the last step.
        test_confusion: confusion matrix of the last epoch, if the test set was evaluated.
        frozen: layers that are not trained.
        drawn: time of the last drawing of the curves, by ``time.perf_counter``.
    """

    settings: Settings
    recipe: Recipe
    out: Path
    record: Record
    model: mg.nn.Module
    optimizer: Optimizers
    objective: Objective
    train: mg.data.DataLoader
    val: mg.data.DataLoader
    val_name: str
    test: mg.data.DataLoader
    progress: Progress = field(default_factory=Progress)
    data_dir: str | None = None
    saved: str = "nothing was saved before it"
    step: Step | None = None
    averager: mg.distributed.GradientAverager | None = None
    stop: Sequence[int] = ()
    agreed: bool = False
    test_confusion: NDArray[np.int64] | None = None
    drawn: float = -math.inf
    frozen: Sequence[mg.nn.Module] = ()
    average: Average | None = None

    def set_training(self) -> None:
        """Set the model to training mode, except frozen layers."""
        self.model.train()
        for module in self.frozen:
            module.training = False

    def leave_groups(self) -> bool:
        """Stop training the parameter groups whose epochs are over; returns whether any was
        trained before."""
        return leave_groups(self.recipe, dict(self.model.named_parameters()), self.progress.epoch)

    def after_step(self) -> None:
        """Set the rates of the next step, and update the lookahead's average."""
        if self.recipe.schedule_every == "step":
            self.optimizer.step_schedules()
        if self.average is not None:
            done = self.progress.epoch * len(self.train) + self.progress.step
            self.average.after_step(self.model, done)

    def agree_to_stop(self) -> bool:
        """After a step, whether the run must stop: the same on all ranks, which all must call
        it."""
        if self.averager is not None:
            self.agreed = parallel.any_rank(bool(self.stop))
        return self.stopping

    @property
    def stopping(self) -> bool:
        """Whether the run must stop. Several ranks stop only after a step."""
        return bool(self.stop) if self.averager is None else self.agreed

    def images_of(self, step: int) -> int:
        """The number of images in the batch of a step, on all ranks together."""
        size, images = self.recipe.batch_size, len(self.train.dataset)
        return min(size, images - step * size)

    @property
    def device(self) -> mg.device:
        return self.train.dataset.tensors[0].device

    @property
    def best(self) -> EpochMetrics:
        """The first epoch with the highest accuracy on the validation images."""
        return max(self.progress.history, key=lambda metrics: metrics.accuracy(self.val_name))

    def place(self, step: int | None = None) -> str:
        """The present epoch and step, or another step of that epoch."""
        step = self.progress.step if step is None else step
        return f"epoch {self.progress.epoch + 1}, step {step}"

    def resuming_command(self, *more: str) -> str:
        """The command line that resumes it."""
        out = str(self.out)
        out = os.path.join(".", out) if out.startswith("-") else out  # not to be taken for a flag
        words = [*parallel.command(self.settings.command), "--resume", "--out", out, *more]
        return " ".join(process.shell_word(word) for word in words)

    def failure(self, what: str) -> Diverged:
        """The error for a run in which ``what`` went wrong, with advice."""
        flag = "--detect-anomaly"
        again = self.resuming_command(flag) if holds_run(self.out) else flag
        find = f"; {again} finds the layer and the operation"
        find = "" if self.settings.detect_anomaly else find
        return Diverged(f"{what}; {self.saved}; try a smaller --lr{find}")


def holds_run(out: Path) -> bool:
    """Whether the folder holds a saved run, perhaps only its previous state."""
    return any((out / name).exists() for name in (STATE, STATE_BEFORE))


def resumes(settings: Settings, out: Path) -> bool:
    """Whether the run resumes from a state that rank 0 has saved there."""
    return mg.distributed.from_rank_0(lambda: settings.resume and holds_run(out))


def trained(model: mg.nn.Module) -> dict[str, mg.nn.Parameter]:
    """The parameters that are not frozen, by name."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def leave_groups(recipe: Recipe, parameters: Mapping[str, Any], epoch: int) -> bool:
    """Stop training the recipe's groups of ``parameters`` whose epochs are over in ``epoch``,
    counted from 0; returns whether any was trained before. The parameters may be PyTorch's."""
    left = False
    ended = {k for k, g in recipe.groups.items() if g.epochs is not None and g.epochs <= epoch}
    if not ended:
        return False
    for key, names in divide(parameters, recipe.groups).items():
        for name in names if key in ended else ():
            left |= parameters[name].requires_grad
            parameters[name].requires_grad = False
    return left


def arrays(run: Run) -> dict[str, Any]:
    """The arrays of the model, the optimisers and the average by name."""
    by_name = {f"model.{name}": value.data for name, value in run.model.state_dict().items()}
    if run.average is not None:
        by_name |= {f"average.{k}": value.data for k, value in run.average.state_dict().items()}
    for number, state in run.optimizer.state_dict()["state"].items():
        moments = {name: array for name, array in state.items() if name != "step"}
        by_name |= {f"optimizer.{number}.{name}": array for name, array in moments.items()}
    return by_name


# ---------------------------------------------------------------------------- made from settings


def make_run(
    settings: Settings, recipe: Recipe, device: mg.device, out: Path
) -> tuple[Run, datasets.Dataset]:
    """Load the data and create a new run; returns the run and the test set.

    Raises:
        UserError: the data are missing or do not fit the recipe, or its schedule ends before the
            run.
    """
    options = settings.data_options
    training_set = datasets.load(settings.dataset, "train", settings.data_dir, options)
    test_set = datasets.load(training_set.name, "test", settings.data_dir, options)
    parallel.check_same_data(training_set, test_set)
    folder = datasets.chosen_folder(training_set.name, settings.data_dir)
    training_set, val_set = subsets.split(
        training_set, recipe.validation, recipe.long_tail, recipe.subset
    )
    counts = subsets.class_counts(training_set.labels, len(training_set.classes))
    source = settings.source
    if source is None and own_code.is_path(recipe.model):
        source = own_code.read(recipe.model)
    parallel.check_smallest_batch(recipe, training_set, source, settings.sync_batch_norm)

    side = training_set.images.shape[-1]
    model = models.build(
        recipe.model,
        len(training_set.classes),
        settings.seed,
        side,
        source,
        **recipe.model_options,
    ).to(device)
    begun, began = None, time.perf_counter()
    if recipe.whiten:
        images = training_set.images[: recipe.whiten]
        whitening.whiten(model, images, recipe.mean, recipe.std)
    whitened = time.perf_counter() - began if recipe.whiten else 0.0
    if settings.init is not None and not resumes(settings, out):
        begun = tuning.begin_from(model, settings.init)
    if settings.sync_batch_norm:
        model = mg.nn.SyncBatchNorm.convert_sync_batchnorm(model)
    frozen = tuning.freeze(model, settings.freeze)
    parallel.broadcast(model.state_dict().values())
    size = mg.distributed.get_world_size()
    ranks: dict[str, Any] = {"num_replicas": size, "rank": mg.distributed.get_rank()}
    evaluation = augment.evaluation(recipe.mean, recipe.std)

    def on_device(*arrays: NDArray[Any]) -> mg.data.TensorDataset:
        return mg.data.TensorDataset(*(mg.tensor(a, device=device) for a in arrays))

    def batches(data: datasets.Dataset) -> mg.data.DataLoader:
        part = on_device(data.images, data.labels)
        return mg.data.DataLoader(part, at_once, transform=evaluation, **ranks)

    # Evaluation keeps few of a batch's arrays: what fits in training, or 32 images, fits.
    at_once = size * min(EVALUATION_BATCH, max(32, recipe.batch_size // size))
    test = batches(test_set)
    pixels = training_set.images
    if recipe.augmentation.alternating:
        pixels = augment.half_mirrored(pixels, settings.seed)
    train = augment.Batches(
        on_device(pixels, training_set.labels),
        recipe.augmentation,
        batch_size=recipe.batch_size,
        shuffle=True,
        drop_last=recipe.drop_last,
        transform=augment.training(recipe.augmentation, recipe.mean, recipe.std),
        seed=settings.seed,
        **ranks,
    )
    steps = len(train)
    recipe.check_rates(steps)
    ahead = recipe.lookahead
    run = Run(
        settings,
        recipe,
        out,
        _record(settings, recipe, device, training_set, counts, model, source, begun),
        model,
        recipe.make_optimizer(trained(model), steps),
        make_objective(recipe, model, counts, device),
        train,
        batches(val_set) if val_set else test,
        val_set.split if val_set else "test",
        test,
        Progress(seconds=whitened),
        data_dir=None if folder is None else encode_path(folder),
        frozen=frozen,
        average=None if ahead is None else Average(model, ahead, recipe.epochs * steps),
        averager=mg.distributed.GradientAverager(trained(model).values()) if size > 1 else None,
    )
    return run, test_set


def _record(
    settings: Settings,
    recipe: Recipe,
    device: mg.device,
    data: datasets.Dataset,
    counts: NDArray[np.int64],
    model: mg.nn.Module,
    source: Source | None,
    init: Init | None,
) -> Record:
    if device.type == "gpu":
        kernels = "CUDA"
    else:
        kernels = f"Numba {version('numba')}" if mg.is_compiled() else "NumPy"
    return Record(
        recipe=recipe,
        dataset=data.name,
        classes=data.classes,
        overrides={name: plain(getattr(recipe, name)) for name in settings.overrides},
        seed=settings.seed,
        data_fingerprint=data.fingerprint,
        images_per_class=tuple(counts.tolist()),
        parameters=sum(p.numel() for p in model.parameters()),
        device=str(device),
        threads=mg.get_num_threads(),
        kernels=kernels,
        precision=mg.get_precision() if device.type == "gpu" else "fp32",
        blas=environment.blas(),
        cpu=environment.cpu(),
        captured=settings.capture,
        machine=platform.platform(),
        versions={
            "minigrad": mg.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        image_size=data.images.shape[-1],
        test_share=settings.test_share,
        split_seed=settings.split_seed,
        source=source,
        init=init,
        freeze=settings.freeze,
        ranks=mg.distributed.get_world_size(),
        sync_batch_norm=settings.sync_batch_norm,
    )
