// SPDX-License-Identifier: GPL-2.0

//! The controller: the tables in memory, and every change of them.
//!
//! # Lock order
//!
//! 1. the lock of a file descriptor (`device.rs`)
//! 2. CPU hotplug, as a CPU comes or goes (the callbacks below), while a context moves, begins or ends, and
//!    where KVM or the interrupt controller's core takes it while a VM is bound or the driver registers
//! 3. [`Veic`]'s `control`
//! 4. the VMID pool (`vmid.rs`), the lock of a VM's routes (`vm.rs`), of its MMIO ranges (`mmio.rs`),
//!    or of one of its signals (`signal.rs`); after that of the routes, that of a route's listener (`route.rs`)
//! 5. the lock of a context's seat (`context.rs`), then that of a hart (`hart.rs`): taken in hard interrupt
//!    context, so always with interrupts disabled; nothing is allocated or freed under them
//! 6. the lock of an eventfd
//!
//! [`CONTROLLER`] is taken on its own.
//!
//! # Order of changes
//!
//! A route is made from its end to its beginning: eventfd, slot of the hart, EIE, entry of the route
//! table. The controller never caches an entry that is not valid, so that nothing has to be
//! invalidated. It is taken down from its beginning to its end: entry, INVAL, EIE; then, once the
//! hart has settled, what is left in EIP is signaled and cleared, and the VEIID is free. A route that
//! moves is made at its new place, its entry is replaced as a whole, and then its old place is taken
//! down. An event that was sent is so signaled at least once.
//!
//! A context that moves leaves its old place first, since its handler must not run in two: no frame starts,
//! and one that runs goes on on the thread. Its routes then lead to the new place, what is left in EIP at the old one
//! goes along, and it takes the new one. What is sent meanwhile stays pending, so that nothing is lost.
//!
//! A route whose eventfd a context listens for keeps its place, so that it can always go back there: its entry alone
//! leads to the context. The context is raised once no send leads to the route's own place any more, and the eventfd is
//! signaled once none leads to the context. Whatever came before reached the other one.

use crate::{
    context::{
        self,
        Context,
        Params, //
    },
    eventfd::EventFd,
    hart::Hart,
    regs::{
        Capabilities,
        Registers, //
    },
    route::{
        Place,
        Route,
        Target, //
    },
    storm::Limit,
    table,
    vei::{
        self,
        CpusHeld, //
    },
    veiid::VeiidPool,
    vm::Vm,
    vmid::{
        self,
        Vmid, //
    },
};
use kernel::{
    cpu::nr_cpu_ids,
    device::{
        Bound,
        Device, //
    },
    dma::Coherent,
    interrupt::LocalInterruptDisabled,
    io::io_write,
    prelude::*,
    rbtree::RBTree,
    sync::{
        aref::ARef,
        atomic::Relaxed,
        barrier::{
            dma_mb,
            Write, //
        },
        global_lock,
        new_mutex,
        Arc,
        Mutex, //
    },
};

global_lock! {
    // SAFETY: Initialized first thing when the module is loaded.
    pub(crate) unsafe(uninit) static CONTROLLER: Mutex<Option<Arc<Veic>>> = None;
}

/// Returns the controller, or `EOPNOTSUPP` if there is none.
pub(crate) fn controller() -> Result<Arc<Veic>> {
    CONTROLLER.lock().clone().ok_or(EOPNOTSUPP)
}

/// What the lock of the controller protects.
pub(crate) struct Control {
    /// The device is bound, and the hardware is ours.
    alive: bool,
    harts: KVec<HartControl>,
    vms: KVec<Arc<Vm>>,
    /// The contexts that listen for an eventfd, by its identity. Who has entered one has the eventfd.
    listeners: RBTree<usize, Arc<Context>>,
}

struct HartControl {
    online: bool,
    veiids: VeiidPool,
}

/// The state of a hart, for people.
pub(crate) struct HartState {
    pub(crate) hart: u32,
    pub(crate) cpu: u32,
    pub(crate) online: bool,
    pub(crate) free: u32,
    pub(crate) used: u32,
    pub(crate) enabled: u32,
    pub(crate) pending: u32,
    pub(crate) throttled: u32,
}

