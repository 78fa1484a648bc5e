"""Export to ONNX: onnxruntime computes what the model does, at any batch size; what cannot be told
by a graph is refused."""

from __future__ import annotations

import json
import os
import sys
import weakref

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn
from minigrad.onnx import RULES
from minigrad.tape import listen
from tests.common import Operations, grid, refuses

F = mg.functional
in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


class Function(nn.Module):
    """A function as a model, with members for it to use."""

    def __init__(self, function, **members):
        self.function = function
        for name, member in members.items():
            if type(member) is mg.Tensor:
                self.register_buffer(name, member)
            else:
                setattr(self, name, member)

    def forward(self, x):
        return self.function(x)


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])


def assert_same(model, shape, folder, sizes=(1, 5), dtype=np.float32, atol=1e-5):
    """The exported graph of ``model`` gives what the model gives, for N of ``sizes``."""
    path = folder / "x.onnx"
    mg.onnx.export(model, mg.zeros(1, *shape, dtype=dtype), path)
    run = session(path)
    model.eval()
    for n in sizes:
        x = grid((n, *shape), seed=n).astype(dtype)
        with mg.no_grad():
            expected = model(mg.tensor(x)).numpy()
        (found,) = run.run(None, {"input": x})
        assert found.dtype == expected.dtype
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, 1e-5, atol)
    return onnx.load(path)


# ---------------------------------------------------------------------------- every operation

WEIGHT = mg.tensor(grid((6, 4, 3, 3)).astype(np.float32))
MATRIX = mg.tensor(grid((5, 6)).astype(np.float32))
CHANNELS = mg.tensor(grid((4,), low=0.5).astype(np.float32))
PICKS = mg.tensor([2, 0, 2])

