// SPDX-License-Identifier: MIT OR Apache-2.0
//! What Rust cannot say: entry and exit of a handler, its `ecall`, and the registers of a thread.

use std::arch::{asm, global_asm};

use haiov_sys::{HAIOV_UER_PUNT, HAIOV_UER_SIGNAL};

use super::access;

// The code keeps to the rules for handlers (Documentation/uer.rst): it saves and restores what it uses, and calls two
// functions that return, by the C calling convention, with the stack below the area that `Handler` has made.
global_asm!(
    include_str!("entry.S"),
    load = sym access::load,
    store = sym access::store,
    PUNT = const HAIOV_UER_PUNT,
    USCRATCH = const 0x040,
    UEPC = const 0x041,
    UTVAL = const 0x043,
    UTINST = const 0x810,
);

unsafe extern "C" {
    /// Where a handler begins. Nobody can call it: it has no caller to return to.
    fn haiov_uer_entry();
}

/// Address of the code that utvec names.
pub(super) fn entry() -> usize {
    haiov_uer_entry as *const () as usize
}

/// gp and tp of the calling thread.
pub(super) fn thread_registers() -> [u64; 2] {
    let (gp, tp);
    // SAFETY: it only copies two registers.
    unsafe { asm!("mv {}, gp", "mv {}, tp", out(reg) gp, out(reg) tp, options(nomem, nostack, preserves_flags)) };
    [gp, tp]
}

/// Signals a registered eventfd; gives 0 or the negative errno. Outside a handler this is a system call that does not
/// exist as such, with the number of io_destroy(2), and does nothing but fail: no context has so small an address.
#[inline(never)]
pub(super) fn signal(index: u32) -> i64 {
    let result;
    // SAFETY: in a handler KVM answers: a7 is the service, a0 its argument and result, and all other registers are
    // kept. Only an eventfd's counter changes. `Caller::inside` tells that this is a handler, and a signal's index is
    // below 256, where nothing is mapped, should it not be one.
    unsafe {
        asm!("ecall", in("a7") HAIOV_UER_SIGNAL, inlateout("a0") i64::from(index) => result, options(nostack));
    }
    result
}

/// Ends the frame: KVM tells the VMM, by `KVM_EXIT_INTERNAL_ERROR`, that the handler executed an illegal instruction
/// here.
#[inline(never)]
pub(super) fn die() -> ! {
    // SAFETY: the instruction is illegal by definition, so that nothing is executed after it.
    unsafe { asm!("unimp", options(noreturn, nomem, nostack)) }
}
