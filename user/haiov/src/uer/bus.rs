// SPDX-License-Identifier: MIT OR Apache-2.0
//! The devices of a VM that are reached by UER.

use std::os::fd::AsFd;
use std::sync::Arc;

use thiserror::Error;

use super::device::{Caller, Device};
use super::handler::Handler;
use crate::error::Result;
use crate::mmio::MmioRange;
use crate::vm::Vm;

/// The hardware takes whole pages.
const PAGE: u64 = 4096;

/// Why a device cannot be where it was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RangeError {
    /// Handlers take pages.
    #[error("a device at {gpa:#x} of {size:#x} bytes does not consist of whole pages; align both to 4096")]
    NotPages {
        /// Where it was to begin.
        gpa: u64,
        /// How large it was to be.
        size: u64,
    },
    /// Something is there.
    #[error("a device at {gpa:#x} of {size:#x} bytes overlaps another one; choose another place")]
    Overlaps {
        /// Where it was to begin.
        gpa: u64,
        /// How large it was to be.
        size: u64,
    },
}

#[derive(Clone)]
pub(super) struct Entry {
    pub(super) gpa: u64,
    pub(super) size: u64,
    pub(super) device: Arc<dyn Device>,
}

/// Devices by guest physical address.
///
/// A VMM puts its devices here, then [registers](Bus::register) their pages with the VM and [attaches](Bus::attach) a
/// handler to each vCPU. Until then, and for whatever is punted, accesses come as exits of KVM, which
/// [`read`](Bus::read) and [`write`](Bus::write) answer.
#[derive(Clone, Default)]
pub struct Bus {
    /// Sorted by address; they do not overlap.
    entries: Vec<Entry>,
}

impl Bus {
    /// Adds a device. Handlers that are attached already do not know it.
    ///
    /// A page that a handler takes over no longer reaches KVM: an ioeventfd there is for the device to signal.
    ///
    /// # Arguments
    ///
    /// * `gpa` - guest physical address of its first byte.
    /// * `size` - how many bytes it has.
    /// * `device` - the device.
    ///
    /// # Errors
    ///
    /// [`RangeError`] when these are not whole pages, or overlap those of another device.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use haiov::uer::{Bus, Caller, Device, Punt, RangeError};
    ///
    /// struct Zero;
    ///
    /// impl Device for Zero {
    ///     fn read(&self, _: Caller<'_>, _: u64, _: u8) -> Result<u64, Punt> {
    ///         Ok(0)
    ///     }
    ///     fn write(&self, _: Caller<'_>, _: u64, _: u64, _: u8) -> Result<(), Punt> {
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let mut bus = Bus::default();
    /// bus.add(0x1000_0000, 0x1000, Arc::new(Zero))?;
    /// assert!(matches!(bus.add(0x1000_0000, 0x2000, Arc::new(Zero)), Err(RangeError::Overlaps { .. })));
    /// # Ok::<(), RangeError>(())
    /// ```
    pub fn add(&mut self, gpa: u64, size: u64, device: Arc<dyn Device>) -> std::result::Result<(), RangeError> {
        // The last page of the address space has no end that fits.
        let Some(end) = gpa.checked_add(size).filter(|_| size != 0 && gpa % PAGE == 0 && size % PAGE == 0) else {
            return Err(RangeError::NotPages { gpa, size });
        };
        if self.entries.iter().any(|entry| entry.gpa < end && gpa < entry.gpa + entry.size) {
            return Err(RangeError::Overlaps { gpa, size });
        }
        let at = self.entries.partition_point(|entry| entry.gpa < gpa);
        self.entries.insert(at, Entry { gpa, size, device });
        Ok(())
    }

    /// Registers the pages of all devices with a VM. From then on, accesses of vCPUs with a handler start it.
    ///
    /// # Arguments
    ///
    /// * `vm` - the VM.
    ///
    /// The result keeps the pages registered.
    ///
    /// # Errors
    ///
    /// As for [`Vm::add_mmio`].
    pub fn register(&self, vm: &Vm) -> Result<Vec<MmioRange>> {
        self.entries.iter().map(|entry| vm.add_mmio(entry.gpa, entry.size)).collect()
    }

    /// Attaches a handler to a vCPU, with the devices that the bus has now.
    ///
    /// # Arguments
    ///
    /// * `vm` - the VM.
    /// * `vcpu` - file of the vCPU.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`](crate::Error::Unsupported) where the machine has no UER,
    /// [`Error::Busy`](crate::Error::Busy) when the vCPU has a handler,
    /// [`Error::Invalid`](crate::Error::Invalid) when the file is no vCPU of that VM,
    /// [`Error::System`](crate::Error::System) when memory or threads are lacking.
    pub fn attach(&self, vm: &Vm, vcpu: impl AsFd) -> Result<Handler> {
        Handler::new(&self.entries, vm, vcpu.as_fd())
    }

