"""The settings of a search."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from cifar import datasets
from cifar.errors import UserError
from cifar.search import space
from cifar.search.space import Space

JOURNAL = "study.journal"  # in the folder of a search
MAX_TRIALS = 10_000
MAX = sys.maxsize


@dataclass(frozen=True)
class Settings:
    """Search a space for the best settings, at random or with any sampler of Optuna. The same
    command resumes the search; run on several machines, it shares the work.

    Attributes:
        space: FILE.toml, or the name of a space that comes with the package, such as resnet.
        trials: number of trials, on all machines together.
        epochs: epochs of each trial, instead of the space's.
        storage: a journal file, or the URL of a database for Optuna, such as
            postgresql+psycopg://HOST/NAME (default: OUT/study.journal).
        workers: number of processes on this machine.
        max_retry: how often in a row a trial is retried that lost its worker before completing
            another epoch; then it counts as failed.
        device: cpu, gpu, gpu:N or auto; several, separated by commas, are assigned to the workers
            in turn.
        sampler: random, tpe, or the class of any Optuna sampler that needs no arguments, such as
            NSGAIISampler.
        pruner: median, or the class of any Optuna pruner that needs no arguments (default: no trial
            is stopped early).
        dataset: cifar10, synthetic, folder and others, as in `cifar train`.
        data_dir: folder of the data set (default: the usual places).
        image_size: side in pixels to which your own pictures are scaled.
        test_share: fraction of each class's pictures that becomes the test set.
        split_seed: seed of this choice.
        seed: seed of the sampler and of every trial's training.
        out: folder for the trials, best shared by machines that share a study (default:
            runs/search-SPACE).
        set: FIELD=VALUE, a field of the recipe that is the same in all trials, such as subset=5000;
            may be repeated.
        progress: --no-progress prints a line for every trial instead of a live table.
    """

    space: tyro.conf.Positional[str]
    trials: int = 20
    epochs: int | None = None
    storage: str | None = None
    workers: int = 1
    max_retry: int = 10
    device: str = "auto"
    sampler: str = "random"
    pruner: str | None = None
    dataset: str = "auto"
    data_dir: str | None = None
    image_size: int | None = None
    test_share: float | None = None
    split_seed: int = 0
    seed: int = 0
    out: str | None = None
    set: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    progress: bool = True

    @property
    def folder(self) -> Path:
        return Path(self.out or f"runs/search-{Path(self.space).stem}")

    @property
    def place_of_storage(self) -> str:
        return self.storage or str(self.folder / JOURNAL)


@dataclass(frozen=True)
class Plan:
    """The settings that all workers of a study share, on any machine.

    Attributes:
        space: the space of settings.
        sampler, pruner: names of Optuna's sampler and pruner.
        dataset: name of the data set.
        image_size, test_share, split_seed: see :class:`cifar.datasets.Options`.
        seed: seed of the sampler and of every trial's training.
    """

    space: Space
    sampler: str
    pruner: str | None
    dataset: str
    image_size: int | None
    test_share: float | None
    split_seed: int
    seed: int

    @property
    def name(self) -> str:
        """The name of the study."""
        return self.space.name

    @property
    def data_options(self) -> datasets.Options:
        """How the images are read."""
        return datasets.Options(self.image_size, self.test_share, self.split_seed)


def plan(settings: Settings) -> Plan:
    """The plan of a search with these settings.

    Raises:
        UserError: an option is out of range, or the space cannot be used.
    """
    for name, least, most in (
        ("trials", 1, MAX_TRIALS), ("workers", 1, 1024), ("max_retry", 0, MAX), ("seed", 0, MAX),
    ):  # fmt: skip
        if not least <= (value := getattr(settings, name)) <= most:
            raise UserError(f"{name}: expected a whole number from {least} to {most}, got {value}")
    return Plan(
        space.load(settings.space, settings.epochs, settings.set),
        settings.sampler,
        settings.pruner,
        settings.dataset,
        settings.image_size,
        settings.test_share,
        settings.split_seed,
        settings.seed,
    )
