"""The usual place has the same names."""

import minigrad as mg
from minigrad.utils import data
from minigrad.utils.data import DataLoader


def test_the_names_are_those_of_minigrad_data():
    assert {*data.__all__} == {*mg.data.__all__} - {
        "Transform",
        "replayable",
        "rows_of_batch",
    }
    assert all(getattr(data, name) is getattr(mg.data, name) for name in data.__all__)
    assert mg.utils.data.DataLoader is DataLoader
