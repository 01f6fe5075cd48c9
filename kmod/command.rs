// SPDX-License-Identifier: GPL-2.0

//! What the ioctls do. The contract is in `uapi/linux/haiov.h`.

use crate::{
    copy_in::Reply,
    eventfd::EventFd,
    ids::{
        Id,
        IdTable, //
    },
    kvm::{
        Binding,
        Kvm, //
    },
    route::Route,
    table,
    uapi::*,
    veic::{
        controller,
        Veic, //
    },
    vm::Vm, //
};
use core::mem::size_of;
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
}

impl Counts {
    pub(crate) fn new() -> Self {
        Self {
            vms: Atomic::new(0),
            routes: Atomic::new(0),
        }
    }

    pub(crate) fn vms(&self) -> u32 {
        self.vms.load(Relaxed)
    }

    pub(crate) fn routes(&self) -> u32 {
        self.routes.load(Relaxed)
    }

    fn of(&self, object: &Object) -> &Atomic<u32> {
        match object {
            Object::Vm(_) => &self.vms,
            Object::Route(_) => &self.routes,
        }
    }
}

/// An object of a file descriptor; dropping it undoes what it is in the hardware. Routes are dropped
/// before their VM.
pub(crate) enum Object {
    Vm(BoundVm),
    Route(PlacedRoute),
}

impl Object {
    /// Whether no other object depends on objects of this kind.
    pub(crate) fn is_leaf(&self) -> bool {
        matches!(self, Self::Route(_))
    }

    fn route(&self) -> Option<&Arc<Route>> {
        match self {
            Self::Route(route) => Some(&route.0),
            Self::Vm(_) => None,
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

/// A VM with the KVM virtual machine that is bound to it.
pub(crate) struct BoundVm {
    vm: Arc<Vm>,
    binding: Option<Binding>,
}

impl BoundVm {
    fn new(veic: &Arc<Veic>, kvm: Kvm, nr_veirqs: u32) -> Result<Self> {
        let mut this = Self {
            vm: veic.create_vm(nr_veirqs)?,
            binding: None,
        };

        this.binding = Some(Binding::new(kvm, this.vm.clone())?);
        Ok(this)
    }
}

impl Drop for BoundVm {
    fn drop(&mut self) {
        // First no vCPU sends any more, then the VMID may go.
        self.binding = None;
        self.vm.veic().retire_vm(&self.vm);
    }
}

/// A route that is in place.
pub(crate) struct PlacedRoute(Arc<Route>);

impl Drop for PlacedRoute {
    fn drop(&mut self) {
        self.0.vm().veic().remove_route(&self.0);
    }
}

fn zero(field: u32) -> Result {
    if field == 0 {
        Ok(())
    } else {
        Err(EINVAL)
    }
}

fn find_vm(objects: &IdTable<Object>, id: u64) -> Result<&Arc<Vm>> {
    match objects.get(Id::from_raw(id))? {
        Object::Vm(vm) => Ok(&vm.vm),
        Object::Route(_) => Err(ENOENT),
    }
}

fn find_route(objects: &IdTable<Object>, id: u64) -> Result<&Arc<Route>> {
    match objects.get(Id::from_raw(id))? {
        Object::Route(route) => Ok(&route.0),
        Object::Vm(_) => Err(ENOENT),
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
            Ok(Object::Vm(vm)) if vm.vm.nr_routes() != 0 => return Err(EBUSY),
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
            self.out_vmid = vm.vm.vmid().into();
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
        let vm = find_vm(objects, self.vm_id)?;

        self.out_vmid = vm.vmid().into();
        self.out_nr_routes = vm.nr_routes();
        self.out_fallbacks = vm.fallbacks();
        self.out_dropped = vm.dropped();
        reply.send(&self)
    }
}

impl Command for haiov_route_add {
    const NUMBER: u32 = HAIOV_CMD_ROUTE_ADD;
    const MIN_SIZE: usize = size_of::<Self>();

    fn check(&self) -> Result {
        zero(self.flags & !HAIOV_ROUTE_CPU)?;
        zero(self.__reserved)?;
        match self.given_cpu() {
            Some(_) => Ok(()),
            None => zero(self.cpu),
        }
    }

    fn execute(mut self, objects: &mut IdTable<Object>, counts: &Counts, reply: &Reply) -> Result {
        controller()?;
        let vm = find_vm(objects, self.vm_id)?.clone();
        let veic = vm.veic().clone();
        let eventfd = EventFd::from_fd(self.eventfd)?;

        create(objects, counts, |id| {
            let route = veic.add_route(&vm, self.veirq, eventfd, self.given_cpu())?;
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
