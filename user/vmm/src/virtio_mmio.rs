// SPDX-License-Identifier: MIT OR Apache-2.0
//! A virtio device with one queue, behind the registers of virtio-mmio, version 2 (Virtual I/O Device 1.2, 4.2.2): a
//! handler of UER can serve them as well as an exit.
//!
//! | register | in a handler |
//! |---|---|
//! | Status, written | punted: the queue begins or ends |
//! | QueueNotify | signals the thread that serves the queue, unless it is told already |
//! | InterruptStatus, InterruptACK | one atomic instruction, no lock |
//! | all others, the configuration | memory |
//!
//! The interrupt line is wired to an input that looks for edges; the thread that serves the queue makes them.
//!
//! That thread waits for its eventfd, whoever signals it: this device, an ioeventfd of KVM, or a route of
//! `/dev/haiov`. Or it looks at the queue all the time ([`VirtioMmio::polled`]), and the driver is told to be silent.

use std::hint;
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering, fence};
use std::sync::{Mutex, MutexGuard, PoisonError};

use haiov::uer::{Caller, Device, Event, Punt, TryLock};
use nix::sys::eventfd::{EfdFlags, EventFd};
use serde::{Deserialize, Serialize};
use virtio_bindings::bindings::virtio_config::{
    VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_CONFIG_S_FEATURES_OK, VIRTIO_CONFIG_S_NEEDS_RESET, VIRTIO_F_VERSION_1,
};
use virtio_bindings::bindings::virtio_mmio::{
    VIRTIO_MMIO_CONFIG, VIRTIO_MMIO_CONFIG_GENERATION, VIRTIO_MMIO_DEVICE_FEATURES, VIRTIO_MMIO_DEVICE_FEATURES_SEL,
    VIRTIO_MMIO_DEVICE_ID, VIRTIO_MMIO_DRIVER_FEATURES, VIRTIO_MMIO_DRIVER_FEATURES_SEL, VIRTIO_MMIO_INT_CONFIG,
    VIRTIO_MMIO_INT_VRING, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INTERRUPT_STATUS, VIRTIO_MMIO_MAGIC_VALUE,
    VIRTIO_MMIO_QUEUE_AVAIL_HIGH, VIRTIO_MMIO_QUEUE_AVAIL_LOW, VIRTIO_MMIO_QUEUE_DESC_HIGH, VIRTIO_MMIO_QUEUE_DESC_LOW,
    VIRTIO_MMIO_QUEUE_NOTIFY, VIRTIO_MMIO_QUEUE_NUM, VIRTIO_MMIO_QUEUE_NUM_MAX, VIRTIO_MMIO_QUEUE_READY,
    VIRTIO_MMIO_QUEUE_SEL, VIRTIO_MMIO_QUEUE_USED_HIGH, VIRTIO_MMIO_QUEUE_USED_LOW, VIRTIO_MMIO_STATUS,
    VIRTIO_MMIO_VENDOR_ID, VIRTIO_MMIO_VERSION,
};
use virtio_bindings::bindings::virtio_ring::VIRTIO_RING_F_EVENT_IDX;
use virtio_queue::{DescriptorChain, Error as QueueError, Queue, QueueOwnedT, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};
use vm_superio::Trigger;

use crate::wait;

/// How often a thread that polls looks at the queue before it looks whether it is to end, which is a system call.
const LOOKS: u32 = 1 << 12;
/// "virt".
const MAGIC: u32 = 0x7472_6976;
const VERSION: u32 = 2;
/// "HAIO"; no driver looks at it.
const VENDOR: u32 = 0x4f49_4148;
/// Entries of the queue at most.
const QUEUE_SIZE: u16 = 256;
/// Offset of QueueNotify.
pub const NOTIFY: u64 = VIRTIO_MMIO_QUEUE_NOTIFY as u64;
/// Offset of the configuration.
const CONFIG: u64 = VIRTIO_MMIO_CONFIG as u64;

