// SPDX-License-Identifier: MIT OR Apache-2.0
use super::*;
use crate::layout::RAM_BASE;
use crate::virtio_mmio::tests::{BUFFERS, Driver};
use haiov::uer::{Caller, Device};
use std::io::Write;
use tempfile::NamedTempFile;
use vm_memory::{Bytes, GuestAddress};

const DATA: u64 = BUFFERS + 0x1000;
const STATUS: u64 = BUFFERS + 0x800;

/// A disk of eight sectors, each filled with its number, and 100 bytes that are no sector.
fn disk() -> (NamedTempFile, Driver<Block>) {
    let mut file = NamedTempFile::new().unwrap();
    for sector in 0..8 {
        file.write_all(&[sector; 512]).unwrap();
    }
    file.write_all(&[0xee; 100]).unwrap();
    let driver = Driver::new(Block::open(file.path()).unwrap());
    driver.start();
    (file, driver)
}

/// Makes a request of a kind; its status, and how many bytes the device says that it wrote.
fn request(d: &mut Driver<Block>, kind: u32, sector: u64, data: &[(u64, u32, bool)]) -> (u8, u32) {
    d.memory.write_obj(kind.to_le(), GuestAddress(BUFFERS)).unwrap();
    d.memory.write_obj(sector.to_le(), GuestAddress(BUFFERS + 8)).unwrap();
    d.memory.write_obj(0xff_u8, GuestAddress(STATUS)).unwrap();
    let mut buffers = vec![(BUFFERS, 16, false)];
    buffers.extend(data);
    buffers.push((STATUS, 1, true));
    let before = d.used().0;
    d.put(&buffers);
    d.device.serve();
    let (index, written) = d.used();
    assert_eq!(index, before + 1);
    (d.memory.read_obj(GuestAddress(STATUS)).unwrap(), written)
}

fn bytes(d: &Driver<Block>, at: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    d.memory.read_slice(&mut bytes, GuestAddress(at)).unwrap();
    bytes
}

const OK: u8 = VIRTIO_BLK_S_OK as u8;
const IOERR: u8 = VIRTIO_BLK_S_IOERR as u8;

#[test]
fn whole_sectors_are_the_disk() {
    let (_, d) = disk();
    assert_eq!(d.device.read(Caller::outside(), 0x100, 8), Ok(8));
}

#[test]
fn reads_into_several_buffers() {
    let (_, mut d) = disk();
    let parts = [(DATA, 100, true), (DATA + 0x2000, 924, true)];
    assert_eq!(request(&mut d, VIRTIO_BLK_T_IN, 3, &parts), (OK, 1025));
    let got = [bytes(&d, DATA, 100), bytes(&d, DATA + 0x2000, 924)].concat();
    assert_eq!(got, [[3; 512], [4; 512]].concat());
}

#[test]
fn regions_of_memory_can_be_next_to_each_other() {
    const BORDER: u64 = BUFFERS + 0x10_0000;
    let ranges = [(GuestAddress(RAM_BASE), (BORDER - RAM_BASE) as usize), (GuestAddress(BORDER), 0x1000)];
    let (file, _) = disk();
    let image = NamedTempFile::new().unwrap();
    std::fs::copy(file.path(), image.path()).unwrap();
    let memory = GuestMemoryMmap::from_ranges(&ranges).unwrap();
    let mut d = Driver::with_memory(memory, Block::open(image.path()).unwrap());
    d.start();
    // All in one buffer, the last bytes of one region and the first ones of the other.
    assert_eq!(request(&mut d, VIRTIO_BLK_T_IN, 3, &[(BORDER - 100, 1024, true)]), (OK, 1025));
    assert_eq!(bytes(&d, BORDER - 100, 1024), [[3; 512], [4; 512]].concat());
    assert_eq!(request(&mut d, VIRTIO_BLK_T_OUT, 0, &[(BORDER - 600, 1024, false)]), (OK, 1));
    assert_eq!(std::fs::read(image.path()).unwrap()[500..1024], [&[3; 512][..], &[4; 12]].concat());
    // What is beyond is no memory.
    assert_eq!(request(&mut d, VIRTIO_BLK_T_IN, 3, &[(BORDER + 0x1000 - 100, 512, true)]), (0xff, 0));
}

#[test]
fn writes_reach_the_image() {
    let (file, mut d) = disk();
    d.memory.write_slice(&[0xaa; 1024], GuestAddress(DATA)).unwrap();
    assert_eq!(request(&mut d, VIRTIO_BLK_T_OUT, 6, &[(DATA, 1024, false)]), (OK, 1));
    assert_eq!(request(&mut d, VIRTIO_BLK_T_FLUSH, 0, &[]), (OK, 1));
    let image = std::fs::read(file.path()).unwrap();
    assert_eq!(image[5 * 512..6 * 512], [5; 512]);
    assert_eq!(image[6 * 512..8 * 512], [0xaa; 1024]);
    assert_eq!(image[8 * 512..], [0xee; 100]);
}

#[test]
fn a_large_request() {
    let file = NamedTempFile::new().unwrap();
    let sent: Vec<u8> = (0..=255).cycle().take((3 << 16) + 512).collect();
    file.as_file().set_len(sent.len() as u64).unwrap();
    let mut d = Driver::new(Block::open(file.path()).unwrap());
    d.start();
    d.memory.write_slice(&sent, GuestAddress(DATA)).unwrap();
    let len = sent.len() as u32;
    assert_eq!(request(&mut d, VIRTIO_BLK_T_OUT, 0, &[(DATA, len, false)]), (OK, 1));
    assert!(std::fs::read(file.path()).unwrap() == sent);
    assert_eq!(request(&mut d, VIRTIO_BLK_T_IN, 0, &[(DATA + 0x10_0000, len, true)]), (OK, len + 1));
    assert!(bytes(&d, DATA + 0x10_0000, sent.len()) == sent);
}

