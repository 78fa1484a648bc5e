"""Fine-tuning: initial weights from a file, and frozen layers."""

from __future__ import annotations

import fnmatch
import sys
from collections.abc import Sequence
from pathlib import Path

import minigrad as mg
from cifar import metadata
from cifar.errors import UserError
from cifar.results.record import Init, encode_path


def begin_from(model: mg.nn.Module, file: str) -> Init:
    """Copy the weights in ``file`` into ``model``. Weights of another shape, such as those of a
    head for other classes, are named on stderr and keep their new initial values.

    Raises:
        UserError: the file cannot be read, has other names than the model, holds NaN or infinity,
            or no weight has the model's shape.
    """
    try:
        tensors, _ = metadata.read(file)
    except ValueError as error:
        raise UserError(f"init: {error}") from None
    own = model.state_dict()
    if different := sorted(own.keys() ^ tensors.keys()):
        raise UserError(
            f"init: {file} holds another model: only one of the two has "
            f"{', '.join(map(metadata.brief, different[:3]))}"
        )
    other = [name for name in own if own[name].shape != tensors[name].shape]
    if len(other) == len(own):
        raise UserError(f"init: {file} holds another model: all its shapes are others")
    for name, value in tensors.items():
        if value.dtype.kind == "f" and not bool(mg.get_xp(value.data).isfinite(value.data).all()):
            raise UserError(f"init: {file} is not usable: {metadata.brief(name)} is not finite")
    model.load_state_dict(tensors | {name: own[name] for name in other})
    for name in other:
        shapes = f"{tuple(tensors[name].shape)} in {file}, {tuple(own[name].shape)} here"
        print(f"note: {name} starts anew: it is {shapes}", file=sys.stderr)
    return Init(encode_path(Path(file)), mg.checkpoint.digest(tensors))


def freeze(model: mg.nn.Module, patterns: Sequence[str]) -> list[mg.nn.Module]:
    """Stop training the parameters whose names match; returns the layers with only such
    parameters, whose running statistics must not change either.

    Args:
        patterns: patterns as in a shell, such as ``features.*``.

    Raises:
        UserError: a pattern matches no parameter, or all are frozen.
    """
    parameters = dict(model.named_parameters())
    for pattern in patterns:
        matching = fnmatch.filter(parameters, pattern)
        if not matching:
            some = ", ".join(list(parameters)[:4])
            raise UserError(
                f"freeze: no parameter matches {pattern!r:.80}; their names are {some}, …"
            )
        for name in matching:
            parameters[name].requires_grad = False
    if not any(p.requires_grad for p in parameters.values()):
        raise UserError("freeze: nothing is left to train; freeze fewer layers")
    return [
        module
        for module in model.modules()
        if (own := list(module.parameters(recurse=False))) and not any(p.requires_grad for p in own)
    ]