OPERATIONS = {  # of an input (N, 4, 7, 6)
    "add a number": lambda x: 1.5 + x + x * 2,
    "add a parameter": lambda x: x + MATRIX[0],
    "sub from a number": lambda x: 1 - x - x[:, :1],
    "div": lambda x: x / (x * x + 1) / 3 + 1 / (x * x + 1),
    "neg and abs": lambda x: -x.abs(),
    "powers": lambda x: x**2 + x.abs() ** 0.5 + x**3.0,
    "exp log sqrt": lambda x: (x.exp() + 1).log() + (x * x).sqrt(),
    "clamp": lambda x: x.clamp(-1, 1) + x.clamp(min=0.5) + x.clamp(max=-0.5) + x.clamp(x[:, :1], 1),
    "clamp of integers": lambda x: (x * 9).to("int64").clamp(x[:, :1]),
    "clamp of integers by a fraction": lambda x: (x * 9).to("int64").clamp(-1.5),
    "integers": lambda x: mg.tensor([[1, 2, 3, 4, 5, 6]]) * x + mg.tensor(7).sqrt(),
    "comparisons": lambda x: (
        (x < 1).to("float32")
        + (x <= 0.3).to("float32") * 2
        + (x > x[:, :, :1]).to("float32") * 4
        + (x >= -1).to("float32") * 8
        + (x == x[:, :, :1]).to("float32") * 16
        + (x != x[:, :, :1]).to("float32") * 32
    ),
    "comparison of kinds": lambda x: ((x * 3).to("int64") < 0.5).to("float32"),
    "where": lambda x: mg.where(x > 0, x, 0.0) + mg.where(x > 1, 1, x),
    "to another dtype": lambda x: (x * 10).to("int64").sum((2, 3)),
    "sums": lambda x: x.sum((2, 3)) + x.sum((1, -1), keepdim=True)[:, :, 0, 0],
    "sum of nothing": lambda x: x.sum(()),
    "sum of bools": lambda x: (x > 0).sum((1, 2)),
    "means": lambda x: x.mean((-1, 2)) + x.mean(),
    "over the batch": lambda x: x - x.mean(0),
    "var": lambda x: x.var((2, 3)) + x.var(1, correction=0)[:, 0, :4],
    "std": lambda x: x.std((2, 3), unbiased=False),
    "max and min of all": lambda x: x.max() - x.min(),
    "activations": lambda x: (
        F.relu(x) + F.leaky_relu(x, 0.2) + F.sigmoid(x) + F.tanh(x) + F.gelu(x) + F.gelu(x, "tanh")
    ),
    "softmax": lambda x: F.softmax(x, 1) + F.log_softmax(x, -1),
    "reshape": lambda x: x.reshape(x.shape[0], 2, -1),
    "reshape of the batch": lambda x: x.reshape(-1, 6),
    "reshape of N x N": lambda x: (x[:, 0, 0] @ x[:, 0, 0].T).unsqueeze(-1),
    "a slice with a step": lambda x: x[:, -2:, 1::2],
    "reshape with the batch inside": lambda x: x.reshape(2, x.shape[0], -1),
    "NumPy's numbers": lambda x: x[:, np.int64(1)] * np.float64(2),
    "flatten": lambda x: x.flatten(1),
    "squeeze": lambda x: x[:, :1].squeeze(1).unsqueeze(0),
    "permute": lambda x: x.permute(1, 3, 0, 2).transpose(0, 1),
    "expand": lambda x: x[:, :, :1].expand(-1, -1, 3, -1) + x[:, :, :1].expand(*x.shape)[:, :, :3],
    "expand to more": lambda x: MATRIX[0].expand(3, 1, 2, 6).expand(3, 5, 2, 6),
    "cat and stack": lambda x: mg.stack([mg.cat([x, x[:, :1]], 1), mg.cat([x[:, 1:2], x], 1)], -1),
    "pad": lambda x: F.pad(x, (1, 2, 0, 1, 3, 0), value=2.5),
    "matmul": lambda x: MATRIX @ (x[:, :, :6] @ MATRIX.T),
    "linear": lambda x: F.linear(x, MATRIX, MATRIX[:, 0]),
    "linear of rows": lambda x: F.linear(x[:, 0, 0], MATRIX),
    "conv2d": lambda x: F.conv2d(x, WEIGHT, WEIGHT[:, 0, 0, 0], (2, 1), (1, 2)),
    "conv2d same": lambda x: F.conv2d(x, WEIGHT[:, :, :2, :2], padding="same"),
    "batch_norm": lambda x: F.batch_norm(x, CHANNELS, CHANNELS),
    "batch_norm, sum, relu": lambda x: F.batch_norm(
        x, CHANNELS, CHANNELS, residual=x * 0.5, relu=True
    ),
    "batch_norm of rows": lambda x: F.batch_norm(x[:, :, 0, 0], *[CHANNELS] * 4, eps=0.1),
    "batch_norm of sequences": lambda x: F.batch_norm(x[:, :, 0], CHANNELS, CHANNELS, CHANNELS),
    "max_pool2d": lambda x: F.max_pool2d(x, 2),
    "max_pool2d, all options": lambda x: F.max_pool2d(x, (3, 2), (2, 3), 1, (2, 1), True),
    "avg_pool2d": lambda x: F.avg_pool2d(x, 3, 2),
    "avg_pool2d, all options": lambda x: F.avg_pool2d(x, 3, 2, 1, True, False),
    "avg_pool2d with a divisor": lambda x: F.avg_pool2d(x, 2, 3, 1, divisor_override=3),
    "pooling of one image": lambda x: F.avg_pool2d(x[0], 2) + x.sum() * 0,
    "adaptive_avg_pool2d": lambda x: F.adaptive_avg_pool2d(x, (3, None)),
    "global average": lambda x: F.adaptive_avg_pool2d(x, 1),
    "dropout does nothing": nn.Dropout(0.5).eval(),
    "the input itself": lambda x: x,
    "a constant": lambda x: MATRIX,
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations(name, tmp_path):
    assert_same(Function(OPERATIONS[name]), (4, 7, 6), tmp_path)


def test_every_rule_is_tested():
    with listen(seen := Operations()):
        for function in OPERATIONS.values():
            function(mg.randn(2, 4, 7, 6))
    assert set(RULES) - seen.names == {"to_device"}  # needs a second device


@in_one_folder
@given(st.data())
def test_drawn_convolutions(tmp_path, data):
    draw = data.draw
    side, pair = st.integers(1, 3), st.tuples(st.integers(1, 3), st.integers(1, 3))
    groups = draw(side)
    layer = nn.Conv2d(
        *(groups * draw(side), groups * draw(side)),
        *(draw(pair), draw(pair), draw(st.integers(0, 2)), draw(side), groups),
        bias=draw(st.booleans()),
    )
    assert_same(layer, (layer.in_channels, 7, 8), tmp_path)


@in_one_folder
@given(st.data())
def test_drawn_pooling(tmp_path, data):
    draw, pair = data.draw, st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel = draw(pair)
    options = {
        "padding": tuple(draw(st.integers(0, k // 2)) for k in kernel),
        "ceil_mode": draw(st.booleans()),
    }
    layer = draw(
        st.sampled_from(
            [
                nn.MaxPool2d(kernel, draw(pair), dilation=draw(pair), **options),
                nn.AvgPool2d(kernel, draw(pair), count_include_pad=draw(st.booleans()), **options),
                nn.AdaptiveAvgPool2d(draw(pair)),
            ]
        )
    )
    assert_same(layer, (2, draw(st.integers(7, 10)), 7), tmp_path)


@in_one_folder
@given(st.data())
def test_drawn_indices(tmp_path, data):
    bound = st.none() | st.integers(-6, 6)
    parts = st.one_of(
        st.builds(slice, bound, bound, st.sampled_from([None, 1, 2, 3])),
        st.integers(-3, 2),
        st.none(),
    )
    index = [slice(None), *data.draw(st.lists(parts, max_size=3))]
    if data.draw(st.booleans()):
        index.insert(data.draw(st.integers(1, len(index))), Ellipsis)
    elif data.draw(st.booleans()):
        index = [part for part in index if part is None or isinstance(part, slice)]
        index[data.draw(st.integers(1, len(index))) :] = [PICKS.data]
    try:
        empty = 0 in mg.zeros(2, 3, 5, 4)[tuple(index)].shape
    except (IndexError, NotImplementedError):
        return
    if not empty:
        assert_same(Function(lambda x: x[tuple(index)]), (3, 5, 4), tmp_path)


# ---------------------------------------------------------------------------- the file


def trained():
    """A small network with statistics and modes of its own."""
    model = nn.Sequential(
        *(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()),
        *(nn.Flatten(), nn.Dropout(), nn.Linear(64, 2)),
    )
    model(mg.randn(8, 3, 6, 6))
    model[1].eval()
    return model


def test_the_model_stays_as_it_was(tmp_path):
    model = trained()
    before = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    mg.manual_seed(0)
    draws = mg.randn(3).numpy()
    mg.manual_seed(0)
    mg.onnx.export(model, mg.zeros(1, 3, 6, 6), tmp_path / "x.onnx")
    assert [m.training for m in model] == [True, False, True, True, True, True]
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])
    np.testing.assert_array_equal(mg.randn(3).numpy(), draws)


def test_what_the_file_says(tmp_path):
    path = tmp_path / "x.onnx"
    mg.onnx.export(
        trained(),
        mg.zeros(1, 3, 6, 6),
        path,
        input_names=["images"],
        output_names=["logits"],
        metadata={"classes": '["ä"]'},
        doc_string="two classes",
    )
    proto = onnx.load(path)
    onnx.checker.check_model(proto, full_check=True)
    assert (proto.producer_name, proto.doc_string) == ("minigrad", "two classes")
    assert {entry.key: json.loads(entry.value) for entry in proto.metadata_props} == {
        "classes": ["ä"]
    }
    used = {"0.weight", "0.bias", *(f"1.{n}" for n in ("weight", "bias", "running_mean"))}
    names = {tensor.name for tensor in proto.graph.initializer}
    assert names == used | {"1.running_var", "5.weight", "5.bias", "constant_6"}
    kinds = [node.op_type for node in proto.graph.node]
    assert kinds == ["Conv", "BatchNormalization", "Relu", "Reshape", "Gemm", "Identity"]
    run = session(path)
    (taken,), (given_back,) = run.get_inputs(), run.get_outputs()
    assert (taken.name, taken.type, taken.shape) == ("images", "tensor(float)", ["batch", 3, 6, 6])
    assert (given_back.name, given_back.shape) == ("logits", ["batch", 2])


def test_only_n_is_called_the_batch(tmp_path):
    mg.onnx.export(Function(lambda x: mg.cat([x, x])), mg.zeros(1, 2), tmp_path / "x.onnx")
    size, _ = onnx.load(tmp_path / "x.onnx").graph.output[0].type.tensor_type.shape.dim
    assert size.WhichOneof("value") is None


def test_weights_that_are_shared_or_computed_with(tmp_path):
    first = nn.Linear(4, 4)
    second = nn.Linear(4, 4)
    second.weight = first.weight
    scale = nn.Parameter(grid((4, 1)).astype(np.float32))
    model = Function(
        lambda x: F.linear(second(first(x)), first.weight * scale), a=first, b=second, scale=scale
    )
    proto = assert_same(model, (4,), tmp_path)
    names = [tensor.name for tensor in proto.graph.initializer]
    assert sorted(names) == ["a.bias", "b.bias", "b.weight", "scale"]  # the last of its names


def test_an_index_kept_as_a_buffer(tmp_path):
    proto = assert_same(Function(lambda x: x[:, PICKS], picks=PICKS), (4,), tmp_path)
    assert [tensor.name for tensor in proto.graph.initializer] == ["picks"]


def test_float64(tmp_path):
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)).to("float64")
    assert_same(model, (4,), tmp_path, dtype=np.float64, atol=1e-12)