#[test]
fn what_is_not_on_the_disk_is_an_error() {
    let (file, mut d) = disk();
    let before = std::fs::read(file.path()).unwrap();
    for (sector, len) in [(8, 512), (7, 1024), (0, 511), (u64::MAX, 512), (1 << 55, 512)] {
        assert_eq!(request(&mut d, VIRTIO_BLK_T_IN, sector, &[(DATA, len, true)]), (IOERR, 1), "{sector} {len}");
        assert_eq!(request(&mut d, VIRTIO_BLK_T_OUT, sector, &[(DATA, len, false)]), (IOERR, 1), "{sector} {len}");
    }
    assert_eq!(std::fs::read(file.path()).unwrap(), before);
}

#[test]
fn serial_number_and_unknown_requests() {
    let (_, mut d) = disk();
    assert_eq!(request(&mut d, VIRTIO_BLK_T_GET_ID, 0, &[(DATA, 20, true)]), (OK, 21));
    assert_eq!(bytes(&d, DATA, 20), [SERIAL, &[0; 11]].concat());
    assert_eq!(request(&mut d, 0x77, 0, &[]), (VIRTIO_BLK_S_UNSUPP as u8, 1));
}

#[test]
fn malformed_requests_come_back() {
    let (file, mut d) = disk();
    let before = std::fs::read(file.path()).unwrap();
    d.memory.write_obj(VIRTIO_BLK_T_OUT.to_le(), GuestAddress(BUFFERS)).unwrap();
    let outside = 1 << 40;
    for buffers in [
        vec![(BUFFERS, 16, false), (DATA, 512, false)], // no place for the status
        vec![(BUFFERS, 8, false), (STATUS, 1, true)],   // half a header
        vec![(outside, 16, false), (STATUS, 1, true)],  // no memory
        vec![(BUFFERS, 16, false), (outside, 512, false), (STATUS, 1, true)],
        vec![(BUFFERS, 16, false), (DATA, 512, false), (outside, 1, true)],
    ] {
        let index = d.used().0;
        d.put(&buffers);
        d.device.serve();
        assert_eq!(d.used().0, index + 1, "{buffers:x?}");
    }
    assert_eq!(std::fs::read(file.path()).unwrap(), before);
    assert_eq!(request(&mut d, VIRTIO_BLK_T_IN, 1, &[(DATA, 512, true)]), (OK, 513), "and it goes on");
}

#[test]
fn a_request_is_no_longer_than_a_queue() {
    const TABLE: u64 = BUFFERS + 0x2_0000;
    let (_, mut d) = disk();
    d.memory.write_obj(VIRTIO_BLK_T_IN.to_le(), GuestAddress(BUFFERS)).unwrap();
    for (entries, written, status) in [(DESCRIPTORS, 513, OK), (DESCRIPTORS + 1, 0, 0xff)] {
        // The header, the data, buffers of nothing, the status: in a table, as a driver might that was not told that it may.
        let mut buffers = vec![(DATA, 0, true); entries];
        (buffers[0], buffers[1], buffers[entries - 1]) = ((BUFFERS, 16, false), (DATA, 512, true), (STATUS, 1, true));
        d.describe(TABLE, &buffers);
        d.memory.write_obj(0xff_u8, GuestAddress(STATUS)).unwrap();
        d.put_table(TABLE, entries);
        d.device.serve();
        assert_eq!((d.used().1, bytes(&d, STATUS, 1)), (written, vec![status]), "{entries}");
    }
}

#[test]
fn buffers_are_cut_anywhere() {
    let (_, mut d) = disk();
    d.memory.write_obj(VIRTIO_BLK_T_IN.to_le(), GuestAddress(BUFFERS)).unwrap();
    d.memory.write_obj(5_u64.to_le(), GuestAddress(BUFFERS + 8)).unwrap();
    d.memory.write_slice(&[0xff; 1025], GuestAddress(DATA)).unwrap();
    // The header in two, buffers of nothing, and the status behind the data.
    d.put(&[(BUFFERS, 9, false), (BUFFERS + 9, 7, false), (DATA, 0, true), (DATA, 3, true), (DATA + 3, 1022, true)]);
    d.device.serve();
    assert_eq!(d.used(), (1, 1025));
    assert_eq!(bytes(&d, DATA, 1025), [&[5; 512][..], &[6; 512], &[OK]].concat());
}

#[test]
fn less_than_a_sector_is_no_disk() {
    let file = NamedTempFile::new().unwrap();
    file.as_file().set_len(511).unwrap();
    let Err(error) = Block::open(file.path()) else { panic!("there is nothing to map") };
    assert!(error.to_string().contains("it has not one sector of 512 bytes"), "{error}");
}

#[test]
fn one_at_a_time() {
    let (file, d) = disk();
    let Err(error) = Block::open(file.path()) else { panic!("opened twice") };
    assert!(matches!(error, Error::DiskInUse { .. }), "{error}");
    drop(d);
    Block::open(file.path()).unwrap();
    assert!(matches!(Block::open(Path::new("/nope")), Err(Error::File { .. })));
}
