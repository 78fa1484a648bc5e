"""Evaluation of a trained model on a labelled set: loss, accuracy, per-class scores, confusion.

trained = load("runs/simple-seed0")
evaluation = measure(logits(trained, data.images), data.labels, trained.classes)
"""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from cifar import datasets, metadata, models, own_code, process, progress_bar
from cifar.datasets import augment, subsets
from cifar.datasets.folder import is_divided
from cifar.device import find_device
from cifar.errors import UserError
from cifar.results import plots, tta
from cifar.results.metrics import EVALUATION_BATCH, Evaluation, l2_penalty, measure
from cifar.results.record import SavedRecord, decode, decode_path, find_folder

SPLITS = ("test", "train", "validation")


@dataclass(frozen=True)
class Settings:
    """Evaluate a trained model: loss, accuracy and per-class scores, as a table, JSON and pictures.

    Attributes:
        run: a folder that training wrote, or one of its .safetensors files.
        last: use a folder's weights of the last epoch, not of the best one.
        dataset: cifar10, synthetic or folder (default: that of the model's training).
        data_dir: folder of CIFAR-10 (default: the run's, or the usual places). With --dataset
            folder, the folder of pictures. All other images than the run's that are not divided
            into train and test are used.
        split: test, train (the images that the run trained on) or validation (those that its
            recipe held out).
        tta: test-time augmentation, the mean over six views of each image; accuracy without it is
            shown too.
        device: cpu, gpu, gpu:N or auto.
        out: folder for evaluation.json, confusion.png and mistakes.png (default:
            RUN/evaluation-{best,last}-SPLIT, and for other images than the run's and with --tta
            a name of their own).
        progress: --no-progress hides the progress bar of a terminal.
        model: FILE.py:FUNCTION, the run's own model, if it was trained on another machine and
            you trust its code.
    """

    run: str
    last: bool = False
    dataset: str | None = None
    data_dir: str | None = None
    split: str = "test"
    device: str = "auto"
    out: str | None = None
    progress: bool = True
    model: str | None = None
    tta: bool = False


@dataclass(frozen=True)
class Trained:
    """A trained model in evaluation mode, and the record in its file.

    Attributes:
        path: the file it came from.
    """

    path: Path
    record: SavedRecord
    model: mg.nn.Module
    device: mg.device

    @property
    def classes(self) -> tuple[str, ...]:
        """Names by class index."""
        return self.record.classes


def run(settings: Settings) -> tuple[Evaluation, Path]:
    """Evaluate; returns the figures and the folder they were written to.

    Raises:
        UserError: the run, the data or the output folder cannot be used.
    """
    trained = load(settings.run, settings.device, settings.last, settings.model)
    data, own = labelled(trained, settings.dataset, settings.split, settings.data_dir)
    name = f"evaluation-{trained.path.stem}-{data.split}"
    name += "" if own else f"-on-{data.name}-{data.fingerprint[:8]}"
    name += "-tta" if settings.tta else ""
    out = Path(settings.out or trained.path.parent / name)
    return write(trained, data, out, settings.progress, settings.tta, own), out


def write(
    trained: Trained,
    data: datasets.Dataset,
    out: Path,
    progress: bool = False,
    tta: bool = False,
    own: bool = True,
) -> Evaluation:
    """Write the figures of a model on ``data`` into the folder ``out``, with pictures of its
    confusion matrix and mistakes; returns the figures.

    Args:
        own: whether these are images of the run's own data set.

    Raises:
        UserError: the model or the folder cannot be used.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"out: cannot make the folder {out}: {error.strerror}") from None

    l2 = trained.record.recipe.l2
    term = l2_penalty(trained.model, l2).item() if l2 else 0.0

    def measured(tta: bool) -> tuple[NDArray[np.float32], Evaluation]:
        scores = logits(trained, data.images, progress, tta)
        return scores, measure(scores, data.labels, data.classes, term)

    scores, evaluation = measured(tta)
    evaluation = dataclasses.replace(
        evaluation,
        picked=own and data.split == _picked_on(trained),
        accuracy_without_tta=measured(False)[1].accuracy if tta else None,
    )
    what = {
        "file": str(trained.path),
        "dataset": data.name,
        "split": data.split,
        "fingerprint": data.fingerprint,
        "own_images": own,
        "tta": tta,
    }
    figures = {**what, **dataclasses.asdict(evaluation), "record": trained.record.as_note()}
    text = json.dumps(figures, indent=1, ensure_ascii=False)
    with process.writing("out", out):
        mg.checkpoint.write_text(out / "evaluation.json", text + "\n")
    title = f"{trained.record.describe()} ({trained.path.stem}) on {data.name} {data.split} images"
    title += ", with test-time augmentation" if tta else ""
    with plots.beside(out / "confusion.png") as path:
        plots.confusion(np.array(evaluation.confusion), data.classes, title, path)
    with plots.beside(out / "mistakes.png") as path:
        plots.mistakes(data, scores, title, path)
    return evaluation


def _picked_on(trained: Trained) -> str | None:
    """The images by which the run's best epoch was selected, or None."""
    record = trained.record
    if record.recipe.epochs == 1:
        return None
    if record.picked_on is None and trained.path.stem == "best":  # older versions did not note it
        return "validation" if record.recipe.validation else "test"
    return record.picked_on


