// SPDX-License-Identifier: MIT OR Apache-2.0
use super::*;
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use virtio_bindings::bindings::virtio_ring::VRING_DESC_F_INDIRECT;
use vm_memory::Bytes;

use crate::boot;
use crate::layout::RAM_BASE;
use crate::uart::tests::Edges;

const ACKNOWLEDGE: u32 = 1;
const DRIVER: u32 = 2;
const DRIVER_OK: u32 = VIRTIO_CONFIG_S_DRIVER_OK;
const FEATURES_OK: u32 = VIRTIO_CONFIG_S_FEATURES_OK;
const NEEDS_RESET: u32 = VIRTIO_CONFIG_S_NEEDS_RESET;

/// What a driver does: the registers, and a queue at the beginning of the memory.
pub(crate) struct Driver<B> {
    pub(crate) device: Arc<VirtioMmio<B, Edges>>,
    pub(crate) memory: GuestMemoryMmap,
    pub(crate) edges: Arc<AtomicU32>,
    next: u16,
}

const SIZE: u16 = 8;
const DESC: u64 = RAM_BASE;
const AVAIL: u64 = RAM_BASE + 0x1000;
const USED: u64 = RAM_BASE + 0x2000;
/// Where the buffers may be.
pub(crate) const BUFFERS: u64 = RAM_BASE + 0x1_0000;

impl<B: Backend> Driver<B> {
    pub(crate) fn new(backend: B) -> Self {
        Self::with(boot::memory(16).unwrap(), backend, |device| device)
    }

    pub(crate) fn with_memory(memory: GuestMemoryMmap, backend: B) -> Self {
        Self::with(memory, backend, |device| device)
    }

    fn polled(backend: B) -> Self {
        Self::with(boot::memory(16).unwrap(), backend, VirtioMmio::polled)
    }

    fn with(
        memory: GuestMemoryMmap,
        backend: B,
        finish: impl FnOnce(VirtioMmio<B, Edges>) -> VirtioMmio<B, Edges>,
    ) -> Self {
        let edges = Arc::new(AtomicU32::new(0));
        let device = VirtioMmio::new(backend, memory.clone(), Edges(edges.clone())).unwrap();
        Self { device: Arc::new(finish(device)), memory, edges, next: 0 }
    }

    pub(crate) fn read(&self, register: u32) -> u32 {
        self.device.read(Caller::outside(), register.into(), 4).unwrap() as u32
    }

    pub(crate) fn write(&self, register: u32, value: u32) {
        self.device.write(Caller::outside(), register.into(), value.into(), 4).unwrap();
    }

    fn edges(&self) -> u32 {
        self.edges.load(Ordering::Relaxed)
    }

