"""What the tests of the export to ONNX share."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
from hypothesis import HealthCheck, settings

import minigrad as mg
from minigrad import nn
from tests.common import grid

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
