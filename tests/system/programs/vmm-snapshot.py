#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""A guest of haiov-vmm that prints and writes its disk is paused, saved, killed and restored in another VMM, and
neither its output nor its disk shows it. Prints "ok NAME" and "not ok NAME: WHY".

vmm-snapshot.py FOLDER-OF-IMAGE-AND-CPIO
"""

import base64
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

BOOT = Path(sys.argv[1])
BLOCKS = 48
DISK_MIB = 4
PATIENCE = 240
# Where each hart has a small part of a CPU, a guest takes its own vCPUs for stalled, and says so in the midst of its lines.
NO_STALL = f"rcupdate.rcu_cpu_stall_timeout={PATIENCE}"
failed = 0

# Two loops at once: one prints lines that are all different, one writes blocks that are all different, each past the
# page cache. Their end is the end of both. The guest's own clock must not jump.
GUEST = """
exec 2>/dev/null
cat /dev/vda | md5sum
from=$(cut -d. -f1 /proc/uptime)
(
	i=0
	while [ $i -lt BLOCKS ]; do
		printf "%-4096d" $i | dd of=/dev/vda bs=4k seek=$i oflag=direct conv=notrunc
		i=$((i + 1))
	done
) &
i=0
while [ $i -lt LINES ]; do
	echo "line $i of LINES: the quick brown fox jumps over the lazy dog"
	i=$((i + 1))
done
wait
sync
echo 3 >/proc/sys/vm/drop_caches
i=0
while [ $i -lt BLOCKS ]; do
	[ $(dd if=/dev/vda bs=4k skip=$i count=1) = $i ] || echo "block $i is wrong"
	i=$((i + 1))
done
echo cpus=$(nproc)
[ $(($(cut -d. -f1 /proc/uptime) - from)) -lt 1000 ] && echo time=steady
"""


def check(good, name, why=""):
    global failed
    text = " ".join(str(why).split())[-400:]
    print(f"ok {name}" if good else f"not ok {name}: {text}", flush=True)
    failed += not good
    return good


class Vmm:
    """A VMM that runs, with its output in a file."""

    def __init__(self, name, *arguments):
        self.out = Path(name + ".out")
        self.err = Path(name + ".err")
        self.socket = Path(name + ".sock")
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen(["haiov-vmm", "--control", str(self.socket), *map(str, arguments)],
                                            stdin=subprocess.DEVNULL, stdout=out, stderr=err)

    def printed(self):
        return self.out.read_bytes()

    def wait_for(self, lines):
        """Until it has printed so many lines."""
        deadline = time.monotonic() + PATIENCE
        while not self.socket.exists() or self.printed().count(b"\n") < lines:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise TimeoutError(f"{self.out}: {self.printed()[-300:]} {self.err.read_text()}")
            time.sleep(0.02)

    def ask(self, *commands):
        """The answers to some commands."""
        with socket.socket(socket.AF_UNIX) as stream:
            stream.settimeout(PATIENCE)
            stream.connect(str(self.socket))
            stream.sendall("".join(command + "\n" for command in commands).encode())
            answers = b""
            while answers.count(b"\n") < len(commands):
                part = stream.recv(4096)
                if not part:
                    break
                answers += part
        return answers.decode().splitlines()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def end(self):
        """Its status, and what it said on standard error."""
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            status = "too slow"
        return status, self.err.read_text()


def boot_options(console, blk, cpus, lines):
    guest = GUEST.replace("LINES", str(lines)).replace("BLOCKS", str(BLOCKS))
    command = base64.b64encode(guest.encode()).decode()
    return ["--kernel", BOOT / "Image", "--initrd", BOOT / "guest.cpio", "--mem", 128, "--cpus", cpus,
            "--cmdline", f"console=ttyS0 quiet {NO_STALL} haiov.cmd={command}", "--disk", "disk.img", "--blk", blk,
            "--console", console]


def expected(first_line, cpus, lines):
    printed = [f"line {i} of {lines}: the quick brown fox jumps over the lazy dog" for i in range(lines)]
    return "\n".join([first_line, *printed, f"cpus={cpus}", "time=steady"])


def cut(output):
    """What the guest's command printed."""
    text = output.decode(errors="replace").replace("\r", "")
    start, end = text.find("  -\nline 0 of"), text.find("\nhaiov-guest: status")
    return text[text.rfind("\n", 0, start) + 1:end] if start >= 0 and end >= 0 else text


def fresh_disk():
    with open("/dev/urandom", "rb") as random, open("disk.img", "wb") as disk:
        disk.write(random.read(DISK_MIB << 20))
    return subprocess.run("md5sum <disk.img", shell=True, check=True, stdout=subprocess.PIPE,
                          text=True).stdout.strip()


def image_is_right():
    image = Path("disk.img").read_bytes()
    return len(image) == DISK_MIB << 20 and all(
        image[i * 4096:(i + 1) * 4096] == b"%-4096d" % i for i in range(BLOCKS))


