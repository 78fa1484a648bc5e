"""Metrics of a model: those of an epoch, and those on a labelled set."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from cifar import metadata

EVALUATION_BATCH = 250
F = mg.functional


@dataclass(frozen=True)
class EpochMetrics:
    """One epoch's figures: a line of ``metrics.jsonl``. Absent figures are None.

    Attributes:
        epoch: from 1.
        lr: learning rate of the first parameter group.
        train_loss, train_accuracy: means over the epoch's images, each before its batch's update.
        validation_loss, validation_accuracy: for the images that the recipe holds out.
        test_loss, test_accuracy: for the test set, if it was evaluated.
        validation_tta_accuracy, test_tta_accuracy: with test-time augmentation, after the last
            epoch of a recipe that uses it.
        seconds: time of the epoch's training steps, including loading and augmentation, without
            compilation and evaluation; in the first epoch, with that of anything computed from the
            training images before the first step (``whiten``).
        compile_seconds: time in which kernels were compiled during the steps, on a machine's first
            run; not included in ``seconds``.
        evaluation_seconds: time of the evaluation after the epoch.
        training_seconds: sum of ``seconds`` of this epoch and all before it.
        images_per_second: speed of training.
        peak_memory_mb: largest resident size of the process so far, in MB of 10^6 bytes.
        gpu_memory_mb: GPU memory held by the run.
        skipped: number of batches that overflowed in bf16.

    Raises:
        ValueError: a figure is out of range or not finite.
    """

    epoch: int
    lr: float | None = None
    train_loss: float | None = None
    train_accuracy: float | None = None
    validation_loss: float | None = None
    validation_accuracy: float | None = None
    test_loss: float | None = None
    test_accuracy: float | None = None
    validation_tta_accuracy: float | None = None
    test_tta_accuracy: float | None = None
    seconds: float = 0.0
    compile_seconds: float | None = None
    evaluation_seconds: float | None = None
    training_seconds: float | None = None
    images_per_second: float | None = None
    peak_memory_mb: float | None = None
    gpu_memory_mb: float | None = None
    skipped: int | None = None

    def __post_init__(self) -> None:
        for name, value in self.as_dict().items():
            low, high = -metadata.MAX_FLOAT, metadata.MAX_FLOAT
            if name.endswith("_accuracy"):
                low, high = 0, 1
            elif name != "epoch" and not name.endswith("_loss"):
                low = 0
            elif name == "epoch":
                low = 1
            if not metadata.is_number(value, low, high):
                raise ValueError(f"{name} {metadata.brief(value)}")

    def as_dict(self) -> dict[str, Any]:
        """The figures that are not None, by name."""
        return {k: v for k, v in dataclasses.asdict(self).items() if v is not None}

    def accuracy(self, part: str) -> float:
        """The accuracy on "train", "validation" or "test", or None."""
        return float(getattr(self, f"{part}_accuracy"))


# ---------------------------------------------------------------------------- of a labelled set


def evaluate(
    model: mg.nn.Module,
    data: mg.data.DataLoader,
    l2: float = 0.0,
    logits_of: Callable[[mg.nn.Module, mg.Tensor], mg.Tensor] = lambda model, images: model(images),
) -> tuple[float, NDArray[np.int64]]:
    """Mean cross-entropy (and the L2 term) over ``data`` and its :func:`confusion`, in evaluation
    mode. Ranks that share the data evaluate a part each.

    Args:
        logits_of: the model's logits of a batch, such as :func:`cifar.results.tta.logits`.
    """
    model.eval()
    losses, guesses, truths = [], [], []  # read at the end, since reading waits for a GPU
    with mg.no_grad():
        for images, labels in data:
            logits = logits_of(model, images)
            losses.append(F.cross_entropy(logits, labels, reduction="sum"))
            guesses.append(logits.argmax(1))
            truths.append(labels)
        term = l2_penalty(model, l2).item() if l2 else 0.0
    loss = 0.0
    for value in mg.stack(losses).cpu().numpy().tolist():
        loss += value
    guessed, true = (mg.cat(parts).cpu().numpy() for parts in (guesses, truths))
    counts = confusion(guessed, true, logits.shape[1])
    if data.num_replicas > 1:  # each rank has a part of the images
        sums = mg.tensor([loss, *counts.ravel()], dtype="float64")
        mg.distributed.all_reduce(sums)
        loss, counts = sums[0].item(), sums[1:].long().numpy().reshape(counts.shape)
    return loss / len(data.dataset) + term, counts


def l2_penalty(model: mg.nn.Module, factor: float) -> mg.Tensor:
    """``factor`` times the sum of squares of all 3 x 3 kernels: a scalar."""
    kernels = [p for p in model.parameters() if p.shape[2:] == (3, 3)]
    first, *others = ((kernel * kernel).sum() for kernel in kernels)
    return sum(others, first) * factor


def confusion(
    guesses: NDArray[np.int64], labels: NDArray[np.int64], classes: int
) -> NDArray[np.int64]:
    """Images by true class (row) and predicted class (column), int64 (classes, classes), of two
    arrays (N,) of class indices."""
    pairs = np.bincount(labels * classes + guesses, minlength=classes * classes)
    return pairs.reshape(classes, classes)


@dataclass(frozen=True)
class ClassRecall:
    """The recall of a class.

    Attributes:
        recall: fraction of the class's images that are recognised; 0 for a class without images.
        support: number of images of the class.
    """

    recall: float
    support: int = 0

    def __post_init__(self) -> None:
        if not metadata.is_number(self.recall):
            raise ValueError(f"recall {metadata.brief(self.recall)}")


def recall_by_class(
    counts: NDArray[np.int64], classes: tuple[str, ...]
) -> Mapping[str, ClassRecall]:
    """The recalls from a :func:`confusion`, by class name."""
    correct, support = counts.diagonal().tolist(), counts.sum(axis=1).tolist()
    return {
        name: ClassRecall(right / max(1, count), count)
        for name, right, count in zip(classes, correct, support, strict=True)
    }


@dataclass(frozen=True)
class Scores:
    """Scores of one class, or means over classes; 0 if the denominator is 0.

    Attributes:
        precision: fraction of the images predicted as the class that belong to it.
        recall: fraction of the class's images that are predicted as the class.
        f1: harmonic mean of the two.
        support: number of images of the class; of all classes for a mean.
    """

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Evaluation:
    """The metrics of a model on a labelled set.

    Attributes:
        images: number of images.
        loss: mean cross-entropy in nats, without l2_term.
        l2_term: the L2 term of a recipe that adds one to the reported losses, otherwise 0.
        accuracy: fraction of the images whose likeliest class is the true one.
        per_class: scores by class name.
        macro, weighted: means over classes, plain and weighted by support.
        confusion: number of images by true class (row) and predicted class (column).
        picked: whether the epoch was chosen by its accuracy on these images, which biases it.
        accuracy_without_tta: accuracy without test-time augmentation, if the other figures use it.
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
    accuracy_without_tta: float | None = None


