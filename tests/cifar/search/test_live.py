"""What is shown of trials: a table on a terminal, else a line when one ends."""

from __future__ import annotations

import io

import rich.console

from cifar.search import live


def test_a_line_for_every_trial_that_has_ended(study, capsys):
    trials = study.all()
    with live.shown(live=False) as show:
        show(trials[:2])
        show(trials)
    lines = capsys.readouterr().out.splitlines()
    assert sorted(line.split(":")[0] for line in lines) == [f"trial {n}" for n in range(4)]
    pruned = next(line for line in lines if "pruned" in line)
    assert "parameters, more than 2,500" in pruned
    best = live.ranked(trials)[0]
    size = best.user_attrs["parameters"]
    expected = f"trial {best.number}: {best.value:.2%} after 2 epochs, {size:,} parameters"
    assert expected in lines


def test_the_table_shows_the_best_first(study):
    console = rich.console.Console(file=io.StringIO(), width=120)
    trials = study.all()
    console.print(live.table(trials, most=1))
    text = console.file.getvalue()
    best = max((one for one in trials if one.value is not None), key=lambda one: one.value)
    assert f"{best.value:.2%}" in text
    assert "4 trials: " in text
    assert "waiting" not in text
