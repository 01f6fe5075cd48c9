# SPDX-License-Identifier: GPL-2.0-only
"""What the system tests share: programs for the host under test, boots of it, and TAP.

A boot runs a list of steps, each a shell command. Lines "ok NAME" and "not ok NAME: WHY" that a
step prints are checks; that it ends with status 0 is one more, and so is that the kernel had
nothing to complain about. HAIOV_FILES may name a folder with haiov.ko, haiov-vmm, haiovctl, Image and
guest.cpio that are to be taken instead of the image's. STEPS may name steps, with commas between them: these and
"load" alone are run, and boots that have none of them are left out. BOOT_LIMIT_S is the longest that a boot may take, if it is
less than what the test says.
"""

import base64
import importlib.machinery
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parents[1]
sys.path.insert(0, str(TOP / "tools/bench"))
import bench  # noqa: E402

STEP, STATUS = "====step ", "====status "

RUN = bench.load_run()

# The debug kernel takes a quarter of an hour to build and runs these tests many times slower.
DEBUG_KERNEL = os.environ.get("DEBUG_KERNEL", "") not in ("", "0")
NO_DEBUG_KERNEL = "slow; make test DEBUG_KERNEL=1 runs it"


def made(name):
    """A path that the build knows (make print-NAME), or its override from the environment."""
    if os.environ.get(name):
        return os.environ[name]
    return bench.made(name)


# What the scripts that drive a guest of QEMU source.
QEMU_GUEST = (TOP / "tools/bench/qemu-guest.sh", HERE / "programs/qemu-checks.sh")


def soak_seconds():
    """How long the soak that calls this is to last: SOAK_S, or what its line "# soak: SECONDS" says."""
    given = os.environ.get("SOAK_S")
    if not given:
        given = re.search(r"^# soak: (\d+)$", Path(sys.argv[0]).read_text(), re.M)[1]
    if not given.isdecimal() or int(given) == 0:
        sys.exit(f"SOAK_S is '{given}'; it is a number of seconds, at least 1")
    return int(given)


PROGRAMS = {
    "churn": ("check.c", "churn.c", "live.c"),
    "fast-mmio": ("check.c", "guest.c", "haiov.c", "payload.S", "fast-mmio.c", "fast-mmio-guest.S"),
    "hcs": ("check.c", "guest.c", "haiov.c", "payload.S", "hcs.c", "hcs-entry.S", "hcs-listen.c", "hcs-move.c", "hcs-signal.c", "hcs-soak.c", "hcs-soak-vmm.c", "hcs-victim.c"),
    "ioctls": ("check.c", "ioctls.c"),
    "ioregionfd": ("check.c", "guest.c", "haiov.c", "payload.S", "ioregionfd.c", "ioregionfd-guest.S"),
    "probe": ("check.c", "live.c", "probe.c"),
    "traffic": ("check.c", "guest.c", "haiov.c", "payload.S", "traffic.c"),
    "uer": ("check.c", "uer.c", "uer-entry.S", "uer-features.c", "uer-guest.S", "uer-handler.c", "uer-soak.c", "uer-trace.c", "uer-vm.c"),
    "uer-console": ("check.c", "uer-console.c"),
    "uer-objects": ("check.c", "guest.c", "haiov.c", "payload.S", "uer-objects.c", "uer-objects-guest.S", "uer-objects-handler.S"),
}


def build_programs(folder):
    """Compiles the programs, static, for the host under test."""
    base = [made("CLANG"), "--target=riscv64-linux-gnu", "--sysroot=" + made("SYSROOT"), "-static",
            "--ld-path=" + made("LLD"), "-pthread", "-O2", "-Wall", "-Wextra", "-Werror",
            # handlers keep to the integer registers
            "-mno-implicit-float",
            "-I" + str(TOP / "kmod/uapi")]
    for name, sources in PROGRAMS.items():
        files = [str(HERE / "programs" / source) for source in sources]
        subprocess.run(base + ["-o", str(Path(folder) / name)] + files, check=True)


