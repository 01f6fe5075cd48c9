// SPDX-License-Identifier: GPL-2.0

//! Registers of the Virtual Event Interrupt Controller.
//!
//! The device may be unbound while objects that refer to it live on; accesses then do nothing, and
//! reads give 0.

use kernel::{
    device::{
        Bound,
        Core, //
    },
    io::{
        mem::DevresIoMem,
        register,
        Io,
        IoBase,
        Mmio,
        Region, //
    },
    platform,
    prelude::*, //
};

/// Size of the register window.
const WINDOW: usize = 16 << 20;

register! {
    /// What the controller can do.
    CAP(u64) @ 0x00 {
        47:32   cache_entries;
        31:16   harts;
        15:8    veiids_log2;
        7:0     version;
    }

    /// Without `enable`, every look-up misses.
    CTL(u64) @ 0x08 {
        0:0     enable => bool;
    }

    /// Where the VM table is.
    VMTBASE(u64) @ 0x10 {
        55:12   page;
        4:0     entries_log2;
    }

    /// Where the descriptor tables are: that of hart 0, then that of hart 1, and so on.
    VDTBASE(u64) @ 0x18 {
        55:12   page;
    }

    /// Writing makes the controller forget. Done when the write is.
    INVAL(u64) @ 0x20 {
        47:32   veirq;
        31:16   vmid;
        3:0     kind;
    }

    /// Valid look-ups from the route cache.
    HITS(u64) @ 0x40 { 63:0 events; }
    /// Failed look-ups.
    MISSES(u64) @ 0x48 { 63:0 events; }
    /// Valid look-ups from memory.
    WALKS(u64) @ 0x50 { 63:0 events; }
    /// Sends that were accepted.
    SENT(u64) @ 0x58 { 63:0 events; }
    /// Accepted sends whose VEIID was pending already.
    COALESCED(u64) @ 0x60 { 63:0 events; }
}

/// Version of the controller that this driver knows.
const VERSION: u64 = 2;

/// Kinds of INVAL.
const INVAL_VM: u64 = 2;
const INVAL_ROUTE: u64 = 3;

/// The file of hart h begins at `FILES` + h * `FILE_SIZE`.
const FILES: usize = 0x10000;
const FILE_SIZE: usize = 0x1000;

/// The bit arrays in the file of a hart, in words of 64 VEIIDs.
#[derive(Clone, Copy)]
pub(crate) enum Bits {
    /// Enabled.
    Eie = 0x000,
    /// Pending.
    Eip = 0x200,
    /// Write 1 to clear a pending bit.
    EipClr = 0x400,
    /// User type.
    Eut = 0x600,
}

/// VEIIDs in a word of a bit array.
pub(crate) const WORD_BITS: u16 = 64;

/// Largest log2 of the number of VEIIDs for which the bit arrays have room.
const VEIIDS_LOG2_MAX: u64 = 12;

/// What CAP says, checked.
#[derive(Clone, Copy)]
pub(crate) struct Capabilities {
    pub(crate) harts: u32,
    pub(crate) veiids: u16,
    pub(crate) cache_entries: u32,
}

/// The controller's counters.
pub(crate) struct Counters {
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    pub(crate) walks: u64,
    pub(crate) sent: u64,
    pub(crate) coalesced: u64,
}

/// The registers of a controller.
pub(crate) struct Registers {
    mem: DevresIoMem<WINDOW>,
}

impl Registers {
    /// Maps the registers of a device.
    pub(crate) fn map(pdev: &platform::Device<Core<'_>>) -> Result<Self> {
        let pdev: &platform::Device<Bound> = pdev;
        let request = pdev.io_request_by_index(0).ok_or(ENODEV)?;

        // Not the exclusive kind: that one gives the region back to the tree of all I/O memory, in
        // which the resources of device-tree devices are not, so that a second probe fails.
        Ok(Self {
            mem: request.iomap_sized::<WINDOW>()?.into_devres()?,
        })
    }

