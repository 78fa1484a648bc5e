"""Write ``docs/names.md``, the list of PyTorch's names: ``python -m tests.parity.names``."""

from __future__ import annotations

import inspect
import json
import operator
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch

import minigrad as mg

PAGE = Path(__file__).parents[2] / "docs" / "names.md"
REPOSITORIES: dict[str, Any] = json.loads(
    Path(__file__).with_name("cifar_repositories.json").read_text(encoding="utf-8")
)

HOMES: dict[str, tuple[Any, Any]] = {
    "torch": (torch, mg),
    "torch.Tensor": (torch.Tensor, mg.Tensor),
    "torch.nn": (torch.nn, mg.nn),
    "torch.nn.Module": (torch.nn.Module, mg.nn.Module),
    "torch.nn.functional": (torch.nn.functional, mg.functional),
    "torch.nn.init": (torch.nn.init, mg.nn.init),
    "torch.nn.utils": (torch.nn.utils, mg.nn.utils),
    "torch.optim": (torch.optim, mg.optim),
    "torch.optim.lr_scheduler": (torch.optim.lr_scheduler, mg.optim.lr_scheduler),
    "torch.optim.swa_utils": (torch.optim.swa_utils, mg.optim.swa_utils),
    "torch.autograd": (torch.autograd, mg.autograd),
    "torch.utils.data": (torch.utils.data, mg.data),
}
# Of a backend, of TorchScript's compiler, of storage, of quantised and sparse tensors.
INTERNAL = re.compile(
    r"cudnn_|miopen_|mkldnn_|fbgemm_|quantize|batch_norm_|sparse|to_sparse|q_|sym_|unsafe_|native_"
    r"|.*_copy$|.*_codegen|.*(Type|Value|Storage|DispatchKey.*|Guard|Autocast.*)$|bits|u?int\d$"
    r"|autocast_|is_autocast|get_autocast|set_autocast|.*_dtypes?_for|fused_moving|fake_quantize"
    r"|(import|merge|parse|unify|wait|fork|init)_|handle_torch|has_torch"
)
CLASSES = {"Tensor", "Generator", "Size", "Event", "Stream", "GradScaler", "OutOfMemoryError"}
DIFFERENT = {  # names whose meaning differs: an explanation, or the row of docs/differences.md
    "torch.trace": "prints the tape as a table; PyTorch's is the sum of a diagonal",
    "torch.load": "reads safetensors, and the tensors of PyTorch's own files",
    "torch.save": "writes safetensors, or PyTorch's format if the name ends in .pt or .pth",
    "torch.Tensor": "makes a tensor from data, never an uninitialised one from sizes",
    "torch.Tensor.view": "view-copies",
    "torch.Tensor.unfold": "a copy; PyTorch's is a view",
    "torch.cat": "cat-empty-vector",
    "torch.multinomial": "unchecked-numbers",
    "torch.manual_seed": "random-draws",
    "torch.inference_mode": "inference-results",
    "torch.nn.functional.mse_loss": "mse-broadcast",
    "torch.nn.functional.linear": "linear-vector",
    "torch.nn.functional.dropout2d": "dropout-channels",
    "torch.nn.functional.max_pool2d": "max-pool-nan",
    "torch.optim.Muon": "muon",
    "torch.utils.data.DataLoader": "loader-orders",
}


class Home(NamedTuple):
    """The public names of one of PyTorch's modules or classes."""

    supported: list[str]
    missing: list[str]


def is_internal(home: str, name: str, value: Any) -> bool:
    """Whether a name without a leading underscore is internal nevertheless."""
    if name.startswith("_") or INTERNAL.match(name) or inspect.ismodule(value):
        return True
    if home == "torch":  # classes of its compiler and of its storage
        return name[0].isupper() and not name.endswith("Tensor") and name not in CLASSES
    if home == "torch.nn.functional":  # what it imports, and texts
        return name[0].isupper() or not callable(value)
    return str(getattr(value, "__module__", "")).startswith(("typing", "collections"))


def public(home: str) -> list[str]:
    theirs, _ = HOMES[home]
    names = dir(theirs) if inspect.isclass(theirs) else getattr(theirs, "__all__", dir(theirs))
    return sorted(n for n in set(names) if not is_internal(home, n, getattr(theirs, n, None)))


def found(home: str) -> Home:
    names, ours = public(home), HOMES[home][1]
    supported = [n for n in names if not inspect.ismodule(getattr(ours, n, mg))]
    return Home(supported, [n for n in names if n not in supported])


def used() -> dict[str, list[str]]:
    """The names that the repositories use, each with those that use it."""
    names: dict[str, list[str]] = {}
    for repository, record in REPOSITORIES.items():
        for name in record["names"]:
            names.setdefault(name, []).append(repository)
    return dict(sorted(names.items()))


def _instances(library: Any) -> dict[str, Any]:
    """Objects whose attributes are names too, though their classes do not have them."""
    layer = library.nn.Linear(2, 2)
    optimizer = library.optim.SGD(layer.parameters(), lr=0.1)
    return {
        "nn.Module": layer,
        "nn.BatchNorm2d": library.nn.BatchNorm2d(2),
        "nn.LayerNorm": library.nn.LayerNorm(2),
        "optim.Optimizer": optimizer,
        "optim.lr_scheduler.LRScheduler": library.optim.lr_scheduler.StepLR(optimizer, 1),
    }