const FEATURES: u64 = 1 << VIRTIO_F_VERSION_1 | 1 << VIRTIO_RING_F_EVENT_IDX;

/// What the registers and the queue belong to.
pub trait Backend: Send {
    /// The kind of device, by its number in the standard.
    const ID: u32;

    /// The features that it offers, beside those of the transport.
    fn features(&self) -> u64;

    /// Its configuration, which does not change.
    fn config(&self) -> Vec<u8>;

    /// Serves a request.
    ///
    /// # Arguments
    ///
    /// * `memory` - the guest's memory.
    /// * `request` - the buffers of the request.
    ///
    /// The result is how many bytes were written to them.
    fn serve(&mut self, memory: &GuestMemoryMmap, request: DescriptorChain<&GuestMemoryMmap>) -> u32;

    /// Makes what the guest has written last, as a snapshot of the guest does.
    ///
    /// # Errors
    ///
    /// The system's error.
    fn sync(&mut self) -> io::Result<()>;
}

/// The registers that hold what was written to them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Registers {
    status: u32,
    device_features_sel: u32,
    driver_features_sel: u32,
    driver_features: u64,
    queue_sel: u32,
    queue_num: u32,
    queue_ready: bool,
    desc: u64,
    avail: u64,
    used: u64,
}

impl Registers {
    fn has(&self, bit: u32) -> bool {
        self.status & bit != 0
    }

    /// The half of a 64-bit value that a selector names.
    fn half(value: u64, sel: u32) -> u32 {
        match sel {
            0 => value as u32,
            1 => (value >> 32) as u32,
            _ => 0,
        }
    }

    fn set_half(value: &mut u64, sel: u32, half: u32) {
        match sel {
            0 => *value = *value & !0xffff_ffff | u64::from(half),
            1 => *value = *value & 0xffff_ffff | u64::from(half) << 32,
            _ => {}
        }
    }

    /// Takes a store to a register of the queue.
    fn write_queue(&mut self, offset: u32, value: u32) {
        // There is one queue, and it stays as it is once the device runs.
        if self.queue_sel != 0 || self.has(VIRTIO_CONFIG_S_DRIVER_OK) {
            return;
        }
        match offset {
            VIRTIO_MMIO_QUEUE_NUM => self.queue_num = value,
            VIRTIO_MMIO_QUEUE_READY => self.queue_ready = value & 1 != 0,
            VIRTIO_MMIO_QUEUE_DESC_LOW => Self::set_half(&mut self.desc, 0, value),
            VIRTIO_MMIO_QUEUE_DESC_HIGH => Self::set_half(&mut self.desc, 1, value),
            VIRTIO_MMIO_QUEUE_AVAIL_LOW => Self::set_half(&mut self.avail, 0, value),
            VIRTIO_MMIO_QUEUE_AVAIL_HIGH => Self::set_half(&mut self.avail, 1, value),
            VIRTIO_MMIO_QUEUE_USED_LOW => Self::set_half(&mut self.used, 0, value),
            VIRTIO_MMIO_QUEUE_USED_HIGH => Self::set_half(&mut self.used, 1, value),
            _ => {}
        }
    }

    /// The queue that they describe.
    fn queue(&self, memory: &GuestMemoryMmap) -> Option<Queue> {
        let mut queue = Queue::new(QUEUE_SIZE).ok()?;
        queue.try_set_size(u16::try_from(self.queue_num).ok()?).ok()?;
        queue.try_set_desc_table_address(GuestAddress(self.desc)).ok()?;
        queue.try_set_avail_ring_address(GuestAddress(self.avail)).ok()?;
        queue.try_set_used_ring_address(GuestAddress(self.used)).ok()?;
        queue.set_event_idx(self.driver_features & 1 << VIRTIO_RING_F_EVENT_IDX != 0);
        queue.set_ready(true);
        queue.is_valid(memory).then_some(queue)
    }
}

