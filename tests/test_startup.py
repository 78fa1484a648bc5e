"""What starts up loads only what it needs."""

from __future__ import annotations

import os
import subprocess
import sys

# Each takes a tenth of a second and more to import.
HEAVY = """
IPython PIL cupy docutils hypothesis jinja2 jupytext llvmlite matplotlib numba onnx onnxruntime
pandas playwright pytest requests safetensors scipy torch urllib3
"""
PROGRAM = f"""
import contextlib, io, sys
heavy = set({HEAVY.split()})
import minigrad
print("minigrad", *sorted(heavy & set(sys.modules)))
from cifar.cli import main
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()) as shown:
    main(["--help"])
assert "train" in shown.getvalue()
print("cifar", *sorted(heavy & set(sys.modules)))
"""


def test_heavy_modules_are_imported_where_they_are_used():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for name in "MINIGRAD_COMPILED", "MINIGRAD_NUM_THREADS":
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert done.stdout.splitlines() == ["minigrad", "cifar"]
