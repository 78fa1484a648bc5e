"""Speed of each operation of the studies' training steps, compared with PyTorch, on the CPU.

    python -m benchmarks.model_ops                              # all, about five minutes
    python -m benchmarks.model_ops --model resnet-82 --op conv2d
    python -m benchmarks.model_ops --model gated --batch 1      # where the time of one image goes

The operations are those that the models call, collected by running them, once for each distinct
shape at the batch size of the study's recipe, and the optimisers on the models' parameters.
(:mod:`benchmarks.ops` has every public operation.) Forward (recorded for backward, as in training),
the gradient of the input and that of the parameters are timed separately; gradients that a step
does not need are skipped. Operands have the memory order of each library's own results. PyTorch's
time is the better of NCHW and channels_last, for each part, with glibc keeping freed memory (see
:mod:`benchmarks.contest`).

For convolutions and linear layers, GFLOP/s count the operations of the definition (Winograd's
algorithm needs fewer). For the others, GB/s count each array that must be read or written once.
Both are compared with a peak measured just before, that of a large matrix product or a large copy.
Small operands stay in the cache, so the share of the copy's rate may exceed 100 %.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import minigrad as mg
from benchmarks import contest, study
from benchmarks.contest import KEPT, QUICK, Engine
from benchmarks.study import Call
from cifar import environment
from cifar.results.tables import table

NAME = "model_ops"
OPTIMIZER = "optimizer"
LEAST, MOST = 3, 1000  # calls of one part in a turn
STATE = {"SGD": 1, "RMSprop": 1, "Adam": 2}  # arrays that the recipes' optimisers keep
KINDS = {"input": "input", "residual": "input", "weight": "parameters", "bias": "parameters"}
REREAD = ("batch_norm", "relu", "max_pool2d")  # whose derivative depends on the input


@dataclass(frozen=True)
class Case:
    """A :class:`benchmarks.study.Call` to time, or ``model``'s optimiser if ``call`` is None."""

    call: Call | None
    model: str
    label: str
    parts: tuple[str, ...]

    @property
    def op(self) -> str:
        return self.call.op if self.call else OPTIMIZER


def cases(chosen: tuple[str, ...], ops: tuple[str, ...], batch: int | None = None) -> list[Case]:
    """The distinct operations among ``ops`` of the ``chosen`` models, on ``batch`` images, or on as
    many as the recipe of each; a case names the first model that has it."""
    by_call: dict[Call, Case] = {}
    optimizers = []
    for model in chosen:
        recipe = study.recipe(model)
        for call in study.calls(model, batch or recipe.batch_size):
            if call.op == "dropout" and dict(call.options)["p"] == 0:
                continue  # the identity
            by_call.setdefault(call, Case(call, model, _label(call), ("forward", *call.gradients)))
        label = f"{study.update(model)[0]} of {model}"
        optimizers.append(Case(None, model, label, ("step",)))
    every = sorted(by_call.values(), key=lambda case: study.OPERATIONS.index(case.op))
    return [case for case in (*every, *optimizers) if case.op in ops]


def _label(call: Call) -> str:
    tensors, options = dict(call.tensors), dict(call.options)
    text = "×".join(map(str, tensors["input"]))
    if call.op in study.PRODUCTS:
        text += " → " + "×".join(map(str, tensors["weight"]))
    usual = {"stride": 1, "padding": 0} if call.op in study.PRODUCTS else {"padding": 0}
    text += " + residual" * ("residual" in tensors) + " + ReLU" * bool(options.get("relu"))
    for name in ("kernel_size", "stride", "padding", "output_size", "p"):
        value = options.get(name)
        value = value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value
        if value is not None and value != usual.get(name):
            text += f", {name.partition('_')[0]} {value}"
    return text


# ---------------------------------------------------------------------------- in the child


def actions(engine: Engine, case: Case) -> dict[str, tuple[Callable[[], object], int]]:
    """For each part of ``case``, a function to time and the bytes that it must read and write."""
    if case.call is None:
        return _update(engine, case.model)
    call, made = case.call, {}
    for part in case.parts:
        function, y = _part(engine, call, part)
        x = math.prod(dict(call.tensors)["input"])
        arrays = x + y + x * (part == "input" and call.op in REREAD)
        if "residual" in dict(call.tensors):
            # It is read in forward and, with ReLU, in backward, where its gradient is a separate
            # array.
            relu = bool(dict(call.options).get("relu"))
            arrays += y * (part == "forward" or relu) + y * (part == "input" and relu)
        made[part] = function, 4 * arrays
    return made


def _function(engine: Engine, op: str) -> Callable[..., Any]:
    """``op`` of the engine's library; for PyTorch, batch norm followed by the addition of a
    residual and ReLU."""
    function: Callable[..., Any] = getattr(engine.functional, op)
    if op != "batch_norm" or engine.functional is mg.functional:
        return function

    def batch_norm(residual: Any = None, relu: bool = False, **arguments: Any) -> Any:
        y = function(**arguments)
        if residual is not None:
            y = y + residual
        return engine.functional.relu(y) if relu else y

    return batch_norm


