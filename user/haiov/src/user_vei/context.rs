// SPDX-License-Identifier: MIT OR Apache-2.0
//! A handler with its thread, and how to make one.

use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use haiov_sys as raw;

use super::listening::Listening;
use super::signal::{Owner, Signal};
use crate::device::Device;
use crate::error::{Context, Result};
use crate::sys::{self, Command};

/// Code that is called when events have come. What it may do is told in the [module's documentation](super).
pub trait Handler: Send + 'static {
    /// Serves all events that have come up to now. Those that come from here on call it again.
    fn event(&mut self);
}

impl<F: FnMut() + Send + 'static> Handler for F {
    fn event(&mut self) {
        self();
    }
}

/// How a [`UserVei`] is to be made; [`UserVei::builder`] begins one.
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    cpu: Option<u32>,
    budget: Duration,
    any_user: bool,
    stack_size: usize,
    name: String,
}

impl Builder {
    /// The host CPU that the events interrupt; else the module chooses. Should it go offline, the module moves them to
    /// another one.
    pub fn cpu(mut self, cpu: u32) -> Self {
        self.cpu = Some(cpu);
        self
    }

    /// For how long a frame may go on once an interrupt, such as the timer's, has found it; 0 by default, 100 ms at
    /// most. What takes longer goes on on the thread.
    pub fn budget(mut self, budget: Duration) -> Self {
        self.budget = budget;
        self
    }

    /// Lets it interrupt threads of all users and not of this one only, which needs `CAP_SYS_NICE`.
    pub fn interrupt_any_user(mut self, any_user: bool) -> Self {
        self.any_user = any_user;
        self
    }

    /// Bytes of the thread's stack, which the handler has; 256 KiB by default.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = bytes;
        self
    }

    /// The thread's name, "user-vei" by default.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Makes it, and starts its thread, which blocks all signals.
    ///
    /// # Arguments
    ///
    /// * `device` - the device that the VMs of its routes are bound to.
    /// * `handler` - what is called.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`](crate::Error::Unsupported) without the hardware for it,
    /// [`Error::Invalid`](crate::Error::Invalid) when there is no such CPU or the budget is too large,
    /// [`Error::NotPermitted`](crate::Error::NotPermitted) without the privilege to interrupt other users,
    /// [`Error::CpuUnavailable`](crate::Error::CpuUnavailable) when the CPU is offline or not served,
    /// [`Error::NoSpace`](crate::Error::NoSpace) when no VEIID is free there, or no address space identifier.
    pub fn start(self, device: &Device, handler: impl Handler) -> Result<UserVei> {
        Ok(UserVei { inner: Arc::new(Inner::new(self, device, handler)?) })
    }
}

/// A handler that events of guests start at once, with its thread.
///
/// Dropping it ends it, as soon as no [`Route`](crate::Route) leads to it and no [`Listening`] is left: when that returns,
/// the handler does not run and is dropped, and the thread has ended.
#[derive(Debug)]
pub struct UserVei {
    inner: Arc<Inner>,
}

impl UserVei {
    /// Begins one, with nothing but defaults.
    pub fn builder() -> Builder {
        Builder {
            cpu: None,
            budget: Duration::ZERO,
            any_user: false,
            stack_size: 256 << 10,
            name: "user-vei".to_owned(),
        }
    }

    /// Reads state and counters.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound) when the object is gone, which only happens when its id was
    /// destroyed behind this object's back.
    pub fn query(&self) -> Result<Status> {
        let mut query = raw::haiov_context_query { context_id: self.inner.id, ..Command::new() };
        sys::ioctl(self.inner.device.as_fd(), &mut query).map_err(|e| Context::of("query the user VEI").error(e))?;
        Ok(Status {
            cpu: query.out_cpu,
            veiid: query.out_veiid,
            routes: query.out_nr_routes,
            parked: query.out_parked != 0,
            pending: query.out_pending != 0,
            calls: self.inner.calls(),
            doorbells: query.out_doorbells,
            faults: query.out_faults,
            preempted: query.out_preempted,
            expired: query.out_expired,
            interrupted: query.out_interrupted,
            signaled: query.out_signaled,
        })
    }

    /// Lets the handler signal an eventfd without a system call, and so without leaving its frame.
    ///
    /// # Arguments
    ///
    /// * `eventfd` - what is signaled; the signal does not depend on this file descriptor later.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`](crate::Error::Unsupported) when the module is too old for it,
    /// [`Error::Invalid`](crate::Error::Invalid) when `eventfd` is something else,
    /// [`Error::NoSpace`](crate::Error::NoSpace) when it has [`Signal::MAX`](crate::Signal::MAX) signals.
    ///
    /// # Examples
    ///
    /// See [`Signal`].
    pub fn add_signal(&self, eventfd: impl AsFd) -> Result<Signal> {
        Signal::add(&self.inner, eventfd)
    }

