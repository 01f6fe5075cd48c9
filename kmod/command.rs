// SPDX-License-Identifier: GPL-2.0

//! What the ioctls do. The contract is in `uapi/linux/haiov.h`.

use crate::{
    bound::BoundVm,
    context::{
        self,
        Context,
        Params, //
    },
    copy_in::Reply,
    eventfd::EventFd,
    ids::{
        Id,
        IdTable, //
    },
    kvm::Kvm,
    listening::Listening,
    mmio::{
        MmioRange,
        Range, //
    },
    route::{
        Route,
        Target, //
    },
    signal::{
        Owner,
        Signal, //
    },
    table,
    uapi::*,
    uer,
    vcpu::Vcpu,
    veic::controller, //
};
use core::mem::{
    offset_of,
    size_of, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    },
    transmute::{
        AsBytes,
        FromBytes, //
    },
};

/// An ioctl, implemented by the structure that it takes.
pub(crate) trait Command: AsBytes + FromBytes + Default {
    /// Its number.
    const NUMBER: u32;
    /// Size of the structure's first version.
    const MIN_SIZE: usize;

    /// Checks what can be checked by looking at the structure alone.
    fn check(&self) -> Result;

    /// Executes the command. If it fails, nothing has changed.
    fn execute(self, objects: &mut IdTable<Object>, counts: &Counts, reply: &Reply) -> Result;
}

/// How many objects a file descriptor has. Reading it takes no lock: who reads fdinfo must not have
/// to wait for a command that waits for user memory.
pub(crate) struct Counts {
    vms: Atomic<u32>,
    routes: Atomic<u32>,
    vcpus: Atomic<u32>,
    mmio_ranges: Atomic<u32>,
    signals: Atomic<u32>,
    contexts: Atomic<u32>,
    listenings: Atomic<u32>,
}

impl Counts {
    pub(crate) fn new() -> Self {
        Self {
            vms: Atomic::new(0),
            routes: Atomic::new(0),
            vcpus: Atomic::new(0),
            mmio_ranges: Atomic::new(0),
            signals: Atomic::new(0),
            contexts: Atomic::new(0),
            listenings: Atomic::new(0),
        }
    }

    pub(crate) fn vms(&self) -> u32 {
        self.vms.load(Relaxed)
    }

    pub(crate) fn routes(&self) -> u32 {
        self.routes.load(Relaxed)
    }

    pub(crate) fn vcpus(&self) -> u32 {
        self.vcpus.load(Relaxed)
    }

    pub(crate) fn mmio_ranges(&self) -> u32 {
        self.mmio_ranges.load(Relaxed)
    }

    pub(crate) fn signals(&self) -> u32 {
        self.signals.load(Relaxed)
    }

    pub(crate) fn contexts(&self) -> u32 {
        self.contexts.load(Relaxed)
    }

    pub(crate) fn listenings(&self) -> u32 {
        self.listenings.load(Relaxed)
    }

    fn of(&self, object: &Object) -> &Atomic<u32> {
        match object {
            Object::Vm(_) => &self.vms,
            Object::Route(_) => &self.routes,
            Object::Vcpu(_) => &self.vcpus,
            Object::MmioRange(_) => &self.mmio_ranges,
            Object::Signal(_) => &self.signals,
            Object::Context(_) => &self.contexts,
            Object::Listening(_) => &self.listenings,
        }
    }
}