/// The state of a route.
pub(crate) struct RouteState {
    pub(crate) veiid: u16,
    pub(crate) cpu: u32,
    pub(crate) pending: bool,
}

/// The state of a context.
pub(crate) struct ContextState {
    pub(crate) hart: u32,
    pub(crate) cpu: u32,
    pub(crate) veiid: u16,
    pub(crate) parked: bool,
    pub(crate) pending: bool,
}

/// A controller.
#[pin_data]
pub(crate) struct Veic {
    dev: ARef<Device>,
    regs: Arc<Registers>,
    cap: Capabilities,
    vm_table: Coherent<[u64]>,
    /// The descriptors of contexts, by hart and VEIID; `None` where there can be no contexts.
    descriptors: Option<Coherent<[u64]>>,
    /// The harts that Linux runs on.
    harts: KVec<Arc<Hart>>,
    /// By CPU, the index in `harts`.
    hart_of_cpu: KVec<Option<u16>>,
    #[pin]
    control: Mutex<Control>,
}

impl Veic {
    /// Creates a controller that is stopped.
    pub(crate) fn new(dev: &Device<Bound>, regs: Registers, limit: Limit) -> Result<Arc<Self>> {
        let cap = regs.capabilities()?;
        regs.reset(&cap);

        let regs = Arc::new(regs, GFP_KERNEL)?;
        let vm_table =
            Coherent::zeroed_slice(dev, table::VM_ENTRY_WORDS << vmid::LOG2, GFP_KERNEL)?;
        let descriptors = if context::present() {
            let count = cap.harts as usize * usize::from(cap.veiids);
            // A machine for which that is too much does without contexts.
            Coherent::zeroed_slice(dev, table::DESCRIPTOR_WORDS * count, GFP_KERNEL).ok()
        } else {
            None
        };
        let mut harts = KVec::new();
        let mut control = KVec::new();
        let mut hart_of_cpu = KVec::from_elem(None, nr_cpu_ids() as usize, GFP_KERNEL)?;

        for index in 0..cap.harts {
            let cpu = match vei::cpu_of_hart(dev, index) {
                Ok(cpu) => cpu,
                Err(ENODEV) => continue,
                Err(ENOENT) => break,
                Err(err) => return Err(err),
            };
            let slot = hart_of_cpu.get_mut(cpu as usize).ok_or(EINVAL)?;
            *slot = Some(harts.len().try_into()?);

            let hart = Hart::new(index, cpu, cap.veiids, regs.clone(), limit)?;
            harts.push(hart, GFP_KERNEL)?;
            control.push(
                HartControl {
                    // Until `cpu_online` says otherwise.
                    online: false,
                    veiids: VeiidPool::new(cap.veiids)?,
                },
                GFP_KERNEL,
            )?;
        }

        Arc::pin_init(
            pin_init!(Self {
                dev: dev.into(),
                regs,
                cap,
                vm_table,
                descriptors,
                harts,
                hart_of_cpu,
                control <- new_mutex!(Control {
                    alive: false,
                    harts: control,
                    vms: KVec::new(),
                    listeners: RBTree::new(),
                }),
            }),
            GFP_KERNEL,
        )
    }

    /// Starts the controller.
    pub(crate) fn start(&self) -> Result {
        let mut control = self.control.lock();
        if let Some(descriptors) = &self.descriptors {
            self.regs.set_descriptors(descriptors.dma_address())?;
        }
        self.regs.enable(self.vm_table.dma_address(), vmid::LOG2)?;
        control.alive = true;
        Ok(())
    }

    /// Stops the controller for good, before its device goes away.
    ///
    /// The VMs and the routes stay, with their file descriptors: sends are refused from here on, and
    /// signaled by KVM's fallback. Contexts stay as well, but no event reaches them, and none listens.
    pub(crate) fn stop(&self) {
        let mut guard = self.control.lock();
        let control = &mut *guard;

        if !core::mem::replace(&mut control.alive, false) {
            return;
        }
        self.regs.disable();

        for vm in &control.vms {
            for route in vm.routes() {
                self.detach(&route);
            }
        }
        for hart in &self.harts {
            hart.stop();
            for veiid in 1..self.cap.veiids {
                hart.disarm(veiid);
            }
            hart.settle();
            for veiid in 1..self.cap.veiids {
                let Some(route) = hart.route(veiid) else {
                    continue;
                };
                hart.release(veiid);
                if let Some(place) = route.set_place(control, None) {
                    Self::free(control, place);
                }
            }
        }

        self.regs.reset(&self.cap);
    }

