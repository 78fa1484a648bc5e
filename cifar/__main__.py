"""``python -m cifar`` is the command ``cifar``."""

import sys

from cifar.cli import main

if __name__ == "__main__":
    sys.exit(main())