/// What the thread that serves the queue holds meanwhile.
struct Active<B> {
    backend: B,
    /// There while the device runs.
    queue: Option<Queue>,
}

/// How far a queue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Position {
    next_avail: u16,
    next_used: u16,
}

/// State of a device, as a snapshot holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    id: u32,
    config: Vec<u8>,
    registers: Registers,
    interrupt: u32,
    needs_reset: bool,
    queue: Option<Position>,
}

/// A virtio device.
pub struct VirtioMmio<B, I> {
    /// Taken after `active`, where both are.
    registers: TryLock<Registers>,
    active: Mutex<Active<B>>,
    memory: GuestMemoryMmap,
    features: u64,
    config: Box<[u8]>,
    /// InterruptStatus.
    interrupt: AtomicU32,
    /// That the driver broke its queue; a bit of Status.
    needs_reset: AtomicBool,
    line: I,
    kick: Event,
    /// Whether the thread has been told and has not looked yet: it will see whatever is put into the queue until then.
    told: AtomicBool,
    /// There when the thread does not wait to be told.
    polled: Option<Polled>,
}

/// What a thread that polls looks at without a lock, so that it keeps nobody from taking one.
#[derive(Default)]
struct Polled {
    /// Where the driver says how far it is; 0 while the device does not run.
    avail_idx: AtomicU64,
    /// How far the device is.
    next_avail: AtomicU16,
}

