"""Comparisons of minigrad and PyTorch in several variants, each measured in its own process.

A *contestant* is a library with its settings. PyTorch runs eagerly, in NCHW and in channels_last,
each with glibc's default and with glibc set to keep freed memory ("keeping"). The latter avoids
page faults, as minigrad's memory pool does. "minigrad" uses compiled kernels if Numba is installed;
"minigrad numpy" does not. "gpu" in a name selects the first GPU. A precision may follow ("fp32",
"tf32", or "bf16", which is autocast in PyTorch), and "compiled" for PyTorch's compiler or
"captured" for minigrad's recorded step: "torch channels_last gpu tf32 compiled".

A benchmark is a module with a function ``measure(contestant, threads, **work)`` that returns plain
values. :func:`rounds` runs it for every contestant in turn, several times, so that a machine that
slows down affects all of them. :func:`engine` gives the benchmark the contestant's library with the
names that both libraries share, so that the work is written once.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType
from typing import Any

import minigrad as mg
from cifar import environment

OURS = ("minigrad", "minigrad numpy")
KEPT = ("torch nchw keeping", "torch channels_last keeping")
TORCH = ("torch nchw", "torch channels_last", *KEPT)
QUICK = ("minigrad", *KEPT)  # ours as installed and PyTorch at its best
KEEPING = {"MALLOC_MMAP_THRESHOLD_": str(2**32), "MALLOC_TRIM_THRESHOLD_": str(2**32)}
COMPILED = "MINIGRAD_COMPILED"


# ---------------------------------------------------------------------------- in the child


class Engine:
    """A contestant's library, with the names that minigrad and PyTorch share.

    Attributes:
        library: the package.
        functional, optim, nn: its modules of operations, optimisers and layers.
    """

    library: Any
    functional: ModuleType
    optim: ModuleType
    nn: ModuleType

    def create(self, name: str) -> Any:
        """The model of that name in :mod:`cifar.models`, or its PyTorch twin."""
        raise NotImplementedError

    def recorded(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """``step``, captured if the contestant replays a recorded step."""
        return step

    def wait(self) -> None:
        """Wait until all work is done, since a GPU works asynchronously."""
        raise NotImplementedError

    def fuse(self, model: Any) -> Any:
        """``model`` for inference, with batch norm folded into the convolutions."""
        raise NotImplementedError

    def inference(self) -> AbstractContextManager[Any]:
        """Context in which nothing is kept for gradients."""
        raise NotImplementedError

    def activation(self, *shape: int) -> Any:
        """Random values of ``shape`` (N, ...), in the memory order of the library's results."""
        raise NotImplementedError

    def parameter(self, *shape: int) -> Any:
        """Random values in the memory order of a parameter."""
        raise NotImplementedError

    def labels(self, count: int) -> Any:
        """``count`` classes out of ten."""
        raise NotImplementedError

    def like(self, y: Any) -> Any:
        """A copy of ``y`` in the same memory order."""
        raise NotImplementedError


PRECISIONS = ("fp32", "tf32", "bf16")


def _precision(options: Sequence[str]) -> str | None:
    return next((name for name in PRECISIONS if name in options), None)


class _Minigrad(Engine):
    def __init__(self, threads: int, options: Sequence[str]) -> None:
        import minigrad

        minigrad.set_num_threads(threads)
        minigrad.set_precision(_precision(options))
        self.library = minigrad
        self.functional, self.optim = minigrad.functional, minigrad.optim
        self.nn = minigrad.nn
        self.device = minigrad.device("gpu" if "gpu" in options else "cpu")
        self.captured = "captured" in options

    def create(self, name: str) -> Any:
        from cifar import models

        return models.create(name).to(self.device)

    def recorded(self, step: Callable[..., Any]) -> Callable[..., Any]:
        return self.library.CapturedStep(step) if self.captured else step

    def wait(self) -> None:
        if self.device.type == "gpu":
            self.device.xp.cuda.Device(self.device.index).synchronize()

    def fuse(self, model: Any) -> Any:
        return model.fuse(self.library.zeros(1, 3, 32, 32, device=self.device))

    def inference(self) -> AbstractContextManager[Any]:
        return self.library.no_grad()

    def activation(self, *shape: int) -> Any:
        # The batch is the innermost axis in memory.
        memory = self.library.randn(*shape[1:], shape[0], device=self.device)
        return memory.permute(-1, *range(len(shape) - 1))

    def parameter(self, *shape: int) -> Any:
        return self.library.randn(*shape, device=self.device)

    def labels(self, count: int) -> Any:
        return self.library.tensor([i % 10 for i in range(count)], device=self.device)

    def like(self, y: Any) -> Any:
        return self.library.Tensor(y.data.copy(order="K"))