def log_probabilities(logits: NDArray[Any]) -> NDArray[np.float64]:
    """log softmax over the last axis."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    result: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def measure(
    logits: NDArray[Any], labels: NDArray[Any], classes: tuple[str, ...], l2_term: float = 0.0
) -> Evaluation:
    """The metrics of ``logits`` (N, C) for the true ``labels`` (N,), N at least 1.

    Precision, recall, F1 and their means are those of scikit-learn's ``classification_report``
    with ``labels=range(C), zero_division=0``.
    """
    n, c = logits.shape
    counts = confusion(logits.argmax(axis=1), labels, c)
    per_class, macro, weighted = scores(counts, classes)
    return Evaluation(
        images=n,
        loss=float(-log_probabilities(logits)[np.arange(n), labels].mean()),
        l2_term=l2_term,
        accuracy=float(counts.trace() / n),
        per_class=per_class,
        macro=macro,
        weighted=weighted,
        confusion=counts.tolist(),
    )


def scores(
    counts: NDArray[np.int64], classes: tuple[str, ...]
) -> tuple[dict[str, Scores], Scores, Scores]:
    """The scores from a :func:`confusion`, by class name, and their means, plain and weighted by
    support."""
    correct, support, predicted = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    shares = np.array(
        [
            _ratio(correct, predicted),
            _ratio(correct, support),
            _ratio(2 * correct, predicted + support),
        ]
    )  # precision, recall and F1, each by class
    n = int(support.sum())
    per_class = {name: _scores(shares[:, i], support[i]) for i, name in enumerate(classes)}
    return per_class, _scores(shares.mean(axis=1), n), _scores(shares @ support / max(1, n), n)


def _scores(shares: NDArray[Any], support: int) -> Scores:
    precision, recall, f1 = (float(share) for share in shares)
    return Scores(precision, recall, f1, int(support))


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[Any]:
    """``part / whole``; 0 where ``whole``, and therefore ``part``, is 0."""
    return part / np.maximum(whole, 1)
