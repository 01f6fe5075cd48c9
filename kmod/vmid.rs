// SPDX-License-Identifier: GPL-2.0

//! VMIDs.
//!
//! They belong to the module, not to a controller: vCPUs go on to carry theirs when the controller's
//! driver is unbound, and a controller that comes later must not give it to another VM.

use kernel::{
    id_pool::IdPool,
    prelude::*,
    sync::global_lock, //
};

/// Log2 of the number of VMIDs that are used, and so of the entries of a VM table.
pub(crate) const LOG2: u32 = 12;

global_lock! {
    // SAFETY: `init` is called first thing when the module is loaded.
    unsafe(uninit) static POOL: Mutex<Option<IdPool>> = None;
}

/// What keeps the pool: a static is not dropped when the module goes, and what it holds would leak.
pub(crate) struct Keeper(());

impl Drop for Keeper {
    fn drop(&mut self) {
        *POOL.lock() = None;
    }
}

/// Prepares the pool of VMIDs; it is there for as long as its keeper.
///
/// # Safety
///
/// Must be called exactly once, before anything else here.
pub(crate) unsafe fn init() -> Result<Keeper> {
    // SAFETY: By the safety requirement this is the only call, and the first use.
    unsafe { POOL.init() };

    let mut pool = IdPool::with_capacity(1 << LOG2, GFP_KERNEL)?;
    // VMID 0 is what a vCPU without a VM carries.
    pool.find_unused_id(0).ok_or(EINVAL)?.acquire();
    *POOL.lock() = Some(pool);
    Ok(Keeper(()))
}

/// A VMID that somebody owns; free again when dropped. Never 0.
pub(crate) struct Vmid(u16);

impl Vmid {
    /// Takes a free one.
    pub(crate) fn alloc() -> Result<Self> {
        let mut guard = POOL.lock();
        let pool = guard.as_mut().ok_or(ENOSPC)?;
        let id = pool.find_unused_id(1).ok_or(ENOSPC)?;

        if id.as_usize() >= 1 << LOG2 {
            return Err(ENOSPC);
        }
        // CAST: It is below 1 << `LOG2`.
        Ok(Self(id.acquire() as u16))
    }

    /// The number by which the hardware knows it.
    pub(crate) fn get(&self) -> u16 {
        self.0
    }
}

impl Drop for Vmid {
    fn drop(&mut self) {
        if let Some(pool) = POOL.lock().as_mut() {
            pool.release_id(self.0.into());
        }
    }
}
