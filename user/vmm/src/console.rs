// SPDX-License-Identifier: MIT OR Apache-2.0
//! The serial port: a 16550 whose other end is standard input and output.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::EventFd;
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use vm_superio::serial::SerialEvents;
use vm_superio::{Serial, Trigger};

use crate::bus::MmioDevice;

/// Begins a command to the VMM itself, as in QEMU: Ctrl-A.
const ESCAPE: u8 = 1;

/// Tells the input thread that the guest has read everything.
pub struct Room(Arc<EventFd>);

impl SerialEvents for Room {
    fn buffer_read(&self) {}
    fn out_byte(&self) {}
    fn tx_lost_byte(&self) {}
    fn in_buffer_empty(&self) {
        // Fails only when the counter is full: the thread is told already.
        let _ = self.0.write(1);
    }
}

/// The device.
pub struct Console<T: Trigger, W: Write> {
    serial: Serial<T, Room, W>,
    room: Arc<EventFd>,
}

impl<T: Trigger, W: Write> Console<T, W> {
    /// Makes the device.
    ///
    /// # Arguments
    ///
    /// * `irq` - what makes an edge on its interrupt line.
    /// * `out` - where the guest's output goes.
    ///
    /// # Errors
    ///
    /// The system's error when there can be no further eventfd.
    pub fn new(irq: T, out: W) -> io::Result<Self> {
        let room = Arc::new(EventFd::new()?);
        Ok(Self { serial: Serial::with_events(irq, Room(room.clone()), out), room })
    }
}

impl<T: Trigger + Send, W: Write + Send> MmioDevice for Console<T, W> {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        if let ([byte], 0..8) = (data, offset) {
            *byte = self.serial.read(offset as u8);
        }
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        if let ([byte], 0..8) = (data, offset) {
            // A closed standard output loses the byte, as a pulled plug would; the guest goes on.
            let _ = self.serial.write(offset as u8, *byte);
        }
    }
}

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

fn lock<T: Trigger, W: Write>(console: &Mutex<Console<T, W>>) -> MutexGuard<'_, Console<T, W>> {
    console.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Carries input to the guest until it ends or `stop` is signaled.
///
/// # Arguments
///
/// * `console` - the device.
/// * `input` - standard input.
/// * `keys` - whether it is a terminal, on which Ctrl-A begins a command.
/// * `stop` - what ends this.
///
/// # Errors
///
/// An I/O error of the input.
pub fn carry_input<T: Trigger, W: Write, I: Read + AsFd>(
    console: &Mutex<Console<T, W>>,
    mut input: I,
    keys: bool,
    stop: &EventFd,
) -> io::Result<InputEnd> {
    let room = lock(console).room.clone();
    let mut keys = keys.then(Keys::default);
    loop {
        let capacity = lock(console).serial.fifo_capacity();
        // While the guest has no room for more, wait for it instead of for more input.
        let (readable, full) = if capacity == 0 {
            wait(room.as_fd(), stop)?.then(|| room.read()).transpose()?;
            (false, true)
        } else {
            (wait(input.as_fd(), stop)?, false)
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
        // A guest that tests its port in loop-back mode hears nothing else meanwhile.
        let _ = lock(console).serial.enqueue_raw_bytes(&bytes);
    }
}

/// Waits until `fd` is readable; `false` when `stop` came first.
fn wait(fd: std::os::fd::BorrowedFd<'_>, stop: &EventFd) -> io::Result<bool> {
    let mut fds = [PollFd::new(stop.as_fd(), PollFlags::POLLIN), PollFd::new(fd, PollFlags::POLLIN)];
    loop {
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) => return Ok(!fds[0].any().unwrap_or(true)),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
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
    use std::os::unix::net::UnixStream;
    use std::sync::atomic::{AtomicU32, Ordering};

    const DATA: u64 = 0;
    const INTERRUPT_ENABLE: u64 = 1;
    const LINE_STATUS: u64 = 5;

    /// Counts edges.
    struct Edges(Arc<AtomicU32>);

    impl Trigger for Edges {
        type E = io::Error;

        fn trigger(&self) -> io::Result<()> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
    }

    fn console() -> (Arc<AtomicU32>, Console<Edges, Vec<u8>>) {
        let edges = Arc::new(AtomicU32::new(0));
        (edges.clone(), Console::new(Edges(edges), Vec::new()).unwrap())
    }

    #[test]
    fn output_goes_out() {
        let (_, mut console) = console();
        for byte in b"hi" {
            console.write(DATA, &[*byte]);
        }
        console.write(DATA, b"wide"); // the port has registers of one byte
        console.write(8, b"x"); // and eight of them
        assert_eq!(console.serial.writer(), b"hi");
    }

    #[test]
    fn input_raises_the_interrupt_and_is_read() {
        let (edges, mut console) = console();
        console.write(INTERRUPT_ENABLE, &[1]);
        let (reader, mut writer) = UnixStream::pair().unwrap();
        writer.write_all(b"ok").unwrap();
        drop(writer);
        let console = Mutex::new(console);
        let stop = EventFd::new().unwrap();
        assert_eq!(carry_input(&console, reader, false, &stop).unwrap(), InputEnd::Closed);
        assert_eq!(edges.load(Ordering::Relaxed), 1);
        let mut got = Vec::new();
        let mut console = console.into_inner().unwrap();
        loop {
            let mut byte = [0];
            console.read(LINE_STATUS, &mut byte);
            if byte[0] & 1 == 0 {
                break;
            }
            console.read(DATA, &mut byte);
            got.push(byte[0]);
        }
        assert_eq!(got, b"ok");
    }

    #[test]
    fn more_input_than_room_waits_for_the_guest() {
        let (_, console) = console();
        let (reader, mut writer) = UnixStream::pair().unwrap();
        let sent: Vec<u8> = (0..=255).cycle().take(1000).collect();
        writer.write_all(&sent).unwrap();
        drop(writer);
        let console = Mutex::new(console);
        let stop = EventFd::new().unwrap();
        let got = std::thread::scope(|scope| {
            let input = scope.spawn(|| carry_input(&console, reader, false, &stop));
            let mut got = Vec::new();
            while got.len() < sent.len() {
                let mut console = console.lock().unwrap();
                let mut byte = [0];
                console.read(LINE_STATUS, &mut byte);
                if byte[0] & 1 != 0 {
                    console.read(DATA, &mut byte);
                    got.push(byte[0]);
                }
                drop(console);
                std::thread::yield_now();
            }
            assert_eq!(input.join().unwrap().unwrap(), InputEnd::Closed);
            got
        });
        assert_eq!(got, sent);
    }

    #[test]
    fn stop_ends_the_input() {
        let (_, console) = console();
        let (reader, _writer) = UnixStream::pair().unwrap();
        let stop = EventFd::new().unwrap();
        stop.write(1).unwrap();
        assert_eq!(carry_input(&Mutex::new(console), reader, false, &stop).unwrap(), InputEnd::Closed);
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