impl<B: Backend, I: Trigger + Send + Sync> VirtioMmio<B, I> {
    /// Makes the device; [`VirtioMmio::run`] serves its queue.
    ///
    /// # Arguments
    ///
    /// * `backend` - what it is.
    /// * `memory` - the guest's memory.
    /// * `line` - makes an edge on the interrupt line.
    ///
    /// # Errors
    ///
    /// The system's error when there can be no further eventfd.
    pub fn new(backend: B, memory: GuestMemoryMmap, line: I) -> io::Result<Self> {
        let kick = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Self {
            registers: TryLock::default(),
            features: FEATURES | backend.features(),
            config: backend.config().into(),
            active: Mutex::new(Active { backend, queue: None }),
            memory,
            interrupt: AtomicU32::new(0),
            needs_reset: AtomicBool::new(false),
            line,
            kick: Event::new(kick.as_fd().try_clone_to_owned()?),
            told: AtomicBool::new(false),
            polled: None,
        })
    }

    /// Makes it a device that looks at its queue all the time, and never asks the driver to say that there is something.
    pub fn polled(self) -> Self {
        Self { polled: Some(Polled::default()), ..self }
    }

    /// What is signaled when there is something in the queue.
    pub fn kick(&self) -> &Event {
        &self.kick
    }

    /// What makes an edge on the interrupt line.
    pub fn line(&self) -> &I {
        &self.line
    }

    /// Serves the queue until `stop` is signaled.
    ///
    /// # Arguments
    ///
    /// * `stop` - what ends this.
    ///
    /// # Errors
    ///
    /// The system's error when it cannot wait.
    pub fn run(&self, stop: &EventFd) -> io::Result<()> {
        if let Some(polled) = &self.polled {
            return self.poll(polled, stop);
        }
        while wait::readable(self.kick.as_fd(), stop)? {
            // Non-blocking: whatever it holds, the queue is looked at next.
            let _ = nix::unistd::read(&self.kick, &mut [0; 8]);
            self.told.store(false, Ordering::SeqCst);
            // Whoever still saw that the thread is told has put its request where this looks next.
            fence(Ordering::SeqCst);
            self.serve();
        }
        Ok(())
    }

    /// Looks at the queue, and serves it, until `stop` is signaled.
    fn poll(&self, polled: &Polled, stop: &EventFd) -> io::Result<()> {
        while !wait::is_readable(stop)? {
            for _ in 0..LOOKS {
                if polled.sees_more(&self.memory) {
                    self.serve();
                }
                hint::spin_loop();
            }
        }
        Ok(())
    }

    /// Serves all that is in the queue.
    pub fn serve(&self) {
        let mut active = self.active();
        let Active { backend, queue: Some(queue) } = &mut *active else { return };
        let served = drain(queue, &self.memory, backend, self.polled.is_some(), || true);
        if let Some(polled) = &self.polled {
            // One that is broken is not looked at again.
            polled.watch(served.is_ok().then_some(&*queue));
        }
        match served {
            Ok(false) => {}
            Ok(true) => self.raise(VIRTIO_MMIO_INT_VRING),
            Err(_) => self.fail(),
        }
    }

    fn active(&self) -> MutexGuard<'_, Active<B>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the driver something by an interrupt.
    fn raise(&self, why: u32) {
        self.interrupt.fetch_or(why, Ordering::SeqCst);
        // KVM refuses only numbers that the machine does not have.
        let _ = self.line.trigger();
    }

    /// Tells the driver that it has to begin anew.
    fn fail(&self) {
        self.needs_reset.store(true, Ordering::SeqCst);
        self.raise(VIRTIO_MMIO_INT_CONFIG);
    }

    /// Tells the thread that there is something in the queue.
    fn notify(&self, caller: Caller<'_>) -> Result<(), Punt> {
        if self.told.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        self.kick.signal(caller).inspect_err(|_| self.told.store(false, Ordering::SeqCst))
    }

    /// Takes a store to Status.
    fn set_status(&self, value: u32) {
        // First, and without the registers: requests that are under way end before the queue goes.
        let mut active = self.active();
        // A handler that was ended holds it for ever; the device is dead then, and so is its vCPU.
        let Ok(mut registers) = self.registers.lock() else { return };
        if value == 0 {
            active.queue = None;
            if let Some(polled) = &self.polled {
                polled.watch(None);
            }
            *registers = Registers::default();
            self.interrupt.store(0, Ordering::SeqCst);
            self.needs_reset.store(false, Ordering::SeqCst);
            return;
        }
        let before = registers.status;
        let mut status = before | value & !VIRTIO_CONFIG_S_NEEDS_RESET;
        let wanted = registers.driver_features;
        if wanted & !self.features != 0 || wanted & 1 << VIRTIO_F_VERSION_1 == 0 {
            status &= !VIRTIO_CONFIG_S_FEATURES_OK;
        }
        if status & VIRTIO_CONFIG_S_FEATURES_OK == 0 {
            status &= !VIRTIO_CONFIG_S_DRIVER_OK;
        }
        registers.status = status;
        if status & !before & VIRTIO_CONFIG_S_DRIVER_OK != 0 && registers.queue_ready {
            active.queue = registers.queue(&self.memory);
            drop(registers);
            if active.queue.is_none() {
                self.fail();
            }
            drop(active);
            if self.polled.is_some() {
                // Before the driver puts anything into the queue: it is not to say so even once.
                self.serve();
            }
        }
    }

    fn read_register(&self, caller: Caller<'_>, offset: u32) -> Result<u32, Punt> {
        // These two are all that an interrupt needs.
        match offset {
            VIRTIO_MMIO_INTERRUPT_STATUS => return Ok(self.interrupt.load(Ordering::SeqCst)),
            VIRTIO_MMIO_MAGIC_VALUE => return Ok(MAGIC),
            VIRTIO_MMIO_VERSION => return Ok(VERSION),
            VIRTIO_MMIO_DEVICE_ID => return Ok(B::ID),
            VIRTIO_MMIO_VENDOR_ID => return Ok(VENDOR),
            VIRTIO_MMIO_CONFIG_GENERATION => return Ok(0),
            _ => {}
        }
        let registers = self.registers.enter(caller)?;
        Ok(match offset {
            VIRTIO_MMIO_DEVICE_FEATURES => Registers::half(self.features, registers.device_features_sel),
            VIRTIO_MMIO_QUEUE_NUM_MAX if registers.queue_sel == 0 => QUEUE_SIZE.into(),
            VIRTIO_MMIO_QUEUE_READY if registers.queue_sel == 0 => registers.queue_ready.into(),
            VIRTIO_MMIO_STATUS if self.needs_reset.load(Ordering::SeqCst) => {
                registers.status | VIRTIO_CONFIG_S_NEEDS_RESET
            }
            VIRTIO_MMIO_STATUS => registers.status,
            _ => 0,
        })
    }

    fn write_register(&self, caller: Caller<'_>, offset: u32, value: u32) -> Result<(), Punt> {
        match offset {
            VIRTIO_MMIO_QUEUE_NOTIFY => return if value == 0 { self.notify(caller) } else { Ok(()) },
            VIRTIO_MMIO_INTERRUPT_ACK => {
                self.interrupt.fetch_and(!value, Ordering::SeqCst);
                return Ok(());
            }
            VIRTIO_MMIO_STATUS => return caller.after_exit(|| self.set_status(value)),
            _ => {}
        }
        let mut registers = self.registers.enter(caller)?;
        match offset {
            VIRTIO_MMIO_DEVICE_FEATURES_SEL => registers.device_features_sel = value,
            VIRTIO_MMIO_DRIVER_FEATURES_SEL => registers.driver_features_sel = value,
            VIRTIO_MMIO_DRIVER_FEATURES if !registers.has(VIRTIO_CONFIG_S_FEATURES_OK) => {
                let sel = registers.driver_features_sel;
                Registers::set_half(&mut registers.driver_features, sel, value);
            }
            VIRTIO_MMIO_QUEUE_SEL => registers.queue_sel = value,
            _ => registers.write_queue(offset, value),
        }
        Ok(())
    }

    /// State of the device, once nothing is under way: its vCPUs stand still. What is in the queue is served first.
    ///
    /// # Errors
    ///
    /// What is wrong, as the end of a sentence: a handler was ended in the device, or the backend cannot keep its data.
    pub fn save(&self) -> Result<State, String> {
        self.serve();
        let mut active = self.active();
        active.backend.sync().map_err(|e| format!("its disk cannot be written: {e}"))?;
        Ok(State {
            id: B::ID,
            config: self.config.to_vec(),
            registers: self.registers.lock().map_err(|e| e.to_string())?.clone(),
            interrupt: self.interrupt.load(Ordering::SeqCst),
            needs_reset: self.needs_reset.load(Ordering::SeqCst),
            queue: active
                .queue
                .as_ref()
                .map(|queue| Position { next_avail: queue.next_avail(), next_used: queue.next_used() }),
        })
    }

    /// Puts a new device into a state that was saved; the guest's memory and its interrupt controllers are there already.
    ///
    /// # Arguments
    ///
    /// * `state` - what [`VirtioMmio::save`] gave.
    ///
    /// # Errors
    ///
    /// What is wrong with the state, as the end of a sentence.
    pub fn restore(&self, state: State) -> Result<(), &'static str> {
        if state.id != B::ID {
            return Err("its virtio device is of another kind");
        }
        if *state.config != *self.config {
            return Err("its disk has another size");
        }
        let queue = match state.queue {
            None => None,
            Some(Position { next_avail, next_used }) => {
                let mut queue = state.registers.queue(&self.memory).ok_or("its virtio queue is not one")?;
                queue.set_next_avail(next_avail);
                queue.set_next_used(next_used);
                Some(queue)
            }
        };
        self.active().queue = queue;
        *self.registers.lock().map_err(|Punt| "the device is not new")? = state.registers;
        self.needs_reset.store(state.needs_reset, Ordering::SeqCst);
        // Whether the driver is to say that there is something may differ from what it was told.
        self.serve();
        if state.interrupt != 0 {
            // The edge may have been on its way. One too many does no harm.
            self.raise(state.interrupt);
        }
        Ok(())
    }
}

