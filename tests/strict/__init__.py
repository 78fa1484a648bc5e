"""The tests of GPUs on a strict stand-in for CuPy: see cupy/__init__.py here and __main__.py."""
