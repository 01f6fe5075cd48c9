// SPDX-License-Identifier: MIT OR Apache-2.0
//! A thread that serves the accesses that KVM sends over a pipe: ioregionfd, which a kernel with the patches of this
//! project has, to be compared with.
//!
//! The vCPU stays in KVM and waits for the answer, but for writes that are posted. Nothing that the thread does may need
//! KVM to change the VM meanwhile: KVM waits for the access, and so would both for each other.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::{Builder, JoinHandle};

use haiov::uer::{Caller, Device};
use nix::fcntl::OFlag;
use nix::unistd::pipe2;

use crate::error::{Error, Result};
use crate::sys;

/// Size of a command, and of its response.
const MESSAGE: usize = 32;
/// How many commands are read at once: there may be more than one where they are posted.
const BATCH: usize = 64;

// A command: what, a byte of information, padding, then words.
const WHAT: usize = 0;
const INFO: usize = 1;
const USER_DATA: usize = 8;
const OFFSET: usize = 16;
const DATA: usize = 24;
const READ: u8 = 0;
const WRITE: u8 = 1;
/// Bits of the information: the exponent of the size, and whether KVM waits for a response.
const SIZE_EXPONENT: u8 = 0xf;
const RESPONSE: u8 = 0x10;

/// A part of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Guest physical address of its first byte.
    pub base: u64,
    /// How many bytes.
    pub size: u64,
    /// Where it is in the device.
    pub offset: u64,
    /// Whether the guest goes on before a write has reached the device.
    pub posted: bool,
}

