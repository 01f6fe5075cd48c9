# SPDX-License-Identifier: GPL-2.0
"""What every scenario of the bench shares: a boot whose output has sections, and result rows.

A scenario is an executable tools/bench/bench-NAME; 'make bench-NAME' runs it, 'make bench' all of
them. It writes its rows by publish(). BENCH_SIZE (quick, full) is size(). With XHAIOV=off the machine has no
Xhaiov: a scenario measures the mechanisms that are present() there. What it is at is told on standard error, if that is
a terminal or BENCH_PROGRESS is set.
"""

import fcntl
import importlib.machinery
import importlib.util
import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("HAIOV_BUILD", TOP / "build"))
XHAIOV = os.environ.get("XHAIOV", "on")
# What was measured without Xhaiov has a folder of its own.
RESULTS = BUILD / ("bench-off" if XHAIOV == "off" else "bench") / "results.json"
SECTION = "====haiov-section "
# The modes that the instruction counter tells apart.
MODES = ("vu", "vs", "u", "hs", "m")
# What a scenario runs, as the image has it or as a folder that is given instead.
IN_IMAGE = {"load": "modprobe haiov", "vmm": "haiov-vmm", "kernel": "/boot/Image", "initrd": "/boot/guest.cpio"}
IN_EXTRA = {"load": "insmod /extra/haiov.ko", "vmm": "/extra/haiov-vmm", "kernel": "/extra/Image",
            "initrd": "/extra/guest.cpio"}
# The mechanisms that are Xhaiov's.
OURS = ("uer", "vei", "hcs", "haiov")
# Where time is taken, a hart that was halted for less than this the last time is awake at once, as hardware is. It is more than a
# small request of a disk takes by any mechanism, so that none of them gains by being quick enough.
HALT_POLL_NS = 500_000
# What the result of each scenario may be compared with; a row of anything else is a mistake.
SCENARIOS = ("demo", "mmio", "kick", "wake", "uart", "net", "blk", "idle", "lookup")

MARK = """
#include <stdio.h>
#include <string.h>
int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "begin"))
		asm volatile("slti x0, x0, 0x400" ::: "memory");
	else
		asm volatile("slti x0, x0, 0x500" ::: "memory");
	return 0;
}
"""


BEGAN = time.monotonic()


class Failed(Exception):
    """The scenario could not be carried out; the message says at which point."""


def tell(text):
    """Tells what the scenario is at, to who wants to know."""
    if sys.stderr.isatty() or os.environ.get("BENCH_PROGRESS"):
        minutes, seconds = divmod(int(time.monotonic() - BEGAN), 60)
        print(f"[{minutes:3d}:{seconds:02d}] {text}", file=sys.stderr, flush=True)


class Output:
    """What a boot prints, as it comes. Lines with a prefix begin its steps, or end them, of which there are so many."""

    def __init__(self, name, prefix, steps):
        self.name, self.prefix, self.steps = name, prefix, steps
        self.data, self.line, self.step = bytearray(), bytearray(), 0

    def write(self, data):
        self.data += data
        *whole, rest = data.split(b"\n")
        for line in whole:
            self.line += line
            self.take(self.line.decode(errors="replace").strip())
            self.line.clear()
        self.line += rest

    def flush(self):
        """Nothing is kept back."""

    def take(self, line):
        if line.startswith(self.prefix):
            self.step += 1
            # The counters are nothing for people.
            what = line[len(self.prefix):].split(" first=")[0]
            tell(f"{self.name}: {self.step}{f' of {self.steps}' if self.steps else ''}: {what}")


