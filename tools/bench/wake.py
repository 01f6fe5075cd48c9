# SPDX-License-Identifier: GPL-2.0
"""What is between a kick and the first instruction of a backend, event by event: what bench-wake and bench-lookup share.

wake.c is the backend, on a CPU of its own; each run of it is a list of words, its arguments, of which the first is the
mechanism. Harts take turns (-icount), and the instruction counter says for each event what each hart executed between the
marker before the kick and the one that is the backend's first instruction.
"""

import json
import os
import shutil
import statistics
import tempfile
from pathlib import Path

import bench
from bench import TOP, Failed

# Until all that the first events need is in memory, and what the start of a process leaves behind is done.
WARM_UP = 50
PROGRAM = ("tools/bench/wake.c", "tools/bench/crowd.c", "tools/bench/wake-guest.S",
           *("tests/system/programs/" + name for name in ("check.c", "guest.c", "haiov.c", "hcs-entry.S")))
# As in wake.c and wake.h.
SENDER, WAKE, IDLE, REMOVE, ADD = range(5)
SENDER_HART, BACKEND_HART = "1", "2"
# What the hart stores when it starts a handler, outside of any instruction.
FRAME_STORES = 31


def compile_program(folder):
    bench.compile_static(folder / "wake", [TOP / source for source in PROGRAM], "-pthread", "-Wall", "-Wextra", "-Werror",
                         "-mno-implicit-float",
                         *("-I" + str(TOP / include) for include in ("kmod/uapi", "tests/system/programs", "tools/bench")))


def title_of(words):
    return " ".join(map(str, words))


def measure(runs, name, **options):
    """One boot for all runs: what each has said, by its title, and the windows of all by region."""
    with tempfile.TemporaryDirectory(prefix="haiov-bench.") as folder:
        extra, load = Path(folder) / "extra", "modprobe haiov"
        extra.mkdir()
        if os.environ.get("HAIOV_FILES"):
            shutil.copytree(os.environ["HAIOV_FILES"], extra, dirs_exist_ok=True)
            load = "insmod /extra/haiov.ko"
        compile_program(extra)
        command = f"{load} || exit 3\n"
        for words in runs:
            command += f"echo '{bench.SECTION}{title_of(words)}'\n/extra/wake {title_of(words)} </dev/null 2>&1 || exit 4\n"
        out = Path(folder) / "windows"
        found, _ = bench.boot(command, name, extra=extra, icount=0, plugin=f"out={out},index=exact", **options)
        lines = [json.loads(line) for line in out.read_text().splitlines()]
    return found, {region: [line for line in lines if line.get("region") == region] for region in range(5)}


def take(windows, count, region, hart=None):
    """Takes away the next so many windows of a region, which that hart ended."""
    mine = windows[region][:count]
    del windows[region][:count]
    bad = [line for line in mine if "error" in line or line["unresolved"] or hart not in (None, str(line["hart"]))]
    if len(mine) != count or bad:
        raise Failed(f"instruction counter, region {region}: {len(mine)} of {count} windows, bad: {bad[:3]}")
    return mine


def take_events(found, windows, words, count):
    """Takes away those of the events of a run: (sender's window, backend's, whether it began as a frame) of each."""
    senders = take(windows, count, SENDER, SENDER_HART)
    wakes = take(windows, count, WAKE, BACKEND_HART)
    said = found[title_of(words)].split()
    if said[:1] != ["began"] or words[0] == "hcs" and len(said[1]) != count:
        raise Failed(f"{title_of(words)}: {' '.join(said)[-500:]}")
    kinds = [letter == "f" for letter in said[1]] if words[0] == "hcs" else [False] * count
    return list(zip(senders, wakes, kinds))[WARM_UP:]


def nothing_left(windows):
    left = sum(map(len, windows.values()))
    if left:
        raise Failed(f"instruction counter: {left} windows that nobody has asked for")


def event_of(sender, there, frame, own):
    """The instructions of an event, in which the backend itself has executed so many in U."""
    stores = FRAME_STORES if frame else 0
    receiver = there["hs"] + there["m"] + own + stores
    return {"sender": sum(sender.values()), "receiver": receiver, "whole": sum(sender.values()) + receiver,
            "delay": sum(there.values()) + stores, "u": own + stores, "hs": there["hs"], "m": there["m"], "frame": frame}


def events_of(taken):
    """The same keys, and for each a dict of instructions of each event. A key begins with the mechanism."""
    # The backend's own instructions in U up to the marker are the same each time; what others execute comes on top, and
    # never is.
    own = {}
    for (mechanism, *_), windows in taken.items():
        for _, wake, frame in windows:
            own.setdefault((mechanism, frame), []).append(wake["insn"][BACKEND_HART]["u"])
    own = {key: statistics.mode(values) for key, values in own.items()}
    found = {}
    for key, windows in taken.items():
        for sender, wake, frame in windows:
            event = event_of(sender["insn"][SENDER_HART], wake["insn"][BACKEND_HART], frame, own[key[0], frame])
            event["traps"] = bench.traps(sender, SENDER_HART) + bench.traps(wake, BACKEND_HART)
            found.setdefault(key, []).append(event)
    return found