    /// What the controller can do.
    pub(crate) fn capabilities(&self) -> &Capabilities {
        &self.cap
    }

    /// The controller's registers.
    pub(crate) fn regs(&self) -> &Registers {
        &self.regs
    }

    /// Interrupt 24 on `cpu`: `veiid` was claimed. Hard interrupt context.
    pub(crate) fn deliver(&self, cpu: u32, veiid: u32, irq: &LocalInterruptDisabled) {
        if let Some(index) = self.index_of(cpu) {
            self.harts[index].deliver(veiid, irq);
        }
    }

    /// Interrupt 25 on `cpu`: there are user VEIIDs to be claimed. Hard interrupt context.
    pub(crate) fn doorbell(&self, cpu: u32, irq: &LocalInterruptDisabled) {
        if let Some(index) = self.index_of(cpu) {
            self.harts[index].doorbell(irq);
        }
    }

    /// `cpu` can take interrupts from now on.
    pub(crate) fn cpu_online(&self, cpu: u32) {
        if let Some(index) = self.index_of(cpu) {
            self.control.lock().harts[index].online = true;
        }
    }

    /// `cpu` is about to go: moves its routes and contexts to others.
    ///
    /// Fails with `EBUSY`, and changes nothing, if there is no room for them.
    pub(crate) fn cpu_offline(&self, cpu: u32, cpus: CpusHeld<'_>) -> Result {
        let Some(index) = self.index_of(cpu) else {
            return Ok(());
        };
        let mut guard = self.control.lock();
        let control = &mut *guard;

        control.harts[index].online = false;
        if !control.alive {
            return Ok(());
        }

        let needed = control.harts[index].veiids.used_count();
        let room: u32 = control
            .harts
            .iter()
            .filter(|h| h.online)
            .map(|h| h.veiids.free_count())
            .sum();
        if room < needed {
            control.harts[index].online = true;
            return Err(EBUSY);
        }

        // There is room, so that this does not fail.
        self.empty(control, index, cpus)
            .inspect_err(|_| control.harts[index].online = true)
    }

    /// Moves all that a hart has to others.
    fn empty(&self, control: &mut Control, index: usize, cpus: CpusHeld<'_>) -> Result {
        let hart = &self.harts[index];

        for veiid in 1..self.cap.veiids {
            if let Some(context) = hart.context(veiid) {
                let target = Self::roomiest(control)?;
                self.relocate(control, &context, target, cpus)?;
            } else if let Some(route) = hart.route(veiid) {
                let target = Self::roomiest(control)?;
                self.redirect(control, &route, target)?;
                hart.disarm(veiid);
            }
        }
        hart.settle();
        for veiid in 1..self.cap.veiids {
            hart.release(veiid);
        }
        // Those of contexts that are being created as well, which then notice.
        control.harts[index].veiids.free_all();

        Ok(())
    }

    /// Creates a VM and enters it into the VM table.
    pub(crate) fn create_vm(self: &Arc<Self>, nr_veirqs: u32) -> Result<Arc<Vm>> {
        let mut control = self.lock_alive()?;
        let vmid = Vmid::alloc()?;

        // SAFETY: The device is bound: `stop` runs before it is unbound, and waits for the lock that
        // we hold; it has not run, since `alive` is set.
        let dev = unsafe { self.dev.as_bound() };
        let vm = Vm::new(self.clone(), dev, vmid, nr_veirqs)?;

        control.vms.push(vm.clone(), GFP_KERNEL_ACCOUNT)?;
        if let Err(err) = vm
            .table_entry()
            .and_then(|entry| self.set_vm_entry(&vm, entry))
        {
            control.vms.retain(|other| !Arc::ptr_eq(other, &vm));
            return Err(err);
        }

        Ok(vm)
    }

