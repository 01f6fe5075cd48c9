// SPDX-License-Identifier: MIT OR Apache-2.0
//! The system calls of the kernel interface; the only unsafe code of this crate.

use std::os::fd::{AsRawFd, BorrowedFd};

use haiov_sys as raw;
use nix::errno::Errno;

/// A struct that an ioctl of `/dev/haiov` takes.
///
/// # Safety
///
/// [`NUMBER`](Command::NUMBER) must be the ioctl that takes exactly this struct, whose first member is its size. The
/// kernel then reads and writes at most that many bytes, and every bit pattern that it writes is valid.
pub(crate) unsafe trait Command: Default {
    /// Number of the ioctl.
    const NUMBER: u32;

    /// The struct with its size filled in and everything else zero.
    fn new() -> Self;
}

macro_rules! command {
    ($($name:ident => $number:ident,)*) => {$(
        // SAFETY: the UAPI header pairs this struct with this number; the struct holds plain integers only, the
        // first of which is `size`, and `new` sets it to the struct's own size.
        unsafe impl Command for raw::$name {
            const NUMBER: u32 = raw::$number;

            fn new() -> Self {
                Self {
                    size: size_of::<Self>() as u32,
                    ..Self::default()
                }
            }
        }
    )*};
}

command! {
    haiov_info => HAIOV_INFO,
    haiov_destroy => HAIOV_DESTROY,
    haiov_vm_create => HAIOV_VM_CREATE,
    haiov_vm_query => HAIOV_VM_QUERY,
    haiov_route_add => HAIOV_ROUTE_ADD,
    haiov_route_move => HAIOV_ROUTE_MOVE,
    haiov_route_query => HAIOV_ROUTE_QUERY,
    haiov_vcpu_create => HAIOV_VCPU_CREATE,
    haiov_mmio_add => HAIOV_MMIO_ADD,
    haiov_signal_add => HAIOV_SIGNAL_ADD,
    haiov_context_create => HAIOV_CONTEXT_CREATE,
    haiov_context_wait => HAIOV_CONTEXT_WAIT,
    haiov_context_query => HAIOV_CONTEXT_QUERY,
    haiov_context_move => HAIOV_CONTEXT_MOVE,
    haiov_context_listen => HAIOV_CONTEXT_LISTEN,
}

/// Issues the ioctl of `command`, again when a signal interrupts it.
pub(crate) fn ioctl<C: Command>(fd: BorrowedFd<'_>, command: &mut C) -> Result<(), Errno> {
    loop {
        // SAFETY: `fd` is open while it is borrowed. `command` is a unique reference to a struct that the number
        // belongs to (`Command`), so the kernel accesses only memory that this call may change. An fd that is not
        // `/dev/haiov` gives ENOTTY: the type of the number is not used by another driver.
        let done = unsafe { libc::ioctl(fd.as_raw_fd(), C::NUMBER as _, std::ptr::from_mut(command)) };
        match Errno::result(done) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsFd;

    #[test]
    fn new_fills_in_the_size_only() {
        let add = raw::haiov_route_add::new();
        assert_eq!(add.size as usize, size_of::<raw::haiov_route_add>());
        assert_eq!(add, raw::haiov_route_add { size: add.size, ..Default::default() });
    }

    #[test]
    fn another_kind_of_file_is_not_a_device() {
        let null = File::open("/dev/null").unwrap();
        let mut info = raw::haiov_info::new();
        assert_eq!(ioctl(null.as_fd(), &mut info), Err(Errno::ENOTTY));
    }
}
