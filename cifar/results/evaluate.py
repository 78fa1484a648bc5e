"""A trained model on a labelled set: loss, accuracy, per-class scores and what it confuses.

trained = load("runs/simple-seed0")
evaluation = measure(logits(trained, data.images), data.labels, trained.classes)
"""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from cifar import datasets, metadata, models, progress_bar
from cifar.datasets import augment, subsets
from cifar.errors import UserError
from cifar.results import plots, records
from cifar.training import train

SPLITS = ("test", "train", "validation")


@dataclass(frozen=True)
class Settings:
    """Loss, accuracy and per-class scores of a trained model, as a table, JSON and pictures.

    Attributes:
        run: a folder that training wrote, or one of its .safetensors files.
        last: of a folder, the weights after the last epoch, not those of the best one.
        dataset: cifar10 or synthetic; the one that the model was trained on unless given.
        data_dir: folder of CIFAR-10; the run's own, or the usual places, unless given.
        split: test, train (the images that the run trained on) or validation (those that its
            recipe held out).
        device: cpu, gpu, gpu:N or auto.
        out: folder for evaluation.json, confusion.png and mistakes.png;
            RUN/evaluation-{best,last}-SPLIT unless given.
        progress: --no-progress hides the bar that a terminal shows.
    """

    run: str
    last: bool = False
    dataset: str | None = None
    data_dir: str | None = None
    split: str = "test"
    device: str = "auto"
    out: str | None = None
    progress: bool = True


@dataclass(frozen=True)
class Trained:
    """A trained model in evaluation mode, and what its file says of it.

    Attributes:
        path: the file it came from.
        record: the file's metadata, checked as far as the attributes here go.
        classes: names by class index.
        mean, std: per channel of pixels in [0, 1]; they normalise the input.
    """

    path: Path
    record: dict[str, Any]
    model: mg.nn.Module
    device: mg.device
    classes: tuple[str, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@dataclass(frozen=True)
class Scores:
    """Shares of one class, or means over classes; 0 where there is nothing to divide by.

    Attributes:
        precision: right among the images predicted to be of the class.
        recall: right among the images that are of the class.
        f1: harmonic mean of the two.
        support: images that are of the class; of all classes for a mean.
    """

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Evaluation:
    """All figures of a model on a labelled set.

    Attributes:
        images: their number.
        loss: mean cross-entropy in nats; l2_term is not in it.
        l2_term: of a recipe that adds one to the losses it reports, else 0.
        accuracy: share of the images whose likeliest class is the true one.
        per_class: scores by class name.
        macro, weighted: means over classes, plain and weighted by support.
        confusion: images by true class (row) and predicted class (column).
        picked: the epoch was picked by its accuracy on these very images, which flatters it.
    """

    images: int
    loss: float
    l2_term: float
    accuracy: float
    per_class: dict[str, Scores]
    macro: Scores
    weighted: Scores
    confusion: list[list[int]]
    picked: bool = False


def run(settings: Settings) -> tuple[Evaluation, Path]:
    """Evaluate as ``settings`` say; returns the figures and the folder they were written to.

    Raises:
        UserError: the run, the data or the output folder cannot be used.
    """
    trained = load(settings.run, settings.device, settings.last)
    name = settings.dataset or str(trained.record.get("dataset", ""))
    place = settings.data_dir
    if place is None and name == "cifar10":
        place = records.data_dir(trained.record)
    data = _labelled(trained, name, settings.split, place)
    if data.classes != trained.classes:
        raise UserError(
            f"dataset: {trained.path} tells {_some(trained.classes)} apart, {data.name} has "
            f"{_some(data.classes)}; choose the --dataset that it was trained on"
        )
    out = Path(settings.out or trained.path.parent / f"evaluation-{trained.path.stem}-{data.split}")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"out: cannot make the folder {out}: {error.strerror}") from None

    scores = logits(trained, data.images, settings.progress)
    recipe = {"l2": 0.0, **trained.record["recipe"]}
    l2 = _checked(trained.path, recipe, "l2", lambda value: metadata.is_number(value, 0))
    term = train.penalty(trained.model, l2).item() if l2 else 0.0
    evaluation = dataclasses.replace(
        measure(scores, data.labels, data.classes, term),
        picked=data.name == trained.record.get("dataset") and data.split == _picked_on(trained),
    )
    what = {"file": str(trained.path), "dataset": data.name, "split": data.split}
    figures = {**what, **dataclasses.asdict(evaluation), "record": trained.record}
    text = json.dumps(figures, indent=1, ensure_ascii=False)
    mg.checkpoint.write_text(out / "evaluation.json", text + "\n")
    title = f"{describe(trained.record)} ({trained.path.stem}) on {data.name} {data.split} images"
    with plots.beside(out / "confusion.png") as path:
        plots.confusion(np.array(evaluation.confusion), data.classes, title, path)
    with plots.beside(out / "mistakes.png") as path:
        plots.mistakes(data, scores, title, path)
    return evaluation, out