def move(first, second, cpus, moves, lines):
    """One guest through some VMMs, whose devices are reached in turn as `first` and `second` say."""
    name = f"{'+'.join(first)} to {'+'.join(second)}, {cpus} vCPU"
    md5 = fresh_disk()
    output = b""
    vmm = Vmm("vmm0", *boot_options(*first, cpus, lines))
    for i in range(1, moves + 1):
        shutil.rmtree(f"saved{i}", ignore_errors=True)
        vmm.wait_for(max(1, lines * i // (moves + 1) - output.count(b"\n")))
        answers = vmm.ask("pause", f"snapshot {os.getcwd()}/saved{i}")
        # It was under way: what comes later is printed by the next one.
        check(b"haiov-guest" not in vmm.printed(), f"{name}: the guest was under way, {i}")
        if not check(answers == ["ok", "ok"], f"{name}: saved, {i}", answers):
            vmm.kill()
            return
        before = vmm.printed()
        # The disk is as saved from here on: nothing may be on its way when the answer is there.
        vmm.kill()
        check(vmm.printed() == before, f"{name}: a paused guest prints nothing, {i}")
        output += before
        console, blk = (first, second)[i % 2]
        vmm = Vmm(f"vmm{i}", "--restore", f"saved{i}", "--disk", "disk.img", "--console", console, "--blk", blk)
    status, errors = vmm.end()
    output += vmm.printed()
    check((status, errors) == (0, ""), f"{name}: the restored guest runs to its end", (status, errors, output[-200:]))
    got, wanted = cut(output).splitlines(), expected(md5, cpus, lines).splitlines()
    wrong = [pair for pair in zip(got, wanted) if pair[0] != pair[1]]
    check(got == wanted, f"{name}: the output is byte-exact", (len(got), len(wanted), wrong[:2], got[-2:]))
    check(image_is_right(), f"{name}: the disk is as the guest wrote it")


def hammer(blk, cpus, rounds, lines):
    """A guest under way, stopped and continued again and again in one VMM."""
    md5 = fresh_disk()
    vmm = Vmm("hammer", *boot_options("uer", blk, cpus, lines))
    vmm.wait_for(10)
    answers = vmm.ask(*["pause", "resume"] * rounds)
    check(answers == ["ok"] * 2 * rounds, f"hammer: {rounds} times paused and resumed, {blk}, {cpus} vCPU", answers[:4])
    status, errors = vmm.end()
    check((status, errors) == (0, ""), f"hammer: it runs to its end, {blk}, {cpus} vCPU", (status, errors))
    check(cut(vmm.printed()) == expected(md5, cpus, lines), f"hammer: the output is byte-exact, {blk}, {cpus} vCPU",
          cut(vmm.printed())[-200:])


def clock(seconds):
    """A guest that prints its clock without end, and does not notice that it was paused."""
    fresh_disk()
    vmm = Vmm("clock", "--kernel", BOOT / "Image", "--initrd", BOOT / "guest.cpio", "--mem", 128, "--cmdline",
              "console=ttyS0 quiet haiov.cmd=" + base64.b64encode(
                  b"while :; do read -r up idle </proc/uptime; echo clock $up; done").decode())

    def times():
        return [float(line.split()[1]) for line in vmm.printed().splitlines()[:-1] if line.startswith(b"clock ") and line.split()[1:]]

    vmm.wait_for(20)
    answers = vmm.ask("pause")
    time.sleep(seconds)
    before = len(times())
    answers += vmm.ask("resume")
    deadline = time.monotonic() + PATIENCE
    while len(times()) < before + 20 and time.monotonic() < deadline:
        time.sleep(0.02)
    seen = times()
    answers += vmm.ask("quit")
    vmm.end()
    check(answers == ["ok"] * 3, "clock: paused and resumed", answers)
    check(len(seen) >= before + 20, "clock: the guest goes on", seen[-3:])
    steps = [later - sooner for sooner, later in zip(seen, seen[1:])]
    check(steps and 0 <= min(steps) and max(steps) < seconds / 2, f"clock: a pause of {seconds} s does not show",
          (min(steps or [0]), max(steps or [0])))


def refusals():
    """What cannot be: one sentence, and a guest that is there goes on."""
    fresh_disk()
    vmm = Vmm("asked", *boot_options("uer", "uer", 2, 100000))
    vmm.wait_for(10)
    here = os.getcwd()
    shutil.rmtree("good", ignore_errors=True)
    answers = vmm.ask("resume", f"snapshot {here}/good", "stop", "pause", "pause", f"snapshot {here}",
                      f"snapshot {here}/good", "quit")
    check(answers == ["error: the guest runs; pause it first"] * 2
          + ["error: there are pause, resume, snapshot FOLDER and quit", "ok", "error: the guest is paused already",
             f"error: cannot save the guest to {here}: the memory cannot be written: it is not empty", "ok", "ok"],
          "commands out of turn are refused, each by a sentence", answers)
    check(vmm.end() == (1, "haiov-vmm: ended by the user\n"), "quit ends a paused guest", vmm.err.read_text())
    check(not vmm.socket.exists(), "the socket is gone with it")

    def refused(name, sentence, *options, folder="good"):
        vmm = Vmm("refused", "--restore", folder, *options)
        status, errors = vmm.end()
        check((status, errors) == (1, f"haiov-vmm: cannot restore {folder}: {sentence}\n"), f"refused: {name}",
              (status, errors))

    disk = ("--disk", "disk.img")
    refused("another number of vCPUs", "its guest has 2 vCPUs, not 3; leave out --cpus", *disk, "--cpus", 3)
    refused("another size of memory", "its guest has 128 MiB of memory, not 64; leave out --mem", *disk, "--mem", 64)
    refused("no disk", "its guest has a disk; give it by --disk")
    Path("small.img").write_bytes(bytes(1 << 20))
    refused("another disk", "its disk has another size", "--disk", "small.img")
    refused("no snapshot", "its state cannot be read: No such file or directory (os error 2)", *disk, folder="none")
    version = Path("good/state").read_bytes()[8]
    for name, file, damage, sentence in (
            ("a bit of the state", "state", lambda data: data[:99] + bytes([data[99] ^ 1]) + data[100:], "its state is damaged"),
            ("half the state", "state", lambda data: data[:len(data) // 2], "its state is damaged"),
            ("no state", "state", lambda data: b"", "its state is damaged"),
            ("a later version", "state", lambda data: data[:8] + bytes([version + 1]) + data[9:],
             f"its state is of version {version + 1}, and this program knows version {version}"),
            ("another file", "state", lambda data: b"\x7fELF" + data, "its state is that of another program"),
            ("half the memory", "memory", lambda data: data[:len(data) // 2], "its memory is damaged"),
            ("a bit of the memory", "memory", lambda data: data[:-1] + bytes([data[-1] ^ 4]), "its memory is damaged")):
        shutil.rmtree("bad", ignore_errors=True)
        shutil.copytree("good", "bad")
        path = Path("bad") / file
        path.write_bytes(damage(path.read_bytes()))
        refused(name, sentence, *disk, folder="bad")

    shutil.rmtree("vei", ignore_errors=True)
    vmm = Vmm("told", *boot_options("exit", "vei", 1, 1000))
    vmm.wait_for(1)
    answers = vmm.ask("pause", f"snapshot {here}/vei", "quit")
    check(answers == ["ok"] * 3, "a guest that notifies its disk by VEI is saved", answers)
    vmm.end()
    refused("the disk by exits, and the guest knows of VEI", "its guest notifies its disk by VEI; give --blk vei, hcs or haiov", *disk,
            folder="vei")

    vmm = Vmm("other", *boot_options("exit", "exit", 1, 1000), "--doorbell", "--vei", "off")
    vmm.wait_for(1)
    answers = vmm.ask("pause", f"snapshot {here}/bell", "resume", "quit")
    check(answers == ["ok", f"error: cannot save the guest to {here}/bell: the doorbell and the bench device cannot be "
                      "saved", "ok", "ok"], "a guest with the doorbell is not saved", answers)
    vmm.end()


def main():
    os.makedirs("/tmp/vmm-snapshot", exist_ok=True)
    os.chdir("/tmp/vmm-snapshot")
    exits, handlers = ("exit", "exit"), ("uer", "uer")
    for which in sys.argv[2:] or ["exit", "uer", "mixed", "vei", "hcs", "poll", "ioregionfd", "clock", "hammer", "refusals"]:
        if which == "exit":
            move(exits, exits, 1, 1, 1000)
        elif which == "uer":
            move(handlers, handlers, 2, 3, 4000)
        elif which == "mixed":
            move(handlers, ("exit", "ioeventfd"), 3, 2, 2000)
        elif which == "vei":
            move(("exit", "vei"), ("uer", "vei"), 2, 2, 2000)
        elif which == "hcs":
            move(("uer", "hcs"), ("exit", "haiov"), 2, 3, 2000)
        elif which == "poll":
            # Who polls has told the guest to be silent; the next one wants to be told.
            move(("exit", "poll"), ("exit", "ioeventfd"), 2, 2, 2000)
            move(("exit", "poll"), ("exit", "vei"), 1, 2, 2000)
        elif which == "ioregionfd":
            move(("exit", "ioregionfd"), ("uer", "uer"), 2, 2, 2000)
        elif which == "clock":
            clock(16)
        elif which == "hammer":
            hammer("uer", 2, 100, 4000)
            hammer("hcs", 2, 50, 2000)
        else:
            refusals()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