    /// Runs `f` with the register window, if there is one still.
    ///
    /// The accesses in it are of the checked kind, since the I/O abstraction promises at build time
    /// no more than 32-bit alignment. They do not fail: the window is mapped from a page on, and
    /// `capabilities()` makes sure that all harts and VEIIDs are within it.
    fn with<R>(&self, f: impl FnOnce(Mmio<'_, Region<WINDOW>>) -> Result<R>) -> Result<R> {
        self.mem
            .try_access_with(|io| f(io.as_view()))
            .unwrap_or(Err(ENODEV))
    }

    /// Reads and checks CAP.
    pub(crate) fn capabilities(&self) -> Result<Capabilities> {
        let cap = self.with(|io| io.try_read(CAP))?;

        let log2 = cap.veiids_log2().get();
        let harts = cap.harts().get();
        let room = ((WINDOW - FILES) / FILE_SIZE) as u64;
        if cap.version().get() != VERSION
            || !(1..=VEIIDS_LOG2_MAX).contains(&log2)
            || !(1..=room).contains(&harts)
        {
            return Err(ENODEV);
        }

        // CAST: All of them have 16 bits at most, and 1 << log2 has 13.
        Ok(Capabilities {
            harts: harts as u32,
            veiids: 1 << log2,
            cache_entries: cap.cache_entries().get() as u32,
        })
    }

    /// Makes the controller find descriptors in the tables at `descriptors`.
    pub(crate) fn set_descriptors(&self, descriptors: u64) -> Result {
        let base = VDTBASE::zeroed().try_with_page(descriptors >> 12)?;

        self.with(|io| io.try_write_reg(base))
    }

    /// Makes the controller accept sends, by the table at `vm_table`.
    pub(crate) fn enable(&self, vm_table: u64, entries_log2: u32) -> Result {
        let base = VMTBASE::zeroed()
            .try_with_page(vm_table >> 12)?
            .try_with_entries_log2(u64::from(entries_log2))?;

        self.with(|io| {
            io.try_write_reg(base)?;
            io.try_write_reg(CTL::zeroed().with_enable(true))
        })
    }

    /// Makes the controller refuse all sends. What is pending stays so.
    pub(crate) fn disable(&self) {
        let _ = self.with(|io| io.try_write_reg(CTL::zeroed().with_enable(false)));
    }

    /// Makes the controller forget a VM and its routes.
    pub(crate) fn inval_vm(&self, vmid: u16) {
        self.inval(
            INVAL::zeroed()
                .with_const_kind::<INVAL_VM>()
                .with_vmid(vmid),
        );
    }

    /// Makes the controller forget a route. No later send uses the old entry.
    pub(crate) fn inval_route(&self, vmid: u16, veirq: u16) {
        self.inval(
            INVAL::zeroed()
                .with_const_kind::<INVAL_ROUTE>()
                .with_vmid(vmid)
                .with_veirq(veirq),
        );
    }

    fn inval(&self, what: INVAL) {
        let _ = self.with(|io| io.try_write_reg(what));
    }

    /// Reads the counters.
    pub(crate) fn counters(&self) -> Result<Counters> {
        self.with(|io| {
            Ok(Counters {
                hits: io.try_read(HITS)?.into(),
                misses: io.try_read(MISSES)?.into(),
                walks: io.try_read(WALKS)?.into(),
                sent: io.try_read(SENT)?.into(),
                coalesced: io.try_read(COALESCED)?.into(),
            })
        })
    }

    /// Reads a word of a bit array.
    pub(crate) fn bits(&self, hart: u32, bits: Bits, word: usize) -> u64 {
        self.with(|io| io.try_read64(Self::offset(hart, bits, word)))
            .unwrap_or(0)
    }

    /// Writes a word of a bit array.
    pub(crate) fn set_bits(&self, hart: u32, bits: Bits, word: usize, value: u64) {
        let _ = self.with(|io| io.try_write64(value, Self::offset(hart, bits, word)));
    }

    fn offset(hart: u32, bits: Bits, word: usize) -> usize {
        FILES + hart as usize * FILE_SIZE + bits as usize + word * 8
    }

    /// Stops everything: no sends, nothing enabled, nothing pending, on any hart.
    pub(crate) fn reset(&self, cap: &Capabilities) {
        self.disable();
        for hart in 0..cap.harts {
            for word in 0..usize::from(cap.veiids.div_ceil(WORD_BITS)) {
                self.set_bits(hart, Bits::Eie, word, 0);
                self.set_bits(hart, Bits::EipClr, word, u64::MAX);
                self.set_bits(hart, Bits::Eut, word, 0);
            }
        }
    }
}
