// SPDX-License-Identifier: GPL-2.0

//! Contexts: handlers in user space that user VEIs start at once.
//!
//! The mechanism (frames, the thread that parks, its address space) is the kernel's; the VEIID, its
//! descriptor and the routes are ours. A VEIID is enabled while, and only while, its thread is parked:
//! what comes at another time stays pending, and nothing is lost.
//!
//! A context that moves stands for a moment: it has left one place and not taken the next. What the kernel
//! says of its thread then, and what is sent, is kept and counts at the next place.
//!
//! C header: `include/linux/haiov.h`.

use crate::{
    eventfd::EventFd,
    hart::Hart,
    route::Place,
    signal::Signals,
    uapi,
    vei::CpusHeld,
    veic::Veic, //
};
use core::ptr::NonNull;
use kernel::{
    bindings,
    error::{
        from_err_ptr,
        to_result, //
    },
    ffi::{
        c_int,
        c_ulong,
        c_void, //
    },
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        new_spinlock_irq,
        Arc,
        SpinLockIrq, //
    },
};

/// Whether there can be contexts here.
pub(crate) fn present() -> bool {
    // SAFETY: May be called in any context.
    unsafe { bindings::haiov_hcs_present() }
}

/// Whether the calling thread may let a context interrupt everybody.
pub(crate) fn may_interrupt_all() -> bool {
    // CAST: It is a small number.
    const CAPABILITY: c_int = bindings::CAP_SYS_NICE as c_int;

    // SAFETY: May be called in process context, which an ioctl is.
    unsafe { bindings::capable(CAPABILITY) }
}

/// The calling process.
fn caller() -> i32 {
    // By a function of C: bindgen does not know where the fields of a task are aligned.
    kernel::current!().tgid_nr_ns(None)
}

/// What makes a context, but for its place.
pub(crate) struct Params {
    pub(crate) entry: u64,
    pub(crate) data: u64,
    pub(crate) budget_us: u32,
    /// Whether it may interrupt everybody.
    pub(crate) any: bool,
}

/// Where the events of a context arrive, and what its callbacks are given.
#[pin_data]
pub(crate) struct Seat {
    veic: Arc<Veic>,
    /// What its frames can signal.
    signals: Pin<KVBox<Signals>>,
    /// In the lock order before that of the hart; as that one taken in hard interrupt context.
    #[pin]
    state: SpinLockIrq<State>,
}

enum State {
    /// Here. The hart knows the rest.
    Seated(Place),
    /// Nowhere. Whether the thread is parked, and whether there was an event, is for the next place.
    Standing { parked: bool, pending: bool },
}

