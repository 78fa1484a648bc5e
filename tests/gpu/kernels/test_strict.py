"""The tests of GPUs on a stand-in for CuPy, for mistakes that NumPy forgives; see tests/strict."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FILES = (
    "tests/gpu/test_cuda_graph.py",
    "tests/checkpoint/test_safetensors_file.py",
    "tests/checkpoint/test_pt_file.py",
    "tests/ops/test_methods.py",
    "tests/cifar/test_gpu.py",
)
# Of the last file what needs the memory, the compiler or the time of a GPU.
NOT = "parity or out_of_memory or compiled_kernels or logits"


def strict(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.strict", "-n", "0", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


@pytest.fixture(autouse=True)
def _compiler():
    if shutil.which("g++") is None:
        pytest.skip("no g++, which compiles the CUDA kernels for the CPU")


def test_tests_of_gpus():
    done = strict("-k", f"gpu and not ({NOT})", *FILES)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


def test_it_is_strict(tmp_path):
    """What CuPy would not do, or only outside of a captured step."""
    test = """
        import numpy as np, pytest
        import minigrad as mg

        def fails(work, text):
            with pytest.raises(Exception, match=text):
                work()

        def test():
            x, there = mg.ones(3, device="gpu"), np.ones(3)
            fails(lambda: x.data + there, "Unsupported type")
            fails(lambda: np.asarray(x.data), "Implicit conversion")
            fails(lambda: x.device.xp.exp(there), "none of CuPy's arrays")
            for step, text in (
                (lambda y: y.sum().item(), "after sum: .*reading is disallowed"),
                (lambda y: y[[0, 1]], "sending is disallowed"),
                (lambda y: y.data * y.device.xp.asarray(there), "sending is disallowed"),
            ):
                run = mg.CapturedStep(step, warm=1)
                run(x)
                fails(lambda: run(x), text)

        def test_replays():
            total = mg.zeros(3, device="gpu")

            def step(x):
                total.data[...] += x.data
                return x * 2

            run = mg.CapturedStep(step, warm=1)
            for k in range(4):
                assert run(mg.tensor([k, 1.0, 1.0], device="gpu")).cpu().numpy()[0] == 2 * k
            assert total.cpu().numpy().tolist() == [6, 4, 4]
    """
    file = tmp_path / "test_rules.py"
    file.write_text("\n".join(line[8:] for line in test.splitlines()))
    done = strict("--rootdir", str(tmp_path), str(file))
    assert done.returncode == 0, done.stdout