def _picked_on(trained: Trained) -> str | None:
    """The images by which the best of the run's epochs was picked; None where none was."""
    recipe = trained.record["recipe"]
    if recipe.get("epochs") == 1:
        return None
    of_old = "validation" if recipe.get("validation") else "test"  # versions that did not note it
    part = trained.record.get("picked_on", of_old if trained.path.stem == "best" else None)
    return part if part in SPLITS else None


def _labelled(trained: Trained, name: str, split: str, data_dir: str | None) -> datasets.Dataset:
    """The images that ``split`` means to the run."""
    if split not in SPLITS:
        raise UserError(f"split: expected one of {', '.join(SPLITS)}, got {split!r}")
    if split == "test":
        return datasets.load(name, "test", data_dir)
    # An earlier version's record has neither.
    recipe = {"validation": 0, "long_tail": 1.0, **trained.record["recipe"]}
    count = _checked(trained.path, recipe, "validation", metadata.is_whole)
    share = _checked(trained.path, recipe, "long_tail", metadata.is_number)
    if split == "validation" and not count:
        raise UserError(
            f"split: {trained.path} was trained with no images held out; choose test or train"
        )
    rest, held = subsets.split(datasets.load(name, "train", data_dir), count, share)
    return held if held and split == "validation" else rest


# ---------------------------------------------------------------------------- the trained model


def find(run: str | os.PathLike[str], last: bool = False) -> Path:
    """The file of weights that ``run`` means.

    Raises:
        UserError: there is none.
    """
    path = Path(run)
    is_folder = os.path.isdir(path)
    file = path / ("last.safetensors" if last else "best.safetensors") if is_folder else path
    try:
        mg.checkpoint.readable(file)
    except FileNotFoundError:
        if is_folder:
            raise UserError(
                f"run: no {file.name} in the folder {path}; name one that training wrote"
            ) from None
        raise UserError(
            f"run: {path} does not exist; name a run's folder or .safetensors file"
        ) from None
    except OSError as error:
        raise UserError(f"run: {str(error).removeprefix('path: ')}") from None
    if last and not is_folder:
        raise UserError(f"last: chooses within a run's folder, but {path} is a file")
    return file


def load(run: str | os.PathLike[str], device: str = "cpu", last: bool = False) -> Trained:
    """The model of a run's folder (its best epoch, or its ``last``) or of one of its files.

    Raises:
        UserError: there is no such run, or the file is not one that training wrote.
        minigrad.DeviceError: the device is not there.
    """
    path = find(run, last)
    where = train.find_device(device)
    try:
        tensors, record = metadata.read(path, where)
    except ValueError as error:
        raise UserError(f"run: {error}") from None
    recipe = record.get("recipe")
    if not isinstance(recipe, dict):
        raise UserError(
            f"run: {path} is not a model that training wrote: it names no recipe "
            "(`cifar import` makes a model of a file of weights)"
        )
    classes = _checked(path, record, "classes", _is_names)
    mean = _checked(path, recipe, "mean", _is_channels)
    std = _checked(path, recipe, "std", lambda value: _is_channels(value) and min(value) > 0)
    name = _checked(path, recipe, "model", lambda value: isinstance(value, str))
    model = models.create(name, len(classes), seed=0)  # its weights are replaced
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # `logits` tells of what is not finite
            model.load_state_dict(tensors)
    except ValueError as error:
        raise UserError(f"run: {path} does not hold the model {name!r}: {error!s:.120}") from None
    model = model.to(str(where)).eval()
    return Trained(path, record, model, where, tuple(classes), tuple(mean), tuple(std))


