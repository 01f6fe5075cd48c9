// SPDX-License-Identifier: MIT OR Apache-2.0
//! The device as a VMM meets it, over a socket. Handlers need the hardware: `tests/system/test-vhost-user-blk` has them.
use super::*;

use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use vhost::vhost_user::message::VhostUserConfigFlags;
use vhost::vhost_user::{Frontend, VhostUserFrontend};
use vhost::{VhostBackend, VhostUserMemoryRegionInfo, VringConfigData};
use vhost_user_backend::VhostUserDaemon;
use virtio_bindings::bindings::virtio_blk::{VIRTIO_BLK_S_OK, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT};
use vm_memory::{Bytes, FileOffset, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};
use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

const SIZE: u16 = 8;
const DESC: u64 = 0x1000;
const AVAIL: u64 = 0x2000;
const USED: u64 = 0x3000;
const HEADER: u64 = 0x4000;
const STATUS: u64 = 0x4100;
const DATA: u64 = 0x5000;
/// Ends waiting; is never waited out.
const PATIENCE: Duration = Duration::from_secs(20);

/// A VMM with its guest's driver, and the device that it is connected to.
struct Vmm {
    folder: TempDir,
    frontend: Frontend,
    memory: GuestMemoryMmap,
    kick: EventFd,
    call: EventFd,
    put: u16,
    device: JoinHandle<vhost_user_backend::Result<()>>,
}

impl Vmm {
    /// Connects to a disk of eight sectors, each filled with its number.
    fn connect() -> Self {
        Self::connect_to(&(0..8).flat_map(|sector| [sector; 512]).collect::<Vec<u8>>())
    }

    /// Connects to a disk that holds this.
    fn connect_to(sectors: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (image, socket) = (folder.path().join("image"), folder.path().join("socket"));
        std::fs::write(&image, sectors).unwrap();
        let memory = Memory::new(GuestMemoryMmap::new());
        let device = Arc::new(Device::new(Block::open(&image).unwrap(), memory.clone()));
        let mut daemon = VhostUserDaemon::new("test".to_owned(), device, memory).unwrap();
        let at = socket.clone();
        let device = thread::spawn(move || daemon.serve(at));
        let start = Instant::now();
        let mut frontend = loop {
            match Frontend::connect(&socket, 1) {
                Ok(frontend) => break frontend,
                Err(error) => assert!(start.elapsed() < PATIENCE, "{error}"),
            }
            thread::yield_now();
        };
        let file = tempfile::tempfile().unwrap();
        file.set_len(0x10000).unwrap();
        let ranges = [(GuestAddress(0), 0x10000, Some(FileOffset::new(file, 0)))];
        let memory = GuestMemoryMmap::from_ranges_with_files(ranges).unwrap();
        frontend.set_owner().unwrap();
        let wanted = 1 << VIRTIO_F_VERSION_1 | VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits();
        assert_eq!(frontend.get_features().unwrap() & wanted, wanted);
        frontend.set_features(wanted).unwrap();
        assert!(frontend.get_protocol_features().unwrap().contains(VhostUserProtocolFeatures::CONFIG));
        frontend.set_protocol_features(VhostUserProtocolFeatures::CONFIG).unwrap();
        let eventfd = || EventFd::new(EFD_NONBLOCK).unwrap();
        Self { folder, frontend, memory, kick: eventfd(), call: eventfd(), put: 0, device }
    }

    /// Starts the queue, from a request on.
    fn start(&mut self, from: u16) {
        self.start_at(from, SIZE, AVAIL);
    }

    /// Starts a queue that may be none.
    fn start_at(&mut self, from: u16, size: u16, avail: u64) {
        let region = self.memory.find_region(GuestAddress(0)).unwrap();
        self.frontend.set_mem_table(&[VhostUserMemoryRegionInfo::from_guest_region(region).unwrap()]).unwrap();
        let at = |address| self.memory.get_host_address(GuestAddress(address)).unwrap() as u64;
        self.frontend.set_vring_num(0, size).unwrap();
        let addresses = VringConfigData {
            queue_max_size: size,
            queue_size: size,
            flags: 0,
            desc_table_addr: at(DESC),
            used_ring_addr: at(USED),
            avail_ring_addr: at(avail),
            log_addr: None,
        };
        self.frontend.set_vring_addr(0, &addresses).unwrap();
        self.frontend.set_vring_base(0, from).unwrap();
        self.frontend.set_vring_call(0, &self.call).unwrap();
        self.frontend.set_vring_kick(0, &self.kick).unwrap();
        self.frontend.set_vring_enable(0, true).unwrap();
    }

