"""The parts of a session on a GPU, each run in its own process.

    python -m benchmarks.gpu_parts PART

A part reads its arguments as JSON from stdin and prints its result as one line of JSON; a later
line replaces an earlier one. A part imports only what it needs, so that a missing package affects
no other part.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PRODUCT = "product"  # in place of a model: a matrix product, which gives the peak GFLOP/s
EAGER = 3  # calls of a captured step before the one that is recorded
WATCHED = 4  # steps whose traffic is counted
TURNS = 8  # times of a measurement, each the mean of several steps
STEPS = EAGER + 3  # steps of a comparison: the last two are replays
CHUNKS = 20  # approximate number of losses that a first training reports
MOST_STEPS = 500  # steps of one of its epochs

Results = Iterator[dict[str, Any]]


def describe(device: str, precision: str | None) -> Results:
    """The machine, with its GPU and driver if ``device`` is a GPU, and the precision in use."""
    import minigrad as mg
    from benchmarks import contest

    machine, where = contest.describe(), mg.device(device)
    if where.type == "gpu":
        mg.set_precision(precision)
        runtime = where.xp.cuda.runtime
        properties = runtime.getDeviceProperties(where.index)
        machine["gpu"] = {
            "name": properties["name"].decode(),
            "compute_capability": f"{properties['major']}.{properties['minor']}",
            "memory_gib": round(properties["totalGlobalMem"] / 2**30, 1),
            "multiprocessors": properties["multiProcessorCount"],
            "cuda_of_driver": runtime.driverGetVersion(),
            "cuda_of_cupy": runtime.runtimeGetVersion(),
            "cupy": where.xp.__version__,
            "driver": _driver(),
        }
    precision = mg.get_precision() if where.type == "gpu" else "fp32"
    yield {"device": str(where), "precision": precision, "machine": machine}


def _driver() -> str | None:
    """The version of NVIDIA's driver."""
    file = Path("/proc/driver/nvidia/version")
    match = re.search(r"\b\d+\.\d+(\.\d+)?\b", file.read_text("utf-8")) if file.exists() else None
    return match[0] if match else None


# ---------------------------------------------------------------------------- training


def first(
    seconds: float,
    device: str,
    dataset: str,
    data_dir: str | None,
    precision: str | None,
    batch: int | None,
    side: int,
    capture: bool,
) -> Results:
    """Train the simple recipe for ``seconds``; yields the mean losses over intervals so far.

    The loop is written out here, so that it needs only the packages of the model and the data. The
    first steps, which compile, are not counted in speed and seconds.
    """
    import minigrad as mg
    from cifar import datasets, models, recipes
    from cifar.datasets import augment

    where, recipe = mg.device(device), recipes.load("simple")
    where.use()
    if where.type == "gpu":
        mg.set_precision(precision)
    with contextlib.redirect_stdout(sys.stderr):  # stdout is for results
        data = datasets.load(dataset, "train", data_dir)
    model = models.create(recipe.model, len(data.classes), 0, side).to(where)
    optimizer = recipe.make_optimizer(dict(model.named_parameters()), 1)
    batch = batch or recipe.batch_size
    count = MOST_STEPS * batch
    arrays = data.images[:count, :, :side, :side].copy(), data.labels[:count]
    loader = mg.data.DataLoader(
        mg.data.TensorDataset(*(mg.tensor(a, device=where) for a in arrays)),
        batch,
        shuffle=True,
        transform=augment.training(recipe.augmentation, recipe.mean, recipe.std),
    )

    def step(images: mg.Tensor, labels: mg.Tensor) -> mg.Tensor:
        loss = mg.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    run = mg.CapturedStep(step, warm=EAGER) if capture else step
    batches = (pair for epoch in itertools.count() for pair in loader.epoch(epoch))
    losses: list[float] = []
    images, started = 0, 0.0
    while True:
        warm = len(losses) <= EAGER
        until = time.perf_counter() + (0 if warm else seconds / CHUNKS)
        total, count = mg.zeros((), device=where), 0  # read once: reading waits for the GPU
        while count == 0 or time.perf_counter() < until:
            x, y = next(batches)
            mg.manual_seed(0, images + count)
            total, count = total + run(x, y), count + 1
            images += 0 if warm else len(y)
        losses.append(round(total.item() / count, 4))
        result: dict[str, Any] = {"data": data.name, "losses": losses}
        if warm:
            started = time.perf_counter()
        else:
            took = time.perf_counter() - started
            result |= {"seconds": round(took, 1), "images_per_second": images / took}
        yield result
        if not warm and took >= seconds:
            return


