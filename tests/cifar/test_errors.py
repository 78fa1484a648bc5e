"""Errors for the person at the keyboard."""

import pytest

from cifar.errors import DataError, UserError


def test_data_errors_are_user_errors():
    with pytest.raises(UserError, match="which file"):
        raise DataError("which file, and what is wrong with it")
    assert not issubclass(UserError, (ValueError, OSError)), "a bug must not look like a mistake"