    /// Puts a request for 512 bytes into the queue.
    fn put(&mut self, kind: u32, sector: u64) {
        self.memory.write_obj(kind.to_le(), GuestAddress(HEADER)).unwrap();
        self.memory.write_obj(sector.to_le(), GuestAddress(HEADER + 8)).unwrap();
        self.memory.write_obj(0xff_u8, GuestAddress(STATUS)).unwrap();
        let written = u16::from(kind == VIRTIO_BLK_T_IN) << 1;
        self.put_chain([(HEADER, 16, 0), (DATA, 512, written), (STATUS, 1, 2)]);
    }

    /// Puts a request of these buffers into the queue: address, length and flags.
    fn put_chain(&mut self, chain: [(u64, u32, u16); 3]) {
        for (i, (address, len, flags)) in (0_u16..).zip(chain) {
            let (at, next) = (DESC + 16 * u64::from(i), (i + 1) % 3);
            self.memory.write_obj(address.to_le(), GuestAddress(at)).unwrap();
            self.memory.write_obj(len.to_le(), GuestAddress(at + 8)).unwrap();
            self.memory.write_obj((flags | u16::from(next != 0)).to_le(), GuestAddress(at + 12)).unwrap();
            self.memory.write_obj(next.to_le(), GuestAddress(at + 14)).unwrap();
        }
        self.memory.write_obj(0_u16, GuestAddress(AVAIL + 4 + 2 * u64::from(self.put % SIZE))).unwrap();
        self.put += 1;
        self.memory.write_obj(self.put.to_le(), GuestAddress(AVAIL + 2)).unwrap();
    }

    /// Whether the device interrupts, sooner or later.
    fn is_called(&self) -> bool {
        let epoll = Epoll::new().unwrap();
        let mut events = [EpollEvent::new(EventSet::IN, 0)];
        epoll.ctl(ControlOperation::Add, self.call.as_raw_fd(), events[0]).unwrap();
        epoll.wait(PATIENCE.as_millis() as i32, &mut events).unwrap() == 1 && self.call.read().is_ok()
    }

    /// Makes a request; its status.
    fn request(&mut self, kind: u32, sector: u64) -> u32 {
        self.put(kind, sector);
        self.kick.write(1).unwrap();
        assert!(self.is_called());
        assert_eq!(self.used(), self.put);
        self.memory.read_obj::<u8>(GuestAddress(STATUS)).unwrap().into()
    }

    fn used(&self) -> u16 {
        u16::from_le(self.memory.read_obj(GuestAddress(USED + 2)).unwrap())
    }