    /// Takes a VM out of the VM table. It has no routes, and no vCPU sends as it.
    pub(crate) fn retire_vm(&self, vm: &Arc<Vm>) {
        let mut control = self.control.lock();

        // Cannot fail: it did not when the VM was created.
        let _ = self.set_vm_entry(vm, table::INVALID);
        self.regs.inval_vm(vm.vmid());
        control.vms.retain(|other| !Arc::ptr_eq(other, vm));
    }

    fn set_vm_entry(&self, vm: &Vm, entry: u64) -> Result {
        let index = usize::from(vm.vmid()) * table::VM_ENTRY_WORDS;

        // The route table is to be seen before the entry that leads to it.
        dma_mb(Write);
        io_write!(&self.vm_table, [try: index], entry);
        Ok(())
    }

    /// Whether there can be contexts.
    pub(crate) fn has_contexts(&self) -> bool {
        self.descriptors.is_some()
    }

    /// Creates a context, on the given CPU or on the one that has most room.
    pub(crate) fn create_context(
        self: &Arc<Self>,
        cpu: Option<u32>,
        params: &Params,
    ) -> Result<Arc<Context>> {
        loop {
            let place = {
                let mut guard = self.lock_alive()?;
                let control = &mut *guard;
                let hart = match cpu {
                    Some(cpu) => self.online(control, cpu)?,
                    None => Self::roomiest(control)?,
                };
                Place {
                    hart,
                    veiid: control.harts[hart].veiids.alloc()?,
                }
            };

            // Not with the lock held, which comes after that of CPU hotplug.
            let made = Context::new(self.clone(), self.hart(place).cpu(), params)
                .and_then(|context| self.seat(context, place));
            let Err(err) = made else {
                return made;
            };
            // If the CPU has gone meanwhile, it has been given back already.
            let _ = self.control.lock().harts[place.hart]
                .veiids
                .free(place.veiid);
            if err != ENODEV || cpu.is_some() {
                return Err(err);
            }
        }
    }

    /// Gives a new context the place that was kept for it.
    ///
    /// Fails with `ENODEV` if the CPU has gone offline meanwhile.
    fn seat(&self, context: Arc<Context>, place: Place) -> Result<Arc<Context>> {
        let control = self.lock_alive()?;

        if !control.harts[place.hart].veiids.owns(place.veiid) {
            return Err(ENODEV);
        }
        self.describe(place, Some(context.descriptor()))?;
        self.hart(place).seat(place.veiid.index(), context.clone());
        context.seat().take(place, false);
        Ok(context)
    }

    /// Takes a context down: when this returns, no frame of it runs or starts any more. It has no routes.
    pub(crate) fn remove_context(&self, context: &Context) {
        {
            let mut control = self.control.lock();
            if let Some(place) = context.seat().leave() {
                self.clear(&mut control, place);
            }
        }
        // Not with the lock held: this waits for its thread.
        context.kill();
    }

    /// Moves a context to another CPU, with its routes. Returns its VEIID there.
    pub(crate) fn move_context(&self, context: &Arc<Context>, cpu: u32) -> Result<u16> {
        vei::with_cpus_held(|cpus| {
            let mut guard = self.lock_alive()?;
            let control = &mut *guard;

            let target = self.online(control, cpu)?;
            let old = context.seat().place().ok_or(EOPNOTSUPP)?;
            if old.hart == target {
                return Ok(old.veiid.index());
            }
            self.relocate(control, context, target, cpus)
        })
    }

