// SPDX-License-Identifier: MIT OR Apache-2.0
//! The way of one VEIRQ to its eventfd, or to its handler.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

use haiov_sys as raw;

use crate::error::{Context, Result, Taken};
use crate::sys::{self, Command};
use crate::user_vei::{self, UserVei};
use crate::vm::{Inner, Vm};

/// A route from one VEIRQ of a [`Vm`] to an eventfd, by way of a host CPU, or to a [`UserVei`].
///
/// Dropping it destroys it: an event that was accepted before is still signaled, none is after.
#[derive(Debug)]
pub struct Route {
    vm: Arc<Inner>,
    /// 0 once destroyed; the kernel never gives out that id.
    id: u64,
    veirq: u32,
    cpu: u32,
    veiid: u32,
    /// Lives as long as the route.
    _user_vei: Option<Arc<user_vei::Inner>>,
}

/// Place and counters of a [`Route`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteStatus {
    /// The VEIRQ.
    pub veirq: u32,
    /// Interrupt identity that the route occupies on its CPU.
    pub veiid: u32,
    /// Host CPU that takes the interrupt; the kernel moves the route when that CPU goes offline.
    pub cpu: u32,
    /// Whether an event is under way that the counters below do not hold yet.
    pub pending: bool,
    /// Signals of the eventfd by an interrupt.
    pub delivered: u64,
    /// Signals of the eventfd after a send that the hardware refused.
    pub fallbacks: u64,
    /// Times that the route went over its rate limit, which delays events and loses none.
    pub throttled: u64,
}

impl Route {
    /// Routes a VEIRQ to an eventfd.
    ///
    /// # Arguments
    ///
    /// * `vm` - the VM that sends.
    /// * `veirq` - which one, less than the number given to [`Vm::create`].
    /// * `eventfd` - what each event signals; the route does not depend on this file descriptor later.
    /// * `cpu` - the host CPU that takes the interrupt, or `None` for the module's choice.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::Error::Invalid) when `eventfd` is something else or a number is out of range,
    /// [`Error::Exists`](crate::Error::Exists) when the VEIRQ has a route,
    /// [`Error::CpuUnavailable`](crate::Error::CpuUnavailable) when the CPU is offline or not served,
    /// [`Error::NoSpace`](crate::Error::NoSpace) when no VEIID is free there.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn example(vm: &haiov::Vm) -> Result<(), Box<dyn std::error::Error>> {
    /// let notify = nix::sys::eventfd::EventFd::new()?;
    /// let route = haiov::Route::add(vm, 0, &notify, None)?;
    /// println!("{} events so far", route.query()?.delivered);
    /// # Ok(())
    /// # }
    /// ```
    pub fn add(vm: &Vm, veirq: u32, eventfd: impl AsFd, cpu: Option<u32>) -> Result<Self> {
        let context = Context {
            invalid: "the file must be an open eventfd, the VEIRQ less than the VM's number of them, and the CPU one \
                      of this machine; check these three",
            space: "no interrupt identity is free there; choose another CPU, or drop routes that are not needed",
            taken: Taken::Veirq(veirq),
            ..Context::of("add the route")
        };
        let mut add = raw::haiov_route_add {
            flags: if cpu.is_some() { raw::HAIOV_ROUTE_CPU } else { 0 },
            vm_id: vm.id(),
            veirq,
            eventfd: eventfd.as_fd().as_raw_fd(),
            cpu: cpu.unwrap_or(0),
            ..Command::new()
        };
        sys::ioctl(vm.device().as_fd(), &mut add).map_err(|e| context.error(e))?;
        Ok(Self::added(vm, &add, None))
    }

