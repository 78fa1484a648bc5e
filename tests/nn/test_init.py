"""Initialisers draw from PyTorch's distributions, and layers start as PyTorch's do."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import nn
from minigrad.nn import init
from tests.common import host, refuses

SHAPES = ((200, 100), (40, 20, 5, 5))
CASES = [
    ("uniform_", {}),
    ("uniform_", {"a": -2.0, "b": 3.0}),
    ("normal_", {}),
    ("normal_", {"mean": 2.0, "std": 0.1}),
    ("trunc_normal_", {}),
    ("trunc_normal_", {"mean": 1.0, "std": 0.5, "a": 0.5, "b": 3.0}),
    ("trunc_normal_", {"a": 2.0, "b": 3.0}),
    ("xavier_uniform_", {}),
    ("xavier_uniform_", {"gain": 2.0}),
    ("xavier_normal_", {}),
    ("xavier_normal_", {"gain": 0.5}),
    ("kaiming_uniform_", {}),
    ("kaiming_uniform_", {"a": 0.3, "mode": "fan_out"}),
    ("kaiming_normal_", {}),
    ("kaiming_normal_", {"mode": "fan_out", "nonlinearity": "relu"}),
]


def assert_same_distribution(ours: np.ndarray, theirs: np.ndarray) -> None:
    """The two-sample Kolmogorov-Smirnov distance is what chance leaves (p about 1e-5)."""
    a, b = np.sort(ours.ravel()), np.sort(theirs.ravel())
    grid = np.concatenate([a, b])
    distance = np.abs(
        np.searchsorted(a, grid, "right") / a.size - np.searchsorted(b, grid, "right") / b.size
    ).max()
    assert distance < 2.5 * math.sqrt((a.size + b.size) / (a.size * b.size))


@pytest.mark.parametrize(("name", "options"), CASES)
@pytest.mark.parametrize("shape", SHAPES)
def test_distribution_is_pytorchs(name, options, shape):
    torch.manual_seed(0)
    ours, theirs = mg.zeros(shape), torch.zeros(shape)
    assert getattr(init, name)(ours, **options) is ours
    getattr(torch.nn.init, name)(theirs, **options)
    values, reference = host(ours), theirs.numpy()
    assert values.dtype == np.float32
    np.testing.assert_allclose(values.std(), reference.std(), rtol=0.03)
    assert_same_distribution(values, reference)
    if "uniform" in name:
        middle, half = values.mean(), np.abs(reference - reference.mean()).max()
        assert np.abs(values - middle).max() <= half * 1.02
        assert np.abs(values - middle).max() >= half * 0.98


def test_the_distance_tells_distributions_apart():
    rng = np.random.default_rng(0)
    near, far = rng.normal(size=20000), rng.normal(0, 1.1, 20000)
    assert_same_distribution(near, rng.normal(size=20000))
    with pytest.raises(AssertionError):
        assert_same_distribution(near, far)


def test_constants():
    t = mg.zeros(2, 3)
    for name, args, value in (("ones_", (), 1), ("constant_", (2.5,), 2.5), ("zeros_", (), 0)):
        assert getattr(init, name)(t, *args) is t
        assert (host(t) == value).all()


@pytest.mark.parametrize("name", ["eye_", "dirac_"])
def test_identities_are_pytorchs(name):
    shapes = ((3, 4), (4, 3)) if name == "eye_" else ((4, 2, 3), (6, 3, 3, 2), (2, 4, 1, 1, 2))
    for shape in shapes:
        for options in ({}, {"groups": 2}) if name == "dirac_" else ({},):
            ours, theirs = mg.ones(shape), torch.ones(shape)
            assert getattr(init, name)(ours, **options) is ours
            getattr(torch.nn.init, name)(theirs, **options)
            np.testing.assert_array_equal(host(ours), theirs.numpy())


@pytest.mark.parametrize("shape", [(3, 3), (7, 4), (4, 2, 3), (6, 3, 2, 2), (1, 5)])
def test_orthogonal(shape):
    weight = host(init.orthogonal_(mg.zeros(shape, dtype="float64"), 2.0)).reshape(shape[0], -1)
    short = weight if weight.shape[0] <= weight.shape[1] else weight.T
    np.testing.assert_allclose(short @ short.T, 4 * np.eye(len(short)), atol=1e-12)


def test_orthogonal_matrices_are_equally_likely():
    """A rotation of the plane, whose angle is uniform: QR alone favours some."""
    angles = []
    for _ in range(2000):
        q = host(init.orthogonal_(mg.zeros(2, 2)))
        angles.append(math.atan2(q[1, 0], q[0, 0]))
    quarter = np.histogram(angles, 4, (-math.pi, math.pi))[0]
    assert quarter.min() > 400


def test_sparse():
    weight = host(init.sparse_(mg.zeros(10, 400), 0.25, 2.0))
    assert ((weight == 0).sum(axis=0) == 3).all()
    assert abs(weight[weight != 0].std() - 2) < 0.1
    assert abs((weight[0] == 0).mean() - 0.3) < 0.1


def test_draws_repeat_with_the_seed_and_differ_within_it():
    draws = []
    for seed in (1, 1, 2):
        mg.manual_seed(seed)
        draws.append([host(init.normal_(mg.zeros(50))) for _ in range(2)])
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0][0], draws[0][1])
    assert not np.array_equal(draws[0][0], draws[2][0])


def test_parameters_are_filled_in_place_unrecorded():
    p = nn.Parameter(mg.zeros(3, 3))
    data = p.data
    assert init.xavier_uniform_(p) is p
    assert p.data is data
    assert p.is_leaf
    assert p.requires_grad
    assert init.normal_(mg.zeros(3, 3, dtype="float64")).dtype == np.float64


@pytest.mark.parametrize("shape", [(3, 5), (7, 2, 3, 5)])
def test_fans_are_pytorchs(shape):
    expected = torch.nn.init._calculate_fan_in_and_fan_out(torch.zeros(shape))
    assert init.fans(mg.zeros(shape)) == expected


@pytest.mark.parametrize("param", [None, 0.2])
@pytest.mark.parametrize(
    "name",
    ["linear", "conv1d", "conv_transpose3d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"],
)
def test_gains_are_pytorchs(name, param):
    assert init.calculate_gain(name, param) == torch.nn.init.calculate_gain(name, param)


@pytest.mark.parametrize(
    "make", [lambda lib: lib.Linear(64, 500), lambda lib: lib.Conv2d(32, 64, 5, groups=2)]
)
def test_layers_start_as_pytorchs(make):
    torch.manual_seed(0)
    ours, theirs = make(nn), make(torch.nn)
    bound = 1 / math.sqrt(init.fans(ours.weight)[0])
    reference = theirs.state_dict()
    for name, value in ours.state_dict().items():
        values = value.numpy()
        assert np.abs(values).max() <= bound
        assert np.abs(values).max() > 0.9 * bound
        assert_same_distribution(values, reference[name].numpy())


def test_batch_norm_starts_as_the_identity():
    theirs = torch.nn.BatchNorm2d(3).state_dict()
    for name, value in nn.BatchNorm2d(3).state_dict().items():
        np.testing.assert_array_equal(value.numpy(), theirs[name].numpy())


def test_what_is_refused():
    flat = mg.zeros(3)
    for error, text, call in (
        (ValueError, "at least 2 dimensions", lambda: init.xavier_uniform_(flat)),
        (ValueError, "at least 2 dimensions", lambda: init.kaiming_normal_(flat)),
        (ValueError, "mode: ", lambda: init.kaiming_normal_(mg.zeros(2, 2), mode="fan")),
        (ValueError, "nonlinearity: ", lambda: init.calculate_gain("swish")),
        (ValueError, "b: ", lambda: init.uniform_(flat, 1, 0)),
        (ValueError, "b: ", lambda: init.trunc_normal_(flat, a=1, b=0)),
        (ValueError, "std: ", lambda: init.trunc_normal_(flat, std=0)),
        (ValueError, "tensor: expected 2 dim", lambda: init.eye_(flat)),
        (ValueError, "tensor: expected shape (O, I, ...)", lambda: init.dirac_(flat)),
        (ValueError, "groups: ", lambda: init.dirac_(mg.zeros(3, 1, 1), 2)),
        (ValueError, "tensor: expected at least 2", lambda: init.orthogonal_(flat)),
        (ValueError, "sparsity: ", lambda: init.sparse_(mg.zeros(2, 2), 2)),
        (ValueError, "std: ", lambda: init.normal_(flat, 0, -1)),
    ):
        refuses(error, text, call)


@pytest.mark.parametrize(
    "make",
    [
        lambda m: m.Linear(3, 2),
        lambda m: m.Conv1d(2, 4, 3, bias=False),
        lambda m: m.Conv2d(2, 4, 3, groups=2),
        lambda m: m.ConvTranspose2d(2, 4, 3),
        lambda m: m.Embedding(5, 3, padding_idx=1),
        lambda m: m.BatchNorm1d(3),
        lambda m: m.BatchNorm2d(3, affine=False),
        lambda m: m.LayerNorm((3, 2)),
        lambda m: m.GroupNorm(2, 4, bias=False),
        lambda m: m.InstanceNorm2d(3, affine=True),
        lambda m: m.PReLU(3, init=0.5),
    ],
)
def test_reset_parameters_starts_anew(make):
    mg.manual_seed(3)
    layer, theirs = make(nn), make(torch.nn)
    first = {name: host(t).copy() for name, t in layer.state_dict().items()}
    for t in (*layer.state_dict().values(), *theirs.state_dict().values()):
        t.fill_(7)
    mg.manual_seed(3)
    assert layer.reset_parameters() is None
    theirs.reset_parameters()
    for name, t in layer.state_dict().items():
        np.testing.assert_array_equal(host(t), first[name])
        assert (t == 7).any().item() == (theirs.state_dict()[name] == 7).any().item()


def test_layers_of_ones_own_draw_by_reset_parameters():
    class Halved(nn.Linear):
        def reset_parameters(self) -> None:
            super().reset_parameters()
            self.weight.data *= 0.5

    mg.manual_seed(0)
    whole = nn.Linear(3, 2)
    mg.manual_seed(0)
    np.testing.assert_array_equal(host(Halved(3, 2).weight), host(whole.weight) * 0.5)


FORMER = [n for n in dir(torch.nn.init) if f"{n}_" in dir(init)]


@pytest.mark.parametrize("name", FORMER)
def test_former_names_warn_and_serve(name):
    fill = getattr(init, name)
    rest = (0.5,) if name in ("constant", "sparse") else ()
    x, y = mg.zeros(3, 4, 2), mg.zeros(3, 4, 2)
    if name in ("eye", "sparse"):
        x, y = mg.zeros(3, 4), mg.zeros(3, 4)
    mg.manual_seed(1)
    with pytest.warns(FutureWarning, match=f"use nn.init.{name}_"):
        assert fill(x, *rest) is x
    mg.manual_seed(1)
    np.testing.assert_array_equal(host(x), host(getattr(init, f"{name}_")(y, *rest)))
    assert host(x).any()
