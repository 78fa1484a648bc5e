"""What an exported file holds."""

from __future__ import annotations

import json
import sys

import numpy as np
import onnx
import pytest

import minigrad as mg
from minigrad import nn
from tests.common import grid, refuses
from tests.onnx.common import F, Function, assert_same, session


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
    picks = mg.tensor([2, 0, 2])
    proto = assert_same(Function(lambda x: x[:, picks], picks=picks), (4,), tmp_path)
    assert [tensor.name for tensor in proto.graph.initializer] == ["picks"]


def test_float64(tmp_path):
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)).to("float64")
    assert_same(model, (4,), tmp_path, dtype=np.float64, atol=1e-12)


def test_a_gpu(tmp_path, device):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).to(device)
    mg.onnx.export(model, mg.zeros(1, 3, 6, 6, device=device), tmp_path / "x.onnx")
    x = grid((2, 3, 6, 6)).astype(np.float32)
    (found,) = session(tmp_path / "x.onnx").run(None, {"input": x})
    expected = model.to("cpu").eval()(mg.tensor(x)).detach().numpy()
    np.testing.assert_allclose(found, expected, 1e-5, 1e-5)


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
