// SPDX-License-Identifier: MIT OR Apache-2.0
//! Waiting for a file, or for the end of what waits.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::EventFd;

/// Whether an eventfd is readable.
///
/// # Errors
///
/// The system's error when it does not say.
pub(crate) fn is_readable(eventfd: &EventFd) -> io::Result<bool> {
    let mut fds = [PollFd::new(eventfd.as_fd(), PollFlags::POLLIN)];
    match poll(&mut fds, PollTimeout::ZERO) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::EINTR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Waits until `fd` is readable; `false` when `stop` is, which comes first.
///
/// # Errors
///
/// The system's error when it cannot wait.
pub(crate) fn readable(fd: BorrowedFd<'_>, stop: &EventFd) -> io::Result<bool> {
    let mut fds = [PollFd::new(stop.as_fd(), PollFlags::POLLIN), PollFd::new(fd, PollFlags::POLLIN)];
    loop {
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) => return Ok(!fds[0].any().unwrap_or(true)),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}