    /// Moves it to another CPU, with its routes. No event is lost, and the handler notices nothing; a frame that runs
    /// goes on on the thread.
    ///
    /// # Arguments
    ///
    /// * `cpu` - the host CPU that its events are to interrupt.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::Error::Invalid) when there is no such CPU,
    /// [`Error::CpuUnavailable`](crate::Error::CpuUnavailable) when it is offline or not served,
    /// [`Error::NoSpace`](crate::Error::NoSpace) when no VEIID is free there. It then stays as it was.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn example(backend: &haiov::user_vei::UserVei) -> haiov::Result<()> {
    /// backend.move_to(2)?;
    /// assert_eq!(backend.query()?.cpu, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn move_to(&self, cpu: u32) -> Result<()> {
        let context = Context {
            invalid: "the CPU must be one of this machine; choose another",
            space: "no interrupt identity is free there; choose another CPU",
            ..Context::of("move the user VEI")
        };
        let mut moved = raw::haiov_context_move { context_id: self.inner.id, cpu, ..Command::new() };
        sys::ioctl(self.inner.device.as_fd(), &mut moved).map_err(|e| context.error(e))
    }

    /// Takes the events of all routes that lead to an eventfd, whichever process has made them or makes them later, until
    /// the [`Listening`] is dropped.
    ///
    /// The handler is called once as that begins, and once as a route comes to it. Only what guests send starts it: what
    /// is written to the eventfd stays there, so that a thread is to read it as well.
    ///
    /// # Arguments
    ///
    /// * `eventfd` - what the routes lead to; the listening does not depend on this file descriptor later.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::Error::Invalid) when `eventfd` is something else,
    /// [`Error::Busy`](crate::Error::Busy) when a handler listens for it already,
    /// [`Error::NotPermitted`](crate::Error::NotPermitted) in another process than that of the handler.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn example(backend: &haiov::UserVei) -> Result<(), Box<dyn std::error::Error>> {
    /// let kick = nix::sys::eventfd::EventFd::new()?;
    /// let listening = backend.listen(&kick)?;
    /// // … a VMM adds routes to the same eventfd …
    /// drop(listening);
    /// # Ok(())
    /// # }
    /// ```
    pub fn listen(&self, eventfd: impl AsFd) -> Result<Listening> {
        Listening::begin(self, eventfd)
    }

    /// The kernel's id of this object.
    pub fn id(&self) -> u64 {
        self.inner.id
    }

    /// The CPU that its events interrupted first; [`query`](Self::query) tells where it is now.
    pub fn cpu(&self) -> u32 {
        self.inner.cpu
    }

    /// The interrupt identity that it occupied there.
    pub fn veiid(&self) -> u32 {
        self.inner.veiid
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }
}

/// State and counters of a [`UserVei`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Host CPU that its events interrupt.
    pub cpu: u32,
    /// Interrupt identity that it occupies there.
    pub veiid: u32,
    /// Routes that lead to it, also since it listens for their eventfd.
    pub routes: u32,
    /// Whether its thread is parked, so that an event starts the handler.
    pub parked: bool,
    /// Whether an event waits for the handler.
    pub pending: bool,
    /// Calls of the handler.
    pub calls: u64,
    /// Calls that began on the thread, since the CPU was in its kernel for long, or ran what may not be interrupted.
    pub doorbells: u64,
    /// Frames that went on on the thread: they trapped, by a page fault, a system call, floating point.
    pub faults: u64,
    /// The same, since who was interrupted had something else to do.
    pub preempted: u64,
    /// The same, since the budget was used up.
    pub expired: u64,
    /// Times that an interrupt came into a frame, which went on after it.
    pub interrupted: u64,
    /// Times that a frame signaled an eventfd by a [`Signal`].
    pub signaled: u64,
}

impl Status {
    /// Times that the thread was woken.
    pub fn wakeups(&self) -> u64 {
        self.doorbells + self.faults + self.preempted + self.expired
    }

    /// Calls that began in a frame. The figures are not read in one instant: of a handler at work this is about right.
    pub fn frames(&self) -> u64 {
        self.calls.saturating_sub(self.doorbells)
    }
}

/// The kernel's object with the thread; destroyed with the last handle to it.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) device: Device,
    pub(crate) id: u64,
    pub(crate) cpu: u32,
    pub(crate) veiid: u32,
    /// Who its thread is to those signals.
    pub(super) owner: Owner,
    /// Ids of its signals, those that were destroyed included: an id is never another object's.
    signals: Mutex<Vec<u64>>,
    #[cfg(target_arch = "riscv64")]
    runner: riscv::Runner,
}

impl Inner {
    /// Takes note of a signal that has to go before this.
    pub(super) fn keep_signal(&self, id: u64) {
        self.signals.lock().unwrap_or_else(PoisonError::into_inner).push(id);
    }
}

#[cfg(not(target_arch = "riscv64"))]
impl Inner {
    /// Says that only riscv64 has this.
    fn new(_builder: Builder, _device: &Device, _handler: impl Handler) -> Result<Self> {
        Err(Context::of("start a user VEI").error(nix::errno::Errno::EOPNOTSUPP))
    }