    /// Moves a context to `target`, with its routes. Returns its VEIID there.
    fn relocate(
        &self,
        control: &mut Control,
        context: &Arc<Context>,
        target: usize,
        cpus: CpusHeld<'_>,
    ) -> Result<u16> {
        let place = Place {
            hart: target,
            veiid: control.harts[target].veiids.alloc()?,
        };
        let Some(old) = context.seat().leave() else {
            Self::free(control, place);
            return Err(EOPNOTSUPP);
        };

        // Whoever had claimed the event before has started the thread after this.
        self.hart(old).settle();
        if let Err(err) = context.move_to(self.hart(place).cpu(), cpus) {
            context.seat().take(old, false);
            Self::free(control, place);
            return Err(err);
        }

        // Cannot fail: it did not when the context was created.
        let _ = self.describe(place, Some(context.descriptor()));
        self.hart(place).seat(place.veiid.index(), context.clone());
        self.redirect_to_context(control, context, place);
        let pending = self.clear(control, old);
        context.seat().take(place, pending);
        Ok(place.veiid.index())
    }

    /// Makes the routes that lead to a context arrive at `place` from here on.
    fn redirect_to_context(&self, control: &mut Control, context: &Arc<Context>, place: Place) {
        let is_it = |other: &Arc<Context>| Arc::ptr_eq(other, context);
        let mut left = context.nr_routes().load(Relaxed);

        for index in 0..control.vms.len() {
            let vm = control.vms[index].clone();
            for route in vm.routes() {
                if left == 0 {
                    return;
                }
                let leads = route.context().is_some_and(is_it);
                if route.place(control).is_none()
                    || !(leads || route.listener().as_ref().is_some_and(is_it))
                {
                    continue;
                }
                left -= 1;
                self.set_entry(&route, place);
                if leads {
                    route.set_place(control, Some(place));
                }
            }
        }
    }

    /// Makes the sends of a route that is in place arrive at `place`: when this returns, none arrives elsewhere.
    fn set_entry(&self, route: &Route, place: Place) {
        let vm = route.vm();
        let entry = table::route_entry(self.hart(place).index(), place.veiid.index());

        // Cannot fail: it did not when the route was put in place.
        let _ = vm.set_entry(route.veirq(), entry);
        self.regs.inval_route(vm.vmid(), route.veirq());
    }

    /// Lets a context take the events of all routes that lead to an eventfd, until [`Self::unlisten`].
    ///
    /// Fails with `EBUSY` if one does already.
    pub(crate) fn listen(&self, context: &Arc<Context>, eventfd: &EventFd) -> Result {
        let mut control = self.lock_alive()?;

        let place = context.seat().place().ok_or(EOPNOTSUPP)?;
        if control.listeners.get(&eventfd.identity()).is_some() {
            return Err(EBUSY);
        }
        control.listeners.try_create_and_insert(
            eventfd.identity(),
            context.clone(),
            GFP_KERNEL_ACCOUNT,
        )?;
        context.nr_listenings().add(1, Relaxed);

        for route in control.vms.iter().flat_map(|vm| vm.routes()) {
            if route.place(&control).is_some() && route.leads_to(eventfd) {
                self.attach(&route, context, place);
            }
        }
        // For what the eventfd was signaled before.
        context.raise();
        Ok(())
    }

    /// Gives the routes back to the eventfd that [`Self::listen`] succeeded for.
    pub(crate) fn unlisten(&self, context: &Context, eventfd: &EventFd) {
        let mut control = self.control.lock();

        for route in control.vms.iter().flat_map(|vm| vm.routes()) {
            if !route.leads_to(eventfd) {
                continue;
            }
            if let (Some(place), Some(_)) = (route.place(&control), route.listener()) {
                self.set_entry(&route, place);
                self.detach(&route);
            }
        }
        control.listeners.remove(&eventfd.identity());
        context.nr_listenings().fetch_sub(1, Relaxed);
    }

    /// Makes a route that is in place lead to a context that listens for its eventfd.
    fn attach(&self, route: &Route, context: &Arc<Context>, place: Place) {
        drop(route.set_listener(Some(context.clone())));
        context.nr_routes().add(1, Relaxed);
        self.set_entry(route, place);
        // What was sent before may be on its way to the eventfd, or be there.
        context.raise();
    }

    /// Takes a route away from the context that listens for its eventfd, if one does. No send leads there any more.
    fn detach(&self, route: &Route) {
        if let Some(context) = route.set_listener(None) {
            context.nr_routes().fetch_sub(1, Relaxed);
            // The context may not have got to what was sent before.
            if let Some(eventfd) = route.eventfd() {
                eventfd.signal();
            }
        }
    }

