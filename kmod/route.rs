// SPDX-License-Identifier: GPL-2.0

//! Routes: a VEIRQ of a VM, the eventfd or the context that it reaches, and the counters.

use crate::{
    context::Context,
    eventfd::EventFd,
    veic::Control,
    veiid::Veiid,
    vm::Vm, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        new_spinlock,
        Arc,
        LockedBy,
        Mutex,
        SpinLock, //
    },
};

/// What a route reaches.
pub(crate) enum Target {
    /// The route has a VEIID of its own.
    EventFd(EventFd),
    /// The VEIID is the context's.
    Context(Arc<Context>),
}

/// Where a route arrives.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    /// Which of the controller's harts, as an index of [`Control`] and the like.
    pub(crate) hart: usize,
    pub(crate) veiid: Veiid,
}

/// A route.
#[pin_data]
pub(crate) struct Route {
    vm: Arc<Vm>,
    veirq: u16,
    target: Target,
    delivered: Atomic<u64>,
    fallbacks: Atomic<u64>,
    throttled: Atomic<u64>,
    /// `None` before it is in place, and again when the controller is gone.
    place: LockedBy<Option<Place>, Control>,
    /// The context that takes the events of the eventfd. Changed only by who holds the controller's lock.
    #[pin]
    listener: SpinLock<Option<Arc<Context>>>,
}

impl Route {
    /// Creates a route that is not in place yet.
    pub(crate) fn new(
        vm: Arc<Vm>,
        veirq: u16,
        target: Target,
        control: &Mutex<Control>,
    ) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                vm,
                veirq,
                target,
                delivered: Atomic::new(0),
                fallbacks: Atomic::new(0),
                throttled: Atomic::new(0),
                place: LockedBy::new(control, None),
                listener <- new_spinlock!(None),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// The VM that sends.
    pub(crate) fn vm(&self) -> &Arc<Vm> {
        &self.vm
    }

    /// The VEIRQ that it sends.
    pub(crate) fn veirq(&self) -> u16 {
        self.veirq
    }

    /// The context that it leads to, if it does.
    pub(crate) fn context(&self) -> Option<&Arc<Context>> {
        match &self.target {
            Target::EventFd(_) => None,
            Target::Context(context) => Some(context),
        }
    }

    /// The eventfd that it leads to, if it does.
    pub(crate) fn eventfd(&self) -> Option<&EventFd> {
        match &self.target {
            Target::EventFd(eventfd) => Some(eventfd),
            Target::Context(_) => None,
        }
    }

    /// Whether it leads to that eventfd.
    pub(crate) fn leads_to(&self, eventfd: &EventFd) -> bool {
        self.eventfd()
            .is_some_and(|own| own.identity() == eventfd.identity())
    }

    /// The context that listens for its eventfd, if one does.
    pub(crate) fn listener(&self) -> Option<Arc<Context>> {
        self.listener.lock().clone()
    }

    /// Changes that, and returns what it was.
    pub(crate) fn set_listener(&self, listener: Option<Arc<Context>>) -> Option<Arc<Context>> {
        // Dropped by the caller, who has no spinlock.
        core::mem::replace(&mut *self.listener.lock(), listener)
    }

    /// Where the route arrives, or would if no context listened for its eventfd.
    pub(crate) fn place(&self, control: &Control) -> Option<Place> {
        *self.place.access(control)
    }

    /// Changes that place, and returns what it was.
    pub(crate) fn set_place(&self, control: &mut Control, place: Option<Place>) -> Option<Place> {
        core::mem::replace(self.place.access_mut(control), place)
    }

    /// An event came by interrupt. Any context but that of an NMI.
    #[inline]
    pub(crate) fn signal_interrupt(&self) {
        // Counted first: who has seen the event finds it counted.
        self.delivered.add(1, Relaxed);
        // Only an eventfd has a VEIID that the kernel claims.
        if let Target::EventFd(eventfd) = &self.target {
            eventfd.signal();
        }
    }

    /// An event came by a send that the hardware refused.
    pub(crate) fn signal_fallback(&self) {
        self.fallbacks.add(1, Relaxed);
        match &self.target {
            // With the lock held, so that the reference is not the last one.
            Target::EventFd(eventfd) => match &*self.listener.lock() {
                Some(context) => context.raise(),
                None => eventfd.signal(),
            },
            Target::Context(context) => context.raise(),
        }
    }

    /// The route went over its rate.
    pub(crate) fn count_throttled(&self) {
        self.throttled.add(1, Relaxed);
    }

    /// Events that came by interrupt.
    pub(crate) fn delivered(&self) -> u64 {
        self.delivered.load(Relaxed)
    }

    /// Events that came by a refused send.
    pub(crate) fn fallbacks(&self) -> u64 {
        self.fallbacks.load(Relaxed)
    }

    /// Times that the route went over its rate.
    pub(crate) fn throttled(&self) -> u64 {
        self.throttled.load(Relaxed)
    }
}