    /// Answers a load that left the guest; `false` when it is in no device, and the data zero.
    ///
    /// # Arguments
    ///
    /// * `gpa` - the guest physical address.
    /// * `data` - where the answer goes: 1, 2, 4 or 8 bytes.
    pub fn read(&self, gpa: u64, data: &mut [u8]) -> bool {
        data.fill(0);
        let Some((device, offset, size)) = self.find(gpa, data.len()) else { return false };
        // A device that punts here has nothing to answer with.
        let value = device.read(Caller::outside(), offset, size).unwrap_or(0);
        data.copy_from_slice(&value.to_le_bytes()[..data.len()]);
        true
    }

    /// Hands on a store that left the guest; `false` when it is in no device.
    ///
    /// # Arguments
    ///
    /// * `gpa` - the guest physical address.
    /// * `data` - what is stored: 1, 2, 4 or 8 bytes.
    pub fn write(&self, gpa: u64, data: &[u8]) -> bool {
        let Some((device, offset, size)) = self.find(gpa, data.len()) else { return false };
        let mut value = [0; 8];
        value[..data.len()].copy_from_slice(data);
        // A device that punts here cannot do it at all, as hardware ignores what it cannot do.
        let _ = device.write(Caller::outside(), offset, u64::from_le_bytes(value), size);
        true
    }

    fn find(&self, gpa: u64, size: usize) -> Option<(&dyn Device, u64, u8)> {
        let size = u8::try_from(size).ok().filter(|size| matches!(size, 1 | 2 | 4 | 8))?;
        let after = self.entries.partition_point(|entry| entry.gpa <= gpa);
        let entry = self.entries.get(after.checked_sub(1)?)?;
        let offset = gpa - entry.gpa;
        (offset <= entry.size - u64::from(size)).then_some((&*entry.device, offset, size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uer::{Punt, TryLock};

    #[derive(Default)]
    struct Memory(TryLock<[u8; 16]>);

    impl Device for Memory {
        fn read(&self, caller: Caller<'_>, offset: u64, size: u8) -> std::result::Result<u64, Punt> {
            assert!(!caller.is_handler());
            let at = offset as usize % 16;
            let mut value = [0; 8];
            value[..size.into()].copy_from_slice(&self.0.enter(caller)?[at..at + usize::from(size)]);
            Ok(u64::from_le_bytes(value))
        }

        fn write(&self, caller: Caller<'_>, offset: u64, value: u64, size: u8) -> std::result::Result<(), Punt> {
            let at = offset as usize % 16;
            self.0.enter(caller)?[at..at + usize::from(size)].copy_from_slice(&value.to_le_bytes()[..size.into()]);
            Ok(())
        }
    }

    #[test]
    fn places_are_whole_pages_that_do_not_overlap() {
        let mut bus = Bus::default();
        let device: Arc<dyn Device> = Arc::new(Memory::default());
        let mut add = |gpa, size| bus.add(gpa, size, device.clone());
        add(0x3000, 0x2000).unwrap();
        add(0x1000, 0x1000).unwrap();
        add(0x2000, 0x1000).unwrap();
        for (gpa, size) in [(0x1008, 0x1000), (0x6000, 0x10), (0x6000, 0), (u64::MAX - 0xfff, 0x1000)] {
            assert_eq!(add(gpa, size), Err(RangeError::NotPages { gpa, size }));
        }
        for (gpa, size) in [(0x1000, 0x1000), (0x4000, 0x1000), (0, 0x2000), (0x2000, 0x10000), (0, 0x10000)] {
            assert_eq!(add(gpa, size), Err(RangeError::Overlaps { gpa, size }));
        }
        let order: Vec<u64> = bus.entries.iter().map(|entry| entry.gpa).collect();
        assert_eq!(order, [0x1000, 0x2000, 0x3000]);
    }

    #[test]
    fn exits_reach_their_device_only() {
        let (low, high) = (Arc::new(Memory::default()), Arc::new(Memory::default()));
        let mut bus = Bus::default();
        bus.add(0x1000, 0x1000, low.clone()).unwrap();
        bus.add(0x4000, 0x1000, high.clone()).unwrap();
        assert!(bus.write(0x1004, &[1, 2, 3, 4]));
        assert!(bus.write(0x4000, &[5]));
        assert_eq!(low.0.lock().unwrap()[..9], [0, 0, 0, 0, 1, 2, 3, 4, 0]);
        assert_eq!(high.0.lock().unwrap()[..2], [5, 0]);
        let mut data = [0xff; 4];
        assert!(bus.read(0x1004, &mut data));
        assert_eq!(data, [1, 2, 3, 4]);
        for gpa in [0, 0xffc, 0x1ffd, 0x2000, 0x5000, u64::MAX - 2] {
            let mut data = [0xff; 4];
            assert!(!bus.read(gpa, &mut data) && data == [0; 4], "{gpa:#x}");
            assert!(!bus.write(gpa, &[9; 4]), "{gpa:#x}");
        }
        assert!(!bus.write(0x1000, &[9; 3]), "no access is of three bytes");
    }
}
