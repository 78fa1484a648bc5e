"""The recipe to begin with."""

from __future__ import annotations

from pathlib import Path

import minigrad as mg
from cifar import cli, models, own_code, recipes
from cifar.recipes import template


def test_it_is_a_recipe_with_a_model_for_any_size(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "mine.py"
    path.write_text(template.TEXT.format(file="mine.py", name="mine"))
    recipe = recipes.load(str(path))
    assert recipe.model == f"{path}:create"
    model = models.build(recipe.model, 3, 0, 20, own_code.read(recipe.model)).eval()
    assert model(mg.zeros(1, 3, 20, 20)).shape == (1, 3)


def test_it_may_be_in_any_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    Path("sub").mkdir()
    assert cli.main(["new-recipe", "sub/my.py"]) == 0
    recipe = recipes.load("sub/my.py")
    assert recipe.model == "sub/my.py:create"
    assert own_code.read(recipe.model).function == "create"
