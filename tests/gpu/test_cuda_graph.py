"""A captured step trains as the step itself does, to the bit, and says what it cannot record.

On the CPU a recording is a list of the kernels that were launched, run by the tests' stand-in for
CUDA; a step of kernels alone is then all that a GPU would see. On a GPU it is the real thing.
"""

from __future__ import annotations

import contextlib
import gc
from types import SimpleNamespace

import numpy as np
import pytest

import minigrad as mg
from minigrad import functional as F
from minigrad import nn
from minigrad.gpu import capture
from minigrad.gpu import cuda_graph as graph
from minigrad.gpu import launch as cuda
from tests.common import refuses
from tests.emulated import kernels


class Side:
    """In place of `graph._Side`: records and replays launches of kernels on NumPy arrays."""

    stream = "side"

    def __init__(self, where: mg.device) -> None:
        self.inside = 0

    def __enter__(self) -> None:
        self.inside += 1

    def __exit__(self, *_: object) -> None:
        self.inside -= 1

    memory = callers_memory = contextlib.nullcontext

    @contextlib.contextmanager
    def recorded(self):
        assert self.inside == 1
        found, launches = [], []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cuda, "_launch", lambda *args: launches.append(args))
            yield found

        def launch(stream):
            assert stream == self.stream
            for args in launches:
                kernels.launch(*args)

        found.append(SimpleNamespace(launch=launch, launches=launches))


@pytest.fixture
def side(monkeypatch):
    monkeypatch.setattr(graph, "_Side", Side)
    with kernels.as_gpu():
        yield


def inner(*shape: int, seed: int) -> mg.Tensor:
    """Values whose batch lies innermost in memory, so that no operation has to copy them."""
    values = np.random.default_rng(seed).standard_normal(shape[::-1])
    return mg.Tensor(values.astype(np.float32).T)


def weights() -> mg.Tensor:
    return mg.randn(5, 4, requires_grad=True)  # the memory order of a layer's


def train(captured: bool, kind: str, steps: int = 6) -> list[np.ndarray]:
    """Weights after each of ``steps`` of a linear layer with dropout, at a rate that changes."""
    mg.manual_seed(0)
    w = weights()
    options = {"momentum": 0.9} if kind == "SGD" else {}
    optimizer = getattr(mg.optim, kind)([w], **options)

    def step(x: mg.Tensor, g: mg.Tensor) -> mg.Tensor:
        y = F.dropout(F.linear(x, w), 0.5)
        optimizer.zero_grad()
        y.backward(g)
        optimizer.step()
        return y

    run = mg.CapturedStep(step, warm=2) if captured else step
    found = []
    for number in range(steps):
        optimizer.param_groups[0]["lr"] = 0.1 / (1 + number)
        mg.manual_seed(3, number)
        y = run(inner(8, 4, seed=10 + number), inner(8, 5, seed=20 + number))
        found += [w.detach().numpy().copy(), y.detach().numpy().copy()]
    return found


@pytest.mark.parametrize("kind", ["SGD", "Adam", "RMSprop"])
@pytest.mark.usefixtures("side")
def test_replays_are_training(kind):
    for ours, plain in zip(train(True, kind), train(False, kind), strict=True):
        np.testing.assert_array_equal(ours, plain)
    assert (plain == 0).any()  # dropout did something


@pytest.mark.usefixtures("side")
def test_the_count_of_steps_goes_on():
    w = weights()
    optimizer = mg.optim.Adam([w])

    def step(x: mg.Tensor, g: mg.Tensor) -> None:
        optimizer.zero_grad()
        F.linear(x, w).backward(g)
        optimizer.step()

    run = mg.CapturedStep(step, warm=1)
    for _ in range(4):
        run(inner(8, 4, seed=1), inner(8, 5, seed=2))
    assert optimizer.state_dict()["state"][0]["step"] == 4


@pytest.mark.usefixtures("side")
def test_options_that_need_other_state_than_recorded():
    """A replay would read the addresses of arrays that there are not."""
    w = weights()
    optimizer = mg.optim.SGD([w])

    def step(x: mg.Tensor, g: mg.Tensor) -> None:
        optimizer.zero_grad()
        F.linear(x, w).backward(g)
        optimizer.step()

    run = mg.CapturedStep(step, warm=1)
    inputs = inner(8, 4, seed=1), inner(8, 5, seed=2)
    for _ in range(2):
        run(*inputs)
    optimizer.param_groups[0]["momentum"] = 0.9
    refuses(NotImplementedError, "SGD: options that need other state", lambda: run(*inputs))