    fn data(&self) -> [u8; 512] {
        let mut data = [0; 512];
        self.memory.read_slice(&mut data, GuestAddress(DATA)).unwrap();
        data
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    fn end(self) {
        drop(self.frontend);
        self.device.join().unwrap().unwrap();
    }
}

#[test]
fn a_vmm_reads_and_writes() {
    let mut vmm = Vmm::connect();
    vmm.start(0);
    assert_eq!(vmm.request(VIRTIO_BLK_T_IN, 3), VIRTIO_BLK_S_OK);
    assert_eq!(vmm.data(), [3; 512]);
    vmm.memory.write_slice(&[0xaa; 512], GuestAddress(DATA)).unwrap();
    assert_eq!(vmm.request(VIRTIO_BLK_T_OUT, 5), VIRTIO_BLK_S_OK);
    assert_eq!(std::fs::read(vmm.image()).unwrap()[5 * 512..6 * 512], [0xaa; 512]);
    vmm.end();
}

#[test]
fn the_configuration_is_as_long_as_it_is_wanted() {
    let mut vmm = Vmm::connect();
    let (_, config) = vmm.frontend.get_config(0, 60, VhostUserConfigFlags::empty(), &[0; 60]).unwrap();
    assert_eq!(config, [&8_u64.to_le_bytes()[..], &[0; 52]].concat());
    let (_, config) = vmm.frontend.get_config(6, 4, VhostUserConfigFlags::empty(), &[0; 4]).unwrap();
    assert_eq!(config, [0; 4]);
    vmm.end();
}

#[test]
fn a_queue_that_is_stopped_is_left_alone() {
    let mut vmm = Vmm::connect();
    vmm.start(0);
    assert_eq!(vmm.request(VIRTIO_BLK_T_IN, 1), VIRTIO_BLK_S_OK);
    assert_eq!(vmm.frontend.get_vring_base(0).unwrap(), 1);
    vmm.put(VIRTIO_BLK_T_IN, 2);
    vmm.kick.write(1).unwrap();
    assert_eq!(vmm.used(), 1);
    // What is in the queue as it starts needs no kick.
    vmm.start(1);
    assert!(vmm.is_called());
    assert_eq!((vmm.used(), vmm.data()), (2, [2; 512]));
    vmm.end();
}

#[test]
fn a_driver_that_breaks_its_queue_is_not_served() {
    let mut vmm = Vmm::connect();
    vmm.start(0);
    assert_eq!(vmm.request(VIRTIO_BLK_T_IN, 1), VIRTIO_BLK_S_OK);
    // More than there can be.
    vmm.memory.write_obj((vmm.put + SIZE + 1).to_le(), GuestAddress(AVAIL + 2)).unwrap();
    vmm.kick.write(1).unwrap();
    // It can be stopped, and is served again afterwards.
    assert_eq!(vmm.frontend.get_vring_base(0).unwrap(), 1);
    assert_eq!(vmm.used(), 1);
    vmm.put(VIRTIO_BLK_T_IN, 4);
    vmm.start(1);
    assert!(vmm.is_called());
    assert_eq!(vmm.data(), [4; 512]);
    vmm.end();
}

#[test]
fn a_queue_that_is_not_where_memory_is_is_not_served() {
    // Room for three entries, of eight; and a size that no queue has, for which there is.
    for (size, avail) in [(SIZE, 0x10000 - 10), (6, AVAIL)] {
        let mut vmm = Vmm::connect();
        vmm.memory.write_obj(4_u16.to_le(), GuestAddress(avail + 2)).unwrap();
        vmm.start_at(0, size, avail);
        vmm.kick.write(1).unwrap();
        assert_eq!(vmm.frontend.get_vring_base(0).unwrap(), 0);
        assert_eq!(vmm.used(), 0);
        // It was the queue, and not the device.
        vmm.memory.write_obj(0_u16, GuestAddress(avail + 2)).unwrap();
        vmm.start(0);
        assert_eq!(vmm.request(VIRTIO_BLK_T_IN, 3), VIRTIO_BLK_S_OK);
        assert_eq!(vmm.data(), [3; 512]);
        vmm.end();
    }
}

#[test]
fn a_queue_that_never_ends_does_not_keep_its_vmm_waiting() {
    // What is read is the queue's next request, for the next sector: header and index of the queue are in the buffer.
    const HEADER: usize = 0x100;
    let mut sectors = vec![0; 512 << 16];
    for (number, sector) in (0_u64..).zip(sectors.chunks_exact_mut(512)) {
        sector[2..4].copy_from_slice(&(number as u16).wrapping_add(2).to_le_bytes());
        sector[HEADER + 8..HEADER + 16].copy_from_slice(&((number + 1) % (1 << 16)).to_le_bytes());
    }
    let mut vmm = Vmm::connect_to(&sectors);
    vmm.put_chain([(AVAIL + HEADER as u64, 16, 0), (AVAIL, 512, 2), (STATUS, 1, 2)]);
    vmm.start(0);
    let (begun, memory) = (Instant::now(), vmm.memory.clone());
    let (returned, watch) = mpsc::channel::<()>();
    let watchdog = thread::spawn(move || {
        if watch.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            // Requests of one descriptor, which is no place for anything.
            memory.write_obj(0_u16, GuestAddress(DESC + 12)).unwrap();
        }
    });
    while vmm.used() < 1000 {
        assert!(begun.elapsed() < PATIENCE);
    }
    vmm.frontend.get_vring_base(0).unwrap();
    drop(returned);
    watchdog.join().unwrap();
    assert!(begun.elapsed() < PATIENCE, "the VMM has waited for the end of the queue");
    vmm.end();
}