    /// Takes down the place that a context has left. Returns whether an event was pending there.
    fn clear(&self, control: &mut Control, place: Place) -> bool {
        // Cannot fail: it did not when the context got the place.
        let _ = self.describe(place, None);
        self.vacate(control, place)
    }

    /// Tells where a context is, and how it is.
    pub(crate) fn query_context(&self, context: &Context) -> Result<ContextState> {
        let _control = self.lock_alive()?;

        self.context_state(context).ok_or(EOPNOTSUPP)
    }

    /// The same, under the lock of the controller.
    fn context_state(&self, context: &Context) -> Option<ContextState> {
        let place = context.seat().place()?;
        let hart = self.hart(place);
        let veiid = place.veiid.index();

        Some(ContextState {
            hart: hart.index(),
            cpu: hart.cpu(),
            veiid,
            parked: hart.is_enabled(veiid),
            pending: hart.is_pending(veiid),
        })
    }

    /// Stores the descriptor of a VEIID, or none.
    fn describe(&self, place: Place, words: Option<[u64; 5]>) -> Result {
        let table = self.descriptors.as_ref().ok_or(EOPNOTSUPP)?;
        let hart = self.hart(place).index() as usize;
        let index = hart * usize::from(self.cap.veiids) + usize::from(place.veiid.index());
        let first = index * table::DESCRIPTOR_WORDS;

        let Some(words) = words else {
            io_write!(table, [try: first], table::INVALID);
            return Ok(());
        };
        for (offset, word) in words.into_iter().enumerate() {
            io_write!(table, [try: first + 1 + offset], word);
        }
        // The rest is to be seen before the word that makes it valid.
        dma_mb(Write);
        io_write!(table, [try: first], table::DESCRIPTOR_VALID);
        Ok(())
    }

    /// Creates a route and puts it in place: that of its context, or else on the given CPU or on the one
    /// that has most room.
    pub(crate) fn add_route(
        &self,
        vm: &Arc<Vm>,
        veirq: u32,
        target: Target,
        cpu: Option<u32>,
    ) -> Result<Arc<Route>> {
        if veirq >= vm.nr_veirqs() {
            return Err(EINVAL);
        }
        // CAST: `nr_veirqs` is 65536 at most.
        let veirq = veirq as u16;

        let mut guard = self.lock_alive()?;
        let control = &mut *guard;

        if vm.has_route(veirq) {
            return Err(EEXIST);
        }
        let route = Route::new(vm.clone(), veirq, target, &self.control)?;
        let target = match (route.context(), cpu) {
            (Some(_), _) => None,
            (None, Some(cpu)) => Some(self.online(control, cpu)?),
            (None, None) => Some(Self::roomiest(control)?),
        };

        vm.insert(route.clone())?;
        let placed = match target {
            Some(hart) => self.redirect(control, &route, hart).map(|_| ()),
            None => self.connect(control, &route),
        };
        if let Err(err) = placed {
            vm.remove(veirq);
            return Err(err);
        }

        if let Some(eventfd) = route.eventfd() {
            if let Some(context) = control.listeners.get(&eventfd.identity()) {
                // It has a seat for as long as it listens.
                if let Some(place) = context.seat().place() {
                    self.attach(&route, context, place);
                }
            }
        }
        Ok(route)
    }

    /// Makes a route to a context arrive there.
    fn connect(&self, control: &mut Control, route: &Route) -> Result {
        let context = route.context().ok_or(EINVAL)?;
        let place = context.seat().place().ok_or(ENOENT)?;
        let entry = table::route_entry(self.hart(place).index(), place.veiid.index());

        route.vm().set_entry(route.veirq(), entry)?;
        context.nr_routes().add(1, Relaxed);
        route.set_place(control, Some(place));
        Ok(())
    }