@pytest.mark.usefixtures("side")
def test_state_made_in_a_recording():
    """Each replay would begin anew."""
    w = weights()
    optimizer = mg.optim.Adam([w])

    def step(x: mg.Tensor, g: mg.Tensor) -> None:
        F.linear(x, w).backward(g)
        if capture.is_recording():
            optimizer.step()

    run = mg.CapturedStep(step, warm=1)
    inputs = inner(8, 4, seed=1), inner(8, 5, seed=2)
    run(*inputs)
    refuses(graph.CaptureError, "Adam: state made in a recording", lambda: run(*inputs))


@pytest.mark.usefixtures("side")
def test_labels_are_checked_in_replays_too():
    run = mg.CapturedStep(F.cross_entropy, warm=1)
    x = inner(3, 4, seed=0)
    for _ in range(3):
        run(x, mg.tensor([0, 3, 1])).item()
    loss = run(x, mg.tensor([0, 4, 1]))
    refuses(IndexError, "target: expected class indices from 0 to 3", loss.item)
    run(x, mg.tensor([0, 3, 1])).item()


@pytest.mark.usefixtures("side")
def test_when_the_step_itself_runs():
    calls = []

    def step(x: mg.Tensor) -> mg.Tensor:
        calls.append(x.shape)
        return F.linear(x, w)

    w = inner(5, 4, seed=0)
    run = mg.CapturedStep(step, warm=2)
    results = []
    for rows in (8, 8, 3, 8, 8, 3, 8):
        x = inner(rows, 4, seed=rows)
        results.append(run(x))
        np.testing.assert_array_equal(results[-1].numpy(), F.linear(x, w).numpy())
    assert calls == [(8, 4), (8, 4), (3, 4), (8, 4), (3, 4)]  # the fourth is the recording
    assert results[3] is results[4] is results[6]


@pytest.mark.usefixtures("side")
def test_what_cannot_be_recorded():
    def step(x: mg.Tensor) -> None:
        F.linear(x, x)
        if len(calls) == 1:
            raise ZeroDivisionError("no")
        calls.append(1)

    calls: list[int] = []
    run = mg.CapturedStep(step, warm=1)
    run(inner(4, 4, seed=0))
    refuses(graph.CaptureError, "after linear: no", lambda: run(inner(4, 4, seed=0)))
    calls.clear()
    run(inner(4, 4, seed=0))  # it can be tried again


@pytest.mark.usefixtures("side")
def test_an_update_without_a_kernel_cannot_be_recorded():
    w = mg.tensor(np.zeros(3, np.float16), requires_grad=True)
    optimizer = mg.optim.SGD([w])

    def step(x: mg.Tensor) -> None:
        w.grad = x
        optimizer.step()

    run = mg.CapturedStep(step, warm=1)
    x = mg.tensor(np.ones(3, np.float16))
    run(x)
    refuses(graph.CaptureError, "SGD: no CUDA kernel", lambda: run(x))


def test_on_the_cpu():
    step = mg.CapturedStep(lambda x: x)
    refuses(mg.DeviceError, "expected inputs on a GPU, got cpu", lambda: step(mg.zeros(3)))
    refuses(
        ValueError, "warm: expected a whole number from 1", lambda: mg.CapturedStep(lambda x: x, 0)
    )


