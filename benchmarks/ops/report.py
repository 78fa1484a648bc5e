"""The rows of results, as tables, JSON and a picture."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import minigrad as mg
from benchmarks import contest
from benchmarks.contest import KEPT, QUICK
from benchmarks.ops.case import VARIANTS
from benchmarks.ops.table import chosen
from cifar.results import plots
from cifar.results.tables import table

SLOW = 0.7  # no row should be below it, and no family below 1
Row = dict[str, Any]


def compare(
    family: str,
    only: Sequence[str],
    threads: int,
    seconds: float,
    rounds: int,
    peaks: dict[str, float],
) -> list[Row]:
    """A row for each part of each variant of each case, with the smallest time of each library."""
    work = {"threads": threads, "family": family, "only": list(only), "seconds": seconds}
    runs = contest.rounds("ops.child", QUICK, rounds, **work)
    rows = []
    for i, case in enumerate(chosen(family, only)):
        for k, variant in enumerate(VARIANTS):
            for part, figures in runs["minigrad"][0][i][k].items():
                ms = {
                    name: min(turn[i][k][part]["ms"] for turn in turns)
                    for name, turns in runs.items()
                    if turns[0][i][k]
                }
                best = min((name for name in KEPT if name in ms), key=lambda name: ms[name])
                if "flops" in figures:
                    share = figures["flops"] / ms["minigrad"] / 1e6 / peaks["gflops"]
                else:
                    share = figures["bytes"] / ms["minigrad"] / 1e6 / peaks["gb_per_second"]
                rows.append(
                    {
                        "family": family,
                        "case": case.label,
                        **variant._asdict(),
                        "part": part,
                        "minigrad_ms": rounded(ms["minigrad"]),
                        "torch_ms": rounded(ms[best]),
                        "torch": best,
                        "ratio": rounded(ms[best] / ms["minigrad"]),
                        "of_peak": rounded(share),
                    }
                )
    return rows


def rounded(number: float) -> float:
    return float(f"{number:.4g}")


def summary(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """For each family, the geometric mean of the ratios, over all rows and for each size, the
    number of rows, and the number of slow ones."""
    figures = {}
    for family in dict.fromkeys(row["family"] for row in rows):
        own = [row for row in rows if row["family"] == family]
        means = {}
        for size in dict.fromkeys(variant.size for variant in VARIANTS):
            means[size] = mean([row for row in own if row["size"] == size])
        slow = sum(row["ratio"] < SLOW for row in own)
        figures[family] = {"ratio": mean(own), **means, "rows": len(own), "slow": slow}
    return figures


def mean(rows: Sequence[Row]) -> float:
    return rounded(statistics.geometric_mean([row["ratio"] for row in rows]))


def described(row: Row) -> str:
    """The row's variant, in words."""
    special = [row["layout"]] * (row["layout"] != "contiguous")
    special += [row["dtype"]] * (row["dtype"] != "float32")
    return ", ".join([row["size"], *special])


def show(rows: Sequence[Row]) -> str:
    """The rows of one family, the slowest first."""
    header = ("case", "variant", "part", "minigrad ms", "PyTorch ms", "ratio", "of peak")
    lines = [
        (
            row["case"],
            described(row),
            row["part"],
            f"{row['minigrad_ms']:.3f}",
            f"{row['torch_ms']:.3f}",
            f"{row['ratio']:.2f}",
            f"{row['of_peak']:.0%}",
        )
        for row in sorted(rows, key=lambda row: row["ratio"])
    ]
    return table(header, lines)


def show_summary(rows: Sequence[Row]) -> str:
    """A line for each family."""
    families = summary(rows)
    header = ("family", "ratio", "small", "usual", "large", "rows", f"below {SLOW}")
    lines = [
        (family, *(f"{figures[k]:.2f}" for k in ("ratio", "small", "usual", "large")),
         int(figures["rows"]), int(figures["slow"]))
        for family, figures in families.items()
    ]  # fmt: skip
    return table(header, lines)


def write(path: Path, head: dict[str, Any], rows: Sequence[Row]) -> None:
    """Write the results as JSON, with a line for each row."""
    start = json.dumps({**head, "families": summary(rows)}, indent=1, ensure_ascii=False)
    lines = ",\n".join(f"  {json.dumps(row, ensure_ascii=False)}" for row in rows)
    mg.checkpoint.write_text(path, f'{start[:-2]},\n "results": [\n{lines}\n ]\n}}\n')


def draw(results: dict[str, Any], path: Path) -> None:
    """Plot the ratios of all rows by family, with a mark at each family's mean."""
    rows = results["results"]
    families = list(dict.fromkeys(row["family"] for row in rows))[::-1]
    colours = {"small": plots.ORANGE, "usual": plots.BLUE, "large": plots.GREEN}
    with plots.picture(path, 1, 1, (9, 0.36 * len(families) + 1.6)) as (figure, axes):
        axis = axes[0, 0]
        for at, (size, colour) in enumerate(colours.items()):
            own = [row for row in rows if row["size"] == size]
            heights = [families.index(row["family"]) + 0.2 - 0.2 * at for row in own]
            ratios = [row["ratio"] for row in own]
            axis.plot(ratios, heights, "o", color=colour, markersize=3, alpha=0.4, label=size)
        means = [summary(rows)[family]["ratio"] for family in families]
        axis.plot(means, range(len(families)), "|k", markersize=16, label="geometric mean")
        for ratio, dash in ((1, "-"), (SLOW, ":")):
            axis.axvline(ratio, color="black", linewidth=0.8, linestyle=dash, label=f"{ratio}")
        axis.set(xscale="log", xlabel="PyTorch's time / minigrad's (right is faster)")
        axis.set_yticks(range(len(families)), families)
        plots.write_out(axis.xaxis, (0.001, 0.01, 0.1, 1, 10, 100))
        axis.grid(alpha=0.3, axis="x")
        handles, labels = axis.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
        figure.suptitle(f"Operations compared with PyTorch on {results['machine']['cpu']}")
