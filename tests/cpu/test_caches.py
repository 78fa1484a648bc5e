"""The size of the second-level cache, as Linux tells it."""

from __future__ import annotations

import pytest

from minigrad.cpu import caches


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2048K\n", 2 << 20), ("512K\n", 1 << 19), ("?\n", caches.USUAL), (None, caches.USUAL)],
)
def test_the_second_level(text, expected, monkeypatch, tmp_path):
    file = tmp_path / "size"
    if text is not None:
        file.write_text(text)
    monkeypatch.setattr(caches, "SECOND_LEVEL", file)
    assert caches.second_level_bytes.__wrapped__() == expected