def test_hooks_are_part_of_the_graph(tmp_path):
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    model[0].register_forward_pre_hook(lambda module, args: args[0] + 1)
    model[0].register_forward_hook(lambda module, args, y: y * 2)
    assert_same(model, (4,), tmp_path)


def test_tracing_keeps_no_results(tmp_path):
    """Batches of many sizes take no more memory than the largest of them."""
    alive = []

    def function(x):
        assert not any(result() for result in alive)
        y = F.relu(x)
        alive.append(weakref.ref(y.data))
        return y + 1

    assert_same(Function(function), (4,), tmp_path, sizes=())
    assert len(alive) > 2


def test_a_gpu(tmp_path, device):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).to(device)
    mg.onnx.export(model, mg.zeros(1, 3, 6, 6, device=device), tmp_path / "x.onnx")
    x = grid((2, 3, 6, 6)).astype(np.float32)
    (found,) = session(tmp_path / "x.onnx").run(None, {"input": x})
    expected = model.to("cpu").eval()(mg.tensor(x)).detach().numpy()
    np.testing.assert_allclose(found, expected, 1e-5, 1e-5)


# ---------------------------------------------------------------------------- mistakes


def flips():
    state = iter(range(10))
    return lambda x: F.relu(x) if next(state) else F.sigmoid(x)