class _Torch(Engine):
    def __init__(self, threads: int, options: Sequence[str]) -> None:
        import torch

        torch.set_num_threads(threads)
        self.library = torch
        self.functional, self.optim, self.nn = torch.nn.functional, torch.optim, torch.nn
        layout = options[0]
        self.order = getattr(torch, {"nchw": "contiguous_format"}.get(layout, layout))
        self.device = torch.device("cuda" if "gpu" in options else "cpu")
        self.compiled, self.precision = "compiled" in options, _precision(options)
        torch.backends.cudnn.benchmark = True  # choose algorithms by measuring them
        rounded = self.precision != "fp32"
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = rounded

    def create(self, name: str) -> Any:
        from cifar.twins import reference

        model = reference.create(name).to(self.device)
        model = model.to(memory_format=self.order)  # type: ignore[call-overload]
        if self.precision == "bf16":
            model = self._autocast(model)
        return self.library.compile(model) if self.compiled else model

    def _autocast(self, model: Any) -> Any:
        torch, device = self.library, self.device.type

        class Autocast(torch.nn.Module):  # type: ignore[name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.model = model

            def forward(self, images: Any) -> Any:
                with torch.autocast(device, torch.bfloat16):
                    return self.model(images)

        return Autocast()

    def wait(self) -> None:
        if self.device.type == "cuda":
            self.library.cuda.synchronize()

    def fuse(self, model: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of torch.jit, inside torch.fx
            from torch.fx.experimental import optimization

        return optimization.fuse(model).to(memory_format=self.order)  # type: ignore[call-overload]

    def inference(self) -> AbstractContextManager[Any]:
        return self.library.inference_mode()

    def activation(self, *shape: int) -> Any:
        values = self.library.randn(*shape, device=self.device)
        return values.contiguous(memory_format=self.order) if len(shape) == 4 else values

    parameter = activation  # filters too have the layout

    def labels(self, count: int) -> Any:
        return self.library.arange(count, device=self.device) % 10

    def like(self, y: Any) -> Any:
        return y.detach().clone()


def engine(contestant: str, threads: int) -> Engine:
    """The library of ``contestant``, imported and warmed up: one small operation loads the parts
    that are loaded at first use, for minigrad the compiler."""
    library, *options = contestant.split()
    loaded = {"minigrad": _Minigrad, "torch": _Torch}[library](threads, options)
    loaded.functional.batch_norm(loaded.activation(4, 2, 2, 2), None, None, training=True)
    return loaded


def times(
    function: Callable[[], object], least: int, seconds: float = 0.0, most: int = 0, warm: int = 1
) -> list[float]:
    """Seconds of each call of ``function``: ``least`` calls and, up to ``most``, as many more as
    start within ``seconds``, after ``warm`` calls that are not counted."""
    for _ in range(warm):
        function()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < least or (len(times) < most and time.perf_counter() < end):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return times


# ---------------------------------------------------------------------------- in the parent


class ContestError(Exception):
    """A contestant failed; the message is one line."""


def in_child(benchmark: str, contestant: str, most: float | None = None, **work: Any) -> Any:
    """``benchmarks.<benchmark>.measure(contestant, **work)`` in a new process.

    Args:
        most: time limit in seconds.

    Raises:
        ContestError: the process failed or exceeded the limit.
    """
    try:
        result = subprocess.run(
            [sys.executable, "-m", "benchmarks.contest", f"benchmarks.{benchmark}"],
            input=json.dumps({"contestant": contestant, **work}),
            capture_output=True,
            encoding="utf-8",
            check=False,
            env=_environment(contestant),
            timeout=most,
        )
    except subprocess.TimeoutExpired:
        raise ContestError(f"{contestant}: not done after {most:.0f} s") from None
    if result.returncode:
        lines = result.stderr.strip().splitlines() or [f"exit code {result.returncode}"]
        raise ContestError(f"{contestant}: {lines[-1]}")
    return json.loads(result.stdout)


def _environment(contestant: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in (*KEEPING, COMPILED)}
    if contestant.endswith("keeping"):
        kept |= KEEPING
    if contestant == "minigrad numpy":
        kept[COMPILED] = "0"
    return kept


def rounds(
    benchmark: str, contestants: Sequence[str], count: int, **work: Any
) -> dict[str, list[Any]]:
    """The results of each contestant in ``count`` rounds, in each of which all run in turn."""
    results: dict[str, list[Any]] = {name: [] for name in contestants}
    for _ in range(count):
        for name, own in results.items():
            own.append(in_child(benchmark, name, **work))
    return results


# ---------------------------------------------------------------------------- command lines


def positive(text: str) -> int:
    """Parse a positive integer, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text!r}")
    return int(text)


def seconds(text: str) -> float:
    """Parse a positive time, for argparse."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"expected seconds above 0, got {text!r}")
    return number


def new_file(text: str) -> Path:
    """Parse a writable path, for argparse, so that an error comes before hours of work."""
    try:
        mg.checkpoint.writable(text)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot write {text!r}: {error.strerror}") from None
    return Path(text)


def parser(
    documentation: str | None, turns: int, per_turn: float | None = None
) -> argparse.ArgumentParser:
    """A parser with the options that benchmarks share: --rounds (default ``turns``), --out and,
    if ``per_turn`` is given, --seconds with that default."""
    made = argparse.ArgumentParser(description=(documentation or "").split("\n\n")[0])
    add = made.add_argument
    add("--rounds", type=positive, default=turns, help=f"rounds, each of all contestants ({turns})")
    if per_turn is not None:
        help = f"seconds for each measurement of a round, if that is enough ({per_turn})"
        add("--seconds", type=seconds, default=per_turn, help=help)
    add("--out", type=new_file, help="write the results to this JSON file")
    return made


def heading(threads: int, peaks: dict[str, float]) -> str:
    """The number of threads and the machine's peak, printed above the tables."""
    return (
        f"{threads} threads; sgemm {peaks['gflops']:.0f} GFLOP/s, "
        f"copy {peaks['gb_per_second']:.1f} GB/s\n"
    )


def run(work: Callable[[], None]) -> None:
    """Run ``work``; a contestant's failure gives one line on stderr and exit code 1."""
    try:
        work()
    except ContestError as error:
        sys.exit(f"error: {error}")


def describe() -> dict[str, Any]:
    """:func:`cifar.environment.describe` with the versions of Numba and PyTorch."""
    return environment.describe("numba", "torch")


if __name__ == "__main__":
    module = importlib.import_module(sys.argv[1])
    print(json.dumps(module.measure(**json.load(sys.stdin))))
