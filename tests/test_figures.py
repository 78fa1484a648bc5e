"""The tables of the README and of docs/ show the figures of benchmarks/results/."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PERFORMANCE = "docs/performance.md"
RECIPES = {
    "long-tail, cross-entropy": "long-tail-ce",
    "long-tail, class-balanced focal loss": "long-tail-cb-focal",
    "speed-94, with test-time augmentation": "speed-94",
    "speed-95, with test-time augmentation": "speed-95",
    "resnet-82": "resnet-82-1-epoch",
}


def read(name):
    return json.loads((ROOT / "benchmarks/results" / f"{name}.json").read_text("utf-8"))


def table(page, header):
    """The rows of the table of a page that begins with ``header``, without emphasis."""
    text = (ROOT / page).read_text("utf-8").replace("*", "")
    (body,) = re.findall(rf"^\| {re.escape(header)}.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.M)
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in body.splitlines()]


def test_training_steps():
    expected = []
    for m in read("train_step-cpu")["models"]:
        ours, best = m["results"]["minigrad"], m["results"][m["best_torch"]]
        speeds = [ours, m["results"]["minigrad numpy"], best]
        expected.append(
            [f"{m['model']}, {m['batch']}"]
            + [f"{speed['images_per_second']:.0f}" for speed in speeds]
            + [f"{m['ratio']:.2f}", f"{ours['of_peak']:.0%}".replace("%", " %")]
            + [f"{ours['memory_mb']:.0f} / {best['memory_mb']:.0f} MB"]
        )
    assert sorted(table(PERFORMANCE, "model, batch")) == sorted(expected)


def test_families_of_operations():
    families = read("ops-cpu")["families"]
    rows = {row[0]: [float(cell) for cell in row[1:]] for row in table(PERFORMANCE, "family")}
    assert rows.keys() == families.keys()
    for family, found in families.items():
        figures = [found[k] for k in ("ratio", "small", "usual", "large", "rows", "slow")]
        assert rows[family] == pytest.approx(figures, abs=0.006)  # rounded twice


def test_what_threads_do_not_share():
    expected = [
        [f"{row['model']}, {row['batch']}"]
        + [f"{1e3 * row[threads]:.1f}" for threads in ("one", "two")]
        + [f"{row['one'] / row['two']:.2f}", f"{100 * row['serial']:.0f} %"]
        for row in read("serial-cpu")["results"]
    ]
    assert table(PERFORMANCE, "model, images") == expected


def test_which_parts_threads_do_not_share():
    expected = []
    for row in read("serial-cpu")["results"]:
        shares = {p["part"]: (2 * p["two"] - p["one"]) / row["one"] for p in row["parts"]}
        convolution = sum(share for part, share in shares.items() if part.startswith("conv2d"))
        named = [convolution, shares["optimiser"], shares["the rest"]]
        other = sum(shares.values()) - sum(named)
        expected.append([row["model"], *(f"{100 * share:.0f} %" for share in (*named, other))])
    assert table(PERFORMANCE, "model | convolution") == expected


def test_start_up():
    seconds = read("startup-cpu")["seconds"]
    expected = [[process, f"{min(times):.2f}"] for process, times in seconds.items()]
    assert table(PERFORMANCE, "process") == expected


def test_rounding():
    names = ("float64", "float32", "float32, plain NumPy", "PyTorch, float32")
    expected = [
        [row["recipe"], *(f"{row[name]:.1e}" for name in names)]
        for row in read("rounding-cpu")["results"]
    ]
    assert sorted(table("docs/pytorch.md", "recipe, first step")) == sorted(expected)


@pytest.mark.parametrize("row", table("docs/pytorch.md", "recipe | steps"), ids=lambda row: row[0])
def test_comparisons(row):
    found = read(f"compare-{row[0]}-cpu")
    last = found["epochs"][-1]
    threads = [last[k]["train_loss"] for k in last if k.startswith("PyTorch, ")]
    assert row[1:] == [
        f"{last['steps']}",
        *(f"{last[name]['train_loss']:.4f}" for name in ("minigrad", "PyTorch")),
        ", ".join(f"{loss:.4f}" for loss in threads) or "–",
        *(f"{1e3 * found['speed'][name]['seconds_per_step']:,.0f}" for name in found["speed"]),
    ]


@pytest.mark.parametrize(
    ("name", "accuracy"),
    [
        *((row[0], row[3]) for row in table("README.md", "recipe | epochs | seeds")),
        *((row[0].split(",")[0], row[2]) for row in table("docs/results.md", "recipe | seeds")),
        *((row[0], row[2]) for row in table("docs/results.md", "recipe | epochs")),
    ],
)
def test_accuracies(name, accuracy):
    final = read(f"{RECIPES.get(name, name)}-cpu")["final"]
    found = final.get("test_tta_accuracy", final["test_accuracy"])
    text = f"{found['mean']:.2%}".rstrip("%")
    text += " %" if found["std"] is None else f" ± {100 * found['std']:.2f} %"
    assert accuracy.startswith(text)
