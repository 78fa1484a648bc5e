"""The record of a run: its settings and everything that can change its results.

Every file of a run holds its record as JSON metadata. :func:`decode` reads it and checks every
value, because a digest proves nothing about a file that somebody else wrote.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from cifar import datasets, metadata
from cifar.errors import UserError
from cifar.own_code import Source
from cifar.recipes import Recipe
from cifar.results.metrics import ClassRecall, EpochMetrics

T = TypeVar("T")

# Fields of a record that change how sums are rounded.
DECIDING = ("threads", "ranks", "kernels", "precision", "blas", "cpu", "device", "versions")
# With another of these, a run's figures are not to be compared with the study's.
OF_THE_STUDY = frozenset({"model", "model_options", "long_tail", "subset"})
NOT_FINITE = ("nan", "inf", "-inf")  # a loss of a step that was skipped, as JSON holds it


@dataclass(frozen=True)
class Init:
    """The weights that a run started from.

    Attributes:
        file: their absolute path, encoded by :func:`encode_path`.
        sha256: digest of the tensors.
    """

    file: str
    sha256: str

    @property
    def path(self) -> str:
        """The path as the system has it."""
        return decode_path(self.file)


@dataclass(frozen=True)
class Record:
    """The settings of a run, and everything that can change its results.

    Attributes:
        recipe: the recipe with its overrides.
        dataset: name of the data set.
        classes: names by class index.
        overrides: fields of the recipe that the user changed, by name.
        seed: seed of initialisation, order, augmentation and dropout.
        data_fingerprint: SHA-256 of the training images and labels.
        images_per_class: number of training images of each class.
        parameters: number of learnt values of the model.
        device: "cpu" or "gpu:N".
        threads: number of threads of minigrad's operations on the CPU.
        kernels: "CUDA", "NumPy", or "Numba" and its version.
        precision: precision of products on a GPU: fp32, tf32 or bf16.
        blas, cpu: BLAS library and processor of the machine.
        captured: whether the training step was recorded on a GPU and replayed.
        machine: the platform.
        versions: versions of minigrad, NumPy and Python.
        imported: the file of imported weights, if minigrad did not train them.
        image_size: side of the images in pixels.
        test_share, split_seed: see :class:`cifar.datasets.Options`.
        source: source of the user's own model.
        init: the weights that training started from, unless they were random.
        freeze: patterns of the names of parameters that were not trained.
        ranks: number of processes that each had a part of each batch.
        sync_batch_norm: whether batch norm normalised over the whole batch of all ranks.

    Raises:
        ValueError: a value is out of range.
    """

    recipe: Recipe
    dataset: str
    classes: tuple[str, ...]
    overrides: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    data_fingerprint: str | None = None
    images_per_class: tuple[int, ...] = ()
    parameters: int | None = None
    device: str | None = None
    threads: int | None = None
    kernels: str | None = None
    precision: str | None = None
    blas: str | None = None
    cpu: str | None = None
    captured: bool = False
    machine: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    imported: str | None = None
    image_size: int = datasets.SIDE
    test_share: float | None = None
    split_seed: int = 0
    source: Source | None = None
    init: Init | None = None
    freeze: tuple[str, ...] = ()
    ranks: int = 1
    sync_batch_norm: bool = False

    def __post_init__(self) -> None:
        datasets.Options(self.image_size, self.test_share, self.split_seed)
        for name, fits in (
            ("classes", len(set(self.classes)) == len(self.classes) > 0),
            ("seed", self.seed is None or self.seed >= 0),
            ("threads", self.threads is None or self.threads >= 1),
            ("ranks", self.ranks >= 1),
            ("images_per_class", all(0 <= n <= metadata.MAX_FLOAT for n in self.images_per_class)),
        ):
            if not fits:
                raise ValueError(f"{name} {metadata.brief(getattr(self, name))}")

    @property
    def data_options(self) -> datasets.Options:
        """How the images were read."""
        return datasets.Options(self.image_size, self.test_share, self.split_seed)

    @property
    def claim(self) -> dict[str, float]:
        """The study's figures by metric, if this is its network on the data that it used."""
        other = self.dataset != "cifar10" or OF_THE_STUDY & set(self.overrides)
        return {} if other else dict(self.recipe.claim)

    def as_note(self) -> dict[str, Any]:
        """The record as in JSON, without fields that are None."""
        return {k: v for k, v in dataclasses.asdict(self).items() if v is not None}