def load_run():
    """tools/run as a module."""
    loader = importlib.machinery.SourceFileLoader("haiov_run", str(TOP / "tools/run"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    sys.modules[loader.name] = module
    loader.exec_module(module)
    return module


def made(name):
    """A path that the build knows (make print-NAME)."""
    return subprocess.run([str(TOP / "tools/build/print"), name], check=True, stdout=subprocess.PIPE,
                          text=True).stdout.strip()


def compile_static(program, sources, *flags):
    """A program for the host under test, which needs nothing there."""
    subprocess.run([made("CLANG"), "--target=riscv64-linux-gnu", "--sysroot=" + made("SYSROOT"), "-static",
                    "--ld-path=" + made("LLD"), "-O2", *flags, "-o", str(program), *map(str, sources)], check=True)


def compile_mark(folder):
    """The program that marks the measured window for the instruction counter."""
    source = Path(folder) / "mark.c"
    source.write_text(MARK)
    compile_static(Path(folder) / "mark", [source])


def size():
    """How much to measure: "quick" or "full"."""
    value = os.environ.get("BENCH_SIZE", "quick")
    if value not in ("quick", "full"):
        raise Failed(f"BENCH_SIZE is '{value}'; there are: quick, full")
    return value


def present(mechanisms):
    """Those of the mechanisms, as rows name them, that the machine has."""
    return [name for name in mechanisms if XHAIOV != "off" or name.split("@")[0] not in OURS]


def say_absent(mechanisms):
    """Says which of these are not measured."""
    absent = [name for name in mechanisms if not present([name])]
    if absent:
        print(f"not measured: {', '.join(absent)}: this machine has no Xhaiov\n", flush=True)


def sections(text):
    """The output of a command by section; a section begins with the line SECTION + name."""
    found = {}
    for part in text.split(SECTION)[1:]:
        name, _, body = part.partition("\n")
        found[name.strip()] = body
    return found


def boot(command, name, steps=None, **options):
    """As boot_once(). With BENCH_AGAIN set what counts instructions is done twice, and fails if the counter's lines differ."""
    done = boot_once(command, name, steps, **options)
    if os.environ.get("BENCH_AGAIN") and options.get("icount") is not None and "out=" in (options.get("plugin") or ""):
        counted = Path(options["plugin"].partition("out=")[2].partition(",")[0])
        first = counted.read_text().splitlines()
        # It may be in the folder that the host under test has a copy of.
        counted.unlink()
        tell(f"{name}: again")
        boot_once(command, name + "-again", steps, **options)
        second = counted.read_text().splitlines()
        if first != second:
            pairs = itertools.zip_longest(first, second)
            number, (one, other) = next((n, pair) for n, pair in enumerate(pairs, 1) if pair[0] != pair[1])
            raise Failed(f"{name}: two runs differ, first in window {number} of {len(first)}:\n    {one}\n    {other}")
    return done


def boot_once(command, name, steps=None, **options):
    """Boots the host under test for one command (options: tools/run's Machine), which finds XHAIOV in its environment.

    Its steps are the sections that the command names, or lines with a prefix: steps is that, and how many there will be.
    Gives the sections of its output and the seconds that it took. If it fails, the message has
    the end of the section "guest".
    """
    if XHAIOV not in ("on", "off"):
        raise Failed(f"XHAIOV is '{XHAIOV}'; there are: on, off")
    run = load_run()
    if options.get("icount") is None:
        options["halt_poll_ns"] = HALT_POLL_NS
    command = f"export XHAIOV={XHAIOV}\n{command}"
    logs = BUILD / "log"
    logs.mkdir(parents=True, exist_ok=True)
    output = Output(name, *(steps or (SECTION, len(re.findall(re.escape(SECTION) + "[^']", command)))))
    tell(f"{name}: boots")
    try:
        result = run.Machine(command, keep_console=logs / f"{name}-console.log", xhaiov=XHAIOV == "on", **options).run(output)
    except run.Unusable as failure:
        raise Failed(str(failure)) from failure
    output = output.data.decode(errors="replace")
    log = logs / f"{name}-output.log"
    log.write_text(output)
    if result.complaints:
        raise Failed("the kernel complained:\n    " + "\n    ".join(result.complaints[:10]))
    found = sections(output)
    if result.status != 0:
        guest = found.get("guest", output)
        tail = "\n    ".join(guest.splitlines()[-15:])
        raise Failed(f"the run ended with status {result.status} (all of it: {log}):\n    {tail}")
    return found, result.seconds


def spread(values):
    """n, min, median, p99 (nearest rank), max."""
    ordered = sorted(values)
    rank = max(0, -(-99 * len(ordered) // 100) - 1)
    return {"n": len(ordered), "min": ordered[0], "median": statistics.median(ordered),
            "p99": ordered[rank], "max": ordered[-1]}


def place(mechanism):
    """Its name, and where it is: the reference VMM, vmm, is what is not said."""
    name, _, where = mechanism.partition("@")
    return name, where or "vmm"


def row(scenario, mechanism, params, metric, unit, values):
    """One row; the words are those of Documentation/measurements.rst."""
    if scenario not in SCENARIOS:
        raise ValueError(f"no scenario '{scenario}'")
    return {"scenario": scenario, "mechanism": mechanism, "params": params, "metric": metric,
            "unit": unit, **spread(values)}


def traps(line, hart):
    """How many traps a hart took, whatever they led to, by a line of the instruction counter."""
    return sum(line["traps"][hart].values())


def find(rows, scenario, mechanism, metric, **params):
    """The only row with these, or None."""
    found = [r for r in rows if (r["scenario"], r["mechanism"], r["metric"]) == (scenario, mechanism, metric)
             and params.items() <= r["params"].items()]
    return found[0] if len(found) == 1 else None


def version():
    """The commit that is measured, marked if the checkout differs from it."""
    told = subprocess.run(["git", "-C", str(TOP), "describe", "--always", "--dirty"], text=True,
                          capture_output=True, check=False)
    return told.stdout.strip() or "unknown"


def publish(scenarios, rows):
    """Replaces the rows of these scenarios in RESULTS. Those of a machine without Xhaiov say so."""
    strangers = {r["scenario"] for r in rows} - set(scenarios)
    if strangers:
        raise ValueError(f"rows of {sorted(strangers)} among those of {sorted(scenarios)}")
    stamp = {"run": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "version": version()}
    if XHAIOV == "off":
        stamp["xhaiov"] = "off"
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    with open(RESULTS.with_suffix(".lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        old = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
        kept = [r for r in old if r["scenario"] not in scenarios]
        new = RESULTS.with_suffix(".new")
        new.write_text(json.dumps(kept + [{**r, **stamp} for r in rows], indent=1) + "\n")
        new.replace(RESULTS)
    return RESULTS