def _checked(path: Path, holder: dict[str, Any], name: str, fits: Any) -> Any:
    value = holder.get(name)
    if not fits(value):
        raise UserError(f"run: {path} is not a model that training wrote: {name} {value!r:.60}")
    return value


def _is_names(value: Any) -> bool:
    return (
        isinstance(value, list)
        and all(isinstance(v, str) for v in value)
        and len(set(value)) == len(value) > 0
    )


def _is_channels(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(metadata.is_number(v) for v in value)


def _some(classes: tuple[str, ...]) -> str:
    return ", ".join(map(metadata.brief, classes[:3])) + (", …" if len(classes) > 3 else "")


def describe(record: dict[str, Any]) -> str:
    """The recipe, seed and epoch of a file's metadata, as far as they are there."""
    metrics, recipe = record.get("metrics"), record["recipe"]
    epoch = metrics.get("epoch") if isinstance(metrics, dict) else None
    numbers = {"seed": record.get("seed"), "epoch": epoch}
    known = [f"{what} {number}" for what, number in numbers.items() if metadata.is_whole(number)]
    return ", ".join([metadata.brief(recipe.get("name", recipe["model"])), *known])


def logits(
    trained: Trained, images: NDArray[np.uint8], progress: bool = False
) -> NDArray[np.float32]:
    """What the model says of uint8 images (N, 3, 32, 32): float32 (N, classes).

    Raises:
        UserError: it says NaN or infinity, as no model that training wrote does.
    """
    transform = augment.evaluation(trained.mean, trained.std)
    unlabelled = mg.tensor(np.zeros(len(images), np.int64), device=trained.device)
    batches = mg.data.DataLoader(
        mg.tensor(images, device=trained.device),
        unlabelled,
        train.EVALUATION_BATCH,
        transform=transform,
    )
    found = []
    hidden = None if progress else True  # None: where stderr is no terminal
    with mg.no_grad(), progress_bar.Bar(len(images), disable=hidden) as bar:
        for batch, _ in batches:
            with bar.step(len(batch)):
                found.append(trained.model(batch).cpu().numpy())
    scores = np.concatenate(found)
    if not np.isfinite(scores).all():
        raise UserError(f"run: {trained.path} is not a usable model: its logits are not finite")
    return scores


# ---------------------------------------------------------------------------- the figures


def log_probabilities(logits: NDArray[Any]) -> NDArray[np.float64]:
    """log softmax over the last axis."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    result: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def measure(
    logits: NDArray[Any], labels: NDArray[Any], classes: tuple[str, ...], l2_term: float = 0.0
) -> Evaluation:
    """The figures of ``logits`` (N, C) for the true ``labels`` (N,), N at least 1.

    Precision, recall, F1 and their means are those of scikit-learn's ``classification_report``
    with ``labels=range(C), zero_division=0``.
    """
    n, c = logits.shape
    guesses = logits.argmax(axis=1)
    confusion = train.confusion(guesses, labels, c)
    hits, support, predicted = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    shares = np.array(
        [_ratio(hits, predicted), _ratio(hits, support), _ratio(2 * hits, predicted + support)]
    )  # precision, recall and F1, each by class
    return Evaluation(
        images=n,
        loss=float(-log_probabilities(logits)[np.arange(n), labels].mean()),
        l2_term=l2_term,
        accuracy=float(hits.sum() / n),
        per_class={name: _scores(shares[:, i], support[i]) for i, name in enumerate(classes)},
        macro=_scores(shares.mean(axis=1), n),
        weighted=_scores(shares @ support / n, n),
        confusion=confusion.tolist(),
    )


def _scores(shares: NDArray[Any], support: int) -> Scores:
    precision, recall, f1 = (float(share) for share in shares)
    return Scores(precision, recall, f1, int(support))


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[Any]:
    """``part / whole``, 0 where ``whole`` is 0 (and ``part`` with it)."""
    return part / np.maximum(whole, 1)
