"""The recipe to begin with."""

from __future__ import annotations

import minigrad as mg
from cifar import models, own_code, recipes
from cifar.recipes import template


def test_it_is_a_recipe_with_a_model_for_any_size(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "mine.py"
    path.write_text(template.TEXT.format(file="mine.py", name="mine"))
    recipe = recipes.load(str(path))
    assert recipe.model == f"{path}:create"
    model = models.build(recipe.model, 3, 0, 20, own_code.read(recipe.model)).eval()
    assert model(mg.zeros(1, 3, 20, 20)).shape == (1, 3)
