"""All implementations there are: importing this registers them (see :mod:`minigrad.dispatch`)."""

from __future__ import annotations
