// SPDX-License-Identifier: MIT OR Apache-2.0
//! A queue with its two eventfds: a handler listens for the one, and signals the other from its frame.
//!
//! All but these two is as the `vhost-user-backend` crate has it.

use std::fs::File;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use haiov::UserVei;
use haiov::user_vei::{Listening, Signal};
use vhost_user_backend::{VringMutex, VringStateGuard, VringStateMutGuard, VringT};
use virtio_queue::{Error as QueueError, Queue, QueueT};
use vm_memory::{GuestMemoryAtomic, GuestMemoryMmap};

/// The guest's memory, which the VMM may exchange.
pub type Memory = GuestMemoryAtomic<GuestMemoryMmap>;

/// Locks a mutex.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic ends the process.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// By what the guest is interrupted.
#[derive(Default)]
struct Call {
    eventfd: Option<File>,
    /// The handler's way to signal it, made when it is first needed.
    signal: Option<Signal>,
}

impl Call {
    /// Interrupts the guest, in a frame without a system call.
    fn interrupt(&mut self, user_vei: Option<&UserVei>) -> io::Result<()> {
        let Some(eventfd) = &mut self.eventfd else { return Ok(()) };
        if self.signal.is_none() {
            // Without one it takes a system call, and no more.
            self.signal = user_vei.and_then(|user_vei| user_vei.add_signal(&eventfd).ok());
        }
        match &self.signal {
            Some(signal) => signal.signal(),
            None => eventfd.write_all(&1_u64.to_ne_bytes())?,
        }
        Ok(())
    }
}

/// A queue.
#[derive(Clone)]
pub struct Vring {
    state: VringMutex<Memory>,
    kick: Arc<Mutex<Option<File>>>,
    call: Arc<Mutex<Call>>,
    /// The VMM waits for whoever serves the queue.
    stops: Arc<AtomicBool>,
    /// The VMM has asked for a size that no queue has.
    size_refused: Arc<AtomicBool>,
}

impl Vring {
    /// Whether requests may be taken from it.
    pub fn runs(&self) -> bool {
        let state = self.get_ref();
        state.is_enabled() && state.get_queue().ready()
    }

    /// Whether whoever serves the queue may go on, or has to let go of it, since the VMM stops it.
    pub fn goes_on(&self) -> bool {
        !self.stops.load(Ordering::Relaxed)
    }

    /// Whether all of the queue is where the VMM says.
    ///
    /// # Arguments
    ///
    /// * `queue` - the queue, whose lock the caller has.
    /// * `memory` - the guest's memory.
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub fn check(&self, queue: &Queue, memory: &GuestMemoryMmap) -> Result<(), QueueError> {
        if self.size_refused.load(Ordering::Relaxed) {
            return Err(QueueError::InvalidSize);
        }
        if queue.is_valid(memory) { Ok(()) } else { Err(QueueError::FindMemoryRegion) }
    }

    /// Changes the state of the queue: if it is to stop, whoever serves it does not keep the VMM waiting.
    fn change(&self, stop: bool, change: impl FnOnce()) {
        self.stops.store(stop, Ordering::Relaxed);
        change();
        self.stops.store(false, Ordering::Relaxed);
    }

    /// Lets a handler take what the VMM signals by a route to its eventfd; `None` if there is no eventfd.
    ///
    /// # Errors
    ///
    /// What the `haiov` crate says.
    pub fn listen(&self, user_vei: &UserVei) -> haiov::Result<Option<Listening>> {
        lock(&self.kick).as_ref().map(|kick| user_vei.listen(kick)).transpose()
    }

    /// Interrupts the guest.
    ///
    /// # Errors
    ///
    /// The system's error.
    pub fn interrupt(&self, user_vei: Option<&UserVei>) -> io::Result<()> {
        lock(&self.call).interrupt(user_vei)
    }
}

impl<'a> VringStateGuard<'a, Memory> for Vring {
    type G = <VringMutex<Memory> as VringStateGuard<'a, Memory>>::G;
}

impl<'a> VringStateMutGuard<'a, Memory> for Vring {
    type G = <VringMutex<Memory> as VringStateMutGuard<'a, Memory>>::G;
}

impl VringT<Memory> for Vring {
    fn new(memory: Memory, max_queue_size: u16) -> Result<Self, QueueError> {
        Ok(Self {
            state: VringMutex::new(memory, max_queue_size)?,
            kick: Arc::default(),
            call: Arc::default(),
            stops: Arc::default(),
            size_refused: Arc::default(),
        })
    }

    fn get_ref(&self) -> <Self as VringStateGuard<'_, Memory>>::G {
        self.state.get_ref()
    }

    fn get_mut(&self) -> <Self as VringStateMutGuard<'_, Memory>>::G {
        self.state.get_mut()
    }

    fn add_used(&self, desc_index: u16, len: u32) -> Result<(), QueueError> {
        self.state.add_used(desc_index, len)
    }

    fn signal_used_queue(&self) -> io::Result<()> {
        self.interrupt(None)
    }

    fn enable_notification(&self) -> Result<bool, QueueError> {
        self.state.enable_notification()
    }

    fn disable_notification(&self) -> Result<(), QueueError> {
        self.state.disable_notification()
    }

    fn needs_notification(&self) -> Result<bool, QueueError> {
        self.state.needs_notification()
    }

    fn set_enabled(&self, enabled: bool) {
        self.change(!enabled, || self.state.set_enabled(enabled));
        if let Some(mut kick) = lock(&self.kick).as_ref().filter(|_| enabled) {
            // There may be what was put into it before it was stopped. It fails where the kick is there already.
            let _ = kick.write(&1_u64.to_ne_bytes());
        }
    }

    fn set_queue_info(&self, desc_table: u64, avail_ring: u64, used_ring: u64) -> Result<(), QueueError> {
        self.state.set_queue_info(desc_table, avail_ring, used_ring)
    }

    fn queue_next_avail(&self) -> u16 {
        self.state.queue_next_avail()
    }

    fn set_queue_next_avail(&self, base: u16) {
        self.state.set_queue_next_avail(base);
    }

    fn set_queue_next_used(&self, idx: u16) {
        self.state.set_queue_next_used(idx);
    }

    fn queue_used_idx(&self) -> Result<u16, QueueError> {
        self.state.queue_used_idx()
    }

    fn set_queue_size(&self, num: u16) {
        self.state.set_queue_size(num);
        self.size_refused.store(self.get_ref().get_queue().size() != num, Ordering::Relaxed);
    }

    fn set_queue_event_idx(&self, enabled: bool) {
        self.state.set_queue_event_idx(enabled);
    }

    fn set_queue_ready(&self, ready: bool) {
        self.change(!ready, || self.state.set_queue_ready(ready));
    }

    fn set_kick(&self, file: Option<File>) {
        // Without a file descriptor left for that, nobody listens.
        *lock(&self.kick) = file.as_ref().and_then(|file| file.try_clone().ok());
        self.state.set_kick(file);
    }

    fn read_kick(&self) -> io::Result<bool> {
        self.state.read_kick()
    }

    fn set_call(&self, file: Option<File>) {
        *lock(&self.call) = Call { eventfd: file, signal: None };
    }

    fn set_err(&self, file: Option<File>) {
        self.state.set_err(file);
    }
}