OBJECTS = {library: _instances(library) for library in (mg, torch)}


def has(library: Any, name: str) -> bool:
    """Whether minigrad or PyTorch has ``name``, as the repositories' list spells it."""
    name = re.sub(r"^F\.", "nn.functional.", name.removeprefix("torch."))
    if library is mg:
        name = name.removeprefix("utils.")
    owner, _, attribute = name.rpartition(".")
    if owner in OBJECTS[library]:
        return hasattr(OBJECTS[library][owner], attribute)
    try:
        operator.attrgetter(name)(library)
    except AttributeError:
        return False
    return True


# Names that the repositories use and minigrad does not have, with the alternative. A name that
# ends in a dot stands for all that start with it.
OUT_OF_SCOPE = {
    "torch.cuda.": '`.to("gpu")`, `mg.is_gpu_available()`',
    "torch.backends.": "settings of PyTorch's libraries; nothing to set here",
    "torch.jit.": "compilers of PyTorch",
    "torch.compile": "compilers of PyTorch",
    "torch.distributions.": "`mg.bernoulli` and the other draws",
    "torch.linalg.": "`numpy.linalg` of `x.numpy()`; used without gradients",
    "torch.utils.tensorboard.": "`cifar train` records and plots every run",
    "torch.utils.data.dataloader.": "`mg.data.default_collate`; an internal module of PyTorch",
    "torch.channels_last": "there is [one memory layout](layout.md)",
    "torch.FloatTensor": '`mg.tensor(..., dtype="float32")`; a type from before PyTorch 0.4',
    "torch.LongTensor": '`mg.tensor(..., dtype="int64")`; a type from before PyTorch 0.4',
    "Tensor.bfloat16": "[`kinds`](differences.md): NumPy has no bfloat16",
    "autograd.Function": "[`@mg.op`](operations.md) defines an operation",
    "nn.DataParallel": "[`mg.distributed`](distributed.md): one process per device",
    "nn.modules.": "a private class; `isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))`",
    "nn.utils.prune": "no study prunes",
    "torch.get_rng_state": "`mg.manual_seed(seed, epoch, step)`: there is no state to save",
    "torch.set_rng_state": "likewise",
}


def reason(name: str) -> str | None:
    """Why a name of the repositories is out of scope; None if it is not."""
    for given, why in OUT_OF_SCOPE.items():
        if name == given or (given.endswith(".") and name.startswith(given)):
            return why
    return None


def _listed(names: list[str]) -> str:
    return textwrap.fill(", ".join(f"`{n}`" for n in names), 100, break_long_words=False)


def _lines() -> Iterator[str]:
    yield "# PyTorch's names\n"
    yield (
        f"This page lists the public names of PyTorch {torch.__version__.partition('+')[0]}. "
        "A supported name has the same meaning\nas in PyTorch, except for the "
        "[intended differences](differences.md); a missing option raises an error that\nnames it. "
        "Modules, private names, and names of PyTorch's backends, compiler, storage, and quantised "
        "and\nsparse tensors are left out. `python -m tests.parity.names` writes this page, and a "
        "test checks it.\n"
    )
    yield "| module or class | supported | missing |\n|---|---|---|"
    homes = {home: found(home) for home in HOMES}
    for home, (supported, missing) in homes.items():
        anchor = home.lower().replace(".", "")
        yield f"| [`{home}`](#{anchor}) | {len(supported)} | {len(missing)} |"
    yield "\n## In CIFAR repositories\n"
    names = used()
    lacking = {name: users for name, users in names.items() if not has(mg, name)}
    yield (
        f"{len(REPOSITORIES)} widely used repositories that train on CIFAR with PyTorch use "
        f"{len(names)} of its names in the\nfiles that were read. "
        "`tests/parity/cifar_repositories.json` has the files, their commits, and the\nnames, "
        f"listed by hand. minigrad has {len(names) - len(lacking)}; the others are out of scope.\n"
    )
    yield "| repository | names | missing |\n|---|---|---|"
    for repository, record in REPOSITORIES.items():
        absent = sum(n in lacking for n in record["names"])
        yield f"| {repository} | {len(record['names'])} | {absent} |"
    yield "\n| missing | repositories | alternative or reason |\n|---|---|---|"
    for name, users in lacking.items():
        yield f"| `{name}` | {len(users)} | {reason(name)} |"
    for home, (supported, missing) in homes.items():
        yield f"\n## {home}\n"
        yield f"**Supported ({len(supported)}):**\n{_listed(supported)}\n"
        different = [n for n in supported if f"{home}.{n}" in DIFFERENT]
        if different:
            notes = []
            for name in different:
                note = DIFFERENT[f"{home}.{name}"]
                linked = f"[{note}](differences.md)" if re.fullmatch(r"[a-z-]+", note) else note
                notes.append(f"- `{name}`: {linked}")
            yield "**Supported with differences:**\n\n" + "\n".join(notes) + "\n"
        if missing:
            yield f"**Missing ({len(missing)}):**\n{_listed(missing)}"


def page() -> str:
    return "\n".join(_lines()) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
