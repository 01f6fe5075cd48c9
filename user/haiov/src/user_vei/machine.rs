// SPDX-License-Identifier: MIT OR Apache-2.0
//! What Rust cannot say: where a handler begins and ends, and where its thread parks.

use std::arch::global_asm;
use std::ffi::c_void;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use haiov_sys as raw;
use nix::errno::Errno;

use super::context::Handler;
use crate::sys::Command;

global_asm!(
    include_str!("entry.S"),
    USCRATCH = const 0x040,
    IOCTL = const libc::SYS_ioctl,
    SIGNAL = const raw::HAIOV_CONTEXT_SIGNAL,
);

unsafe extern "C" {
    /// Where a handler begins. Nobody can call it: it has no caller to return to.
    fn haiov_user_vei_entry();
    /// Parks: a system call, on whose stack handlers run meanwhile. Its result is 0 or a negative errno.
    fn haiov_user_vei_park(area: *mut Area, fd: i32, number: usize, argument: *mut raw::haiov_context_wait) -> i64;
    /// Signals by an index. Its result is 0 or a negative errno, where no frame calls it ENOSYS. Nobody's memory but the
    /// counter of an eventfd changes, so that anybody may call it.
    safe fn haiov_user_vei_signal(index: u64) -> i64;
}

/// Signals by an index of the calling context, if this is a frame of one, and tells whether that worked.
pub(super) fn signal(index: u32) -> bool {
    haiov_user_vei_signal(u64::from(index)) == 0
}

/// What uscratch points to; `entry.S` knows where everything is.
#[repr(C)]
pub(super) struct Area {
    /// Whether the handler runs on the thread; written by the kernel.
    on_thread: u64,
    /// sp, gp and tp of the thread that is parked, written before it parks.
    registers: [u64; 3],
    call: unsafe extern "C" fn(NonNull<c_void>),
    argument: NonNull<c_void>,
    /// How the thread parks: arguments of ioctl(2), written before it does.
    park: [u64; 3],
}

/// A handler, and how often it was called.
struct Called<H> {
    handler: H,
    calls: AtomicU64,
}

/// Calls the handler.
///
/// # Safety
///
/// `called` must point to a `Called<H>` that nobody but this call has the handler of.
unsafe extern "C" fn call<H: Handler>(called: NonNull<c_void>) {
    let called = called.cast::<Called<H>>();
    // SAFETY: it is valid, and this field is never borrowed uniquely.
    let calls = unsafe { &(*called.as_ptr()).calls };
    // SAFETY: as by the safety requirement.
    let handler = unsafe { &mut (*called.as_ptr()).handler };
    calls.fetch_add(1, Ordering::Relaxed);
    handler.event();
}

/// The memory of a context. What it gives away are addresses; see [`Place::drop`] for how long these hold.
pub(super) struct Place {
    area: NonNull<Area>,
    calls: NonNull<AtomicU64>,
    free: unsafe fn(NonNull<c_void>),
}

// SAFETY: the area and the handler are the object's own, and the handler is `Send`.
unsafe impl Send for Place {}
// SAFETY: shared, the object gives an atomic counter only; `park` is told about below.
unsafe impl Sync for Place {}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Place").field("calls", &self.calls()).finish_non_exhaustive()
    }
}

/// Drops a handler.
///
/// # Safety
///
/// `called` must be what `Box::into_raw` made of a `Box<Called<H>>`, and not be used any more.
unsafe fn free<H>(called: NonNull<c_void>) {
    // SAFETY: as by the safety requirement.
    drop(unsafe { Box::from_raw(called.cast::<Called<H>>().as_ptr()) });
}

impl Place {
    pub(super) fn new<H: Handler>(handler: H) -> Self {
        let called = NonNull::from(Box::leak(Box::new(Called { handler, calls: AtomicU64::new(0) })));
        // SAFETY: the box was just leaked; only the address of a field is taken.
        let calls = NonNull::from(unsafe { &(*called.as_ptr()).calls });
        let area = Area { on_thread: 0, registers: [0; 3], call: call::<H>, argument: called.cast(), park: [0; 3] };
        Self { area: NonNull::from(Box::leak(Box::new(area))), calls, free: free::<H> }
    }

    /// How often the handler was called.
    pub(super) fn calls(&self) -> u64 {
        // SAFETY: the counter lives as long as this object, and is an atomic one.
        unsafe { self.calls.as_ref() }.load(Ordering::Relaxed)
    }

    /// Entry and data for the kernel.
    pub(super) fn entry(&self) -> (u64, u64) {
        (haiov_user_vei_entry as *const () as u64, self.area.as_ptr() as u64)
    }

    /// Parks the calling thread until the context is destroyed, or a signal comes.
    ///
    /// # Safety
    ///
    /// The context `id` of `fd` must have been created with this object's [`Place::entry`]. Only one thread may call this.
    pub(super) unsafe fn park(&self, fd: BorrowedFd<'_>, id: u64) -> Errno {
        let mut wait = raw::haiov_context_wait { context_id: id, ..Command::new() };
        // SAFETY: the area is valid, and no handler uses it while nobody is parked. `wait` is what the ioctl takes.
        // Handlers run on this stack, below the call, and with this thread's variables, while it stands still: kernel
        // and hardware run one at a time, and continue here only when none runs (DOC: Contexts). All registers that a
        // callee saves are restored: the integer ones by the kernel, the others by `call`.
        let result = unsafe {
            haiov_user_vei_park(self.area.as_ptr(), fd.as_raw_fd(), raw::HAIOV_CONTEXT_WAIT as usize, &mut wait)
        };
        Errno::from_raw(i32::try_from(-result).unwrap_or(0))
    }
}

impl Drop for Place {
    /// The owner has destroyed the context, and its thread has ended or is the one that drops this; so no handler uses
    /// what is freed here.
    fn drop(&mut self) {
        // SAFETY: it came from a box in `new`, and is not used any more.
        let area = unsafe { Box::from_raw(self.area.as_ptr()) };
        // SAFETY: the argument came from a box in `new` with the type that `free` is for, and is not used any more.
        unsafe { (self.free)(area.argument) };
    }
}
