#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The gate for hot paths: what an event may cost in instructions, by mode of the hart.

budget.json holds what each path took when it was last looked at. One that takes MARGIN more fails its test. Where events are
counted one by one it is their median, and where thousands are counted at once, a few times, the least of these: an interrupt of
the kernel's own can only add to it. An access by an exit is not among them, since what the kernel does beside may be more
than the margin. A path that is meant to grow is accepted by

    tests/system/budget.py ROWS.json

with the rows of a bench (build/bench/results.json, build/demo.json), which replaces what the file says of its paths and prints
what has changed. The file is never edited by hand, but for a path to be added: its numbers can then be 0.
"""

import json
import sys
from pathlib import Path

from machine import bench

BUDGET = Path(__file__).with_name("budget.json")
MARGIN = 0.05
ONE_BY_ONE = ("wake",)
KEY = ("scenario", "mechanism", "params", "metric")


def load():
    """The paths: dicts of KEY, "insn" and "parts" (metric → the same of it), where the metric is a sum."""
    return json.loads(BUDGET.read_text(encoding="utf-8"))


def name_of(path):
    return " ".join([path["scenario"], path["mechanism"], *(f"{k}={v}" for k, v in path["params"].items())])


def find(rows, path, metric):
    """What counts of a path's metric, or None."""
    row = bench.find(rows, path["scenario"], path["mechanism"], metric, **path["params"])
    return row and row["median" if path["scenario"] in ONE_BY_ONE else "min"]


def compare(path, rows):
    """(within the budget, sentence) for a path."""
    found, most = find(rows, path, path["metric"]), path["insn"]
    if found is None:
        return False, f"{name_of(path)}: not one row {path['metric']}"
    sentence = f"{name_of(path)}: {found:g} instructions, {most:g} when last looked at"
    if found <= most * (1 + MARGIN):
        return True, sentence
    grown = [(find(rows, path, part) or 0) - was for part, was in path["parts"].items()]
    where = ", ".join(f"{part} {by:+g}" for part, by in zip(path["parts"], grown) if by) or "nowhere that is counted by itself"
    return False, (f"{sentence}: grown by {found - most:g}, {100 * (found / most - 1) if most else 100:.0f} % "
                   f"({100 * MARGIN:g} % are allowed): {where}. If that is meant: tests/system/budget.py ROWS.json")


def check(tap, rows, *scenarios):
    """A check for each path of these scenarios."""
    for path in load():
        if path["scenario"] in scenarios:
            within, sentence = compare(path, rows)
            tap.check(within, f"{name_of(path)}: within its budget", sentence)


def accept(rows):
    """Takes the rows for what the paths may cost."""
    paths = load()
    for path in paths:
        found = find(rows, path, path["metric"])
        if found is None:
            continue
        if found != path["insn"]:
            print(f"{name_of(path)}: {path['insn']:g} -> {found:g}")
        path["insn"] = found
        path["parts"] = {part: find(rows, path, part) or 0 for part in path["parts"]}
    BUDGET.write_text("[\n" + ",\n".join(" " + json.dumps(path) for path in paths) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: tests/system/budget.py ROWS.json")
    accept(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