    /// Routes a VEIRQ to a handler that starts at once.
    ///
    /// # Arguments
    ///
    /// * `vm` - the VM that sends; it is bound to the same [`Device`](crate::Device) as the handler.
    /// * `veirq` - which one, less than the number given to [`Vm::create`].
    /// * `user_vei` - the handler; it lives on for as long as the route.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::Error::Invalid) when the number is out of range,
    /// [`Error::Exists`](crate::Error::Exists) when the VEIRQ has a route,
    /// [`Error::NotFound`](crate::Error::NotFound) when the handler belongs to another [`Device`](crate::Device).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn example(vm: &haiov::Vm) -> haiov::Result<()> {
    /// let backend = haiov::UserVei::builder().start(vm.device(), || println!("an event"))?;
    /// let route = haiov::Route::add_context(vm, 0, &backend)?;
    /// assert_eq!(route.cpu(), backend.cpu());
    /// # Ok(())
    /// # }
    /// ```
    pub fn add_context(vm: &Vm, veirq: u32, user_vei: &UserVei) -> Result<Self> {
        let context = Context {
            invalid: "the VEIRQ must be less than the VM's number of them; check it",
            taken: Taken::Veirq(veirq),
            ..Context::of("add the route")
        };
        let mut add = raw::haiov_route_add {
            flags: raw::HAIOV_ROUTE_CONTEXT,
            vm_id: vm.id(),
            veirq,
            context_id: user_vei.id(),
            ..Command::new()
        };
        sys::ioctl(vm.device().as_fd(), &mut add).map_err(|e| context.error(e))?;
        Ok(Self::added(vm, &add, Some(user_vei.inner().clone())))
    }

    fn added(vm: &Vm, add: &raw::haiov_route_add, user_vei: Option<Arc<user_vei::Inner>>) -> Self {
        Self {
            vm: vm.inner().clone(),
            id: add.out_route_id,
            veirq: add.veirq,
            cpu: add.out_cpu,
            veiid: add.out_veiid,
            _user_vei: user_vei,
        }
    }

    /// Moves the route to another CPU. No event is lost; one that is under way may be signaled twice.
    ///
    /// # Arguments
    ///
    /// * `cpu` - the host CPU that is to take the interrupt.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::Error::Invalid) when there is no such CPU, or the route leads to a [`UserVei`], and
    /// moves with that, [`Error::CpuUnavailable`](crate::Error::CpuUnavailable) when it is offline or not served,
    /// [`Error::NoSpace`](crate::Error::NoSpace) when no VEIID is free there. The route then stays as it was.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn example(route: &mut haiov::Route) -> haiov::Result<()> {
    /// route.move_to(2)?;
    /// assert_eq!(route.cpu(), 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn move_to(&mut self, cpu: u32) -> Result<()> {
        let context = Context {
            invalid: "the CPU must be one of this machine, and the route one to an eventfd; check both",
            space: "no interrupt identity is free there; choose another CPU",
            ..Context::of("move the route")
        };
        let mut moved = raw::haiov_route_move { route_id: self.id, cpu, ..Command::new() };
        sys::ioctl(self.vm.device.as_fd(), &mut moved).map_err(|e| context.error(e))?;
        self.cpu = cpu;
        self.veiid = moved.out_veiid;
        Ok(())
    }

    /// Reads place and counters.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound) when the object is gone, which only happens when its id was
    /// destroyed behind this object's back.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn example(route: &haiov::Route) -> haiov::Result<()> {
    /// let status = route.query()?;
    /// println!("CPU {}: {} delivered", status.cpu, status.delivered);
    /// # Ok(())
    /// # }
    /// ```
    pub fn query(&self) -> Result<RouteStatus> {
        let mut query = raw::haiov_route_query { route_id: self.id, ..Command::new() };
        sys::ioctl(self.vm.device.as_fd(), &mut query).map_err(|e| Context::of("query the route").error(e))?;
        Ok(RouteStatus {
            veirq: query.out_veirq,
            veiid: query.out_veiid,
            cpu: query.out_cpu,
            pending: query.out_pending != 0,
            delivered: query.out_delivered,
            fallbacks: query.out_fallbacks,
            throttled: query.out_throttled,
        })
    }

    /// Destroys the route, as dropping it does, and tells whether that worked.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound) as for [`Route::query`].
    pub fn destroy(mut self) -> Result<()> {
        let id = std::mem::take(&mut self.id);
        self.vm.device.destroy(id, "destroy the route")
    }

    /// The kernel's id of this object.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The VEIRQ.
    pub fn veirq(&self) -> u32 {
        self.veirq
    }

    /// The CPU that the route was last put on by its owner; [`Route::query`] knows where the kernel has it now.
    pub fn cpu(&self) -> u32 {
        self.cpu
    }

    /// The interrupt identity that the route then got on that CPU.
    pub fn veiid(&self) -> u32 {
        self.veiid
    }
}

impl Drop for Route {
    fn drop(&mut self) {
        if self.id != 0 {
            // Nothing can be done about a failure here; closing the device takes the object along in any case.
            let _ = self.vm.device.destroy(self.id, "destroy the route");
        }
    }
}
