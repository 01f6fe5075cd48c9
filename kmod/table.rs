// SPDX-License-Identifier: GPL-2.0

//! Entries of the tables in memory that the controller walks: VMID → route table of the VM,
//! VEIRQ → hart and VEIID; hart and VEIID → descriptor of a context.
//!
//! The controller reads an entry as one aligned 64-bit word, so that storing one word replaces an
//! entry as a whole. A descriptor has several; its first one says whether it is valid.

use kernel::prelude::*;

/// An entry that the controller takes for none.
pub(crate) const INVALID: u64 = 0;

/// Words in an entry of the VM table. Only the first one is used; the other must be 0.
pub(crate) const VM_ENTRY_WORDS: usize = 2;

/// Largest number of routes that an entry of the VM table can announce.
pub(crate) const MAX_ROUTES: u32 = 1 << MAX_LOG2;

/// Words in a descriptor.
pub(crate) const DESCRIPTOR_WORDS: usize = 8;

/// First word of a descriptor that is valid.
pub(crate) const DESCRIPTOR_VALID: u64 = VALID;

const VALID: u64 = 1 << 0;
const LOG2_SHIFT: u32 = 1;
const MAX_LOG2: u32 = 16;
const ADDRESS: u64 = ((1 << 56) - 1) & !((1 << 12) - 1);
const VEIID_SHIFT: u32 = 16;
const HART_SHIFT: u32 = 32;

/// Returns the log2 of the size of a route table for VEIRQs 0 to `nr_veirqs` - 1.
pub(crate) fn routes_log2(nr_veirqs: u32) -> Result<u32> {
    if !(1..=MAX_ROUTES).contains(&nr_veirqs) {
        return Err(EINVAL);
    }

    Ok(nr_veirqs.next_power_of_two().trailing_zeros())
}

/// Encodes the first word of an entry of the VM table.
///
/// Fails if the address of the route table is not one that an entry can hold.
pub(crate) fn vm_entry(routes: u64, log2: u32) -> Result<u64> {
    if routes & !ADDRESS != 0 || log2 > MAX_LOG2 {
        return Err(EINVAL);
    }

    Ok(VALID | u64::from(log2) << LOG2_SHIFT | routes)
}

/// Encodes an entry of a route table.
pub(crate) const fn route_entry(hart: u32, veiid: u16) -> u64 {
    VALID | (veiid as u64) << VEIID_SHIFT | (hart as u64) << HART_SHIFT
}

#[kunit_tests(haiov_table)]
mod tests {
    use super::*;

    #[test]
    fn size_of_route_table() {
        assert_eq!(routes_log2(0).is_err(), true);
        assert_eq!(routes_log2(1), Ok(0));
        assert_eq!(routes_log2(2), Ok(1));
        assert_eq!(routes_log2(3), Ok(2));
        assert_eq!(routes_log2(64), Ok(6));
        assert_eq!(routes_log2(65), Ok(7));
        assert_eq!(routes_log2(65536), Ok(16));
        assert_eq!(routes_log2(65537).is_err(), true);
        assert_eq!(routes_log2(u32::MAX).is_err(), true);
    }

    #[test]
    fn vm_entries() {
        assert_eq!(vm_entry(0x8000_1000, 6), Ok(0x8000_100d));
        assert_eq!(
            vm_entry(0x00ff_ffff_ffff_f000, 16),
            Ok(0x00ff_ffff_ffff_f021)
        );
        // Not on a page, beyond bit 55, too many routes.
        assert_eq!(vm_entry(0x8000_1008, 6).is_err(), true);
        assert_eq!(vm_entry(1 << 56, 6).is_err(), true);
        assert_eq!(vm_entry(0x8000_1000, 17).is_err(), true);
    }

    #[test]
    fn route_entries() {
        assert_eq!(route_entry(0, 1), 0x0000_0000_0001_0001);
        assert_eq!(route_entry(3, 1023), 0x0000_0003_03ff_0001);
        assert_eq!(route_entry(u32::MAX, u16::MAX), 0xffff_ffff_ffff_0001);
        assert_eq!(INVALID & VALID, 0);
    }
}
