"""What CuPy itself does with our work: tiny trainings, captured and plain, and errors of a device.

On a card, or with the emulator under CuPy: ``python -m tests.emulated pytest -m gpu tests/gpu``.
"""

from __future__ import annotations

import ast
import gc
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad import functional as F
from minigrad import nn
from minigrad.gpu import cuda_graph as graph
from tests.common import refuses

STEPS = 5
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def gpu(device):
    if device == "cpu":
        pytest.skip("needs a GPU")
    return mg.device(device)


OPTIMIZERS = {
    "SGD": {"momentum": 0.9, "nesterov": True},
    "Adam": {"amsgrad": True},
    "AdamW": {"weight_decay": 0.1},
    "RMSprop": {"momentum": 0.5, "centered": True},
}
WITHOUT_KERNEL = ("Adadelta", "Adagrad", "Adamax", "Muon", "NAdam", "RAdam")  # CuPy's operations


def trained(where: mg.device | str, kind: str, captured: bool = False) -> list[np.ndarray]:
    """Losses and weights of a tiny network with everything in it that varies between steps."""
    mg.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.AvgPool2d(2), nn.Flatten(), nn.Dropout(0.5), nn.Linear(4 * 4, 10)),
    ).to(where)
    parameters = [p for p in model.parameters() if p.ndim == 2 or kind != "Muon"]
    optimizer = getattr(mg.optim, kind)(parameters, **OPTIMIZERS.get(kind, {}))

    def step(images: mg.Tensor, labels: mg.Tensor) -> mg.Tensor:
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    run = mg.CapturedStep(step, warm=2) if captured else step
    losses = []
    draws = np.random.default_rng(0)
    for number in range(STEPS):
        optimizer.param_groups[0]["lr"] = 1e-2 / (1 + number)
        mg.manual_seed(1, number)
        images = mg.tensor(draws.standard_normal((4, 3, 8, 8), np.float32)).to(where)
        loss = run(images, mg.tensor(np.arange(4)).to(where))
        losses.append(loss.detach().cpu().numpy().copy())
    return [*losses, *(value.cpu().numpy() for value in model.state_dict().values())]


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_training(gpu, kind):
    """Captured as plain to the bit, and the GPU as the CPU but for rounding."""
    plain = trained(gpu, kind)
    for ours, theirs in zip(trained(gpu, kind, captured=True), plain, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_allclose(plain[:STEPS], trained("cpu", kind)[:STEPS], rtol=1e-2)


def test_every_optimizer_is_trained_with():
    found = {
        name
        for name, value in vars(mg.optim).items()
        if isinstance(value, type) and issubclass(value, mg.optim.Optimizer)
    }
    assert found - {"Optimizer"} == {*OPTIMIZERS, *WITHOUT_KERNEL}


@pytest.mark.parametrize("kind", WITHOUT_KERNEL)
def test_a_training_without_a_kernel(gpu, kind):
    np.testing.assert_allclose(trained(gpu, kind)[:STEPS], trained("cpu", kind)[:STEPS], rtol=1e-2)
    refuses(graph.CaptureError, "no CUDA kernel", lambda: trained(gpu, kind, captured=True))


# Numbers in the recording's own memory, which each replay overwrites; and a caller that does not
# wait for the step's stream.
BREAKAGES = {
    "slots": "real = capture.Slots.__init__; capture.Slots.__init__ = lambda self, *_: real(self)",
    "fence": "cuda_graph._Side.__exit__ = lambda self, *_: self.stack.close()",
}


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("broken", BREAKAGES)
def test_breakages_are_noticed(broken):
    """In a process of its own, as a card does nothing more after an illegal address."""
    program = f"""
from minigrad.gpu import capture, cuda_graph
from tests.gpu.test_on_device import trained
plain = trained("gpu", "Adam")
{BREAKAGES[broken]}
broken = trained("gpu", "Adam", captured=True)
assert all((a == b).all() for a, b in zip(plain, broken))
"""
    said = emulated(program, EMULATOR_LAZY="1")
    assert "cudaErrorIllegalAddress" in said or "AssertionError" in said


def test_what_cannot_be_recorded(gpu):
    x = mg.ones(3, device=gpu)
    run = mg.CapturedStep(lambda x: (x * 2).sum().item(), warm=1)
    assert run(x) == 6
    refuses(graph.CaptureError, "after sum", lambda: run(x))
    run = mg.CapturedStep(lambda x: x * mg.tensor([1.0, 2.0, 3.0]).to(gpu), warm=1)
    run(x)
    refuses(graph.CaptureError, "moved to the GPU", lambda: run(x))
    assert (x + 1).sum().item() == 6  # the card goes on


def test_labels_that_are_no_classes(gpu):
    x, labels = mg.randn(4, 3, device=gpu), mg.tensor([0, 1, 7, 2], device=gpu)
    loss = F.cross_entropy(x, labels)
    with pytest.raises(IndexError, match=r"target: expected class indices from 0 to 2 .* got 7"):
        loss.item()
    assert np.isfinite(loss.item())


def test_more_than_there_is(gpu):
    gc.collect()
    with pytest.raises(mg.OutOfMemoryError, match=r"zeros of size .* GiB are free"):
        mg.zeros(1 << 40, device=gpu)
    assert mg.ones(3, device=gpu).sum().item() == 3


def emulated(program: str, **environment: str) -> str:
    """What a program prints on an emulator of that kind."""
    if "emulator" not in mg.device("gpu").xp.cuda.runtime.getDeviceProperties(0)["name"].decode():
        pytest.skip("needs the emulator")
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        encoding="utf-8",
    )
    return result.stdout + result.stderr


@pytest.mark.usefixtures("gpu")
def test_launches_of_a_step():
    """Ours and CuPy's; benchmarks/results/launches.json has all models."""
    program = "from tests.emulated.launches import of_step; print(of_step('resnet-32'))"
    found = ast.literal_eval(emulated(program, EMULATOR_DRY="1"))
    assert (found["ours"], found["cupy"]) == (306, 28)


@pytest.mark.usefixtures("gpu")
def test_two_cards():
    program = """
import minigrad as mg
x = mg.ones(3, device="gpu:1")
try:
    x + 1
except mg.DeviceError as error:
    print(error)
mg.device("gpu:1").use()
print((x + 1).sum().item(), x.to("gpu:0").device, x.to("cpu").device)
mg.device("gpu:2")
"""
    said = emulated(program, EMULATOR_DEVICES="2")
    assert 'a tensor is on gpu:1 while gpu:0 is in use; call minigrad.device("gpu:1").use()' in said
    assert "6.0 gpu:0 cpu" in said
    assert "there are 2 GPUs (from 0)" in said


@pytest.mark.usefixtures("gpu")
def test_drivers_and_cards_of_other_kinds():
    said = emulated("import minigrad as mg; mg.device('gpu')", EMULATOR_DRIVER="12080")
    assert "the driver is for CUDA 12" in said
    assert "gpu-cuda12" in said
    said = emulated("import minigrad as mg; mg.device('gpu')", EMULATOR_DEVICES="0")
    assert "DeviceError" in said
    said = emulated("import minigrad as mg; print(mg.get_precision())", EMULATOR_CAPABILITY="75")
    assert "fp32" in said
