"""Every parameter of PyTorch's, of all that both libraries have, is known by its name, at its place
and with its default; what is lacking is refused by name."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

import minigrad as mg
from minigrad.options import lacks
from tests.common import refuses
from tests.parity.signatures import overloads

HOMES: dict[str, tuple[Any, Any]] = {
    "": (mg, torch),
    "autograd": (mg, torch.autograd),
    "data": (mg.data, torch.utils.data),
    "functional": (mg.functional, torch.nn.functional),
    "nn": (mg.nn, torch.nn),
    "nn.init": (mg.nn.init, torch.nn.init),
    "nn.utils": (mg.nn.utils, torch.nn.utils),
    "onnx": (mg.onnx, torch.onnx),
    "optim": (mg.optim, torch.optim),
    "optim.lr_scheduler": (mg.optim.lr_scheduler, torch.optim.lr_scheduler),
    "optim.swa_utils": (mg.optim.swa_utils, torch.optim.swa_utils),
}


def is_module(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, mg.nn.Module)


LAYERS = [name for name, c in vars(mg.nn).items() if is_module(c) and hasattr(torch.nn, name)]
CLASSES = ("Tensor", *(f"nn.{name}" for name in LAYERS), "optim.Optimizer")
CLASSES += tuple(f"optim.lr_scheduler.{name}" for name in ("LRScheduler", "ReduceLROnPlateau"))

UNLIKE = {  # what has PyTorch's name only, or no signature there
    "Tensor": "a class of C++'s",
    "device": "a class of C++'s",
    "Generator": "a class of C++'s",
    "OutOfMemoryError": "an error",
    "nn.Module.forward": "a placeholder",
    "Tensor.t": "a stub of named dimensions",
    "trace": "the sum of a diagonal",
}
CALLED = {  # the names that parameters have here, where PyTorch names another thing
    "load.f": "path",
    "save.obj": "tensors",
    "save.f": "path",
    "set_num_threads.num": "threads",
    "Tensor.requires_grad_.mode": "requires_grad",  # as PyTorch calls it but in its stub
    "Tensor.to.other": "tensor",  # likewise
    "Tensor.add.k": "other",  # likewise
    "Tensor.copy_.other": "src",  # likewise
}
AT_ANOTHER_PLACE = {"save", "autograd.detect_anomaly"}
# Where PyTorch takes options by keyword only, though not in its stub.
AT_ANOTHER_PLACE |= {"tensor", "Tensor.new_tensor", "functional.scaled_dot_product_attention"}
AT_ANOTHER_PLACE |= {"norm"}  # which has out before dtype; the method has not
BY_ANOTHER_DEFAULT = {
    "nn.TransformerEncoderLayer.activation": "relu, each library's own",
    "functional.avg_pool1d.stride": "None, as of avg_pool2d there",
    "Tensor.var.unbiased": "None, unless correction is given True",
    "Tensor.std.unbiased": "likewise",
    "var.unbiased": "likewise",
    "var_mean.unbiased": "likewise",
    "std_mean.unbiased": "likewise",
    "std.unbiased": "likewise",
    "linspace.steps": "required",
    "Tensor.cpu.memory_format": "None; a value of PyTorch's own",
    "onnx.export.training": "likewise",
    "onnx.export.operator_export_type": "likewise",
    "save.pickle_module": "likewise",
    "data.random_split.generator": "None, for the sequence of manual_seed",
    "nn.Parameter.data": "required",
    "onnx.export.args": "required",
    "onnx.export.f": "required",
    "load.weights_only": "True, as None there",
    "load.mmap": "False, as None there",
}


def both() -> Iterator[tuple[str, Any, Any, Any]]:
    """Name, ours, PyTorch's owner and the name there of all public that both have."""
    for home, (ours, theirs) in HOMES.items():
        for name, value in vars(ours).items():
            here = value.__module__ == ours.__name__ if hasattr(value, "__module__") else False
            if hasattr(theirs, name) and name in getattr(ours, "__all__", [name] * here):
                yield f"{home}.{name}".lstrip("."), getattr(ours, name), theirs, name
    for path in CLASSES:
        ours, theirs = (operator.attrgetter(path)(m) for m in (mg, torch))
        for name in dir(ours):
            inherited = path != "nn.Module" and hasattr(mg.nn.Module, name)
            if hasattr(theirs, name) and not (inherited and name != "forward"):
                yield f"{path}.{name}", getattr(ours, name), theirs, name