impl Seat {
    fn new(veic: Arc<Veic>) -> Result<Arc<Self>> {
        let signals = Signals::new()?;

        Arc::pin_init(
            pin_init!(Self {
                veic,
                signals,
                state <- new_spinlock_irq!(State::Standing {
                    parked: false,
                    pending: false,
                }),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// Where it is. Under the controller's lock it stays there.
    pub(crate) fn place(&self) -> Option<Place> {
        match *self.state.lock() {
            State::Seated(place) => Some(place),
            State::Standing { .. } => None,
        }
    }

    /// Leaves its place, and returns that. When this returns, no frame starts there.
    pub(crate) fn leave(&self) -> Option<Place> {
        let mut state = self.state.lock();
        let State::Seated(place) = *state else {
            return None;
        };

        let parked = self.hart(place).unpark(place.veiid.index());
        *state = State::Standing {
            parked,
            pending: false,
        };
        Some(place)
    }

    /// Takes a place. `pending` is whether an event still waits at the one before.
    pub(crate) fn take(&self, place: Place, pending: bool) {
        let mut state = self.state.lock();
        let State::Standing {
            parked,
            pending: raised,
        } = *state
        else {
            return;
        };
        let (hart, veiid) = (self.hart(place), place.veiid.index());

        *state = State::Seated(place);
        if pending || raised {
            hart.raise(veiid);
        }
        if parked {
            hart.park(veiid);
        }
    }

    /// The thread is parked.
    fn park(&self) {
        match &mut *self.state.lock() {
            State::Seated(place) => self.hart(*place).park(place.veiid.index()),
            State::Standing { parked, .. } => *parked = true,
        }
    }

    /// It is not any more.
    fn unpark(&self) {
        match &mut *self.state.lock() {
            State::Seated(place) => {
                self.hart(*place).unpark(place.veiid.index());
            }
            State::Standing { parked, .. } => *parked = false,
        }
    }

    fn raise(&self) {
        match &mut *self.state.lock() {
            State::Seated(place) => self.hart(*place).raise(place.veiid.index()),
            State::Standing { pending, .. } => *pending = true,
        }
    }

    /// What its frames can signal.
    pub(crate) fn signals(&self) -> &Signals {
        &self.signals
    }

    /// A frame executed ecall with `nr` in a7 and `arg` in a0. What this returns is for a0, or `None` if it is
    /// a system call. Takes no lock but that of the signal; interrupts are disabled.
    fn ecall(&self, nr: usize, arg: usize) -> Option<Result> {
        const SIGNAL: usize = uapi::HAIOV_CONTEXT_SIGNAL as usize;

        match nr {
            SIGNAL => Some(self.signals.signal(arg, EventFd::signal)),
            _ => None,
        }
    }

    fn hart(&self, place: Place) -> &Hart {
        self.veic.hart(place)
    }
}

/// A context.
///
/// # Invariants
///
/// `raw` is valid, and this owns the reference to it that its creator got. `seat` is what its callbacks
/// are given.
pub(crate) struct Context {
    raw: NonNull<bindings::haiov_context>,
    seat: Arc<Seat>,
    pid: i32,
    nr_routes: Atomic<u32>,
    nr_listenings: Atomic<u32>,
    killed: Atomic<bool>,
}

// SAFETY: A reference can be put by any thread.
unsafe impl Send for Context {}

// SAFETY: By shared reference there are only functions that lock.
unsafe impl Sync for Context {}

impl Context {
    /// Creates a context of the calling process for a place on `cpu`, which it has yet to take. Takes the
    /// lock of CPU hotplug.
    ///
    /// Fails with `EINVAL` if `params` are not as they should be, with `ENODEV` if the CPU is offline, and
    /// with `ENOSPC` if the address space cannot keep an identifier of its own.
    pub(crate) fn new(veic: Arc<Veic>, cpu: u32, params: &Params) -> Result<Arc<Self>> {
        let seat = Seat::new(veic)?;
        let raw_params = bindings::haiov_context_params {
            entry: params.entry.try_into().map_err(|_| EINVAL)?,
            arg: params.data.try_into().map_err(|_| EINVAL)?,
            cpu,
            budget_ns: u64::from(params.budget_us) * 1000,
            any: params.any,
            ops: &OPS,
            data: Arc::as_ptr(&seat).cast_mut().cast(),
        };

        // SAFETY: The parameters are valid for the duration of the call. The callbacks are static,
        // and the module that they are in stays, since the file descriptor that will own this holds a
        // reference to it; `seat` goes to `Self`, whose drop is the end of the context.
        let raw = from_err_ptr(unsafe { bindings::haiov_context_create(&raw_params) })?;
        let raw = NonNull::new(raw).ok_or(EINVAL)?;

        // INVARIANT: We just created it, with this seat.
        let context = Self {
            raw,
            seat,
            pid: caller(),
            nr_routes: Atomic::new(0),
            nr_listenings: Atomic::new(0),
            killed: Atomic::new(false),
        };
        Ok(Arc::new(context, GFP_KERNEL_ACCOUNT)?)
    }

    /// Where its events arrive.
    pub(crate) fn seat(&self) -> &Seat {
        &self.seat
    }

    /// The controller that its seat belongs to.
    pub(crate) fn veic(&self) -> &Arc<Veic> {
        &self.seat.veic
    }

    /// The process that it is a handler of.
    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether the calling process is the one that it is a handler of.
    pub(crate) fn is_callers(&self) -> bool {
        self.pid == caller()
    }

    /// Routes that lead to it, those included whose eventfd it listens for.
    pub(crate) fn nr_routes(&self) -> &Atomic<u32> {
        &self.nr_routes
    }

    /// Eventfds that it listens for.
    pub(crate) fn nr_listenings(&self) -> &Atomic<u32> {
        &self.nr_listenings
    }

    /// Whether there is any object that depends on it.
    pub(crate) fn has_leaves(&self) -> bool {
        self.nr_routes.load(Relaxed) != 0
            || self.nr_listenings.load(Relaxed) != 0
            || self.seat.signals.iter().next().is_some()
    }

    /// Gets ready for a place on another CPU. It has left its own, whose hart has settled. Sleeps.
    ///
    /// Fails with `ENODEV`, and changes nothing, if that is offline.
    pub(crate) fn move_to(&self, cpu: u32, _: CpusHeld<'_>) -> Result {
        // SAFETY: By the type invariant the context is valid; the CPU hotplug lock is held.
        to_result(unsafe { bindings::haiov_context_move(self.raw.as_ptr(), cpu) })
    }

    /// What the hardware loads when it starts a frame: words 1 to 5 of a descriptor.
    pub(crate) fn descriptor(&self) -> [u64; 5] {
        let mut d = bindings::haiov_descriptor::default();

        // SAFETY: By the type invariant the context is valid, and the room for the answer is ours.
        unsafe { bindings::haiov_context_descriptor(self.raw.as_ptr(), &mut d) };
        [d.uscratch, d.utvec, d.suscratch, d.suatp, d.suframe]
    }

    /// An event has been claimed, and the VEIID disabled: starts the thread. Returns whether that was
    /// parked. Interrupts are disabled.
    pub(crate) fn kick(&self) -> bool {
        // SAFETY: By the type invariant the context is valid.
        unsafe { bindings::haiov_context_kick(self.raw.as_ptr()) }
    }

    /// Parks the calling thread. When this succeeds, the thread is to return to user mode at once, where
    /// it finds itself in the handler.
    ///
    /// Fails with `ENOENT` if the context has been killed.
    pub(crate) fn wait(&self) -> Result {
        // SAFETY: By the type invariant the context is valid.
        to_result(unsafe { bindings::haiov_context_wait(self.raw.as_ptr()) }).map_err(|err| {
            if err == ENODEV {
                ENOENT
            } else {
                err
            }
        })
    }

    /// Ends its use: no frame runs any more, and a thread that is parked goes home. It has left its place for
    /// good, whose hart has settled. Sleeps.
    pub(crate) fn kill(&self) {
        if !self.killed.xchg(true, Relaxed) {
            // SAFETY: By the type invariant the context is valid, and this is done once.
            unsafe { bindings::haiov_context_kill(self.raw.as_ptr()) };
        }
    }

    /// Tells what it has been through.
    pub(crate) fn stats(&self) -> bindings::haiov_context_stats {
        let mut stats = bindings::haiov_context_stats::default();

        // SAFETY: By the type invariant the context is valid, and the room for the answer is ours.
        unsafe { bindings::haiov_context_stats(self.raw.as_ptr(), &mut stats) };
        stats
    }

    /// Makes an event pending that does not come by the hardware.
    pub(crate) fn raise(&self) {
        self.seat.raise();
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // One that never got its seat.
        self.kill();
        // SAFETY: By the type invariant the reference is ours, and it is not used after this.
        unsafe { bindings::haiov_context_put(self.raw.as_ptr()) };
    }
}

static OPS: bindings::haiov_context_ops = bindings::haiov_context_ops {
    arm: Some(arm),
    disarm: Some(disarm),
    ecall: Some(ecall),
};

/// # Safety
///
/// `data` must be what [`Context::new`] passed, and the context must not have been put.
unsafe extern "C" fn arm(data: *mut c_void) {
    // SAFETY: By the safety requirement `data` points at a `Seat` that is alive.
    let seat = unsafe { &*data.cast::<Seat>() };

    seat.park();
}

/// # Safety
///
/// As for [`arm`].
unsafe extern "C" fn disarm(data: *mut c_void) {
    // SAFETY: By the safety requirement `data` points at a `Seat` that is alive.
    let seat = unsafe { &*data.cast::<Seat>() };

    seat.unpark();
}

/// # Safety
///
/// As for [`arm`], and `a0` must be valid for reading and writing.
unsafe extern "C" fn ecall(data: *mut c_void, nr: c_ulong, a0: *mut c_ulong) -> bool {
    // SAFETY: By the safety requirement `data` points at a `Seat` that is alive, and `a0` at a register,
    // which nobody else uses during the call.
    let (seat, a0) = unsafe { (&*data.cast::<Seat>(), &mut *a0) };

    match seat.ecall(nr, *a0) {
        Some(result) => {
            let errno = result.err().map_or(0, Error::to_errno);
            // CAST: A register holds a negative number as its two's complement.
            *a0 = errno as isize as c_ulong;
            true
        }
        None => false,
    }
}