impl Polled {
    /// Looks at a queue from now on, which the caller has locked, or at none.
    fn watch(&self, queue: Option<&Queue>) {
        self.next_avail.store(queue.map_or(0, Queue::next_avail), Ordering::Relaxed);
        self.avail_idx.store(queue.map_or(0, |queue| queue.avail_ring() + 2), Ordering::Release);
    }

    /// Whether there seems to be something in the queue. What changes meanwhile shows the next time.
    fn sees_more(&self, memory: &GuestMemoryMmap) -> bool {
        let at = self.avail_idx.load(Ordering::Acquire);
        at != 0
            && memory
                .load(GuestAddress(at), Ordering::Acquire)
                .is_ok_and(|idx| u16::from_le(idx) != self.next_avail.load(Ordering::Relaxed))
    }
}

/// Tells the driver not to say that there is something in the queue.
fn silence(queue: &mut Queue, memory: &GuestMemoryMmap) -> Result<(), QueueError> {
    queue.disable_notification(memory)?;
    if queue.event_idx_enabled() {
        // It speaks when it comes past this index (2.7.10), and it is ahead of us by no more than the queue holds.
        let never = queue.next_avail().wrapping_add(1 << 15);
        let avail_event = GuestAddress(queue.used_ring() + 4 + 8 * u64::from(queue.size()));
        memory.store(never.to_le(), avail_event, Ordering::Relaxed).map_err(QueueError::GuestMemory)?;
    }
    Ok(())
}

