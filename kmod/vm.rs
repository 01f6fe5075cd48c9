// SPDX-License-Identifier: GPL-2.0

//! VMs: a VMID with its route table, the routes, and what handlers of its vCPUs can reach.

use crate::{
    mmio::Ranges,
    route::Route,
    signal::Signals,
    table,
    veic::Veic,
    vmid::Vmid, //
};
use kernel::{
    device::{
        Bound,
        Device, //
    },
    dma::Coherent,
    io::io_write,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    },
    xarray::{
        AllocKind,
        XArray, //
    },
};

/// A VM.
#[pin_data]
pub(crate) struct Vm {
    veic: Arc<Veic>,
    vmid: Vmid,
    nr_veirqs: u32,
    table_log2: u32,
    table: Coherent<[u64]>,
    /// The routes by VEIRQ. Changed only by who holds the controller's lock.
    #[pin]
    routes: XArray<Arc<Route>>,
    nr_routes: Atomic<u32>,
    fallbacks: Atomic<u64>,
    dropped: Atomic<u64>,
    nr_vcpus: Atomic<u32>,
    #[pin]
    ranges: Ranges,
    signals: Pin<KVBox<Signals>>,
}

impl Vm {
    /// Creates a VM without routes, of which the controller does not know yet.
    pub(crate) fn new(
        veic: Arc<Veic>,
        dev: &Device<Bound>,
        vmid: Vmid,
        nr_veirqs: u32,
    ) -> Result<Arc<Self>> {
        let table_log2 = table::routes_log2(nr_veirqs)?;
        let table = Coherent::zeroed_slice(dev, 1 << table_log2, GFP_KERNEL_ACCOUNT)?;

        let signals = Signals::new()?;

        Arc::pin_init(
            pin_init!(Self {
                veic,
                vmid,
                nr_veirqs,
                table_log2,
                table,
                routes <- XArray::new(AllocKind::Alloc),
                nr_routes: Atomic::new(0),
                fallbacks: Atomic::new(0),
                dropped: Atomic::new(0),
                nr_vcpus: Atomic::new(0),
                ranges <- Ranges::new(),
                signals,
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// The controller that knows the VM.
    pub(crate) fn veic(&self) -> &Arc<Veic> {
        &self.veic
    }

    /// The number by which the hardware knows the VM.
    pub(crate) fn vmid(&self) -> u16 {
        self.vmid.get()
    }

    /// VEIRQs are less than this.
    pub(crate) fn nr_veirqs(&self) -> u32 {
        self.nr_veirqs
    }

    /// Routes that there are.
    pub(crate) fn nr_routes(&self) -> u32 {
        self.nr_routes.load(Relaxed)
    }

    /// Refused sends that were delivered all the same.
    pub(crate) fn fallbacks(&self) -> u64 {
        self.fallbacks.load(Relaxed)
    }

    /// Refused sends that had no route.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// vCPUs that have a handler.
    pub(crate) fn nr_vcpus(&self) -> &Atomic<u32> {
        &self.nr_vcpus
    }

    /// The MMIO ranges.
    pub(crate) fn ranges(&self) -> &Ranges {
        &self.ranges
    }

    /// What handlers can signal.
    pub(crate) fn signals(&self) -> &Signals {
        &self.signals
    }

    /// Whether there is any object that depends on the VM.
    pub(crate) fn has_leaves(&self) -> bool {
        self.nr_routes() != 0
            || self.nr_vcpus.load(Relaxed) != 0
            || self.ranges.len() != 0
            || self.signals.iter().next().is_some()
    }

    /// The VM's entry in the VM table.
    pub(crate) fn table_entry(&self) -> Result<u64> {
        table::vm_entry(self.table.dma_address(), self.table_log2)
    }

    /// Stores an entry of the route table.
    pub(crate) fn set_entry(&self, veirq: u16, entry: u64) -> Result {
        io_write!(&self.table, [try: usize::from(veirq)], entry);
        Ok(())
    }

    /// Whether a VEIRQ has a route.
    pub(crate) fn has_route(&self, veirq: u16) -> bool {
        self.routes.lock().get(veirq.into()).is_some()
    }

    /// The routes, for who holds the controller's lock.
    pub(crate) fn routes(&self) -> impl Iterator<Item = Arc<Route>> + '_ {
        (0..self.nr_veirqs)
            // CAST: `nr_veirqs` is 65536 at most.
            .filter_map(|veirq| self.route(veirq as u16))
            // Past the last one there is nothing to be looked for.
            .take(self.nr_routes() as usize)
    }

    /// Returns the route of a VEIRQ.
    fn route(&self, veirq: u16) -> Option<Arc<Route>> {
        let guard = self.routes.lock();
        let route = guard.get(veirq.into())?;
        Some(route.into())
    }

    /// Adds a route, to be found by [`Self::refused`] from here on.
    pub(crate) fn insert(&self, route: Arc<Route>) -> Result {
        let veirq = route.veirq().into();
        let old = self.routes.lock().store(veirq, route, GFP_KERNEL_ACCOUNT)?;
        debug_assert!(old.is_none());
        self.nr_routes.add(1, Relaxed);
        Ok(())
    }

    /// Takes a route out. Once this has returned, [`Self::refused`] does not signal it.
    pub(crate) fn remove(&self, veirq: u16) {
        // Dropped without the lock.
        let route = self.routes.lock().remove(veirq.into());
        if route.is_some() {
            self.nr_routes.fetch_sub(1, Relaxed);
        }
    }

    /// A vCPU wrote `value` to svei, and the hardware did not take it. Takes no lock but that of the
    /// routes; process context.
    pub(crate) fn refused(&self, value: u64) {
        let veirq = usize::try_from(value).unwrap_or(usize::MAX);
        let guard = self.routes.lock();

        // There is nothing past `nr_veirqs`, nor at a value that is no VEIRQ.
        match guard.get(veirq) {
            Some(route) => {
                self.fallbacks.add(1, Relaxed);
                route.signal_fallback();
            }
            None => self.dropped.add(1, Relaxed),
        }
    }
}
