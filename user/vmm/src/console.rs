// SPDX-License-Identifier: MIT OR Apache-2.0
//! The serial port's other end: standard input, usually a terminal.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::EventFd;
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use vm_superio::Trigger;

use crate::uart::Uart;
use crate::wait;

/// Begins a command to the VMM itself, as in QEMU: Ctrl-A.
const ESCAPE: u8 = 1;

/// What the input thread ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputEnd {
    /// There is no more input, or the VMM ends.
    Closed,
    /// The user typed Ctrl-A x.
    Quit,
}

/// Finds the user's commands in what is typed on a terminal.
#[derive(Default)]
struct Keys {
    escaped: bool,
}

impl Keys {
    /// Keeps what is meant for the guest; `true` when the user wants to quit.
    fn filter(&mut self, bytes: &mut Vec<u8>) -> bool {
        let mut quit = false;
        bytes.retain(|byte| match (std::mem::take(&mut self.escaped), *byte) {
            (false, ESCAPE) => {
                self.escaped = true;
                false
            }
            (true, b'x') => {
                quit = true;
                false
            }
            _ => true,
        });
        quit
    }
}

/// Carries input to the guest until it ends or `stop` is signaled.
///
/// # Arguments
///
/// * `uart` - the serial port.
/// * `input` - standard input.
/// * `keys` - whether it is a terminal, on which Ctrl-A begins a command.
/// * `stop` - what ends this.
///
/// # Errors
///
/// An I/O error of the input.
pub fn carry_input<T: Trigger + Send + Sync, W: Write + Send, I: Read + AsFd>(
    uart: &Uart<T, W>,
    mut input: I,
    keys: bool,
    stop: &EventFd,
) -> io::Result<InputEnd> {
    let emptied = uart.emptied();
    let mut keys = keys.then(Keys::default);
    loop {
        let capacity = uart.room();
        // While the guest has no room for more, wait for it instead of for more input.
        let (readable, full) = if capacity == 0 {
            wait::readable(emptied.as_fd(), stop)?.then(|| emptied.read()).transpose()?;
            (false, true)
        } else {
            (wait::readable(input.as_fd(), stop)?, false)
        };
        if full {
            if stopped(stop)? {
                return Ok(InputEnd::Closed);
            }
            continue;
        }
        if !readable {
            return Ok(InputEnd::Closed);
        }
        let mut bytes = vec![0; capacity];
        let read = match input.read(&mut bytes) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        if read == 0 {
            return Ok(InputEnd::Closed);
        }
        bytes.truncate(read);
        if keys.as_mut().is_some_and(|keys| keys.filter(&mut bytes)) {
            return Ok(InputEnd::Quit);
        }
        uart.receive(&bytes);
    }
}

/// Whether `stop` is signaled.
fn stopped(stop: &EventFd) -> io::Result<bool> {
    let mut fds = [PollFd::new(stop.as_fd(), PollFlags::POLLIN)];
    Ok(poll(&mut fds, PollTimeout::ZERO)? > 0)
}

/// Puts a terminal into raw mode, and back when dropped.
pub struct RawMode<F: AsFd> {
    terminal: F,
    before: Termios,
}

impl<F: AsFd> RawMode<F> {
    /// Enters raw mode; `None` when the file is no terminal.
    ///
    /// # Arguments
    ///
    /// * `terminal` - usually standard input.
    pub fn enter(terminal: F) -> Option<Self> {
        let before = tcgetattr(&terminal).ok()?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(&terminal, SetArg::TCSANOW, &raw).ok()?;
        Some(Self { terminal, before })
    }
}

impl<F: AsFd> Drop for RawMode<F> {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring.
        let _ = tcsetattr(&self.terminal, SetArg::TCSANOW, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uart::tests::{read, uart, write};
    use std::os::unix::net::UnixStream;
    use std::sync::atomic::Ordering;

    const DATA: u64 = 0;
    const INTERRUPT_ENABLE: u64 = 1;
    const LINE_STATUS: u64 = 5;

    #[test]
    fn input_raises_the_interrupt_and_is_read() {
        let (edges, uart, _) = uart();
        write(&uart, INTERRUPT_ENABLE, 1);
        let (reader, mut writer) = UnixStream::pair().unwrap();
        writer.write_all(b"ok").unwrap();
        drop(writer);
        let stop = EventFd::new().unwrap();
        assert_eq!(carry_input(&uart, reader, false, &stop).unwrap(), InputEnd::Closed);
        assert_eq!(edges.load(Ordering::Relaxed), 1);
        let mut got = Vec::new();
        while read(&uart, LINE_STATUS) & 1 != 0 {
            got.push(read(&uart, DATA));
        }
        assert_eq!(got, b"ok");
    }

    #[test]
    fn more_input_than_room_waits_for_the_guest() {
        let (_, uart, _) = uart();
        let (reader, mut writer) = UnixStream::pair().unwrap();
        let sent: Vec<u8> = (0..=255).cycle().take(1000).collect();
        writer.write_all(&sent).unwrap();
        drop(writer);
        let stop = EventFd::new().unwrap();
        let got = std::thread::scope(|scope| {
            let input = scope.spawn(|| carry_input(&uart, reader, false, &stop));
            let mut got = Vec::new();
            while got.len() < sent.len() {
                if read(&uart, LINE_STATUS) & 1 != 0 {
                    got.push(read(&uart, DATA));
                }
                std::thread::yield_now();
            }
            assert_eq!(input.join().unwrap().unwrap(), InputEnd::Closed);
            got
        });
        assert_eq!(got, sent);
    }

    #[test]
    fn stop_ends_the_input() {
        let (_, uart, _) = uart();
        let (reader, _writer) = UnixStream::pair().unwrap();
        let stop = EventFd::new().unwrap();
        stop.write(1).unwrap();
        assert_eq!(carry_input(&uart, reader, false, &stop).unwrap(), InputEnd::Closed);
    }

    #[test]
    fn keys_for_the_vmm() {
        let filter = |keys: &mut Keys, text: &[u8]| {
            let mut bytes = text.to_vec();
            (keys.filter(&mut bytes), bytes)
        };
        let mut keys = Keys::default();
        assert_eq!(filter(&mut keys, b"ab\x01"), (false, b"ab".to_vec()));
        assert_eq!(filter(&mut keys, b"\x01c"), (false, b"\x01c".to_vec()), "twice means the key itself");
        assert_eq!(filter(&mut keys, b"d\x01"), (false, b"d".to_vec()));
        assert_eq!(filter(&mut keys, b"x"), (true, Vec::new()));
        assert_eq!(filter(&mut keys, b"x"), (false, b"x".to_vec()));
    }

    #[test]
    fn a_socket_is_no_terminal() {
        assert!(RawMode::enter(UnixStream::pair().unwrap().0).is_none());
    }
}