/// An object of a file descriptor; dropping it undoes what it is in the hardware. VMs and contexts are
/// dropped after all others, which are their leaves.
pub(crate) enum Object {
    Vm(Arc<BoundVm>),
    Route(PlacedRoute),
    Context(SeatedContext),
    // The fields of these are there to be dropped.
    Vcpu(#[expect(dead_code)] Vcpu),
    MmioRange(#[expect(dead_code)] MmioRange),
    Signal(#[expect(dead_code)] Signal),
    Listening(#[expect(dead_code)] Listening),
}

impl Object {
    /// Whether no other object depends on objects of this kind.
    pub(crate) fn is_leaf(&self) -> bool {
        !matches!(self, Self::Vm(_) | Self::Context(_))
    }

    fn route(&self) -> Option<&Arc<Route>> {
        match self {
            Self::Route(route) => Some(&route.0),
            _ => None,
        }
    }

    /// Prepares all routes for being dropped, in much less time than each of them would need.
    pub(crate) fn unplace_routes(objects: &IdTable<Self>) {
        let routes = objects.iter().filter_map(Self::route);

        if let Some(route) = routes.clone().next() {
            route.vm().veic().unplace_routes(routes);
        }
    }
}

/// A route that is in place.
pub(crate) struct PlacedRoute(Arc<Route>);

impl Drop for PlacedRoute {
    fn drop(&mut self) {
        self.0.vm().veic().remove_route(&self.0);
    }
}

/// A context that has its seat.
pub(crate) struct SeatedContext(Arc<Context>);

impl Drop for SeatedContext {
    fn drop(&mut self) {
        self.0.veic().remove_context(&self.0);
    }
}

fn zero(field: u32) -> Result {
    if field == 0 {
        Ok(())
    } else {
        Err(EINVAL)
    }
}

fn find_vm(objects: &IdTable<Object>, id: u64) -> Result<&Arc<BoundVm>> {
    match objects.get(Id::from_raw(id))? {
        Object::Vm(vm) => Ok(vm),
        _ => Err(ENOENT),
    }
}

/// Fails with `EOPNOTSUPP` where there is no User-level Exception Redirection.
fn uer() -> Result {
    controller()?;
    if uer::present() {
        Ok(())
    } else {
        Err(EOPNOTSUPP)
    }
}

/// Fails with `EOPNOTSUPP` where there can be no contexts.
fn hcs() -> Result {
    if controller()?.has_contexts() {
        Ok(())
    } else {
        Err(EOPNOTSUPP)
    }
}

fn find_context(objects: &IdTable<Object>, id: u64) -> Result<&Arc<Context>> {
    match objects.get(Id::from_raw(id))? {
        Object::Context(context) => Ok(&context.0),
        _ => Err(ENOENT),
    }
}

fn find_route(objects: &IdTable<Object>, id: u64) -> Result<&Arc<Route>> {
    match objects.get(Id::from_raw(id))? {
        Object::Route(route) => Ok(&route.0),
        _ => Err(ENOENT),
    }
}

/// Makes an object and gives it an id. It can be found once `make` has succeeded, which is the last
/// thing that can fail.
fn create(
    objects: &mut IdTable<Object>,
    counts: &Counts,
    make: impl FnOnce(Id) -> Result<Object>,
) -> Result {
    let reserved = objects.reserve()?;
    match make(reserved.id()) {
        Ok(object) => {
            counts.of(&object).add(1, Relaxed);
            objects.publish(reserved, object);
            Ok(())
        }
        Err(err) => {
            objects.cancel(reserved);
            Err(err)
        }
    }
}

impl Command for haiov_info {
    const NUMBER: u32 = HAIOV_CMD_INFO;
    const MIN_SIZE: usize = size_of::<Self>();

    fn check(&self) -> Result {
        zero(self.flags)
    }

    fn execute(mut self, _: &mut IdTable<Object>, _: &Counts, reply: &Reply) -> Result {
        // Everything but `size` is ours to fill in.
        self = Self {
            size: self.size,
            ..Default::default()
        };
        if let Ok(veic) = controller() {
            let cap = veic.capabilities();
            self.features = u64::from(HAIOV_FEATURE_VEI);
            if uer::present() {
                self.features |= u64::from(HAIOV_FEATURE_UER);
            }
            if veic.has_contexts() {
                self.features |= u64::from(HAIOV_FEATURE_HCS);
            }
            self.nr_harts = cap.harts;
            self.nr_veiids = cap.veiids.into();
            self.cache_entries = cap.cache_entries;
            self.max_veirqs = table::MAX_ROUTES;
        }
        reply.send(&self)
    }
}

impl Command for haiov_destroy {
    const NUMBER: u32 = HAIOV_CMD_DESTROY;
    const MIN_SIZE: usize = size_of::<Self>();

    fn check(&self) -> Result {
        zero(self.flags)
    }

    fn execute(self, objects: &mut IdTable<Object>, counts: &Counts, _: &Reply) -> Result {
        let id = Id::from_raw(self.id);

        match objects.get(id) {
            Ok(Object::Vm(vm)) if vm.vm().has_leaves() => return Err(EBUSY),
            Ok(Object::Context(context)) if context.0.has_leaves() => return Err(EBUSY),
            Ok(_) => {}
            // Objects can outlive the hardware, and are destroyed as ever.
            Err(err) => return Err(controller().err().unwrap_or(err)),
        }

        let object = objects.remove(id)?;
        counts.of(&object).fetch_sub(1, Relaxed);
        drop(object);
        Ok(())
    }
}

impl Command for haiov_vm_create {
    const NUMBER: u32 = HAIOV_CMD_VM_CREATE;
    const MIN_SIZE: usize = size_of::<Self>();

    fn check(&self) -> Result {
        zero(self.flags)?;
        zero(self.__reserved)
    }

    fn execute(mut self, objects: &mut IdTable<Object>, counts: &Counts, reply: &Reply) -> Result {
        let veic = controller()?;
        table::routes_log2(self.nr_veirqs)?;
        let kvm = Kvm::from_fd(self.kvm_fd)?;

        create(objects, counts, |id| {
            let vm = BoundVm::new(&veic, kvm, self.nr_veirqs)?;
            self.out_vm_id = id.as_raw();
            self.out_vmid = vm.vm().vmid().into();
            reply.send(&self)?;
            Ok(Object::Vm(vm))
        })
    }
}

impl Command for haiov_vm_query {
    const NUMBER: u32 = HAIOV_CMD_VM_QUERY;
    const MIN_SIZE: usize = size_of::<Self>();

    fn check(&self) -> Result {
        zero(self.flags)
    }

    fn execute(mut self, objects: &mut IdTable<Object>, _: &Counts, reply: &Reply) -> Result {
        controller()?;
        let vm = find_vm(objects, self.vm_id)?.vm();

        self.out_vmid = vm.vmid().into();
        self.out_nr_routes = vm.nr_routes();
        self.out_fallbacks = vm.fallbacks();
        self.out_dropped = vm.dropped();
        reply.send(&self)
    }
}

impl Command for haiov_route_add {
    const NUMBER: u32 = HAIOV_CMD_ROUTE_ADD;
    const MIN_SIZE: usize = offset_of!(Self, context_id);

    fn check(&self) -> Result {
        zero(self.flags & !(HAIOV_ROUTE_CPU | HAIOV_ROUTE_CONTEXT))?;
        zero(self.__reserved)?;
        match self.given_cpu() {
            Some(_) => {}
            None => zero(self.cpu)?,
        }
        match self.to_context() {
            true if self.eventfd != 0 || self.given_cpu().is_some() => Err(EINVAL),
            false if self.context_id != 0 => Err(EINVAL),
            _ => Ok(()),
        }
    }

    fn execute(mut self, objects: &mut IdTable<Object>, counts: &Counts, reply: &Reply) -> Result {
        controller()?;
        let vm = find_vm(objects, self.vm_id)?.vm().clone();
        let veic = vm.veic().clone();
        let target = if self.to_context() {
            let context = find_context(objects, self.context_id)?.clone();
            // Both are of this file descriptor, but a controller may have come and gone between them.
            if !Arc::ptr_eq(context.veic(), &veic) {
                return Err(EOPNOTSUPP);
            }
            Target::Context(context)
        } else {
            Target::EventFd(EventFd::from_fd(self.eventfd)?)
        };

        create(objects, counts, |id| {
            let route = veic.add_route(&vm, self.veirq, target, self.given_cpu())?;
            let route = PlacedRoute(route);
            let (veiid, cpu) = veic.locate_route(&route.0)?;
            self.out_route_id = id.as_raw();
            self.out_veiid = veiid.into();
            self.out_cpu = cpu;
            reply.send(&self)?;
            Ok(Object::Route(route))
        })
    }
}

impl haiov_route_add {
    fn given_cpu(&self) -> Option<u32> {
        (self.flags & HAIOV_ROUTE_CPU != 0).then_some(self.cpu)
    }

    fn to_context(&self) -> bool {
        self.flags & HAIOV_ROUTE_CONTEXT != 0
    }
}

impl Command for haiov_route_move {
    const NUMBER: u32 = HAIOV_CMD_ROUTE_MOVE;
    const MIN_SIZE: usize = size_of::<Self>();

    fn check(&self) -> Result {
        zero(self.flags)
    }

    fn execute(mut self, objects: &mut IdTable<Object>, _: &Counts, reply: &Reply) -> Result {
        controller()?;
        let route = find_route(objects, self.route_id)?;
        let veic = route.vm().veic();

        // A call that fails changes nothing: whether the answer can be written is found out before
        // the route moves. Who takes that memory away meanwhile goes without the answer.
        reply.send(&self)?;
        self.out_veiid = veic.move_route(route, self.cpu)?.into();
        let _ = reply.send(&self);
        Ok(())
    }
}

impl Command for haiov_route_query {
    const NUMBER: u32 = HAIOV_CMD_ROUTE_QUERY;
    const MIN_SIZE: usize = size_of::<Self>();

    fn check(&self) -> Result {
        zero(self.flags)
    }

    fn execute(mut self, objects: &mut IdTable<Object>, _: &Counts, reply: &Reply) -> Result {
        controller()?;
        let route = find_route(objects, self.route_id)?;
        let state = route.vm().veic().query_route(route)?;

        self.out_veirq = route.veirq().into();
        self.out_veiid = state.veiid.into();
        self.out_cpu = state.cpu;
        self.out_pending = state.pending.into();
        self.out_delivered = route.delivered();
        self.out_fallbacks = route.fallbacks();
        self.out_throttled = route.throttled();
        reply.send(&self)
    }
}

impl Command for haiov_vcpu_create {
    const NUMBER: u32 = HAIOV_CMD_VCPU_CREATE;
    const MIN_SIZE: usize = size_of::<Self>();

    fn check(&self) -> Result {
        zero(self.flags)?;
        zero(self.__reserved)
    }

    fn execute(mut self, objects: &mut IdTable<Object>, counts: &Counts, reply: &Reply) -> Result {
        uer()?;
        let bound = find_vm(objects, self.vm_id)?.clone();

        create(objects, counts, |id| {
            // A handler may start, and be seen to, as soon as it is there: what can fail comes first.
            self.out_vcpu_id = id.as_raw();
            reply.send(&self)?;
            Vcpu::new(bound, self.vcpu_fd, self.entry, self.data).map(Object::Vcpu)
        })
    }
}

impl Command for haiov_mmio_add {
    const NUMBER: u32 = HAIOV_CMD_MMIO_ADD;
    const MIN_SIZE: usize = size_of::<Self>();

    fn check(&self) -> Result {
        zero(self.flags)
    }

    fn execute(mut self, objects: &mut IdTable<Object>, counts: &Counts, reply: &Reply) -> Result {
        uer()?;
        let bound = find_vm(objects, self.vm_id)?.clone();
        let range = Range {
            gpa: self.gpa,
            length: self.length,
        };

        create(objects, counts, |id| {
            // As above.
            self.out_mmio_id = id.as_raw();
            reply.send(&self)?;
            MmioRange::new(bound, range).map(Object::MmioRange)
        })
    }
}

impl Command for haiov_signal_add {
    const NUMBER: u32 = HAIOV_CMD_SIGNAL_ADD;
    const MIN_SIZE: usize = offset_of!(Self, context_id);

    fn check(&self) -> Result {
        zero(self.flags & !HAIOV_SIGNAL_CONTEXT)?;
        let other = if self.of_context() {
            self.vm_id
        } else {
            self.context_id
        };
        match other {
            0 => Ok(()),
            _ => Err(EINVAL),
        }
    }

    fn execute(mut self, objects: &mut IdTable<Object>, counts: &Counts, reply: &Reply) -> Result {
        let owner = if self.of_context() {
            hcs()?;
            Owner::Context(find_context(objects, self.context_id)?.clone())
        } else {
            uer()?;
            Owner::Vm(find_vm(objects, self.vm_id)?.clone())
        };
        let eventfd = EventFd::from_fd(self.eventfd)?;

        create(objects, counts, |id| {
            let signal = Signal::new(owner, eventfd)?;
            self.out_index = signal.index();
            self.out_signal_id = id.as_raw();
            reply.send(&self)?;
            Ok(Object::Signal(signal))
        })
    }
}

impl haiov_signal_add {
    fn of_context(&self) -> bool {
        self.flags & HAIOV_SIGNAL_CONTEXT != 0
    }
}

impl Command for haiov_context_create {
    const NUMBER: u32 = HAIOV_CMD_CONTEXT_CREATE;
    const MIN_SIZE: usize = size_of::<Self>();

    fn check(&self) -> Result {
        zero(self.flags & !(HAIOV_CONTEXT_CPU | HAIOV_CONTEXT_ANY))?;
        match self.given_cpu() {
            Some(_) => Ok(()),
            None => zero(self.cpu),
        }
    }

    fn execute(mut self, objects: &mut IdTable<Object>, counts: &Counts, reply: &Reply) -> Result {
        hcs()?;
        let veic = controller()?;
        if self.budget_us > HAIOV_BUDGET_MAX_US {
            return Err(EINVAL);
        }
        let params = Params {
            entry: self.entry,
            data: self.data,
            budget_us: self.budget_us,
            any: self.flags & HAIOV_CONTEXT_ANY != 0,
        };
        if params.any && !context::may_interrupt_all() {
            return Err(EPERM);
        }

        create(objects, counts, |id| {
            let context = SeatedContext(veic.create_context(self.given_cpu(), &params)?);
            let state = veic.query_context(&context.0)?;
            self.out_context_id = id.as_raw();
            self.out_veiid = state.veiid.into();
            self.out_cpu = state.cpu;
            reply.send(&self)?;
            Ok(Object::Context(context))
        })
    }
}

impl haiov_context_create {
    fn given_cpu(&self) -> Option<u32> {
        (self.flags & HAIOV_CONTEXT_CPU != 0).then_some(self.cpu)
    }
}

impl Command for haiov_context_move {
    const NUMBER: u32 = HAIOV_CMD_CONTEXT_MOVE;
    const MIN_SIZE: usize = size_of::<Self>();

    fn check(&self) -> Result {
        zero(self.flags)
    }

    fn execute(mut self, objects: &mut IdTable<Object>, _: &Counts, reply: &Reply) -> Result {
        hcs()?;
        let context = find_context(objects, self.context_id)?;

        // As for a route.
        reply.send(&self)?;
        self.out_veiid = context.veic().move_context(context, self.cpu)?.into();
        let _ = reply.send(&self);
        Ok(())
    }
}

impl Command for haiov_context_listen {
    const NUMBER: u32 = HAIOV_CMD_CONTEXT_LISTEN;
    const MIN_SIZE: usize = size_of::<Self>();

    fn check(&self) -> Result {
        zero(self.flags)?;
        zero(self.__reserved)
    }

    fn execute(mut self, objects: &mut IdTable<Object>, counts: &Counts, reply: &Reply) -> Result {
        hcs()?;
        let context = find_context(objects, self.context_id)?.clone();
        let eventfd = EventFd::from_fd(self.eventfd)?;

        create(objects, counts, |id| {
            // Nothing happens if the answer cannot be written.
            self.out_listening_id = id.as_raw();
            reply.send(&self)?;
            Listening::new(context, eventfd).map(Object::Listening)
        })
    }
}

impl haiov_context_wait {
    /// Finds the context that the calling thread is to park in.
    pub(crate) fn find(&self, objects: &IdTable<Object>) -> Result<Arc<Context>> {
        zero(self.flags)?;
        hcs()?;
        find_context(objects, self.context_id).cloned()
    }
}

impl Command for haiov_context_query {
    const NUMBER: u32 = HAIOV_CMD_CONTEXT_QUERY;
    const MIN_SIZE: usize = offset_of!(Self, out_signaled);

    fn check(&self) -> Result {
        zero(self.flags)?;
        zero(self.__reserved)
    }

    fn execute(mut self, objects: &mut IdTable<Object>, _: &Counts, reply: &Reply) -> Result {
        hcs()?;
        let context = find_context(objects, self.context_id)?;
        let state = context.veic().query_context(context)?;
        let stats = context.stats();

        self.out_cpu = state.cpu;
        self.out_veiid = state.veiid.into();
        self.out_nr_routes = context.nr_routes().load(Relaxed);
        self.out_parked = state.parked.into();
        self.out_pending = state.pending.into();
        self.out_doorbells = stats.doorbells;
        self.out_faults = stats.faults;
        self.out_preempted = stats.preempted;
        self.out_expired = stats.expired;
        self.out_interrupted = stats.interrupted;
        self.out_signaled = stats.served;
        reply.send(&self)
    }
}
