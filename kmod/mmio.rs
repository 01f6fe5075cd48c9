// SPDX-License-Identifier: GPL-2.0

//! MMIO ranges: guest physical addresses whose accesses start handlers.
//!
//! C header: `include/linux/haiov.h`.

use crate::bound::BoundVm;
use kernel::{
    bindings,
    error::to_result,
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    },
};

/// Guest physical addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Range {
    pub(crate) gpa: u64,
    pub(crate) length: u64,
}

/// The MMIO ranges of a VM, for people; which ones there can be is decided by KVM.
#[pin_data]
pub(crate) struct Ranges {
    #[pin]
    list: Mutex<KVVec<Range>>,
}

impl Ranges {
    /// Creates an empty list.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            list <- new_mutex!(KVVec::new()),
        })
    }

    /// Number of ranges.
    pub(crate) fn len(&self) -> usize {
        self.list.lock().len()
    }

    fn add(&self, range: Range) -> Result {
        Ok(self.list.lock().push(range, GFP_KERNEL_ACCOUNT)?)
    }

    /// Takes out one range that is equal to `range`.
    fn remove(&self, range: Range) {
        let mut list = self.list.lock();

        if let Some(index) = list.iter().position(|other| *other == range) {
            // Cannot fail: `index` is in the list.
            let _ = list.remove(index);
        }
    }

    /// Visits all ranges.
    pub(crate) fn try_for_each<E>(&self, f: impl FnMut(&Range) -> Result<(), E>) -> Result<(), E> {
        self.list.lock().iter().try_for_each(f)
    }
}

/// A range that is in a list; taken out when dropped.
struct Listed {
    bound: Arc<BoundVm>,
    range: Range,
}

impl Listed {
    fn new(bound: Arc<BoundVm>, range: Range) -> Result<Self> {
        bound.vm().ranges().add(range)?;
        Ok(Self { bound, range })
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.bound.vm().ranges().remove(self.range);
    }
}

/// A range whose accesses start handlers. None is started any more once this is dropped.
///
/// # Invariants
///
/// It was us who added the range to the virtual machine of `listed.bound`.
pub(crate) struct MmioRange {
    listed: Listed,
}

impl MmioRange {
    /// Adds a range. Fails with `EINVAL` if it is not one of whole pages that the guest can address,
    /// and with `EEXIST` if there is memory or another range.
    pub(crate) fn new(bound: Arc<BoundVm>, range: Range) -> Result<Self> {
        // What can fail for lack of memory comes first.
        let listed = Listed::new(bound, range)?;
        let kvm = listed.bound.kvm();

        // SAFETY: By its type invariant `kvm` is valid. It is bound for as long as `bound` exists,
        // which goes to `Self`, whose drop deletes the range first.
        to_result(unsafe { bindings::haiov_mmio_add(kvm.as_ptr(), range.gpa, range.length) })?;

        // INVARIANT: We just added it.
        Ok(Self { listed })
    }
}

impl Drop for MmioRange {
    fn drop(&mut self) {
        let Listed { bound, range } = &self.listed;

        // SAFETY: By the type invariant the range was added by us; `bound` keeps the virtual machine
        // and is dropped after this.
        unsafe { bindings::haiov_mmio_del(bound.kvm().as_ptr(), range.gpa, range.length) };
    }
}

#[kunit_tests(haiov_mmio)]
mod tests {
    use super::*;

    const A: Range = Range {
        gpa: 0x1000,
        length: 0x1000,
    };
    const B: Range = Range {
        gpa: 0x1000,
        length: 0x2000,
    };

    #[test]
    fn list_of_ranges() -> Result {
        let ranges = KBox::pin_init(Ranges::new(), GFP_KERNEL)?;

        ranges.add(A)?;
        ranges.add(B)?;
        ranges.remove(A);
        // It is not there any more.
        ranges.remove(A);
        assert_eq!(ranges.len(), 1);
        ranges.try_for_each(|range| if *range == B { Ok(()) } else { Err(EINVAL) })?;
        ranges.remove(B);
        assert_eq!(ranges.len(), 0);
        Ok(())
    }

    #[test]
    fn visit_ends_with_the_first_error() -> Result {
        let ranges = KBox::pin_init(Ranges::new(), GFP_KERNEL)?;
        let mut seen = 0;

        ranges.add(A)?;
        ranges.add(B)?;
        let ended = ranges.try_for_each(|_| {
            seen += 1;
            Err::<(), Error>(EINVAL)
        });
        assert_eq!((ended, seen), (Err(EINVAL), 1));
        Ok(())
    }
}
