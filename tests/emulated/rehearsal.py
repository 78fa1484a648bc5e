"""benchmarks.gpu_session from start to end, its kernels executed, on networks of few channels.

    python -m tests.emulated tests.emulated.rehearsal --out rehearsal.json

Its options go on with or replace the ones below. What it finds is what a session on a card finds,
but for the figures: those of speed mean nothing here.
"""

from __future__ import annotations

import sys

from benchmarks import gpu_session

TESTS = "test_a_training or functional.gelu or functional.sigmoid"  # of hundreds
OPTIONS = (
    *("--budget", "20m", "--dataset", "synthetic", "--epochs", "1"),
    *("--batch", "4", "--side", "8", "--size", "64", "--seconds", "0.1", "--first", "5"),
    *("--most", "300", "--workers", "2", "--tests", TESTS),
)


def main() -> None:
    """Command line."""
    gpu_session.PARTS = (sys.executable, "-m", "tests.emulated.thin")
    sys.argv[1:1] = OPTIONS
    gpu_session.main()


if __name__ == "__main__":
    main()
