"""The tables of a comparison show the steps, epochs, differences and times that it holds."""

from __future__ import annotations

from cifar.twins import tables
from cifar.twins.lockstep import QUANTITIES, Comparison

SIDES = ("minigrad", "PyTorch")


def make(steps):
    """A comparison of so many steps, four in the first epoch; the second epoch is cut short."""
    line = {f"{q}_{kind}": 1e-3 for q in QUANTITIES for kind in ("absolute", "relative")}
    whole = {"lr": 0.1, "train_loss": 1.0, "train_accuracy": 0.5, "test_loss": 2.0}
    epochs = [
        {"epoch": 1, "steps": 4}
        | {name: {**whole, "test_accuracy": 0.25 + 0.01 * i} for i, name in enumerate(SIDES)},
        {"epoch": 2, "steps": steps - 4}
        | {name: {"lr": 0.1, "train_loss": 1.0, "train_accuracy": 0.5} for name in SIDES},
    ]
    speed = {"seconds_per_step": 0.25, "images_per_second": 64.0}
    return Comparison(
        {},
        {},
        losses={name: [float(i) for i in range(steps)] for name in SIDES},
        accuracies={name: [0.5] * steps for name in SIDES},
        differences={"minigrad": [{"step": i + 1, **line} for i in range(steps)]},
        epochs=epochs,
        speed={
            "minigrad": {**speed, "peak_memory_mb": 50.0},
            "PyTorch": {**speed, "peak_memory_mb": 100.0},
        },
    )


def test_steps():
    header, rows = tables.step_table(make(7))
    assert header == ("step", "minigrad: loss", "PyTorch: loss", "minigrad: %", "PyTorch: %")
    assert [row[0] for row in rows] == [1, 2, 5, 7]
    assert rows[-1] == (7, "6.000000", "6.000000", "50.00", "50.00")
    assert [row[0] for row in tables.step_table(make(123))[1]] == [1, 2, 5, 10, 20, 50, 100, 123]


def test_differences():
    header, rows = tables.difference_table(make(5))
    assert header == ("step", *(f"minigrad: {q}" for q in QUANTITIES))
    assert rows[-1] == (5, *["1.0e-03 (1.0e-03)"] * 3)


def test_epochs():
    header, rows = tables.epoch_table(make(7))
    assert header[:3] == ("epoch", "contestant", "lr")
    assert rows[0][:3] == (1, "minigrad", "0.1")
    assert rows[0][-3:] == ("2.0000", "25.00", "-1.00")
    assert rows[1][-3:] == ("2.0000", "26.00", None)
    assert rows[2][-3:] == (None, None, None)  # the epoch was cut short


def test_speed():
    header, rows = tables.speed_table(make(7))
    assert header[1:] == ("minigrad", "PyTorch", "ratio")
    assert rows[0] == ("ms per step, median", "250.0", "250.0", "1.00")
    assert rows[-1] == ("peak memory, MB", "50.0", "100.0", "0.50")
    on_a_gpu = make(7)
    on_a_gpu.speed["minigrad"]["peak_memory_mb"] = None
    assert len(tables.speed_table(on_a_gpu)[1]) == 2
