"""Export and import of trained models: PyTorch's weights, safetensors, ONNX graphs.

    export(Export("runs/simple-seed0", "simple.pt"))
    adopt(Import("simple", "theirs.pt", "ours.safetensors"))

The names and shapes of a model's weights are those of its PyTorch twin (see
:mod:`cifar.twins.reference`), so both load the same files.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import sys
from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import tyro

import minigrad as mg
from cifar import datasets, metadata, models, own_code, process, recipes
from cifar.errors import UserError
from cifar.recipes import overrides
from cifar.results import evaluate
from cifar.results.record import Record, SavedRecord

FORMATS: Final = (".safetensors", ".pt", ".onnx")


@dataclass(frozen=True)
class Export:
    """Write a trained model for other programs: its weights under PyTorch's names, or its graph.

    Attributes:
        run: a folder that training wrote, or one of its .safetensors files.
        out: the file to write. X.safetensors: weights and the run's record. X.pt: weights
            that torch.load reads (needs the extra torch). X.onnx: graph and weights, for any batch
            size (needs the extra onnx).
        last: use a folder's weights of the last epoch, not of the best one.
        half: write the weights in float16: half the size, rounded to 3 digits.
        model: FILE.py:FUNCTION, the run's own model, if it was trained on another machine and
            you trust its code.
    """

    run: str
    out: str
    last: bool = False
    half: bool = False
    model: str | None = None


@dataclass(frozen=True)
class Import:
    """Turn a file of weights into a model for evaluate, predict and export.

    Attributes:
        recipe: the recipe of the network; it also gives the normalisation of the images.
        file: weights by name, as written by safetensors or by torch.save(model.state_dict(),
            "X.pt") (needs the extra torch), or a checkpoint that contains such a dict. The format
            is recognised by the content, not by the file name. A common prefix of all names, such
            as "net.", is removed if the network's names do not have it.
        out: the .safetensors file to write.
        dataset: cifar10, synthetic or folder, which gives the class names.
        data_dir: with --dataset folder, the folder of pictures.
        image_size: side in pixels of the network's images.
        set: FIELD=VALUE, a field of the recipe whose value was different in the weights' training,
            such as mean=0.5,0.5,0.5; may be repeated.
    """

    recipe: str
    file: str
    out: str
    dataset: str = "cifar10"
    set: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    data_dir: str | None = None
    image_size: int = datasets.SIDE


def export(settings: Export) -> evaluate.Trained:
    """Write the file that ``settings`` name, and return the model that is in it.

    Raises:
        UserError: the run cannot be read or the file cannot be written; a package is missing.
    """
    suffix = _suffix(settings.out, FORMATS)
    if settings.half and suffix == ".onnx":
        raise UserError("half: is for weights; a .onnx graph computes in float32")
    with _writing(settings.out):
        mg.checkpoint.writable(settings.out)
    trained = evaluate.load(settings.run, "cpu", settings.last, settings.model)
    with _writing(settings.out):
        if suffix == ".onnx":
            _export_graph(trained, settings.out)
        else:
            note = _portable(trained.record) if suffix == ".safetensors" else None
            state = trained.model.state_dict()
            if settings.half:
                state = {k: v.to("float16") if v.dtype.kind == "f" else v for k, v in state.items()}
            mg.save(state, settings.out, note)
    return trained


def _portable(record: SavedRecord) -> dict[str, Any]:
    """The record without the folders of this machine."""
    init = record.init
    if init is not None:
        init = dataclasses.replace(init, file=init.file.rpartition("/")[2])
    return dataclasses.replace(record, data_dir=None, init=init).as_note()


def _export_graph(trained: evaluate.Trained, out: str) -> None:
    metadata = {
        "classes": trained.classes,
        "mean": trained.record.recipe.mean,
        "std": trained.record.recipe.std,
        "minigrad": _portable(trained.record),
    }
    side = trained.record.image_size
    mg.onnx.export(
        trained.model,
        mg.zeros(1, 3, side, side),
        out,
        input_names=["images"],
        output_names=["logits"],
        metadata={k: json.dumps(v, ensure_ascii=False) for k, v in metadata.items()},
        doc_string=(
            f"{trained.record.describe()}. images: float32 (batch, 3, {side}, {side}), red, "
            "green and blue in [0, 1], less mean, over std. logits: float32 (batch, classes); "
            "their softmax is the probabilities. The metadata hold classes, mean and std as JSON."
        ),
    )


def adopt(settings: Import) -> mg.nn.Module:
    """Write the file that ``settings`` name, and return the model that is in it.

    Raises:
        UserError: the recipe, the weights or the file to write cannot be used; the message says
            which entries do not fit. PyTorch is missing.
    """
    _suffix(settings.out, (".safetensors",))
    with _writing(settings.out):
        mg.checkpoint.writable(settings.out)
    given = recipes.load(settings.recipe)
    recipe = dataclasses.replace(given, **overrides.parse(given, settings.set))
    classes = datasets.classes(settings.dataset, settings.data_dir)
    side = datasets.Options(settings.image_size).image_size or datasets.SIDE
    source = own_code.read(recipe.model) if own_code.is_path(recipe.model) else None
    # Its weights are replaced.
    model = models.build(recipe.model, len(classes), 0, side, source, **recipe.model_options)
    tensors = _weights(settings.file, model.state_dict().keys())
    try:
        model.load_state_dict(tensors)
    except ValueError as error:
        raise UserError(
            f"file: {settings.file} does not hold the model {recipe.model!r}: {error!s:.120}"
        ) from None
    name = Path(settings.file).name
    record = Record(
        recipe, settings.dataset, classes, imported=name, image_size=side, source=source
    )
    with _writing(settings.out):
        mg.save(model.state_dict(), settings.out, record.as_note())
    return model


def _weights(file: str, names: Set[str]) -> dict[str, mg.Tensor]:
    """The tensors of ``file``. If it makes the names match ``names`` better, a common prefix is
    removed, with a note."""
    try:
        with metadata.warnings_as_notes():
            tensors = mg.load(file)
    except (OSError, ValueError, ImportError) as error:
        raise UserError(f"file: {str(error).removeprefix('path: ')}") from None
    places = zip(*(name.split(".")[:-1] for name in tensors), strict=False)
    shared = [parts[0] for parts in itertools.takewhile(lambda parts: len(set(parts)) == 1, places)]
    prefixes = ["".join(f"{part}." for part in shared[:count]) for count in range(len(shared) + 1)]
    prefix = max(prefixes, key=lambda p: len({name.removeprefix(p) for name in tensors} & names))
    if prefix:
        lost = f"all names have lost their first part {prefix!r:.80}"
        print(f"note: {file}: {lost}", file=sys.stderr)
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}


def _suffix(out: str, known: tuple[str, ...]) -> str:
    suffix = Path(out).suffix
    if suffix not in known:
        ends = " or ".join(", ".join(known).rsplit(", ", 1))
        raise UserError(f"out: expected a file that ends in {ends}, got {out}")
    return suffix


@contextmanager
def _writing(out: str) -> Iterator[None]:
    """Turn errors in the block, which writes ``out``, into a UserError."""
    try:
        with process.writing("out", out):
            yield
    except ImportError as error:
        raise UserError(f"out: {str(error).removeprefix('path: ')}") from None
