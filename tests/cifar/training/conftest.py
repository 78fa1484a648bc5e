"""The tiny world, and a whole run in it."""

from __future__ import annotations

import pytest

from cifar.training import train
from tests.cifar import tiny


@pytest.fixture
def small(monkeypatch):
    """The tiny recipe, model and data; call it again to change what happens to each batch."""

    def install(**options):
        monkeypatch.undo()
        tiny.install(monkeypatch.setattr, **options)
        return monkeypatch

    install()
    return install


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run, its pictures included: its folder and its history."""
    out = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        tiny.install(patch.setattr, pictures=True)
        return out, train.run(tiny.settings(out))
