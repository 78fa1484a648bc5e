"""``python -m tests.strict ARGUMENTS`` is pytest with a strict stand-in in place of CuPy.

    python -m tests.strict -k "gpu and not parity" tests/ops

It finds what mixes up NumPy's and CuPy's arrays, or does in a captured step what cannot be done
there. That a test passes says nothing of a GPU.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

HERE = str(Path(__file__).parent)
sys.path.insert(0, HERE)
os.environ["PYTHONPATH"] = os.pathsep.join([HERE, os.environ.get("PYTHONPATH", "")])  # of children
sys.exit(pytest.main(["-p", "no:cacheprovider", *sys.argv[1:]]))
