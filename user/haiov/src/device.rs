// SPDX-License-Identifier: MIT OR Apache-2.0
//! The device: an open `/dev/haiov`.

use std::fs::OpenOptions;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use haiov_sys as raw;

use crate::error::{Context, Error, Result};
use crate::sys::{self, Command};

/// An open `/dev/haiov`, which owns the objects that are made through it.
///
/// Clones share the file; it is closed, and with it everything that it owns destroyed, when the last of them and of
/// the objects made through them is dropped.
#[derive(Clone, Debug)]
pub struct Device {
    fd: Arc<OwnedFd>,
}

/// What a machine can do, as bits that the kernel sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features(u64);

impl Features {
    /// Whether VEIRQs can be routed to eventfds.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(!haiov::Features::default().vei());
    /// ```
    pub fn vei(self) -> bool {
        self.0 & u64::from(raw::HAIOV_FEATURE_VEI) != 0
    }

    /// Whether vCPUs can have handlers (User-level Exception Redirection).
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(!haiov::Features::default().uer());
    /// ```
    pub fn uer(self) -> bool {
        self.0 & u64::from(raw::HAIOV_FEATURE_UER) != 0
    }

    /// Whether VEIRQs can be routed to handlers that start at once (Hardware-assisted Context Switch).
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(!haiov::Features::default().hcs());
    /// ```
    pub fn hcs(self) -> bool {
        self.0 & u64::from(raw::HAIOV_FEATURE_HCS) != 0
    }

    /// All bits, those that this version does not know included.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// The features of the given bits.
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

/// What a machine can do and how much of it there is; all zero without the hardware.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Info {
    /// What works here.
    pub features: Features,
    /// Harts that the interrupt controller serves.
    pub harts: u32,
    /// Interrupt identities (VEIIDs) of each hart; number 0 is never used.
    pub veiids_per_hart: u32,
    /// Entries of each hart's route cache, 0 for none.
    pub cache_entries_per_hart: u32,
    /// The most VEIRQs that a VM can have.
    pub max_veirqs: u32,
}

impl Device {
    /// Where the module puts its device node.
    pub const PATH: &'static str = "/dev/haiov";

    /// Opens [`Device::PATH`].
    ///
    /// # Errors
    ///
    /// [`Error::Open`] when there is no such node or the caller may not read and write it.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// let device = haiov::Device::open()?;
    /// println!("{} harts", device.info()?.harts);
    /// # Ok::<(), haiov::Error>(())
    /// ```
    pub fn open() -> Result<Self> {
        Self::open_at(Self::PATH)
    }

    /// Opens a device node elsewhere.
    ///
    /// # Arguments
    ///
    /// * `path` - the node.
    ///
    /// # Errors
    ///
    /// [`Error::Open`] as for [`Device::open`]. Whether the file is the right device shows with its first use.
    pub fn open_at(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => Ok(Self::from(OwnedFd::from(file))),
            Err(source) => Err(Error::Open { path: path.to_owned(), source }),
        }
    }

    /// Asks what the machine can do.
    ///
    /// Works without the hardware; no feature is set then.
    ///
    /// # Errors
    ///
    /// [`Error::NotADevice`] when the file is not a `/dev/haiov`, [`Error::System`] for anything else.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// let info = haiov::Device::open()?.info()?;
    /// if info.features.vei() {
    ///     println!("up to {} notifications a VM", info.max_veirqs);
    /// }
    /// # Ok::<(), haiov::Error>(())
    /// ```
    pub fn info(&self) -> Result<Info> {
        let mut info = raw::haiov_info::new();
        sys::ioctl(self.as_fd(), &mut info).map_err(|e| Context::of("ask what the device can do").error(e))?;
        Ok(Info {
            features: Features(info.features),
            harts: info.nr_harts,
            veiids_per_hart: info.nr_veiids,
            cache_entries_per_hart: info.cache_entries,
            max_veirqs: info.max_veirqs,
        })
    }

    /// Destroys an object by its id.
    pub(crate) fn destroy(&self, id: u64, action: &'static str) -> Result<()> {
        let mut destroy = raw::haiov_destroy { id, ..Command::new() };
        sys::ioctl(self.as_fd(), &mut destroy).map_err(|e| Context::of(action).error(e))
    }
}

/// Takes over a file that somebody else opened, such as a privileged launcher.
impl From<OwnedFd> for Device {
    fn from(fd: OwnedFd) -> Self {
        Self { fd: Arc::new(fd) }
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn absent_node_says_what_to_do() {
        let error = Device::open_at("/nonexistent/haiov").unwrap_err();
        assert!(error.is_unsupported());
        assert_eq!(
            error.to_string(),
            "cannot open /nonexistent/haiov: there is no such device; load the haiov module (modprobe haiov)"
        );
    }

    #[test]
    fn file_of_another_kind_is_refused_at_first_use() {
        let null = OpenOptions::new().read(true).write(true).open("/dev/null").unwrap();
        let device = Device::from(OwnedFd::from(null));
        assert!(matches!(device.info(), Err(Error::NotADevice { .. })));
        let file = tempfile::tempfile().unwrap();
        let device = Device::from(OwnedFd::from(file));
        assert!(matches!(device.destroy(1, "destroy"), Err(Error::NotADevice { .. })));
    }

    #[test]
    fn clones_share_one_file() {
        let file = File::options().read(true).write(true).open("/dev/null").unwrap();
        let device = Device::from(OwnedFd::from(file));
        let clone = device.clone();
        assert!(Arc::ptr_eq(&device.fd, &clone.fd));
    }

    #[test]
    fn features_keep_unknown_bits() {
        let features = Features::from_bits(1 | 1 << 63);
        assert!(features.vei() && !features.uer());
        assert_eq!(features.bits(), 1 | 1 << 63);
        assert!(!Features::from_bits(2).vei() && Features::from_bits(2).uer());
        assert!(!Features::from_bits(3).hcs() && Features::from_bits(4).hcs());
    }
}
