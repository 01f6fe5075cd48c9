// SPDX-License-Identifier: MIT OR Apache-2.0
//! The device: a disk with one queue, for whoever serves it, and for the VMM.
//!
//! The thread of the `vhost-user-backend` crate reads the eventfd by which the VMM says that there is something in the
//! queue, and serves it. With a handler, that eventfd is listened for as long as the queue runs: what the guest sends by
//! VEI starts the handler, which does the same. The thread stays for all that comes otherwise. Either has the queue's
//! lock meanwhile; a handler that finds it taken sleeps on its own thread.

use std::io;
use std::sync::{Arc, Mutex, OnceLock};

use haiov::UserVei;
use haiov::user_vei::{Listening, Status};
use haiov_vmm::block::{Block, DESCRIPTORS};
use haiov_vmm::virtio_mmio::{Backend, drain};
use vhost::vhost_user::message::{VhostUserProtocolFeatures, VhostUserVirtioFeatures};
use vhost_user_backend::{VhostUserBackend, VringT};
use virtio_bindings::bindings::virtio_config::VIRTIO_F_VERSION_1;
use virtio_bindings::bindings::virtio_ring::VIRTIO_RING_F_EVENT_IDX;
use virtio_queue::QueueT;
use vm_memory::GuestAddressSpace;
use vmm_sys_util::epoll::EventSet;
use vmm_sys_util::event::{EventConsumer, EventFlag, EventNotifier, new_event_consumer_and_notifier};

use crate::vring::{Memory, Vring, lock};

/// Entries of the queue at most.
const QUEUE_SIZE: usize = DESCRIPTORS;

/// What the thread and the handler have in common.
struct Shared {
    memory: Memory,
    /// There from the first start of the queue on.
    vring: OnceLock<Vring>,
    /// Taken after the queue's.
    block: Mutex<Block>,
    /// The handler that calls this. Taken last.
    user_vei: Mutex<Option<Arc<UserVei>>>,
}

impl Shared {
    /// Serves all that is in the queue, if it runs.
    fn serve(&self) {
        let Some(vring) = self.vring.get() else { return };
        let mut state = vring.get_mut();
        if !state.is_enabled() || !state.get_queue().ready() {
            return;
        }
        let memory = self.memory.memory();
        let served = vring
            .check(state.get_queue(), &memory)
            .and_then(|()| drain(state.get_queue_mut(), &memory, &mut *lock(&self.block), false, || vring.goes_on()));
        match served {
            // Nothing can be done about a VMM that has closed its end.
            Ok(true) => drop(vring.interrupt(lock(&self.user_vei).as_deref())),
            Ok(false) => {}
            Err(error) => {
                eprintln!("haiov-vhost-user-blk: the guest's queue is broken and not served any more: {error}");
                state.get_queue_mut().set_ready(false);
            }
        }
    }
}

/// The device.
pub struct Device {
    shared: Arc<Shared>,
    features: u64,
    config: Vec<u8>,
    /// There while the queue runs and there is a handler.
    listening: Mutex<Option<Listening>>,
}

impl Device {
    /// Makes it, to be served by a thread alone.
    pub fn new(block: Block, memory: Memory) -> Self {
        Self {
            features: 1 << VIRTIO_F_VERSION_1
                | 1 << VIRTIO_RING_F_EVENT_IDX
                | VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits()
                | block.features(),
            config: block.config(),
            shared: Arc::new(Shared {
                memory,
                vring: OnceLock::new(),
                block: Mutex::new(block),
                user_vei: Mutex::new(None),
            }),
            listening: Mutex::new(None),
        }
    }

    /// Gives it a handler, on a CPU or on the one that the module chooses.
    ///
    /// # Errors
    ///
    /// What the `haiov` crate says.
    pub fn start_handler(&self, cpu: Option<u32>) -> haiov::Result<()> {
        let shared = self.shared.clone();
        let mut builder = UserVei::builder().name("disk");
        if let Some(cpu) = cpu {
            builder = builder.cpu(cpu);
        }
        let user_vei = builder.start(&haiov::Device::open()?, move || shared.serve())?;
        *lock(&self.shared.user_vei) = Some(Arc::new(user_vei));
        Ok(())
    }

    /// Takes the notifications of the queue for the handler, if there is one, the queue runs, and they are not taken yet.
    fn listen(&self, vring: &Vring) {
        let Some(user_vei) = lock(&self.shared.user_vei).clone() else { return };
        // Who stops the queue takes this lock afterwards, and finds what was begun.
        let mut listening = lock(&self.listening);
        if listening.is_some() || !vring.runs() {
            return;
        }
        match vring.listen(&user_vei) {
            Ok(begun) => *listening = begun,
            Err(error) => eprintln!("haiov-vhost-user-blk: notifications wake the thread, because I {error}"),
        }
    }

    fn unlisten(&self) {
        drop(lock(&self.listening).take());
    }

    /// Ends the handler, if there is one; what has become of its calls.
    ///
    /// # Errors
    ///
    /// What the `haiov` crate says.
    pub fn end_handler(&self) -> haiov::Result<Option<Status>> {
        self.unlisten();
        let user_vei = lock(&self.shared.user_vei).take();
        user_vei.map(|user_vei| user_vei.query()).transpose()
    }
}

impl VhostUserBackend for Device {
    type Bitmap = ();
    type Vring = Vring;

    fn num_queues(&self) -> usize {
        1
    }

    fn max_queue_size(&self) -> usize {
        QUEUE_SIZE
    }

    fn features(&self) -> u64 {
        self.features
    }

    fn protocol_features(&self) -> VhostUserProtocolFeatures {
        VhostUserProtocolFeatures::CONFIG | VhostUserProtocolFeatures::REPLY_ACK
    }

    fn reset_device(&self) {
        self.unlisten();
    }

    /// By which the thread ends when the connection does.
    fn exit_event(&self, _thread: usize) -> Option<(EventConsumer, EventNotifier)> {
        new_event_consumer_and_notifier(EventFlag::NONBLOCK | EventFlag::CLOEXEC).ok()
    }

    /// The queue has been told already.
    fn set_event_idx(&self, _enabled: bool) {}

    fn get_config(&self, offset: u32, size: u32) -> Vec<u8> {
        // VMMs ask for all that there can be.
        let bytes = self.config.iter().copied().chain(std::iter::repeat(0));
        bytes.skip(offset as usize).take(size as usize).collect()
    }

    /// The same object is here already.
    fn update_memory(&self, _memory: Memory) -> io::Result<()> {
        Ok(())
    }

    fn stop_vring(&self, _queue_index: u32) -> io::Result<()> {
        self.unlisten();
        Ok(())
    }

    /// The queue starts, or there is something in it.
    fn handle_event(&self, _event: u16, _set: EventSet, vrings: &[Vring], _thread: usize) -> io::Result<()> {
        let Some(vring) = vrings.first() else { return Ok(()) };
        let vring = self.shared.vring.get_or_init(|| vring.clone());
        self.listen(vring);
        self.shared.serve();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
