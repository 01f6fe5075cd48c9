# SPDX-License-Identifier: GPL-2.0-only
"""What the tests of the benches share: a bench in small, and the rows that it wrote."""

import json
import os
import subprocess
import tempfile

from machine import TOP, bench

FIELDS = {"scenario", "mechanism", "params", "metric", "unit", "n", "min", "median", "p99", "max"}


def documented(row):
    """Whether a row is what Documentation/measurements.rst says."""
    return set(row) == FIELDS and row["min"] <= row["median"] <= row["p99"] <= row["max"]


def run(tap, name, *words, **environment):
    """Runs a bench at its quick size, and checks its rows; (how it ended, with what it printed; the rows)."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="haiov-bench-test.") as folder:
        rows_at = os.path.join(folder, "rows.json")
        done = subprocess.run([str(TOP / "tools/bench" / name), *words, "--rows", rows_at],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              env={**os.environ, "BENCH_SIZE": "quick", **environment}, check=False)
        if os.path.exists(rows_at):
            with open(rows_at, encoding="utf-8") as stream:
                rows = json.load(stream)
    tap.check(rows and all(map(documented, rows)), "the rows are as documented", rows[:2] or done.stdout)
    return done, rows


def median(rows, scenario, mechanism, metric, **params):
    """The median of the only row with these, or None."""
    row = bench.find(rows, scenario, mechanism, metric, **params)
    return row and row["median"]