/// Serves all that is in a queue.
///
/// # Arguments
///
/// * `queue` - the queue.
/// * `memory` - the guest's memory.
/// * `backend` - what the requests are for.
/// * `silent` - the driver is not to say when there is more.
/// * `go_on` - whether to serve another one: a driver that puts requests into its queue all the while has no end.
///
/// The result is whether the driver wants to be told that requests have been served.
///
/// # Errors
///
/// What the driver did to its queue.
pub fn drain<B: Backend>(
    queue: &mut Queue,
    memory: &GuestMemoryMmap,
    backend: &mut B,
    silent: bool,
    go_on: impl Fn() -> bool,
) -> Result<bool, QueueError> {
    let (mut some, mut more) = (false, false);
    'queue: loop {
        if silent {
            silence(queue, memory)?;
        } else {
            queue.disable_notification(memory)?;
        }
        while let Some(request) = queue.iter(memory)?.next() {
            let head = request.head_index();
            let written = backend.serve(memory, request);
            queue.add_used(memory, head, written)?;
            (some, more) = (true, false);
            if !go_on() {
                break 'queue;
            }
        }
        // Its index says that there is one, which cannot be read.
        if more {
            return Err(QueueError::InvalidAvailRingIndex);
        }
        if silent || !queue.enable_notification(memory)? {
            break;
        }
        more = true;
    }
    Ok(some && queue.needs_notification(memory)?)
}

impl<B: Backend, I: Trigger + Send + Sync> Device for VirtioMmio<B, I> {
    fn read(&self, caller: Caller<'_>, offset: u64, size: u8) -> Result<u64, Punt> {
        if offset < CONFIG {
            return if size == 4 && offset % 4 == 0 {
                Ok(self.read_register(caller, offset as u32)?.into())
            } else {
                Ok(0)
            };
        }
        let mut value = 0;
        for i in 0..u64::from(size) {
            let byte = self.config.get((offset - CONFIG + i) as usize).copied().unwrap_or(0);
            value |= u64::from(byte) << (8 * i);
        }
        Ok(value)
    }

    fn write(&self, caller: Caller<'_>, offset: u64, value: u64, size: u8) -> Result<(), Punt> {
        // The configuration cannot be written.
        if offset < CONFIG && size == 4 && offset % 4 == 0 {
            self.write_register(caller, offset as u32, value as u32)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