PAIRS = {
    path: (ours, theirs, name)
    for path, ours, theirs, name in both()
    if callable(ours) and not inspect.ismodule(ours) and not path.rpartition(".")[2].startswith("_")
    if (ours.__module__ or "").startswith("minigrad") and path not in UNLIKE
}
NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def parameters(path: str, signature: inspect.Signature) -> dict[str, inspect.Parameter]:
    """Those that have a name for callers, under our names, without a method's own object."""
    found = list(signature.parameters.values())
    if path.startswith(CLASSES) and path not in CLASSES and found:
        found = found[1:]
    return {
        CALLED.get(f"{path}.{p.name}", "input" if p.name == "self" else p.name): p
        for p in found
        if p.kind in NAMED and not p.name.startswith("_")
    }


def of_all(check: Callable[[str], None]) -> None:
    """All that is wrong at once: a test for each of 800 names takes longer to find than to run."""
    wrong = {}
    for path in PAIRS:
        try:
            check(path)
        except (AssertionError, pytest.fail.Exception) as error:
            wrong[path] = error
    assert wrong == {}


def test_every_parameter_of_pytorchs():
    of_all(check_parameters)


def check_parameters(path: str) -> None:
    ours, owner, name = PAIRS[path]
    mine = parameters(path, inspect.signature(ours))
    sizes = [
        p.name for p in inspect.signature(ours).parameters.values() if p.kind == p.VAR_POSITIONAL
    ]
    forms = [parameters(path, form) for form in overloads(owner, name)]
    theirs = {called: p for form in forms for called, p in form.items()}
    assert theirs.keys() - mine.keys() - {*sizes} == set(), "not known"

    for called in theirs.keys() & mine.keys():
        defaults = [form[called].default for form in forms if called in form]
        default = mine[called].default
        known = [d for d in defaults if d is not inspect.Parameter.empty and d is not ...]
        if known and f"{path}.{called}" not in BY_ANOTHER_DEFAULT:
            assert any(default is d or default == d for d in known), (called, default, known)

    def ordered(found: dict[str, inspect.Parameter]) -> list[str]:
        return [called for called, p in found.items() if p.kind == p.POSITIONAL_OR_KEYWORD]

    if path not in AT_ANOTHER_PLACE and not sizes:
        assert any(ordered(form) == ordered(mine)[: len(ordered(form))] for form in forms)


def test_what_is_lacking_is_refused_by_name():
    of_all(check_lacking)


def check_lacking(path: str) -> None:
    ours, _, _ = PAIRS[path]
    function = ours.__init__ if inspect.isclass(ours) else ours
    own = inspect.signature(inspect.unwrap(function)).parameters
    for name in inspect.signature(function).parameters.keys() - own.keys():
        refuses(NotImplementedError, f"{name}=<object", lambda n=name: ours(**{n: object()}))


@lacks("device", "dtype", out=None, force=False)
def add(a: int, b: int = 1, *, c: int = 0) -> int:
    return a + b + c


def test_lacking():
    assert add(1) == add(1, 1, None) == add(1, 1, None, None, c=0) == 2
    assert add(1, b=2, device=None, dtype=None, out=None, force=False, c=3) == 6
    for text, call in (
        ("device='cpu' is not supported (only None)", lambda: add(1, 1, "cpu")),
        ("dtype='int8' is not supported (only None)", lambda: add(1, 1, None, "int8")),
        ("out=", lambda: add(out=[1])),
        ("force=True is not supported (only False)", lambda: add(1, force=True)),
    ):
        refuses(NotImplementedError, text, call)
    refuses(TypeError, "unexpected keyword argument 'd'", lambda: add(1, d=2))
    refuses(TypeError, "takes from 1 to 2 positional", lambda: add(1, 1, None, None, None))
    refuses(TypeError, "missing 1 required", lambda: add(device=None))
    assert str(inspect.signature(add)) == (
        "(a: 'int', b: 'int' = 1, device=None, dtype=None, *, c: 'int' = 0, out=None, force=False)"
        " -> 'int'"
    )


def test_sizes_by_name_as_pytorch():
    for m in (mg, torch):
        x = m.zeros(size=(2, 3))
        assert tuple(x.shape) == tuple(m.ones(size=(2, 3)).shape) == (2, 3)
        assert tuple(m.randn(size=(1,)).expand(size=(4,)).shape) == (4,)
        assert tuple(x.reshape(shape=(3, 2)).shape) == tuple(x.view(size=(3, 2)).shape) == (3, 2)
        assert tuple(x.permute(dims=(1, 0)).shape) == (3, 2)
    wrong = mg.ones(2, 3), torch.ones(2, 3)
    refuses(TypeError, "size: given twice", *(lambda x=x: x.view(3, 2, size=(6,)) for x in wrong))