    fn calls(&self) -> u64 {
        0
    }
}

#[cfg(target_arch = "riscv64")]
#[allow(unsafe_code)]
mod riscv {
    use std::os::fd::AsFd;
    use std::sync::{Arc, Mutex, PoisonError};
    use std::thread::{self, JoinHandle};

    use haiov_sys as raw;
    use nix::errno::Errno;
    use nix::sys::signal::SigSet;

    use super::super::machine::Place;
    use super::{Builder, Handler, Inner, Owner};
    use crate::device::Device;
    use crate::error::{Context, Result};
    use crate::sys::{self, Command};

    /// The thread, and what its handlers use.
    #[derive(Debug)]
    pub(crate) struct Runner {
        place: Arc<Place>,
        thread: Option<JoinHandle<()>>,
    }

    impl Inner {
        pub(super) fn new(builder: Builder, device: &Device, handler: impl Handler) -> Result<Self> {
            let place = Arc::new(Place::new(handler));
            let (entry, data) = place.entry();
            let context = Context {
                invalid: "the CPU must be one of this machine, and the budget 100 ms at most; check both",
                unsupported: "this machine or its kernel has no HCS; read an eventfd instead",
                space: "no interrupt identity is free on that CPU, or no address space identifier; choose another CPU, \
                        or drop objects that are not needed",
                privilege: Some("to interrupt other users takes CAP_SYS_NICE; do without, or run as root"),
                ..Context::of("start a user VEI")
            };
            let mut create = raw::haiov_context_create {
                flags: if builder.cpu.is_some() { raw::HAIOV_CONTEXT_CPU } else { 0 }
                    | if builder.any_user { raw::HAIOV_CONTEXT_ANY } else { 0 },
                entry,
                data,
                cpu: builder.cpu.unwrap_or(0),
                budget_us: u32::try_from(builder.budget.as_micros()).unwrap_or(u32::MAX),
                ..Command::new()
            };
            sys::ioctl(device.as_fd(), &mut create).map_err(|e| context.error(e))?;
            let mut inner = Self {
                device: device.clone(),
                id: create.out_context_id,
                cpu: create.out_cpu,
                veiid: create.out_veiid,
                owner: Owner::new(),
                signals: Mutex::default(),
                runner: Runner { place, thread: None },
            };
            inner.spawn(builder).map_err(|e| context.error(e))?;
            Ok(inner)
        }

        fn spawn(&mut self, builder: Builder) -> std::result::Result<(), Errno> {
            let (place, device, id, owner) = (self.runner.place.clone(), self.device.clone(), self.id, self.owner);
            let body = move || {
                owner.adopt_thread();
                // Signals are for the program's own threads. Without the block a signal would only end and restart a wait.
                let _ = SigSet::all().thread_block();
                loop {
                    // SAFETY: the context was created with this place, and this is its only thread.
                    match unsafe { place.park(device.as_fd(), id) } {
                        Errno::EINTR => {}
                        _ => break,
                    }
                }
            };
            let spawned = thread::Builder::new().name(builder.name).stack_size(builder.stack_size).spawn(body);
            self.runner.thread = Some(spawned.map_err(|e| e.raw_os_error().map_or(Errno::EAGAIN, Errno::from_raw))?);
            Ok(())
        }

        pub(super) fn calls(&self) -> u64 {
            self.runner.place.calls()
        }
    }

    impl Drop for Inner {
        fn drop(&mut self) {
            // This sends the thread home. Nothing can be done about a failure here; closing the device takes the objects
            // along in any case.
            for id in self.signals.get_mut().unwrap_or_else(PoisonError::into_inner).drain(..) {
                let _ = self.device.destroy(id, "destroy the signal");
            }
            let _ = self.device.destroy(self.id, "end the user VEI");
            if let Some(thread) = self.runner.thread.take()
                && thread.thread().id() != thread::current().id()
            {
                // The place goes with the last of its two owners, so that no handler outlives what it uses.
                let _ = thread.join();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_wakeups() {
        let status = Status { calls: 10, doorbells: 3, faults: 4, preempted: 2, expired: 1, ..Status::default() };
        assert_eq!((status.wakeups(), status.frames()), (10, 7));
        assert_eq!(Status { doorbells: 1, ..Status::default() }.frames(), 0);
    }

    #[cfg(not(target_arch = "riscv64"))]
    #[test]
    fn other_machines_say_so() {
        let null = std::fs::File::open("/dev/null").unwrap();
        let device = Device::from(std::os::fd::OwnedFd::from(null));
        let error = UserVei::builder().start(&device, || {}).unwrap_err();
        assert!(error.is_unsupported(), "{error}");
    }

    #[test]
    fn closures_are_handlers() {
        let mut count = 0;
        let mut handler: Box<dyn FnMut() + Send> = Box::new(move || {
            count += 1;
            assert!(count < 3);
        });
        handler.event();
        handler.event();
    }
}
