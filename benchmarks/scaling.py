"""Time per image against batch size, image size and number of threads, compared with PyTorch.

    python -m benchmarks.scaling --out scaling.json --plot scaling.png     # about nine minutes
    python -m benchmarks.scaling --redraw scaling.json --plot scaling.png

Measures the milliseconds per image of a whole training step on the CPU: over the batch size at
32 x 32 pixels, and over the image size at one batch size, for each number of threads. PyTorch's
figure is the better of NCHW and channels_last at each point, with glibc keeping freed memory (see
:mod:`benchmarks.contest`). The model must accept images of any size, as the gated networks do.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any

from benchmarks import contest, study
from benchmarks.contest import KEPT, QUICK
from cifar import environment, models, summary
from cifar.results import plots
from cifar.results.tables import table

NAME = "scaling"
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
SIZES = (16, 24, 32, 48, 64)
SIZE, BATCH = 32, 64  # fixed image size when the batch varies, and batch when the image varies
LEAST, MOST = 2, 50  # steps at one point in a turn

Point = tuple[int, int]  # batch, size


def measure(
    contestant: str, threads: int, model: str, points: list[Point], seconds: float
) -> list[list[float]]:
    """In the child: seconds of each step at each point."""
    engine = contest.engine(contestant, threads)
    return [
        contest.times(study.training_step(engine, model, batch, size), LEAST, seconds, MOST)
        for batch, size in points
    ]


def compare(
    model: str, points: list[Point], threads: list[int], seconds: float, rounds: int
) -> list[dict[str, Any]]:
    """A row for each point and number of threads: milliseconds per image of all contestants."""
    rows = []
    for count in threads:
        work = {"threads": count, "model": model, "points": points, "seconds": seconds}
        runs = contest.rounds(NAME, QUICK, rounds, **work)
        for i, (batch, size) in enumerate(points):
            ms = {
                name: 1e3 * statistics.median(t for turn in turns for t in turn[i]) / batch
                for name, turns in runs.items()
            }
            rows.append({"threads": count, "batch": batch, "size": size, "ms_per_image": ms})
    return rows


def pair(row: dict[str, Any]) -> tuple[float, float]:
    """Milliseconds per image of minigrad and of the better PyTorch."""
    ms = row["ms_per_image"]
    return ms["minigrad"], min(ms[name] for name in KEPT)


def show(rows: list[dict[str, Any]]) -> str:
    """The rows as a table."""
    header = ("threads", "batch", "image", "minigrad ms/image", "PyTorch ms/image", "ratio")
    lines = []
    for row in rows:
        ours, theirs = pair(row)
        where = (row["threads"], row["batch"], f"{row['size']} × {row['size']}")
        lines.append((*where, f"{ours:.2f}", f"{theirs:.2f}", f"{theirs / ours:.2f}"))
    return table(header, lines)


def draw(results: dict[str, Any], path: Path) -> None:
    """Plot the results of a JSON file as two panels of a PNG."""
    panels = (
        ("batch", "batch size (images)", "size", f"{SIZE} × {SIZE} pixels"),
        ("size", "height and width of the image (pixels)", "batch", f"batch of {results['batch']}"),
    )
    fixed = {"size": SIZE, "batch": results["batch"]}
    threads = sorted({row["threads"] for row in results["results"]})
    dashes = ("-",) if len(threads) == 1 else ("--", "-", ":", "-.")
    styles = [dashes[i % len(dashes)] for i in range(len(threads))]
    with plots.picture(path, 1, 2, (10, 4.8), sharey=True) as (figure, axes):
        for axis, (over, label, held, title) in zip(axes[0], panels, strict=True):
            rows = [row for row in results["results"] if row[held] == fixed[held]]
            rows.sort(key=lambda row: row[over])
            for count, style in zip(threads, styles, strict=True):
                own = [row for row in rows if row["threads"] == count]
                both = (("minigrad", plots.BLUE, "o"), ("PyTorch", plots.ORANGE, "s"))
                for i, (name, colour, marker) in enumerate(both):
                    axis.plot(
                        [row[over] for row in own],
                        [pair(row)[i] for row in own],
                        color=colour,
                        marker=marker,
                        markersize=5,
                        markerfacecolor="white" if style == "--" else colour,
                        linestyle=style,
                        label=f"{name}, {count} thread{'s' * (count > 1)}",
                    )
            axis.set(xscale="log", yscale="log", xlabel=label, title=title)
            plots.write_out(axis.xaxis, sorted({row[over] for row in rows}))
            plots.write_out(axis.yaxis)
            axis.grid(alpha=0.3)
        axes[0, 0].set_ylabel("time per image (ms)")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
        figure.suptitle(
            f"Training step of {results['model']} on {results['machine']['cpu']}: lower is better"
        )


def _refused(model: str, sizes: list[int]) -> str:
    """Why ``model`` cannot be measured at ``sizes``; "" if it can."""
    network = models.create(model)
    for size in sizes:
        try:
            summary.summarize(network, (3, size, size))
        except ValueError as error:
            return f"model: {model} does not take images of {size} x {size}: {error}"
    return ""


def main() -> None:
    """Command line."""
    parser = contest.parser(__doc__, turns=2, per_turn=0.5)
    add = parser.add_argument
    numbers: dict[str, Any] = {"type": contest.positive, "nargs": "+", "metavar": "N"}
    add("--model", default="gated", choices=models.names(), help="whose training step is timed")
    add(
        "--batches",
        **numbers,
        default=BATCHES,
        help=f"batch sizes at {SIZE} x {SIZE} pixels (1, 2, 4, … 512)",
    )
    add("--sizes", **numbers, default=SIZES, help="heights and widths of the images (16 … 64)")
    add("--batch", type=contest.positive, default=BATCH, help=f"images at each of them ({BATCH})")
    add("--threads", **numbers, default=sorted({1, environment.cores()}), help="of each contestant")
    add("--plot", type=contest.new_file, help="draw the results into this PNG file")
    add("--redraw", type=Path, metavar="JSON", help="only draw what --out wrote before")
    given = parser.parse_args()
    if given.redraw:
        if not given.plot:
            parser.error("--redraw needs --plot, the file to draw into")
        _redraw(given.redraw, given.plot)
        return
    if why := _refused(given.model, [SIZE, *given.sizes]):
        parser.error(why)
    points = [(batch, SIZE) for batch in given.batches]
    points += [(given.batch, size) for size in given.sizes]
    points = sorted(set(points), key=lambda point: point[0] * point[1] ** 2)
    rows = compare(given.model, points, sorted(set(given.threads)), given.seconds, given.rounds)
    print(show(rows))
    head = {"model": given.model, "batch": given.batch, "rounds": given.rounds}
    results = {"machine": contest.describe(), **head, "results": rows}
    if given.out:
        environment.write(given.out, results)
    if given.plot:
        draw(results, given.plot)


def _redraw(source: Path, path: Path) -> None:
    try:
        results = json.loads(source.read_text("utf-8"))
        draw(results, path)
    except OSError as error:
        sys.exit(f"error: {error}")
    except (ValueError, KeyError, TypeError) as error:
        sys.exit(f"error: {source}: not a file that --out wrote ({error!r})")


if __name__ == "__main__":
    contest.run(main)
