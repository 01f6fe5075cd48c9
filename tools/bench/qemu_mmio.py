# SPDX-License-Identifier: GPL-2.0
"""What bench-mmio does with QEMU as the VMM: loads and stores of two of its devices, by exit, ioeventfd and UER.

The guest is mmio-guest.c, without an operating system; qemu-mmio.sh runs it once for each mechanism. Each access is
accounted for: KVM's counters and those of the handlers have to add up to what the guest has done.
"""

import re
import shutil
import statistics
import subprocess

from bench import MODES, TOP, Failed, made, present, row, traps

# As the guest numbers them.
WAYS = ("empty", "serial-read", "serial-write", "virtio-read", "virtio-write")
REGION = 40
# Fewer than the stores that QEMU keeps for its main loop: how soon that comes to them is another matter.
N = 1000
SIZES = {"serial": 1, "virtio": 4}
MEASURED = {"exit": WAYS[1:], "ioeventfd": ("virtio-write",), "uer": WAYS[1:]}
MEASURED = {mechanism: MEASURED[mechanism] for mechanism in present(MEASURED)}
BASE, UER = "exit@qemu", "uer@qemu"
# A store to a queue's register is not among them: it is an ecall of the handler, to signal the queue's eventfd.
CLAIMED = (("serial", "read"), ("serial", "write"), ("virtio", "read"))
HART = "1"


def cases():
    """(mechanism, device, operation) in the order of the tables."""
    return [(f"{mechanism}@qemu", *way.split("-")) for way in WAYS[1:] for mechanism, ways in MEASURED.items()
            if way in ways]


def prepare(folder, repeat):
    """Puts into the folder what the host under test needs."""
    folder.mkdir(exist_ok=True)
    for name in ("qemu-mmio.sh", "qemu-guest.sh"):
        shutil.copy(TOP / "tools/bench" / name, folder)
    subprocess.run([made("CLANG"), "--target=riscv64-linux-gnu", "-march=rv64imac", "-mabi=lp64",
                    "-mcmodel=medany", "-ffreestanding", "-fno-pic", "-nostdlib", "-static", "--ld-path=" + made("LLD"),
                    "-Wl,-N,-Ttext=0x80200000,--build-id=none", "-O2", "-Wall", "-Wextra", "-Werror", f"-DN={N}",
                    f"-DREPEAT={repeat}", "-o", str(folder / "mmio-guest"), str(TOP / "tools/bench/mmio-guest.c")], check=True)


def command(section, repeat):
    """What the host under test runs."""
    return "".join(section(f"qemu {mechanism}") +
                   f"sh /extra/qemu-mmio.sh /extra/mmio-guest {repeat * len(WAYS)} {mechanism} </dev/null 2>&1 || exit 6\n"
                   for mechanism in MEASURED)


def check(mechanism, way, others, passed, dots):
    """That the accesses went the way that is measured, each of them, and none twice."""
    did = N if way != "empty" else 0
    wanted = {
        "exit": {"exits": did + others, "kernel": 0},
        "ioeventfd": {"exits": others, "kernel": did},
        "uer": {"exits": 0, "kernel": 0, "punts": 0, "loads+stores": did + others},
    }[mechanism]
    passed["loads+stores"] = passed["loads"] + passed["stores"]
    if any(passed[key] != value for key, value in wanted.items()) or dots != (did if way == "serial-write" else 0):
        raise Failed(f"QEMU, {way} by {mechanism}: {passed} and {dots} bytes sent, where {wanted} was expected")


def parse(mechanism, text):
    """(way, ns of N accesses, exits that they made) of all that the guest did."""
    before, took, dots = None, None, 0
    timebase = int(re.search(r"^timebase ([0-9a-f]+)$", text, re.M)[1], 16)
    for line in text.splitlines():
        if line.startswith("counters "):
            counters = {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", line)}
            if took:
                way, ticks, others = took[0], int(took[1]), int(took[2])
                passed = {key: counters[key] - before[key] for key in counters}
                if mechanism == "exit" or way in MEASURED[mechanism]:
                    check(mechanism, way, others, passed, dots)
                yield way, ticks * 1e9 / timebase, passed["exits"] + passed["kernel"] - others * (mechanism != "uer")
            before, took, dots = counters, None, 0
        elif line.startswith("took "):
            took = line.split()[1:]
        elif line and not line.strip("."):
            dots = len(line)
        elif not line.startswith("timebase "):
            raise Failed(f"QEMU by {mechanism}: {line}")


def gather(found, lines):
    """Samples by (mechanism, way), with what the instruction counter says where it ran."""
    samples, lines = {}, iter(lines)
    for mechanism, measured in MEASURED.items():
        empty = None
        for way, ns, exits in parse(mechanism, found[f"qemu {mechanism}"]):
            sample = {"ns": ns / N, "exits": exits / N}
            line = next(lines, None)
            if line:
                if line["region"] != REGION + WAYS.index(way) or str(line["hart"]) != HART:
                    raise Failed(f"QEMU, {way} by {mechanism}: counted region {line['region']} of hart {line['hart']}")
                mine = {**line["insn"][HART], "traps": traps(line, HART)}
                if way == "empty":
                    empty = mine
                sample["insn"] = {mode: (mine[mode] - empty[mode]) / N for mode in MODES}
                sample["traps"] = (mine["traps"] - empty["traps"]) / N
            if way == "empty" or way in measured:
                samples.setdefault((mechanism, way), []).append(sample)
    return samples


def rows(counted, timed):
    """The rows of all cases."""
    result, per = [], "instructions/access"
    for mechanism, device, operation in cases():
        way = (mechanism.split("@")[0], f"{device}-{operation}")
        params = {"op": operation, "size": SIZES[device], "device": device}

        def add(metric, unit, values, accel, mechanism=mechanism, params=params):
            result.append(row("mmio", mechanism, {**params, "accel": accel}, metric, unit, values))

        add("insn", per, [sum(s["insn"].values()) for s in counted[way]], "icount")
        for mode in MODES:
            add("insn_" + mode, per, [s["insn"][mode] for s in counted[way]], "icount")
        add("traps", "traps/access", [s["traps"] for s in counted[way]], "icount")
        add("exits", "exits/access", [s["exits"] for s in counted[way]], "icount")
        base = statistics.median(s["ns"] for s in timed[way[0], "empty"])
        add("time_ns", "ns/access, of the emulation", [s["ns"] - base for s in timed[way]], "mttcg")
    return result
