// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which device an address belongs to, for the handler of one vCPU.

use std::cell::Cell;

use super::device::Device;

/// No access is larger.
const SIZE_MAX: u64 = 8;

/// A device and its place.
#[derive(Clone, Copy)]
pub(super) struct Region<'a> {
    base: u64,
    /// At least [`SIZE_MAX`].
    size: u64,
    device: &'a dyn Device,
}

impl<'a> Region<'a> {
    /// A device at `base`; `size` is at least that of the largest access.
    pub(super) fn new(base: u64, size: u64, device: &'a dyn Device) -> Self {
        debug_assert!(size >= SIZE_MAX);
        Self { base, size, device }
    }

    /// Offset of an access that is wholly in this device. One subtraction and one comparison, since it is all that
    /// most accesses cost.
    fn offset(&self, gpa: u64, size: u8) -> Option<u64> {
        let offset = gpa.wrapping_sub(self.base);
        (offset <= self.size.wrapping_sub(u64::from(size))).then_some(offset)
    }
}

/// The devices of a handler. One vCPU alone uses it, so that it can remember what it found.
pub(super) struct Table<'a> {
    /// Where the last access was: the next one is most often there too.
    hot: Cell<Option<&'a Region<'a>>>,
    /// Sorted by address; they do not overlap.
    regions: &'a [Region<'a>],
}

impl<'a> Table<'a> {
    /// A table of regions that are sorted and do not overlap.
    pub(super) fn new(regions: &'a [Region<'a>]) -> Self {
        Self { hot: Cell::new(regions.first()), regions }
    }

    /// The device that an access is wholly in, and the offset there, if it is the one of the last access.
    #[inline(always)]
    pub(super) fn hot(&self, gpa: u64, size: u8) -> Option<(&'a dyn Device, u64)> {
        let hot = self.hot.get()?;
        Some((hot.device, hot.offset(gpa, size)?))
    }

    /// Looks for the device that an access is wholly in; if there is one, [`Table::hot`] gives it next.
    #[cold]
    #[inline(never)]
    pub(super) fn search(&self, gpa: u64, size: u8) -> bool {
        let after = self.regions.partition_point(|region| region.base <= gpa);
        let region = after.checked_sub(1).and_then(|at| self.regions.get(at));
        match region.filter(|region| region.offset(gpa, size).is_some()) {
            Some(found) => {
                self.hot.set(Some(found));
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uer::{Caller, Punt};

    struct Number(u64);

    impl Device for Number {
        fn read(&self, _: Caller<'_>, offset: u64, _: u8) -> Result<u64, Punt> {
            Ok(self.0 + offset)
        }
        fn write(&self, _: Caller<'_>, _: u64, _: u64, _: u8) -> Result<(), Punt> {
            Err(Punt)
        }
    }

    #[test]
    fn finds_the_right_one_whatever_was_last() {
        let devices: Vec<Number> = (0..9).map(|n| Number(n << 32)).collect();
        // With gaps, but for the last two.
        let bases = [0x1000, 0x3000, 0x5000, 0x1_0000, 0x2_0000, 0x3_0000, 0x1000_0000, 0x1000_1000, u64::MAX - 0xfff];
        let regions: Vec<Region<'_>> =
            bases.iter().zip(&devices).map(|(base, device)| Region::new(*base, 0x1000, device)).collect();
        let table = Table::new(&regions);
        let ask = |gpa| {
            let (device, offset) = table.hot(gpa, 4).or_else(|| table.search(gpa, 4).then(|| table.hot(gpa, 4))?)?;
            device.read(Caller::inside(), offset, 4).ok()
        };
        for _ in 0..2 {
            for (i, base) in (0_u64..).zip(bases) {
                for (j, other) in (0_u64..).zip(bases) {
                    assert_eq!(ask(*[base, other].last().unwrap()), Some(j << 32));
                    assert_eq!(ask(base + 0xffc), Some((i << 32) + 0xffc));
                    assert_eq!(ask(base.wrapping_add(0xffd)), None, "it crosses the end");
                }
                for nowhere in [0, 0xfff, 0x2000, 0x4fff, 0x4_0000, 0x1000_2000, u64::MAX - 0x1000, u64::MAX] {
                    assert_eq!(ask(nowhere), None, "{nowhere:#x}");
                }
            }
        }
    }

    #[test]
    fn an_empty_table_finds_nothing() {
        let table = Table::new(&[]);
        assert!(table.hot(0, 1).is_none() && !table.search(0, 1));
    }
}