def labelled(
    trained: Trained,
    dataset: str | None = None,
    split: str = "test",
    data_dir: str | None = None,
    download: bool = True,
) -> tuple[datasets.Dataset, bool]:
    """The images of the run's ``split``, and whether they are of the run's own data set.

    Of other images of the user, those that are not divided are all taken: the model has seen none
    of them.

    Args:
        dataset: the data set (default: that of the run's training).
        data_dir: its folder (default: the run's, or the usual places).
        download: download CIFAR-10 if it is missing.

    Raises:
        UserError: there are none, or they have other classes.
    """
    if split not in SPLITS:
        raise UserError(f"split: expected one of {', '.join(SPLITS)}, got {split!r}")
    record = trained.record
    name = dataset or record.dataset
    own = name == record.dataset
    if own and data_dir is None:
        data_dir = find_folder(record.data_dir, name)
    elif own and name in datasets.OWN:
        own = _trained_on(record, str(data_dir))
    options = record.data_options
    if not own or (name == "folder" and data_dir is not None and is_divided(Path(data_dir))):
        options = datasets.Options(options.image_size, whole=True)
    if split == "validation" and not record.recipe.validation:
        raise UserError(
            f"split: {trained.path} was trained with no images held out; choose test or train"
        )
    half = "test" if split == "test" else "train"
    data = datasets.load(name, half, data_dir, options, download)
    if split != "test":
        recipe = record.recipe
        rest, val = subsets.split(data, recipe.validation, recipe.long_tail, recipe.subset)
        data = val if val and split == "validation" else rest
    if data.classes != trained.classes:
        raise UserError(
            f"dataset: {trained.path} tells {_some(trained.classes)} apart, {data.name} has "
            f"{_some(data.classes)}; choose the --dataset that it was trained on"
        )
    return data, own


def _trained_on(record: SavedRecord, data_dir: str) -> bool:
    """Whether a run was trained on the images of the user in ``data_dir``, where they were or moved
    there: then the share that it was not trained on is its test set."""
    folder = os.path.abspath(os.path.expanduser(data_dir))
    if record.data_dir is not None and os.path.abspath(decode_path(record.data_dir)) == folder:
        return True
    recipe = record.recipe
    try:
        data = datasets.load(record.dataset, "train", data_dir, record.data_options)
        data, _ = subsets.split(data, recipe.validation, recipe.long_tail, recipe.subset)
    except UserError:  # not divided as the run's
        return False
    return data.fingerprint == record.data_fingerprint


# ---------------------------------------------------------------------------- the trained model


def find(run: str | os.PathLike[str], last: bool = False) -> Path:
    """The file of weights of ``run``.

    Raises:
        UserError: there is none.
    """
    path = Path(run)
    is_folder = os.path.isdir(path)
    file = path / ("last.safetensors" if last else "best.safetensors") if is_folder else path
    try:
        mg.checkpoint.readable(file)
    except FileNotFoundError:
        if is_folder and any(path.glob("state*.safetensors")):
            raise UserError(f"run: no epoch of the run in {path} is finished yet") from None
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


def load(
    run: str | os.PathLike[str],
    device: str = "cpu",
    last: bool = False,
    model_file: str | None = None,
) -> Trained:
    """The model of a run's folder (its best epoch, or its ``last``) or of one of its files.

    Args:
        model_file: FILE.py:FUNCTION of the user's own model; without it, such a model is made only
            if its code was used on this machine before.

    Raises:
        UserError: there is no such run, or training did not write the file.
        minigrad.DeviceError: the device is missing.
    """
    path = find(run, last)
    where = find_device(device)
    try:
        tensors, note = metadata.read(path, where)
    except ValueError as error:
        raise UserError(f"run: {error}") from None
    if "recipe" not in note:
        raise UserError(
            f"run: {path} is not a model that training wrote: it names no recipe "
            "(`cifar import` makes a model of a file of weights)"
        )
    try:
        record = decode(note, SavedRecord)
    except ValueError as error:
        raise UserError(f"run: {path} is not a model that training wrote: {error}") from None
    name = record.recipe.model
    # Its weights are replaced.
    source = record.source and own_code.permitted(record.source, model_file)
    if source is None and model_file is not None:
        raise UserError(f"model: {path} holds the model {name!r}, which needs no file")
    options = record.recipe.model_options
    model = models.build(name, len(record.classes), 0, record.image_size, source, **options)
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # `logits` refuses what is not finite
            model.load_state_dict(tensors)
    except ValueError as error:
        raise UserError(f"run: {path} does not hold the model {name!r}: {error!s:.120}") from None
    return Trained(path, record, model.to(str(where)).eval(), where)


def _some(classes: tuple[str, ...]) -> str:
    return ", ".join(map(metadata.brief, classes[:3])) + (", …" if len(classes) > 3 else "")


def logits(
    trained: Trained, images: NDArray[np.uint8], progress: bool = False, augmented: bool = False
) -> NDArray[np.float32]:
    """The model's logits of uint8 images (N, 3, side, side): float32 (N, classes).

    Args:
        augmented: take the mean over six views of each image (see :mod:`cifar.results.tta`).

    Raises:
        UserError: a logit is NaN or infinite, which models from training never give.
    """
    transform = augment.evaluation(trained.record.recipe.mean, trained.record.recipe.std)
    data = mg.data.TensorDataset(mg.tensor(images, device=trained.device))
    batches = mg.data.DataLoader(data, EVALUATION_BATCH, transform=transform)
    found = []
    hidden = None if progress else True  # None: where stderr is no terminal
    with mg.no_grad(), progress_bar.Bar(len(images), disable=hidden) as bar:
        for (batch,) in batches:
            with bar.step(len(batch)):
                result = tta.logits(trained.model, batch) if augmented else trained.model(batch)
                found.append(result.cpu().numpy())
    scores = np.concatenate(found)
    if not np.isfinite(scores).all():
        raise UserError(f"run: {trained.path} is not a usable model: its logits are not finite")
    return scores