def training(out: str, **settings: Any) -> Results:
    """Train a recipe in full, or resume its run. SIGTERM stops it and saves its state.

    Only this part needs filelock, and msgspec to resume.
    """
    from benchmarks import collect
    from cifar.training import train
    from cifar.training.run import Settings

    sys.stdout, results = sys.stderr, sys.stdout
    try:
        train.run(Settings(out=out, progress=False, resume=True, **settings))
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return
    finally:
        sys.stdout = results
    yield {"finished": True, **collect.gather([Path(out)])}


# ---------------------------------------------------------------------------- agreement


def agree(model: str, device: str, batch: int, side: int = 32) -> Results:
    """Compare losses and weights after a few steps on the CPU, on the GPU, and with a captured step
    on the GPU, which must agree bit by bit with the plain step. All in float32.

    Args:
        side: height and width of the images; doubled until the model accepts it.
    """
    import numpy as np

    import minigrad as mg
    from benchmarks import study
    from cifar import models
    from cifar.errors import UserError

    mg.set_precision("fp32")
    kind, rate, options = study.update(model)

    def network_for(side: int) -> tuple[Any, int]:
        try:
            return models.create(model, 10, 0, side), side
        except UserError:
            return network_for(2 * side)

    side = network_for(side)[1]
    draws = np.random.default_rng(0)
    images = draws.standard_normal((batch, 3, side, side), np.float32)
    labels = np.arange(batch) % 10

    def trained(where: str, captured: bool = False) -> tuple[list[float], list[Any]]:
        network = models.create(model, 10, 0, side).to(where)
        update = getattr(mg.optim, kind)(network.parameters(), lr=rate, **options)

        def step(x: mg.Tensor, y: mg.Tensor) -> mg.Tensor:
            loss = mg.functional.cross_entropy(network(x), y)
            update.zero_grad()
            loss.backward()
            update.step()
            return loss

        run = mg.CapturedStep(step, warm=EAGER) if captured else step
        x, y = mg.tensor(images).to(where), mg.tensor(labels).to(where)
        losses = []
        for number in range(STEPS):
            mg.manual_seed(0, number)
            losses.append(run(x, y).item())
        return losses, [value.cpu().numpy() for value in network.state_dict().values()]

    plain = trained(device)
    cpu = trained("cpu")
    difference = max(abs(a - b) for a, b in zip(plain[0], cpu[0], strict=True)) / max(cpu[0])
    result = {"side": side, "losses": plain[0], "losses_of_cpu": cpu[0], "from_cpu": difference}
    yield result
    if device != "cpu":
        captured = trained(device, captured=True)
        pairs = zip(plain[1], captured[1], strict=True)
        equal = plain[0] == captured[0] and all(np.array_equal(a, b) for a, b in pairs)
        yield {**result, "captured_equals_plain": equal}


# ---------------------------------------------------------------------------- speed


def measure(contestant: str, model: str, batch: int | None, seconds: float) -> Results:
    """Seconds of a step: "times" has one for each turn of several steps. On a GPU, "traffic" has
    the kernels and copies of a step, or an error.

    Args:
        batch: number of images (default: the recipe's); rows and columns of a product.
    """
    from benchmarks import contest, study, traffic
    from cifar import environment

    engine = contest.engine(contestant, environment.cores())
    batch = batch or study.recipe(model).batch_size
    if model == PRODUCT:
        a, b = engine.activation(batch, batch), engine.parameter(batch, batch)

        def step() -> Any:
            return engine.functional.linear(a, b)

        work = {"batch": batch, "gflop": 2 * batch**3 / 1e9}
    else:
        step = study.training_step(engine, model, batch)
        work = {"batch": batch, "gflop": batch * study.gflop_per_image(model)}

    def turn(steps: int) -> float:
        start = time.perf_counter()
        for _ in range(steps):
            step()
        engine.wait()
        return (time.perf_counter() - start) / steps

    for _ in range(EAGER + 2):  # compiles, selects algorithms, records, and replays once
        turn(1)
    steps = max(1, min(100, int(seconds / TURNS / turn(1))))
    result = {**work, "times": [turn(steps) for _ in range(TURNS)]}
    yield result
    if "gpu" in contestant.split():
        try:
            seen = traffic.watched(lambda: turn(WATCHED)).per(WATCHED)._asdict()
        except Exception as error:  # keep the times in any case
            seen = {"error": f"{type(error).__name__}: {error}"}
        yield {**result, "traffic": seen}


PARTS: dict[str, Callable[..., Results]] = {
    part.__name__: part for part in (describe, first, training, agree, measure)
}


def main() -> None:
    """Command line."""
    for result in PARTS[sys.argv[1]](**json.load(sys.stdin)):
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