class FakeStream:
    """A CuPy stream that notes what is asked of it."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name, self.log = name, log

    def __enter__(self) -> None:
        self.log.append(f"{self.name} in use")

    def __exit__(self, *_: object) -> None:
        self.log.append(f"{self.name} left")

    def record(self) -> str:
        self.log.append(f"{self.name} noted")
        return self.name

    def wait_event(self, event: str) -> None:
        self.log.append(f"{self.name} waits for {event}")

    def begin_capture(self) -> None:
        self.log.append(f"begin, collecting {gc.isenabled()}")

    def end_capture(self) -> str:
        self.log.append("end")
        return "the graph"


@pytest.fixture
def made(monkeypatch) -> tuple[graph._Side, list[str]]:
    """A real side on fake streams, and the log of these."""
    log: list[str] = []
    caller = FakeStream("caller", log)
    cupy = SimpleNamespace(
        cuda=SimpleNamespace(
            Device=lambda index: contextlib.nullcontext(),
            Stream=lambda non_blocking: FakeStream("own", log),
            MemoryPool=lambda malloc: SimpleNamespace(
                malloc="own pool", free_all_blocks=lambda: None
            ),
            get_allocator=lambda: "caller's pool",
            using_allocator=lambda malloc: contextlib.nullcontext(log.append(malloc)),
            get_current_stream=lambda: caller,
        )
    )
    return graph._Side(SimpleNamespace(type="gpu", index=0, xp=cupy)), log  # type: ignore


def test_our_work_comes_between_the_callers(made):
    side, log = made
    with side, side.memory():
        with side.callers_memory():
            log.append("numbers")
        log.append("work")
    assert log == [
        *("caller noted", "own waits for caller", "own in use"),
        *("own pool", "caller's pool", "numbers", "work"),
        "own noted",  # while its device is in use
        *("own left", "caller waits for own"),
    ]


def test_a_recording_is_ended_and_the_collector_waits(made):
    side, log = made
    with side.recorded() as found:
        pass
    assert found == ["the graph"]
    with pytest.raises(KeyError), side.recorded():
        raise KeyError
    assert log == ["begin, collecting False", "end"] * 2
    assert gc.isenabled()


def test_training_on_a_gpu(device):
    """Captured and plain steps of a small network, in float32 and to the bit."""
    if device == "cpu":
        pytest.skip("needs a GPU")

    def trained(captured: bool) -> list[np.ndarray]:
        mg.manual_seed(0)
        model = nn.Sequential(
            *(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.AvgPool2d(2), nn.Flatten(), nn.Dropout(0.5), nn.Linear(8 * 4, 10)),
        ).to(device)
        optimizer = mg.optim.Adam(model.parameters())

        def step(images: mg.Tensor, labels: mg.Tensor) -> mg.Tensor:
            loss = F.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        run = mg.CapturedStep(step) if captured else step
        losses = []
        for number in range(8):
            optimizer.param_groups[0]["lr"] = 1e-2 / (1 + number)
            mg.manual_seed(1, number)
            images = mg.randn(16, 3, 8, 8, device=device)
            loss = run(images, mg.tensor([i % 10 for i in range(16)], device=device))
            losses.append(loss.detach().cpu().numpy().copy())
        return [*losses, *(value.cpu().numpy() for value in model.state_dict().values())]

    for ours, plain in zip(trained(True), trained(False), strict=True):
        np.testing.assert_array_equal(ours, plain)


def test_out_of_memory_in_a_recording(device, monkeypatch):
    """CuPy's pool would free blocks that recorded kernels use, and go on."""
    if device == "cpu":
        pytest.skip("needs a GPU")
    run = mg.CapturedStep(lambda x: ((x * 2).tanh() * 3).sum(), warm=1)
    x = mg.ones(1000, device=device)
    expected = run(x).item()
    side = run._side
    left, made = [1], side.cuda.Memory  # allocations before memory is full

    def full(nbytes: int):
        left[0] -= side.capturing
        if left[0] < 0:
            raise side.cuda.runtime.CUDARuntimeError(graph.OUT_OF_MEMORY)
        return made(nbytes)

    monkeypatch.setattr(side.cuda, "Memory", full)
    refuses(mg.OutOfMemoryError, "recording the step, which was given up: tanh:", lambda: run(x))
    assert side.pool.n_free_blocks() > 0
    monkeypatch.undo()
    assert [run(x).item() for _ in range(3)] == [expected] * 3


def test_a_value_cannot_be_read_on_a_gpu(device):
    if device == "cpu":
        pytest.skip("needs a GPU")
    run = mg.CapturedStep(lambda x: (x + 1).sum().item(), warm=1)
    x = mg.ones(3, device=device)
    assert run(x) == 6
    with pytest.raises(graph.CaptureError, match="after sum"):
        run(x)