    /// Moves a route to another CPU. Returns its VEIID there.
    pub(crate) fn move_route(&self, route: &Arc<Route>, cpu: u32) -> Result<u16> {
        let mut guard = self.lock_alive()?;
        let control = &mut *guard;

        if route.context().is_some() {
            return Err(EINVAL);
        }
        let target = self.online(control, cpu)?;
        let old = route.place(control).ok_or(EOPNOTSUPP)?;
        if old.hart == target {
            return Ok(old.veiid.index());
        }

        let veiid = self.redirect(control, route, target)?;
        self.vacate(control, old);
        Ok(veiid)
    }

    /// Removes a route. It is not signaled any more once this has returned.
    pub(crate) fn remove_route(&self, route: &Arc<Route>) {
        let mut guard = self.control.lock();
        let control = &mut *guard;

        if let Some(place) = self.cut(control, route) {
            self.harts[place.hart].settle();
            self.reclaim(control, route);
        }
        route.vm().remove(route.veirq());
    }

    /// Does the part of [`Self::remove_route`] that takes long, for many routes: every hart settles
    /// once only. Routes of other controllers are left alone.
    pub(crate) fn unplace_routes<'a>(&self, routes: impl Iterator<Item = &'a Arc<Route>> + Clone) {
        let mut guard = self.control.lock();
        let control = &mut *guard;
        let routes = routes.filter(|route| core::ptr::eq(&**route.vm().veic(), self));

        for route in routes.clone() {
            self.cut(control, route);
        }
        for hart in &self.harts {
            hart.settle();
        }
        for route in routes {
            self.reclaim(control, route);
        }
    }

    /// Makes sure that no send leads to a route any more, and disables its VEIID. Returns its place.
    fn cut(&self, control: &Control, route: &Route) -> Option<Place> {
        let place = route.place(control)?;
        let vm = route.vm();

        // Cannot fail: it did not when the route was put in place.
        let _ = vm.set_entry(route.veirq(), table::INVALID);
        self.regs.inval_route(vm.vmid(), route.veirq());
        if route.context().is_none() {
            self.harts[place.hart].disarm(place.veiid.index());
        }
        Some(place)
    }

    /// Takes away the place of a route that is cut, and whose hart has settled.
    fn reclaim(&self, control: &mut Control, route: &Route) {
        if let Some(place) = route.set_place(control, None) {
            self.detach(route);
            match route.context() {
                Some(context) => {
                    context.nr_routes().fetch_sub(1, Relaxed);
                }
                None => {
                    self.harts[place.hart].release(place.veiid.index());
                    Self::free(control, place);
                }
            }
        }
    }

    /// Tells where a route is: its VEIID and CPU.
    pub(crate) fn locate_route(&self, route: &Route) -> Result<(u16, u32)> {
        let control = self.lock_alive()?;

        let place = route.place(&control).ok_or(EOPNOTSUPP)?;
        Ok((place.veiid.index(), self.harts[place.hart].cpu()))
    }

    /// Tells where a route is, and whether an event of it is under way. If none is, all events that
    /// were accepted before this are in the route's counters when this returns.
    pub(crate) fn query_route(&self, route: &Route) -> Result<RouteState> {
        let control = self.lock_alive()?;

        let place = route.place(&control).ok_or(EOPNOTSUPP)?;
        let hart = &self.harts[place.hart];
        let veiid = place.veiid.index();
        let pending = hart.is_pending(veiid);
        if !pending {
            // The interrupt handler may have claimed it, and not signaled yet.
            hart.settle();
        }

        Ok(RouteState {
            veiid,
            cpu: hart.cpu(),
            pending,
        })
    }

    /// Makes a route arrive at `target` from here on, or as soon as no context listens for its eventfd any more. Its old
    /// place, if any, stays as it is. Returns the new VEIID.
    fn redirect(&self, control: &mut Control, route: &Arc<Route>, target: usize) -> Result<u16> {
        let hart = &self.harts[target];
        let veiid = control.harts[target].veiids.alloc()?;
        let index = veiid.index();
        let entry = table::route_entry(hart.index(), index);
        let vm = route.vm();
        let place = Place {
            hart: target,
            veiid,
        };

        hart.arm(index, route.clone());
        if route.listener().is_some() {
            route.set_place(control, Some(place));
            return Ok(index);
        }
        if let Err(err) = vm.set_entry(route.veirq(), entry) {
            self.vacate(control, place);
            return Err(err);
        }
        if route.set_place(control, Some(place)).is_some() {
            self.regs.inval_route(vm.vmid(), route.veirq());
        }

        Ok(index)
    }

    /// Takes down a place to which no send leads any more. Returns whether an event was pending there; if it
    /// was a route's, that has been signaled.
    fn vacate(&self, control: &mut Control, place: Place) -> bool {
        let hart = &self.harts[place.hart];
        let veiid = place.veiid.index();

        hart.disarm(veiid);
        hart.settle();
        let pending = hart.release(veiid);
        Self::free(control, place);
        pending
    }

    fn free(control: &mut Control, place: Place) {
        if control.harts[place.hart].veiids.free(place.veiid).is_err() {
            kernel::pr_warn_once!("VEIID {} freed twice\n", place.veiid.index());
        }
    }

    fn lock_alive(&self) -> Result<kernel::sync::MutexGuard<'_, Control>> {
        let control = self.control.lock();
        if !control.alive {
            return Err(EOPNOTSUPP);
        }
        Ok(control)
    }

    /// The hart of a place.
    pub(crate) fn hart(&self, place: Place) -> &Hart {
        &self.harts[place.hart]
    }

    fn index_of(&self, cpu: u32) -> Option<usize> {
        (*self.hart_of_cpu.get(cpu as usize)?).map(usize::from)
    }

    /// Returns the hart that is `cpu`, if it can take interrupts.
    fn online(&self, control: &Control, cpu: u32) -> Result<usize> {
        if cpu >= nr_cpu_ids() {
            return Err(EINVAL);
        }
        self.index_of(cpu)
            .filter(|index| control.harts[*index].online)
            .ok_or(ENODEV)
    }

    /// Returns the online hart that has most free VEIIDs.
    fn roomiest(control: &Control) -> Result<usize> {
        control
            .harts
            .iter()
            .enumerate()
            .filter(|(_, hart)| hart.online && hart.veiids.free_count() > 0)
            // The first one of equals.
            .rev()
            .max_by_key(|(_, hart)| hart.veiids.free_count())
            .map(|(index, _)| index)
            .ok_or(ENOSPC)
    }

    /// Visits all VMs.
    pub(crate) fn for_each_vm<E>(&self, mut f: impl FnMut(&Vm) -> Result<(), E>) -> Result<(), E> {
        self.control.lock().vms.iter().try_for_each(|vm| f(vm))
    }

    /// Visits all routes that are in place.
    pub(crate) fn for_each_route<E>(
        &self,
        mut f: impl FnMut(&Route, &Hart, u16) -> Result<(), E>,
    ) -> Result<(), E> {
        // Keeps the routes where they are.
        let control = self.control.lock();
        for vm in &control.vms {
            for route in vm.routes() {
                if let Some(place) = route.place(&control) {
                    f(&route, &self.harts[place.hart], place.veiid.index())?;
                }
            }
        }
        Ok(())
    }

    /// Visits all contexts.
    pub(crate) fn for_each_context<E>(
        &self,
        mut f: impl FnMut(&Context, &ContextState) -> Result<(), E>,
    ) -> Result<(), E> {
        // Keeps the contexts where they are.
        let _control = self.control.lock();
        for hart in &self.harts {
            for veiid in 1..self.cap.veiids {
                let Some(context) = hart.context(veiid) else {
                    continue;
                };
                if let Some(state) = self.context_state(&context) {
                    f(&context, &state)?;
                }
            }
        }
        Ok(())
    }

    /// Visits all harts.
    pub(crate) fn for_each_hart<E>(
        &self,
        mut f: impl FnMut(HartState) -> Result<(), E>,
    ) -> Result<(), E> {
        let control = self.control.lock();
        for (hart, state) in self.harts.iter().zip(&control.harts) {
            let (enabled, pending, throttled) = hart.population();
            f(HartState {
                hart: hart.index(),
                cpu: hart.cpu(),
                online: state.online,
                free: state.veiids.free_count(),
                used: state.veiids.used_count(),
                enabled,
                pending,
                throttled,
            })?;
        }
        Ok(())
    }
}
