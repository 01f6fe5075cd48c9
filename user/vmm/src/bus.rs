// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which device an access of the guest goes to.

use std::sync::{Arc, Mutex, PoisonError};

use haiov::uer;

/// A device that the guest reaches by loads and stores.
pub trait MmioDevice: Send {
    /// Answers a load. Bytes that the device does not set read as zero.
    fn read(&mut self, offset: u64, data: &mut [u8]);
    /// Takes a store.
    fn write(&mut self, offset: u64, data: &[u8]);
}

struct Region {
    base: u64,
    size: u64,
    device: Arc<Mutex<dyn MmioDevice>>,
}

/// The devices by address.
#[derive(Default)]
pub struct Bus {
    /// Those whose pages handlers of UER serve, where the host has it; what they punt comes here.
    pub redirected: uer::Bus,
    /// Those that are made in the same way, and reached by exits.
    pub exits: uer::Bus,
    regions: Vec<Region>,
}

impl Bus {
    /// Adds a device.
    ///
    /// # Arguments
    ///
    /// * `base` - its first address.
    /// * `size` - how many bytes it has.
    /// * `device` - the device.
    pub fn add(&mut self, base: u64, size: u64, device: Arc<Mutex<dyn MmioDevice>>) {
        self.regions.push(Region { base, size, device });
    }

    /// Answers a load; one that no device answers reads as zero.
    ///
    /// # Arguments
    ///
    /// * `address` - where the guest reads.
    /// * `data` - where the answer goes.
    pub fn read(&self, address: u64, data: &mut [u8]) {
        if self.redirected.read(address, data) || self.exits.read(address, data) {
            return;
        }
        data.fill(0);
        if let Some((region, offset)) = self.find(address, data.len()) {
            region.device.lock().unwrap_or_else(PoisonError::into_inner).read(offset, data);
        }
    }

    /// Hands on a store; one that no device takes has no effect.
    ///
    /// # Arguments
    ///
    /// * `address` - where the guest writes.
    /// * `data` - what it writes.
    pub fn write(&self, address: u64, data: &[u8]) {
        if self.redirected.write(address, data) || self.exits.write(address, data) {
            return;
        }
        if let Some((region, offset)) = self.find(address, data.len()) {
            region.device.lock().unwrap_or_else(PoisonError::into_inner).write(offset, data);
        }
    }

    fn find(&self, address: u64, len: usize) -> Option<(&Region, u64)> {
        self.regions.iter().find_map(|region| {
            let offset = address.checked_sub(region.base)?;
            let end = offset.checked_add(len as u64)?;
            (end <= region.size).then_some((region, offset))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Recorder(Vec<(u64, Vec<u8>)>);

    impl MmioDevice for Recorder {
        fn read(&mut self, offset: u64, data: &mut [u8]) {
            data.fill(offset as u8);
        }
        fn write(&mut self, offset: u64, data: &[u8]) {
            self.0.push((offset, data.to_vec()));
        }
    }

    #[test]
    fn accesses_reach_their_device_only() {
        let (low, high) = (Arc::new(Mutex::new(Recorder::default())), Arc::new(Mutex::new(Recorder::default())));
        let mut bus = Bus::default();
        bus.add(0x1000, 0x10, low.clone());
        bus.add(0x2000, 0x10, high.clone());
        bus.write(0x100c, &[1, 2, 3, 4]);
        bus.write(0x100d, &[9; 4]); // crosses the end
        bus.write(0x0fff, &[9]);
        bus.write(0x2000, &[5]);
        bus.write(u64::MAX, &[9; 8]);
        assert_eq!(low.lock().unwrap().0, [(0xc, vec![1, 2, 3, 4])]);
        assert_eq!(high.lock().unwrap().0, [(0, vec![5])]);
        let mut data = [0xff; 2];
        bus.read(0x2003, &mut data);
        assert_eq!(data, [3, 3]);
        bus.read(0x3000, &mut data);
        assert_eq!(data, [0, 0]);
    }
}
