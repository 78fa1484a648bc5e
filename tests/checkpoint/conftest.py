"""What the tests of files share."""

import pytest


@pytest.fixture
def file(tmp_path):
    return tmp_path / "weights.safetensors"