    /// All that a driver does at the beginning but for DRIVER_OK.
    fn prepare(&self, features: u64) {
        self.write(VIRTIO_MMIO_STATUS, 0);
        self.write(VIRTIO_MMIO_STATUS, ACKNOWLEDGE | DRIVER);
        for sel in [0, 1] {
            self.write(VIRTIO_MMIO_DRIVER_FEATURES_SEL, sel);
            self.write(VIRTIO_MMIO_DRIVER_FEATURES, (features >> (32 * sel)) as u32);
        }
        self.write(VIRTIO_MMIO_STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
        self.write(VIRTIO_MMIO_QUEUE_SEL, 0);
        self.write(VIRTIO_MMIO_QUEUE_NUM, SIZE.into());
        for (register, address) in [
            (VIRTIO_MMIO_QUEUE_DESC_LOW, DESC),
            (VIRTIO_MMIO_QUEUE_AVAIL_LOW, AVAIL),
            (VIRTIO_MMIO_QUEUE_USED_LOW, USED),
        ] {
            self.write(register, address as u32);
            self.write(register + 4, (address >> 32) as u32);
        }
        self.write(VIRTIO_MMIO_QUEUE_READY, 1);
    }

    pub(crate) fn start(&self) {
        self.start_with(0);
    }

    fn start_with(&self, features: u64) {
        self.prepare(1 << VIRTIO_F_VERSION_1 | features);
        self.write(VIRTIO_MMIO_STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
    }

    /// Puts the queue back to its beginning.
    fn empty(&mut self) {
        self.next = 0;
        for ring in [AVAIL, USED] {
            self.memory.write_obj(0_u16, GuestAddress(ring + 2)).unwrap();
        }
    }

    /// Writes descriptors: buffers by address, size, and whether the device writes them.
    pub(crate) fn describe(&self, at: u64, buffers: &[(u64, u32, bool)]) {
        for (i, (address, len, written)) in buffers.iter().enumerate() {
            let last = i + 1 == buffers.len();
            let flags = u16::from(!last) | u16::from(*written) << 1;
            let at = GuestAddress(at + 16 * i as u64);
            self.memory.write_obj(address.to_le(), at).unwrap();
            self.memory.write_obj(len.to_le(), GuestAddress(at.0 + 8)).unwrap();
            self.memory.write_obj(flags.to_le(), GuestAddress(at.0 + 12)).unwrap();
            self.memory.write_obj((i as u16 + 1).to_le(), GuestAddress(at.0 + 14)).unwrap();
        }
    }

    /// Puts one request into the queue.
    pub(crate) fn put(&mut self, buffers: &[(u64, u32, bool)]) {
        self.describe(DESC, buffers);
        self.offer();
    }

    /// Puts one request into the queue whose descriptors are in a table.
    pub(crate) fn put_table(&mut self, table: u64, entries: usize) {
        self.describe(DESC, &[(table, 16 * entries as u32, false)]);
        self.memory.write_obj((VRING_DESC_F_INDIRECT as u16).to_le(), GuestAddress(DESC + 12)).unwrap();
        self.offer();
    }

    fn offer(&mut self) {
        self.memory.write_obj(0_u16, GuestAddress(AVAIL + 4 + 2 * u64::from(self.next % SIZE))).unwrap();
        self.next = self.next.wrapping_add(1);
        self.memory.write_obj(self.next.to_le(), GuestAddress(AVAIL + 2)).unwrap();
    }

    /// Whether a driver that puts one more request into the queue has to say so (2.7.10).
    fn must_notify(&self, event_idx: bool) -> bool {
        let word = |at| self.memory.read_obj::<u16>(GuestAddress(at)).map(u16::from_le).unwrap();
        if event_idx { word(USED + 4 + 8 * u64::from(SIZE)) == self.next } else { word(USED) & 1 == 0 }
    }

    /// How many requests have been served, and how many bytes were written for the last.
    pub(crate) fn used(&self) -> (u16, u32) {
        let index: u16 = self.memory.read_obj(GuestAddress(USED + 2)).unwrap();
        let last = USED + 4 + 8 * u64::from(index.wrapping_sub(1) % SIZE);
        (index, self.memory.read_obj(GuestAddress(last + 4)).unwrap())
    }
}

/// Gives back what it got, in reverse.
#[derive(Default)]
struct Echo(VecDeque<u8>);

impl Backend for Echo {
    const ID: u32 = 0x7f;

    fn features(&self) -> u64 {
        1 << 3 | 1 << 40
    }

    fn config(&self) -> Vec<u8> {
        vec![1, 2, 3, 4, 5, 6]
    }

    fn serve(&mut self, memory: &GuestMemoryMmap, request: DescriptorChain<&GuestMemoryMmap>) -> u32 {
        let mut got = Vec::new();
        request.clone().reader(memory).unwrap().read_to_end(&mut got).unwrap();
        got.reverse();
        self.0.extend(&got);
        request.writer(memory).unwrap().write(&got).unwrap() as u32
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.0.contains(&0xff) { Err(io::Error::other("full")) } else { Ok(()) }
    }
}

#[test]
fn what_a_driver_looks_at_first() {
    let d = Driver::new(Echo::default());
    assert_eq!(d.read(VIRTIO_MMIO_MAGIC_VALUE).to_le_bytes(), *b"virt");
    assert_eq!([VIRTIO_MMIO_VERSION, VIRTIO_MMIO_DEVICE_ID].map(|r| d.read(r)), [2, 0x7f]);
    assert_eq!([VIRTIO_MMIO_STATUS, VIRTIO_MMIO_INTERRUPT_STATUS].map(|r| d.read(r)), [0, 0]);
    let mut features = 0;
    for sel in [0, 1, 2] {
        d.write(VIRTIO_MMIO_DEVICE_FEATURES_SEL, sel);
        let half = d.read(VIRTIO_MMIO_DEVICE_FEATURES);
        assert!(sel < 2 || half == 0);
        features |= u64::from(half) << (32 * (sel & 1));
    }
    assert_eq!(features, 1 << 3 | 1 << 40 | 1 << 32 | 1 << 29);
    assert_eq!(d.read(VIRTIO_MMIO_QUEUE_NUM_MAX), 256);
    d.write(VIRTIO_MMIO_QUEUE_SEL, 1);
    assert_eq!(d.read(VIRTIO_MMIO_QUEUE_NUM_MAX), 0, "there is one queue");
}

#[test]
fn registers_have_32_bits_and_the_configuration_any() {
    let d = Driver::new(Echo::default());
    let read = |offset, size| d.device.read(Caller::outside(), offset, size).unwrap();
    assert_eq!([read(0, 1), read(0, 8), read(2, 4), read(0xfc, 4)], [0; 4]);
    assert_eq!([read(0x100, 1), read(0x102, 2), read(0x104, 4), read(0x200, 8)], [1, 0x0403, 0x0605, 0]);
    assert_eq!(read(0x100, 8), 0x0000_0605_0403_0201);
    for (offset, size) in [(0x70, 1), (0x70, 8), (0x71, 4), (0x100, 4)] {
        d.device.write(Caller::outside(), offset, 1, size).unwrap();
    }
    assert_eq!((d.read(VIRTIO_MMIO_STATUS), read(0x100, 1)), (0, 1));
}

#[test]
fn features_that_were_not_offered_are_refused() {
    let d = Driver::new(Echo::default());
    let version_1 = 1 << VIRTIO_F_VERSION_1;
    for (features, good) in [(0, false), (version_1, true), (version_1 | 1 << 3, true), (version_1 | 1 << 4, false)] {
        d.prepare(features);
        assert_eq!(d.read(VIRTIO_MMIO_STATUS) & FEATURES_OK != 0, good, "{features:#x}");
        d.write(VIRTIO_MMIO_STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
        assert_eq!(d.read(VIRTIO_MMIO_STATUS) & DRIVER_OK != 0, good, "{features:#x}: no queue without features");
        assert_eq!(d.device.active().queue.is_some(), good);
    }
    d.prepare(version_1);
    d.write(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
    d.write(VIRTIO_MMIO_DRIVER_FEATURES, 1 << 4);
    d.write(VIRTIO_MMIO_STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
    assert_eq!(d.read(VIRTIO_MMIO_STATUS), ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK, "they are settled");
}

#[test]
fn a_request_is_served_and_the_driver_told() {
    let mut d = Driver::new(Echo::default());
    d.start();
    d.memory.write_slice(b"abc", GuestAddress(BUFFERS)).unwrap();
    d.put(&[(BUFFERS, 3, false), (BUFFERS + 0x100, 8, true)]);
    d.device.serve();
    assert_eq!((d.used(), d.edges()), ((1, 3), 1));
    let mut got = [0; 4];
    d.memory.read_slice(&mut got, GuestAddress(BUFFERS + 0x100)).unwrap();
    assert_eq!(&got, b"cba\0");
    assert_eq!(d.read(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
    d.write(VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_CONFIG);
    assert_eq!(d.read(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING, "another one");
    d.write(VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
    assert_eq!(d.read(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
    d.device.serve();
    assert_eq!(d.edges(), 1, "nothing more to tell");
}

#[test]
fn a_running_queue_stays_where_it_is() {
    let mut d = Driver::new(Echo::default());
    d.start();
    d.write(VIRTIO_MMIO_QUEUE_DESC_LOW, 0);
    d.write(VIRTIO_MMIO_QUEUE_NUM, 4);
    d.write(VIRTIO_MMIO_QUEUE_READY, 0);
    assert_eq!(d.read(VIRTIO_MMIO_QUEUE_READY), 1);
    d.put(&[(BUFFERS, 1, false)]);
    d.device.serve();
    assert_eq!(d.used().0, 1);
    d.write(VIRTIO_MMIO_STATUS, 0);
    assert_eq!([VIRTIO_MMIO_STATUS, VIRTIO_MMIO_QUEUE_READY, VIRTIO_MMIO_INTERRUPT_STATUS].map(|r| d.read(r)), [0; 3]);
    d.put(&[(BUFFERS, 1, false)]);
    d.device.serve();
    assert_eq!(d.used().0, 1, "a reset device does nothing");
}

#[test]
fn broken_queues_need_a_reset() {
    // Not in memory, of no allowed size, and not aligned.
    for (register, value) in
        [(VIRTIO_MMIO_QUEUE_DESC_HIGH, 1), (VIRTIO_MMIO_QUEUE_NUM, 3), (VIRTIO_MMIO_QUEUE_USED_LOW, 2)]
    {
        let d = Driver::new(Echo::default());
        d.prepare(1 << VIRTIO_F_VERSION_1);
        d.write(register, value);
        d.write(VIRTIO_MMIO_STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
        assert_ne!(d.read(VIRTIO_MMIO_STATUS) & NEEDS_RESET, 0, "{register:#x}");
        assert_eq!((d.read(VIRTIO_MMIO_INTERRUPT_STATUS), d.edges()), (VIRTIO_MMIO_INT_CONFIG, 1));
    }
    // More requests than the queue holds.
    let mut d = Driver::new(Echo::default());
    d.start();
    d.memory.write_obj((SIZE + 1).to_le(), GuestAddress(AVAIL + 2)).unwrap();
    d.device.serve();
    assert_ne!(d.read(VIRTIO_MMIO_STATUS) & NEEDS_RESET, 0);
    // The driver cannot set that bit, and a reset clears it.
    d.start();
    d.write(VIRTIO_MMIO_STATUS, NEEDS_RESET);
    assert_eq!(d.read(VIRTIO_MMIO_STATUS) & NEEDS_RESET, 0);
    d.memory.write_obj(0_u16, GuestAddress(AVAIL + 2)).unwrap();
    d.next = 0;
    d.put(&[(BUFFERS, 1, false)]);
    d.device.serve();
    assert_eq!(d.used().0, 1);
}

/// A queue at the beginning of the memory but for what it makes available, which is elsewhere.
fn queue(avail: u64) -> Queue {
    let mut queue = Queue::new(SIZE).unwrap();
    queue.try_set_desc_table_address(GuestAddress(DESC)).unwrap();
    queue.try_set_avail_ring_address(GuestAddress(avail)).unwrap();
    queue.try_set_used_ring_address(GuestAddress(USED)).unwrap();
    queue.set_ready(true);
    queue
}

#[test]
fn a_ring_that_ends_where_memory_does_is_an_error() {
    let memory = boot::memory(1).unwrap();
    // Two entries and a half: whoever made this queue should have looked.
    let avail = RAM_BASE + (1 << 20) - 8;
    memory.write_obj(4_u16.to_le(), GuestAddress(avail + 2)).unwrap();
    let mut queue = queue(avail);
    assert!(drain(&mut queue, &memory, &mut Echo::default(), false, || true).is_err());
    assert_eq!(queue.next_avail(), 2);
}

#[test]
fn who_serves_a_queue_can_be_told_to_let_go_of_it() {
    let memory = boot::memory(1).unwrap();
    memory.write_obj(6_u16.to_le(), GuestAddress(AVAIL + 2)).unwrap();
    let mut queue = queue(AVAIL);
    let left = std::cell::Cell::new(3);
    let go_on = || left.replace(left.get() - 1) > 1;
    assert!(drain(&mut queue, &memory, &mut Echo::default(), false, go_on).unwrap());
    assert_eq!((queue.next_avail(), queue.next_used()), (3, 3));
    assert!(drain(&mut queue, &memory, &mut Echo::default(), false, || true).unwrap());
    assert_eq!((queue.next_avail(), queue.next_used()), (6, 6));
}

#[test]
fn the_thread_is_told_once_until_it_has_looked() {
    let mut d = Driver::new(Echo::default());
    d.start();
    let signals = || {
        let mut count = [0; 8];
        nix::unistd::read(d.device.kick(), &mut count).map_or(0, |_| u64::from_ne_bytes(count))
    };
    d.write(VIRTIO_MMIO_QUEUE_NOTIFY, 1);
    assert_eq!(signals(), 0, "there is no such queue");
    d.write(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    d.write(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    assert_eq!(signals(), 1);
    d.device.told.store(false, Ordering::SeqCst);

    let stop = EventFd::new().unwrap();
    thread::scope(|scope| {
        let device = d.device.clone();
        let thread = scope.spawn(|| {
            let device = device;
            device.run(&stop)
        });
        let deadline = Instant::now() + Duration::from_secs(30);
        for i in 1..=100 {
            d.put(&[(BUFFERS, 1, false)]);
            d.write(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
            while d.used().0 < i && Instant::now() < deadline {
                thread::yield_now();
            }
            assert_eq!(d.used().0, i);
        }
        stop.write(1).unwrap();
        thread.join().unwrap().unwrap();
    });
}

#[test]
fn a_saved_device_goes_on_elsewhere() {
    let mut d = Driver::new(Echo::default());
    d.start();
    for _ in 0..3 {
        d.put(&[(BUFFERS, 1, false)]);
    }
    let state = d.device.save().unwrap();
    assert_eq!(d.used().0, 3, "what is in the queue is served first");

    let mut memory = vec![0; 0x2_0000];
    d.memory.read_slice(&mut memory, GuestAddress(RAM_BASE)).unwrap();
    let bytes = postcard::to_stdvec(&state).unwrap();
    let mut other = Driver::new(Echo::default());
    other.memory.write_slice(&memory, GuestAddress(RAM_BASE)).unwrap();
    other.next = d.next;
    other.device.restore(postcard::from_bytes(&bytes).unwrap()).unwrap();
    assert_eq!(other.device.save().unwrap(), state);
    assert_eq!(other.edges(), 1, "the interrupt that the driver has not acknowledged");
    assert_eq!(other.read(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
    other.put(&[(BUFFERS, 1, false)]);
    other.device.serve();
    assert_eq!(other.used().0, 4);

    d.memory.write_obj(0xff_u8, GuestAddress(BUFFERS)).unwrap();
    d.put(&[(BUFFERS, 1, false)]);
    assert_eq!(d.device.save().unwrap_err(), "its disk cannot be written: full");

    let wrong = State { config: vec![1], ..state.clone() };
    assert!(other.device.restore(wrong).is_err());
    assert!(other.device.restore(State { id: 1, ..state.clone() }).is_err());
    let mut wrong = state;
    wrong.registers.desc = !0xf;
    assert!(other.device.restore(wrong).is_err(), "a queue outside the memory");
}

/// Whether the driver may use event indices, and what it says of its features then.
const EVENT_IDX: [(bool, u64); 2] = [(false, 0), (true, 1 << VIRTIO_RING_F_EVENT_IDX)];

#[test]
fn a_polled_queue_asks_for_no_notification() {
    for (event_idx, features) in EVENT_IDX {
        let mut d = Driver::polled(Echo::default());
        d.start_with(features);
        // Every index once, and some twice.
        for i in 0..(1 << 16) + 3 * u32::from(SIZE) {
            assert!(!d.must_notify(event_idx), "request {i}");
            d.put(&[(BUFFERS, 0, false)]);
            d.device.serve();
            assert_eq!(u32::from(d.used().0), (i + 1) & 0xffff);
        }
        // Nor by a request that comes while others are served.
        for _ in 0..SIZE {
            assert!(!d.must_notify(event_idx));
            d.put(&[(BUFFERS, 0, false)]);
        }

        let mut told = Driver::new(Echo::default());
        told.start_with(features);
        assert!(told.must_notify(event_idx), "the first request, elsewhere");
        told.put(&[(BUFFERS, 0, false)]);
        told.device.serve();
        assert!(told.must_notify(event_idx), "and all others once they are served");
    }
}

#[test]
fn a_thread_that_polls_needs_no_word() {
    let mut d = Driver::polled(Echo::default());
    let deadline = Instant::now() + Duration::from_secs(60);
    let stop = EventFd::new().unwrap();
    thread::scope(|scope| {
        let device = d.device.clone();
        let thread = scope.spawn(|| {
            let device = device;
            device.run(&stop)
        });
        // A driver that comes again, whatever it left there.
        for round in 0..3 {
            d.empty();
            d.start();
            // Not many: where two threads share a CPU, each waits for the end of the other's turn.
            for i in 1..=5 {
                d.put(&[(BUFFERS, 1, false)]);
                while d.used().0 < i && Instant::now() < deadline {
                    thread::yield_now();
                }
                assert_eq!(d.used().0, i, "round {round}");
            }
            d.write(VIRTIO_MMIO_STATUS, 0);
        }
        // A queue that is broken is left alone.
        d.empty();
        d.start();
        let edges = d.edges();
        d.memory.write_obj((SIZE + 1).to_le(), GuestAddress(AVAIL + 2)).unwrap();
        while d.read(VIRTIO_MMIO_STATUS) & NEEDS_RESET == 0 && Instant::now() < deadline {
            thread::yield_now();
        }
        assert_ne!(d.read(VIRTIO_MMIO_STATUS) & NEEDS_RESET, 0);
        stop.write(1).unwrap();
        thread.join().unwrap().unwrap();
        assert_eq!(d.edges(), edges + 1, "told once");
    });
}

#[test]
fn a_saved_driver_learns_whether_to_notify() {
    for (event_idx, features) in EVENT_IDX {
        for polled in [false, true] {
            let driver = |polled| if polled { Driver::polled(Echo::default()) } else { Driver::new(Echo::default()) };
            let mut d = driver(polled);
            d.start_with(features);
            d.put(&[(BUFFERS, 1, false)]);
            let state = d.device.save().unwrap();
            let mut memory = vec![0; 0x2_0000];
            d.memory.read_slice(&mut memory, GuestAddress(RAM_BASE)).unwrap();
            let mut other = driver(!polled);
            other.memory.write_slice(&memory, GuestAddress(RAM_BASE)).unwrap();
            other.next = d.next;
            other.device.restore(state).unwrap();
            assert_eq!((d.must_notify(event_idx), other.must_notify(event_idx)), (!polled, polled));
        }
    }
}
