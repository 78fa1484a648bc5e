"""Every documented network, thinned: captured steps as plain ones to the bit, and as the CPU's.

What :mod:`benchmarks.gpu_session` does with whole ones on a card. See tests/gpu/test_on_device.py.
"""

from __future__ import annotations

import functools

import pytest

from benchmarks import gpu_parts, study
from cifar.models import dense_residual, resnet_32, resnet_82
from minigrad import nn

# The speed study's batch norm, of ε 1e-12, gives NaN where few values of a thin network are equal.
MODELS = [model for model in study.MODELS if not model.startswith("speed")]
THINNER = 16  # times fewer channels, but of images and classes


def thin(channels: int) -> int:
    return channels // THINNER if channels >= 16 else channels


@pytest.fixture
def thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models have few channels and stages, and the residual ones a block in each."""

    def layer(name: str, sizes: int):
        real = getattr(nn, name)

        @functools.wraps(real, updated=())
        def make(*args, **options):
            return real(*map(thin, args[:sizes]), *args[sizes:], **options)

        monkeypatch.setattr(nn, name, make)

    for name, sizes in (("Conv2d", 2), ("Linear", 2), ("BatchNorm2d", 1), ("BatchNorm1d", 1)):
        layer(name, sizes)
    for module in (resnet_32, resnet_82):
        stages = module.stages
        monkeypatch.setattr(
            module,
            "stages",
            lambda block, widths, blocks, *rest, stages=stages: stages(block, widths, 1, *rest),
        )
    block = resnet_32.PlainShortcutBlock.__init__

    def shortcut(self, in_channels, out_channels, stride):
        block(self, in_channels, out_channels, stride)
        self.extra = thin(out_channels) - thin(in_channels)

    monkeypatch.setattr(resnet_32.PlainShortcutBlock, "__init__", shortcut)
    monkeypatch.setattr(dense_residual, "STAGES", ((64, 2), (512, 2)))  # for small images
    monkeypatch.setattr(gpu_parts, "EAGER", 1)
    monkeypatch.setattr(gpu_parts, "STEPS", 3)


@pytest.mark.usefixtures("thinned")
@pytest.mark.parametrize("model", MODELS)
def test_a_few_steps(device, model):
    if device == "cpu":
        pytest.skip("needs a GPU")
    *_, found = gpu_parts.agree(model, device, batch=4, side=8)
    assert found["captured_equals_plain"]
    assert found["from_cpu"] < 1e-3
    assert len(set(found["losses"])) == gpu_parts.STEPS