def doubled(x, y):
    return x - y if len(x) == 2 else y - x


def reused(x):
    """A NumPy array in the place of a result that is gone."""
    y = x * 2
    place = id(y.data)
    del y
    arrays = [x.numpy() * 3 for _ in range(100)]
    return x + mg.Tensor(next((a for a in arrays if id(a) == place), arrays[0]))


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (lambda x: F.dropout(x, 0.5), "no rule for the operation 'dropout'"),
        (lambda x: x.max(1).values, "no rule for the operation 'take_along'"),
        (lambda x: x * x.argmax(1).reshape(-1, 1).to("float32"), "an operand of reshape depends"),
        (lambda x: x * mg.Tensor(x.numpy() * 2), "an operand of mul depends"),
        (lambda x: x * x.mean().item(), "an operand of mul depends"),
        (lambda x: x / x.shape[0], "an operand of div depends on the batch size"),
        (lambda x: doubled(x, x * 2), "an operand of sub depends"),
        (lambda x: x[: x.shape[0] - 1], "getitem's index depends on the batch size"),
        (lambda x: x[x.numpy()[:, 0] > 0], "getitem's index depends on"),
        (lambda x: x[:, mg.tensor([True, False, True, True])], "an index of bools"),
        (lambda x: x.reshape(-1, 2, 2)[:, [0], [1]], "of several arrays"),
        (lambda x: x.var(0), "var's divisor depends on the batch size"),
        (
            lambda x: (x @ x.T).reshape(1, 1, x.shape[0], x.shape[0]),
            "more than one size of a reshape depends on the batch size",
        ),
        (lambda x: x * (x.shape[0] // 2), "an operand of mul depends on the batch size"),
        (lambda x: x * (x.shape[0] // 16), "an operand of mul depends on the batch size"),
        (lambda x: x + x.shape[0] % 2, "an operand of add depends on the batch size"),
        (lambda x: x + min(x.shape[0], 4), "an operand of add depends on the batch size"),
        (lambda x: x[: x.shape[0] // 2], "getitem's index depends on the batch size"),
        (lambda x: x[x.shape[0] // 3 :], "getitem's index depends on the batch size"),
        (lambda x: F.pad(x, (0, 0, 0, x.shape[0] // 2)), "pad's widths depends on the batch size"),
        (lambda x: x if x.shape[0] < 8 else F.relu(x), "the number of operations depends on the b"),
        (lambda x: x.squeeze() * 2, "reshape's shape depends on the batch size"),
        (lambda x: x.reshape(x.shape[0] // 2, 8), "takes 2 inputs at once and not 1 (ValueError"),
        (
            lambda x: F.adaptive_avg_pool2d(x.reshape(1, 1, *x.shape), 2),
            "adaptive_avg_pool2d's window depends on the batch size",
        ),
        (
            lambda x: F.max_pool2d(x.reshape(1, 1, *x.shape), 1),
            "max_pool2d's out depends on the batch size",
        ),
        (lambda x: x * x.mean().item(), "an operand of mul depends on the input's values"),
        (reused, "an operand of add depends on the input's values"),
        (lambda x: x[:1].expand(x.shape[0], -1), "a size of an expand depends on the batch size"),
        (lambda x: x.reshape(1, 1, *x.shape)[(0,) * (x.shape[0] - 1)], "getitem's index"),
        (lambda x: F.relu(x) if x.shape[0] == 2 else -F.relu(x), "the number of operations"),
        (flips(), "whether sigmoid or relu comes next"),
        (lambda x: x[:, :0].reshape(0), "a tensor without elements"),
        (lambda x: (x, x), "expected a model of one Tensor, got tuple"),
        (lambda x: F.batch_norm(x, CHANNELS, CHANNELS, training=True), "batch_norm's mean depends"),
        (lambda x: (x > 0) + (x < 1), "ONNX does not allow"),
    ],
)
def test_what_no_graph_tells(function, text, tmp_path):
    path = tmp_path / "x.onnx"
    refuses(
        NotImplementedError,
        text,
        lambda: mg.onnx.export(Function(function), mg.zeros(1, 4), path),
    )
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("model", "args", "options", "error", "text"),
    [
        (F.relu, mg.zeros(1), {}, TypeError, "model: expected a Module, got function"),
        (nn.ReLU(), np.zeros(1), {}, TypeError, "args: expected a Tensor, got ndarray"),
        (nn.ReLU(), mg.tensor([1]), {}, TypeError, "args: expected a floating dtype, got int64"),
        (nn.ReLU(), mg.zeros(()), {}, ValueError, "args: expected shape (N, ...), got ()"),
        (nn.ReLU(), mg.zeros(1), {"input_names": "x"}, ValueError, "input_names: expected a seq"),
        (nn.ReLU(), mg.zeros(1), {"output_names": []}, ValueError, "output_names: expected a s"),
    ],
)
def test_arguments(tmp_path, model, args, options, error, text):
    refuses(error, text, lambda: mg.onnx.export(model, args, tmp_path / "x", **options))


def test_the_package_is_missing(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    refuses(
        ImportError,
        "pip install -e '.[onnx]'",
        lambda: mg.onnx.export(nn.ReLU(), mg.zeros(1), tmp_path / "x.onnx"),
    )
