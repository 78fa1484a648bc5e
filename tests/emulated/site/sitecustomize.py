"""Found first by Python processes whose PYTHONPATH begins with this folder: see ../__main__.py."""

from tests.emulated import under_cupy

under_cupy.install()