/// Regions of a VM, and the thread that serves them. Dropping it gives them back to exits.
pub struct Ioregions {
    vm: OwnedFd,
    regions: Vec<Region>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Ioregions {
    /// Lets a thread serve regions.
    ///
    /// # Arguments
    ///
    /// * `vm` - file of the KVM VM.
    /// * `name` - name of the thread.
    /// * `device` - the device that the regions are parts of.
    /// * `regions` - what the thread serves; nothing else of KVM is in them, such as an ioeventfd.
    /// * `place` - what the thread does first, such as to choose its CPU.
    ///
    /// The result is `None` where the host's kernel has no ioregionfd.
    ///
    /// # Errors
    ///
    /// [`Error::Kvm`] when KVM refuses, [`Error::Host`] when there can be no further files or threads, and those of
    /// `place`.
    pub fn spawn(
        vm: BorrowedFd<'_>,
        name: &str,
        device: Arc<dyn Device>,
        regions: &[Region],
        place: impl FnOnce() -> Result<()> + Send + 'static,
    ) -> Result<Option<Self>> {
        // Pipes: a socket does the same, and takes KVM and the thread half as many instructions more.
        let pipe = || pipe2(OFlag::O_CLOEXEC).map_err(Error::host("make a pipe"));
        let ((commands, kvm_out), (kvm_in, responses)) = (pipe()?, pipe()?);
        let vm = vm.try_clone_to_owned().map_err(Error::host("use a file twice"))?;
        let mut this = Self { vm, regions: Vec::new(), thread: None };
        for region in regions {
            let files = Some((kvm_in.as_fd(), kvm_out.as_fd()));
            match sys::kvm_set_ioregion(this.vm.as_fd(), region, files) {
                Ok(()) => this.regions.push(*region),
                // A kernel that does not know it says either.
                Err(e) if matches!(e.raw_os_error(), Some(libc::ENOTTY | libc::EINVAL)) => return Ok(None),
                Err(e) => return Err(Error::kvm("add a region of ioregionfd", "two devices are in one place")(e)),
            }
        }
        let (ready, started) = sync_channel(1);
        let thread = Builder::new().name(name.to_owned()).spawn(move || {
            let placed = place();
            let runs = placed.is_ok();
            let _ = ready.send(placed);
            if runs { serve(File::from(commands), File::from(responses), &*device) } else { Ok(()) }
        });
        this.thread = Some(thread.map_err(Error::host("start a thread"))?);
        match started.recv() {
            Ok(placed) => placed.map(|()| Some(this)),
            Err(e) => Err(Error::host("start a thread")(io::Error::other(e))),
        }
    }
}

impl Drop for Ioregions {
    fn drop(&mut self) {
        for region in &self.regions {
            // It is there: only this removes it.
            let _ = sys::kvm_set_ioregion(self.vm.as_fd(), region, None);
        }
        // KVM was the last to hold the other ends, so that the thread ends.
        if let Some(Ok(Err(error))) = self.thread.take().map(JoinHandle::join) {
            eprintln!("haiov-vmm: a thread of ioregionfd stopped early: {error}; its device went on with exits");
        }
    }
}

/// Serves commands until their end.
fn serve(mut commands: impl Read, mut responses: impl Write, device: &dyn Device) -> io::Result<()> {
    let mut buffer = [0; BATCH * MESSAGE];
    let mut filled = 0;
    loop {
        match commands.read(&mut buffer[filled..]) {
            Ok(0) if filled == 0 => return Ok(()),
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(len) => filled += len,
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        }
        let whole = filled - filled % MESSAGE;
        for command in buffer[..whole].chunks_exact(MESSAGE) {
            let data = execute(command, device)?;
            if command[INFO] & RESPONSE != 0 {
                let mut response = [0; MESSAGE];
                response[..8].copy_from_slice(&data.to_ne_bytes());
                responses.write_all(&response)?;
            }
        }
        buffer.copy_within(whole..filled, 0);
        filled -= whole;
    }
}

/// Lets the device do what a command says; what is read, or 0.
fn execute(command: &[u8], device: &dyn Device) -> io::Result<u64> {
    let word = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&command[at..at + 8]);
        u64::from_ne_bytes(bytes)
    };
    let exponent = command[INFO] & SIZE_EXPONENT;
    if exponent > 3 {
        return Err(ErrorKind::InvalidData.into());
    }
    let (offset, size) = (word(USER_DATA) + word(OFFSET), 1 << exponent);
    match command[WHAT] {
        // A device that punts here cannot do it at all, as after an exit.
        READ => Ok(device.read(Caller::outside(), offset, size).unwrap_or(0)),
        WRITE => {
            let _ = device.write(Caller::outside(), offset, word(DATA), size);
            Ok(0)
        }
        _ => Err(ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};

    use haiov::uer::Punt;

    /// Notes what it is asked for.
    #[derive(Default)]
    struct Recorder(Mutex<Vec<(char, u64, u64, u8)>>);

    impl Device for Recorder {
        fn read(&self, caller: Caller<'_>, offset: u64, size: u8) -> std::result::Result<u64, Punt> {
            assert!(!caller.is_handler());
            self.0.lock().unwrap().push(('r', offset, 0, size));
            if offset == 0xbad { Err(Punt) } else { Ok(offset * 2) }
        }

        fn write(&self, _: Caller<'_>, offset: u64, value: u64, size: u8) -> std::result::Result<(), Punt> {
            self.0.lock().unwrap().push(('w', offset, value, size));
            Ok(())
        }
    }

    fn command(what: u8, info: u8, user_data: u64, offset: u64, data: u64) -> Vec<u8> {
        let mut bytes = vec![what, info, 0, 0, 0, 0, 0, 0];
        [user_data, offset, data].iter().for_each(|word| bytes.extend(word.to_ne_bytes()));
        assert_eq!(bytes.len(), MESSAGE);
        bytes
    }

    /// Gives what it has in pieces of a size.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            let len = self.1.min(to.len());
            self.0.read(&mut to[..len])
        }
    }

    #[test]
    fn commands_reach_the_device_and_responses_the_sender() {
        let many = (0..200).map(|i| command(WRITE, 2, 0, i, i + 1));
        let commands: Vec<u8> = [
            command(READ, RESPONSE | 3, 0x800, 4, 0),
            command(WRITE, RESPONSE, 0, 8, 0xff),
            command(WRITE, 1, 0, 0x10, 0xabcd),
            command(READ, RESPONSE | 2, 0, 0xbad, 0),
        ]
        .into_iter()
        .chain(many)
        .flatten()
        .collect();
        for piece in [1, 31, 32, 33, 4096, 1 << 16] {
            let (device, mut responses) = (Recorder::default(), Vec::new());
            serve(Pieces(&commands, piece), &mut responses, &device).unwrap();
            let seen = device.0.lock().unwrap();
            assert_eq!(seen[..4], [('r', 0x804, 0, 8), ('w', 8, 0xff, 1), ('w', 0x10, 0xabcd, 2), ('r', 0xbad, 0, 4)]);
            assert!(seen[4..].iter().enumerate().all(|(i, access)| *access == ('w', i as u64, i as u64 + 1, 4)));
            assert_eq!(seen.len(), 204);
            let answers: Vec<u64> =
                responses.chunks(MESSAGE).map(|r| u64::from_ne_bytes(r[..8].try_into().unwrap())).collect();
            assert_eq!(answers, [0x1008, 0, 0], "piece {piece}");
            assert_eq!(responses.len(), 3 * MESSAGE);
        }
    }

    #[test]
    fn what_is_no_command_ends_it() {
        let device = Recorder::default();
        let half = command(READ, 0, 0, 0, 0);
        let ended = serve(&half[..20], io::sink(), &device).unwrap_err();
        assert_eq!(ended.kind(), ErrorKind::UnexpectedEof);
        for wrong in [command(2, 0, 0, 0, 0), command(READ, 4, 0, 0, 0)] {
            assert_eq!(serve(&wrong[..], io::sink(), &device).unwrap_err().kind(), ErrorKind::InvalidData);
        }
        assert!(device.0.lock().unwrap().is_empty());
    }

    #[test]
    fn a_host_without_it_is_no_error() {
        let null = File::open("/dev/null").unwrap();
        let placed = Arc::new(AtomicBool::new(false));
        let place = {
            let placed = placed.clone();
            move || {
                placed.store(true, Ordering::Relaxed);
                Ok(())
            }
        };
        let region = Region { base: 0, size: 4096, offset: 0, posted: false };
        let made = Ioregions::spawn(null.as_fd(), "test", Arc::new(Recorder::default()), &[region], place).unwrap();
        assert!(made.is_none() && !placed.load(Ordering::Relaxed));
        // Without a region there is nothing that KVM could refuse, and nobody to serve.
        let made = Ioregions::spawn(null.as_fd(), "test", Arc::new(Recorder::default()), &[], || Ok(()));
        assert!(made.unwrap().is_some());
        let made = Ioregions::spawn(null.as_fd(), "test", Arc::new(Recorder::default()), &[], || Err(Error::Quit));
        assert!(matches!(made.err(), Some(Error::Quit)));
    }
}