@dataclass
class Opening:
    """The first steps of a run, for ``cifar verify`` to repeat.

    Attributes:
        losses: losses of the steps; a string of :data:`NOT_FINITE` for a step that was skipped.
        sha256: digest of the weights after these steps.
        began: the record of the session that trained them, if a later one resumed the run, perhaps
            on another machine or for more epochs.

    Raises:
        ValueError: a loss is neither a finite number nor such a string.
    """

    losses: list[float | str] = field(default_factory=list)
    sha256: str | None = None
    began: Record | None = None

    def __post_init__(self) -> None:
        for loss in self.losses:
            if not metadata.is_number(loss) and loss not in NOT_FINITE:
                raise ValueError(f"losses {metadata.brief(loss)}")


@dataclass(frozen=True)
class SavedRecord(Record):
    """The record in a file of weights, and the state of the run when it saved them.

    Attributes:
        metrics: metrics of the epoch after which they were saved.
        best_epoch: the epoch of the best validation accuracy so far.
        opening: the run's first steps.
        per_class: recall by class name, if the test set was evaluated.
        picked_on: the images by which this epoch was chosen, "test" or "validation".
        data_dir: the folder of data that the user named (see :func:`encode_path`).
    """

    metrics: EpochMetrics | None = None
    best_epoch: int | None = None
    opening: Opening | None = None
    per_class: Mapping[str, ClassRecall] | None = None
    picked_on: str | None = None
    data_dir: str | None = None

    def as_note(self) -> dict[str, Any]:
        return super().as_note() | ({"metrics": self.metrics.as_dict()} if self.metrics else {})

    def describe(self) -> str:
        """The recipe, seed and epoch, as far as they are known."""
        epoch = self.metrics and self.metrics.epoch
        known = [f"{k} {v}" for k, v in (("seed", self.seed), ("epoch", epoch)) if v is not None]
        return ", ".join([metadata.brief(self.recipe.name), *known])


def decode(note: Any, kind: type[T]) -> T:
    """``note``, parsed from JSON, as the dataclass ``kind``; unknown keys are ignored.

    Raises:
        ValueError: a value is missing, of the wrong type or out of range; the message names it.
    """
    import msgspec  # here, so that a new run trains without it, on a machine lent for an hour

    try:
        return msgspec.convert(note, kind)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `$")
        name = place.rstrip("`").lstrip(".")
        raise ValueError(
            f"{metadata.brief(name)}: {metadata.brief(what)}" if name else what
        ) from None
    except UserError as error:  # of a recipe
        raise ValueError(metadata.brief(error)) from None


def rounding_differences(then: Record, now: Record) -> list[str]:
    """The differences between two records that affect rounding, in words."""
    return [
        f"{name} {metadata.brief(_shown(a))}, not {metadata.brief(_shown(b))}"
        for name in DECIDING
        for a, b in [(getattr(then, name), getattr(now, name))]
        if a and a != b
    ]


def _shown(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


# ---------------------------------------------------------------------------- paths


def encode_path(path: Path) -> str:
    """A path for metadata: absolute, and percent-encoded because it need not be valid text."""
    return urllib.parse.quote(os.fsencode(path.absolute()))


def decode_path(noted: str) -> str:
    """The inverse of :func:`encode_path`."""
    return os.fsdecode(urllib.parse.unquote_to_bytes(noted))


def find_folder(noted: str | None, dataset: str = "cifar10") -> str | None:
    """The folder of data that the user named for a run, or None.

    If it no longer exists, a note on stderr says that the usual places are searched, because
    CIFAR-10 is the same everywhere.
    """
    if noted is None:
        return None
    folder = decode_path(noted)
    if os.path.isabs(folder) and datasets.holds(dataset, folder):
        return folder
    name = "CIFAR-10" if dataset == "cifar10" else "the data set"
    where = metadata.brief(noted)
    print(f"note: {name} is no longer in {where}, where the run found it", file=sys.stderr)
    return None
