"""The command line of :mod:`benchmarks.ops`."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks import contest, ops
from benchmarks.ops import report
from benchmarks.ops.table import FAMILIES, chosen
from cifar import environment


def main() -> None:
    """Command line."""
    parser = contest.parser(ops.__doc__, turns=2, per_turn=0.02)
    add = parser.add_argument
    names = sorted({name for cases in FAMILIES.values() for case in cases for name in case.names})
    add("--family", action="append", choices=tuple(FAMILIES), help="its cases; may be repeated")
    add("--name", action="append", choices=names, metavar="NAME", help="of this public name only")
    add("--threads", type=contest.positive, default=environment.cores(), help="of each contestant")
    add("--plot", type=contest.new_file, help="draw the results into this file")
    add("--redraw", type=Path, metavar="JSON", help="draw these results, without measuring")
    given = parser.parse_args()
    if given.redraw:
        if not given.plot:
            parser.error("--redraw: expected --plot too")
        report.draw(json.loads(given.redraw.read_text("utf-8")), given.plot)
        return
    only = given.name or []
    families = [family for family in given.family or FAMILIES if chosen(family, only)]
    if not families:
        parser.error(f"no case of {', '.join(given.family)} is of {', '.join(only)}")
    peaks = environment.peaks(given.threads)
    print(contest.heading(given.threads, peaks), flush=True)
    rows = []
    for family in families:
        own = report.compare(family, only, given.threads, given.seconds, given.rounds, peaks)
        print(f"{family}\n{report.show(own)}\n", flush=True)
        rows += own
    print(report.show_summary(rows))
    head = {"machine": contest.describe(), "threads": given.threads, "rounds": given.rounds}
    head["peaks"] = peaks
    if given.out:
        report.write(given.out, head, rows)
    if given.plot:
        report.draw({**head, "results": rows}, given.plot)


if __name__ == "__main__":
    contest.run(main)