def _part(engine: Engine, call: Call, part: str) -> tuple[Callable[[], object], int]:
    """A function to time, and the number of elements of the operation's result."""
    arguments = dict(call.options)
    wanted = []  # tensors with the gradient of this part; in forward, all that the step needs
    for name, shape in call.tensors:
        if name == "num_batches_tracked":  # PyTorch's function takes none
            continue
        kind = KINDS.get(name)
        if name == "target":
            value = engine.labels(*shape)
        else:
            value = (engine.activation if kind == "input" else engine.parameter)(*shape)
        if kind == part or (part == "forward" and kind in call.gradients):
            value.requires_grad = True
            wanted.append(value)
        arguments[name] = value
    forward = partial(_function(engine, call.op), **arguments)
    y = forward()
    if part == "forward":
        return forward, y.numel()
    seed = engine.activation(*y.shape) if y.ndim else None  # in the memory order of y

    def backward() -> None:
        for value in wanted:
            value.grad = None
        y.backward(seed, retain_graph=True)

    return backward, y.numel()


def _update(engine: Engine, model: str) -> dict[str, tuple[Callable[[], object], int]]:
    parameters = list(engine.create(model).parameters())
    for p in parameters:
        p.grad = engine.parameter(*p.shape)
    step = study.optimizer(engine, model, parameters).step
    # Each parameter and each array of its state is read and written, the gradient read.
    arrays = 3 + 2 * STATE[study.update(model)[0]]
    return {"step": (step, 4 * arrays * sum(p.numel() for p in parameters))}


def measure(
    contestant: str,
    threads: int,
    chosen: list[str],
    ops: list[str],
    batch: int | None,
    seconds: float,
) -> list[dict[str, Any]]:
    """In the child: for each case, part → "times" in seconds and "bytes"."""
    engine = contest.engine(contestant, threads)
    results = []
    for case in cases(tuple(chosen), tuple(ops), batch):
        parts = {}
        for part, (function, size) in actions(engine, case).items():
            spent = contest.times(function, LEAST, seconds, MOST)
            parts[part] = {"times": spent, "bytes": size}
        results.append(parts)
    return results


# ---------------------------------------------------------------------------- in the parent


def compare(
    chosen: tuple[str, ...],
    ops: tuple[str, ...],
    batch: int | None,
    threads: int,
    seconds: float,
    rounds: int,
    peaks: dict[str, float],
) -> list[dict[str, Any]]:
    """A row for each part of each case: times of all contestants in ms, ratio, rate."""
    work = {"threads": threads, "chosen": chosen, "ops": ops, "batch": batch}
    work["seconds"] = seconds
    runs = contest.rounds(NAME, QUICK, rounds, **work)
    rows = []
    for i, case in enumerate(cases(chosen, ops, batch)):
        for part in case.parts:
            ms = {
                name: 1e3 * statistics.median(t for turn in turns for t in turn[i][part]["times"])
                for name, turns in runs.items()
            }
            best = min(KEPT, key=lambda name: ms[name])
            if case.call and case.call.multiply_adds:
                rate, unit, peak = 2 * case.call.multiply_adds, "GFLOP/s", peaks["gflops"]
            else:
                size = runs["minigrad"][0][i][part]["bytes"]
                rate, unit, peak = size, "GB/s", peaks["gb_per_second"]
            speed = rate / ms["minigrad"] / 1e6
            rows.append(
                {
                    "op": case.op,
                    "model": case.model,
                    "label": case.label,
                    "part": part,
                    "ms": ms,
                    "best_torch": best,
                    "ratio": ms[best] / ms["minigrad"],
                    "rate": speed,
                    "unit": unit,
                    "of_peak": speed / peak,
                }
            )
    return rows


def show(rows: list[dict[str, Any]]) -> str:
    """The rows as a table for each operation."""
    texts = []
    for op in dict.fromkeys(row["op"] for row in rows):
        own = [row for row in rows if row["op"] == op]
        header = (op, "part", "minigrad ms", "PyTorch ms", "ratio", own[0]["unit"], "of peak")
        lines = [
            (
                row["label"],
                row["part"],
                f"{row['ms']['minigrad']:.3f}",
                f"{row['ms'][row['best_torch']]:.3f}",
                f"{row['ratio']:.2f}",
                f"{row['rate']:.1f}",
                f"{row['of_peak']:.0%}",
            )
            for row in own
        ]
        middle = statistics.geometric_mean(row["ratio"] for row in own)
        texts.append(f"{table(header, lines)}\ngeometric mean of the ratios: {middle:.2f}\n")
    return "\n".join(texts)


def main() -> None:
    """Command line."""
    every = (*study.OPERATIONS, OPTIMIZER)
    parser = contest.parser(__doc__, turns=3, per_turn=0.05)
    add = parser.add_argument
    add("--model", action="append", choices=study.MODELS, help="its operations; may be repeated")
    add("--op", action="append", choices=every, help="this operation; may be repeated")
    add("--batch", type=contest.positive, help="images (default: of the model's recipe)")
    add("--threads", type=contest.positive, default=environment.cores(), help="of each contestant")
    given = parser.parse_args()
    chosen, ops = tuple(given.model or study.MODELS), tuple(given.op or every)
    if not cases(chosen, ops, given.batch):
        parser.error(f"no model of {', '.join(chosen)} calls {', '.join(ops)}")
    peaks = environment.peaks(given.threads)
    print(contest.heading(given.threads, peaks), flush=True)
    rows = compare(chosen, ops, given.batch, given.threads, given.seconds, given.rounds, peaks)
    print(show(rows))
    if given.out:
        head = {
            "batch": given.batch,
            "threads": given.threads,
            "rounds": given.rounds,
            "peaks": peaks,
        }
        environment.write(given.out, {"machine": contest.describe(), **head, "results": rows})


if __name__ == "__main__":
    contest.run(main)
