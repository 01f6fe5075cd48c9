# SPDX-License-Identifier: GPL-2.0-only
"""Runs a script of programs/ in the host under test and says in TAP what it found."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parents[1]


def made(name):
    """A path or setting that the build knows (make print-NAME)."""
    return subprocess.run([str(TOP / "tools/build/print"), name], check=True, stdout=subprocess.PIPE,
                          text=True).stdout.strip()


def run(script, *selftests, qemu_args=""):
    """Runs programs/SCRIPT beside the crate's self-tests of those names. Its lines "ok NAME" and "not ok NAME: WHY" are the
    checks; returns the exit status. QEMU gets these words more.

    HAIOV_FILES may name a folder with haiov.ko, haiov-vmm, haiovctl, the self-tests, Image and guest.cpio that are
    to be taken instead of the image's and the build's.
    """
    with tempfile.TemporaryDirectory(prefix="haiov-user.") as folder:
        if os.environ.get("HAIOV_FILES"):
            shutil.copytree(os.environ["HAIOV_FILES"], folder, dirs_exist_ok=True)
        for selftest in selftests:
            if not (Path(folder) / selftest).exists():
                shutil.copy(Path(made("SELFTEST")).with_name(selftest), folder)
        for path in (TOP / "tests/lib/host.sh", HERE / "programs" / script):
            shutil.copy(path, folder)
        ran = subprocess.run([str(TOP / "tools/run"), "--timeout", "800", "--extra", folder, "--qemu-args", qemu_args,
                              f"sh /extra/{script}"],
                             stdout=subprocess.PIPE, text=True, errors="replace", check=False)
    count = failed = 0
    for line in ran.stdout.splitlines():
        if match := re.match(r"(not )?ok (.*)", line):
            count += 1
            failed += bool(match[1])
            print(f"{match[1] or ''}ok {count} - {match[2].replace('#', 'no.')}")
        else:
            print("# " + line)
    count += 1
    good = ran.returncode == 0 and count > 1
    print(f"{'' if good else 'not '}ok {count} - the host under test ran to its end, status {ran.returncode}")
    print(f"1..{count}")
    return 1 if failed or not good else 0
