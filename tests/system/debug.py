# SPDX-License-Identifier: GPL-2.0-only
"""What the tests on the debug kernel (KASAN, lockdep, kmemleak and the rest) share: the steps of other tests, and those
that look for leaks. A boot takes a minute or several, and each step many times as long as on the kernel that ships."""

from machine import DEBUG_KERNEL, NO_DEBUG_KERNEL, Session, Tap

PATIENCE = "/sys/module/rcupdate/parameters/rcu_cpu_stall_timeout"

# An object counts as leaked only when it is 5 s old (mm/kmemleak.c); two scans, since the first may meet
# a pointer on its way from one register to another. Once the module is gone, its functions have no names,
# but who loaded it has. Who reads the reports goes over all objects in one go, under RCU.
LEAKS = f"""
    leaks=/sys/kernel/debug/kmemleak
    echo 300 > {PATIENCE} || exit 1
    for i in 1 2; do sleep 6; echo scan > $leaks || exit 1; done
    grep -E -A 40 'haiov|kvm|modprobe' $leaks && exit 1
    test ! -s $leaks || {{ echo '# kmemleak has reports of others'; head -n 20 $leaks; }}"""
# So does who clears them.
CLEAR = f"was=$(cat {PATIENCE}); echo 300 > {PATIENCE}; echo clear > /sys/kernel/debug/kmemleak && echo $was > {PATIENCE}"


def watched(load, steps):
    """The steps between loading and unloading the module, and whether memory is lost meanwhile."""
    return [
        ("load", load),
        # what was there before us is not ours
        ("clear the leak detector", CLEAR),
        *steps,
        ("load and unload", f"for i in 1 2 3; do rmmod haiov && {load} || exit 1; done"),
        ("leaks", LEAKS),
        ("unload", "rmmod haiov"),
        ("leaks after unload", LEAKS),
    ]


def run(boots):
    """Boots with boots(tap, session), or skips; the exit status."""
    if not DEBUG_KERNEL:
        print("1..0 # SKIP " + NO_DEBUG_KERNEL)
        return 0
    tap = Tap()
    with Session(tap) as session:
        boots(tap, session)
    return tap.end()