def neighbor(name):
    """Another test of this folder, as a module."""
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), str(HERE / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


class Tap:
    """Numbers checks and prints them."""

    def __init__(self):
        self.count = self.failed = 0

    def check(self, good, name, why=""):
        self.count += 1
        name = name.replace("#", "no.")
        print(f"{'ok' if good else 'not ok'} {self.count} - {name}")
        if not good:
            self.failed += 1
            self.note(why)
        sys.stdout.flush()
        return good

    def note(self, text):
        for line in str(text).splitlines():
            print("# " + line)

    def skip(self, name, why):
        self.count += 1
        print(f"ok {self.count} - {name} # SKIP {why}")

    def end(self):
        print(f"1..{self.count}")
        return 1 if self.failed else 0


class Session:
    """A folder that the host under test sees as /extra, with the programs, and boots with it."""

    def __init__(self, tap):
        self.tap = tap
        self.folder = tempfile.TemporaryDirectory(prefix="haiov-system.")
        self.extra = Path(self.folder.name)
        build_programs(self.extra)
        self.load, self.boot_files = "modprobe haiov", "/boot"
        if os.environ.get("HAIOV_FILES"):
            shutil.copytree(os.environ["HAIOV_FILES"], self.extra, dirs_exist_ok=True)
            self.load, self.boot_files = "insmod /extra/haiov.ko", "/extra"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.folder.cleanup()

    def boot(self, name, steps, timeout=600, **options):
        """Runs the steps; their checks go to the TAP stream. The output of each step, by its title."""
        timeout = min(timeout, int(os.environ.get("BOOT_LIMIT_S", timeout)))
        if os.environ.get("STEPS"):
            chosen = [title.strip() for title in os.environ["STEPS"].split(",")]
            if not any(title in chosen for title, _ in steps):
                return {}
            steps = [step for step in steps if step[0] in ("load", *chosen)]
        titles = [title for title, _ in steps]
        assert len(set(titles)) == len(titles), f"steps of one name: {titles}"
        script = ["cd /extra", "export PATH=/extra:$PATH"]
        for title, command in steps:
            script += ["echo " + shlex.quote(STEP + title), f"( {command}\n) </dev/null 2>&1", f"echo '{STATUS}'$?"]
        log = RUN.BUILD / "test/system" / f"{Path(sys.argv[0]).name}.{re.sub('[^a-z0-9]+', '-', name.lower())}.console"
        try:
            machine = RUN.Machine("\n".join(script), extra=self.extra, keep_console=log, timeout=timeout, **options)
            result = machine.run()
        except RUN.Unusable as unusable:
            self.tap.check(False, f"{name}: boot", unusable)
            return {}
        outputs = self.judge(name, steps, result.output.decode(errors="replace"))
        self.tap.note(f"{name}: {result.seconds:.0f} s, console: {log}")
        self.tap.check(not result.complaints, f"{name}: the kernel has nothing to complain about",
                       "\n".join(result.complaints[:20]))
        if not result.complaints:
            self.tap.check(result.status == 0, f"{name}: the machine ran to its end",
                           f"status {result.status}")
        return outputs

    def judge(self, name, steps, output):
        outputs = {}
        for part in output.split(STEP)[1:]:
            title, _, body = part.partition("\n")
            outputs[title] = body
        for title, _ in steps:
            body, mark, status = outputs.get(title, "").rpartition(STATUS)
            body = body if mark else outputs.get(title, "")
            for line in body.splitlines():
                if line.startswith("ok "):
                    self.tap.check(True, f"{name}: {title}: {line[3:]}")
                elif line.startswith("not ok "):
                    self.tap.check(False, f"{name}: {title}: {line[7:]}")
                elif line.startswith("# "):
                    self.tap.note(f"{title}: {line[2:]}")
            ended = mark and status.strip() == "0"
            self.tap.check(ended, f"{name}: {title}: ended well",
                           f"status {status.strip() if mark else 'unknown'}\n" + body[-1500:])
            outputs[title] = body
        return outputs


def vhost_session(tap):
    """A session that can run the scenarios of programs/vhost.sh; see vhost_scenario()."""
    session = Session(tap)
    for path in (*HERE.glob("programs/vhost*.sh"), HERE / "programs/load.sh", *QEMU_GUEST):
        shutil.copy(path, session.extra)
    return session


def vhost_scenario(session, title, *words):
    """The step that runs a scenario of programs/vhost.sh: the one of that title, or the words."""
    return (title, f"sh /extra/vhost.sh {session.boot_files} {' '.join(words or (title,))}")


def vmm_command(session, guest_command, options=""):
    """The command that runs a guest in haiov-vmm; what the guest's init prints ends its output."""
    encoded = base64.b64encode(guest_command.encode()).decode()
    return (f"haiov-vmm --kernel {session.boot_files}/Image --initrd {session.boot_files}/guest.cpio "
            f"--cmdline 'console=ttyS0 quiet haiov.cmd={encoded}' --mem 256 {options}")


def parse_json(tap, name, text):
    """The JSON value in a program's output, or None with a failed check."""
    try:
        value = json.loads(text)
    except ValueError as error:
        tap.check(False, name, f"{error}\n{text[:500]}")
        return None
    tap.check(True, name)
    return value
