// SPDX-License-Identifier: MIT OR Apache-2.0
//! The disk: virtio-blk on a raw image (Virtual I/O Device 1.2, 5.2).

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::path::Path;
use std::slice;

use nix::fcntl::{Flock, FlockArg};
use virtio_bindings::bindings::virtio_blk::{
    VIRTIO_BLK_F_FLUSH, VIRTIO_BLK_ID_BYTES, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_OK, VIRTIO_BLK_S_UNSUPP,
    VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_GET_ID, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT,
};
use virtio_queue::DescriptorChain;
use virtio_queue::desc::split::Descriptor;
use vm_memory::{
    Address, FileOffset, GuestAddress, GuestMemoryBackend, GuestMemoryMmap, MmapRegion, VolatileMemory, VolatileSlice,
};

use crate::error::{Error, Result};
use crate::virtio_mmio::Backend;

/// The unit of positions, whatever the size of a block.
const SECTOR: u64 = 512;
/// `VIRTIO_ID_BLOCK`, a macro that virtio-bindings does not have.
const ID: u32 = 2;
/// How many descriptors a request has at most: as many as a queue can have entries, whoever makes it.
pub const DESCRIPTORS: usize = 1024;
/// Size of what a request begins with (5.2.6).
const HEADER: usize = 16;
/// What the guest sees as the disk's serial number.
const SERIAL: &[u8] = b"haiov-vmm";

/// A disk.
///
/// The image is mapped, so that a request is served by memory alone: by a handler of a user VEI as well as by a thread.
pub struct Block {
    map: MmapRegion,
    image: Flock<File>,
    sectors: u64,
    /// Room for those of a request: a handler gets nothing of the heap.
    descriptors: Box<[Descriptor; DESCRIPTORS]>,
}

impl Block {
    /// Opens an image. No two VMMs use one at a time.
    ///
    /// # Arguments
    ///
    /// * `path` - the image: its whole sectors of 512 bytes are the disk.
    ///
    /// # Errors
    ///
    /// [`Error::File`] when it is not a file that can be read, written and mapped, and [`Error::DiskInUse`].
    pub fn open(path: &Path) -> Result<Self> {
        let wrong = |source| Error::File { option: "--disk", path: path.to_owned(), source };
        let mut file = OpenOptions::new().read(true).write(true).open(path).map_err(wrong)?;
        // As the kernel knows it, for block devices too.
        let sectors = file.seek(SeekFrom::End(0)).map_err(wrong)? / SECTOR;
        if sectors == 0 {
            return Err(wrong(io::Error::other("it has not one sector of 512 bytes")));
        }
        let image = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|_| Error::DiskInUse { path: path.to_owned() })?;
        let whole = FileOffset::new(image.try_clone().map_err(wrong)?, 0);
        let map = MmapRegion::from_file(whole, (sectors * SECTOR) as usize).map_err(|e| wrong(io::Error::other(e)))?;
        Ok(Self { map, image, sectors, descriptors: Box::new([Descriptor::default(); DESCRIPTORS]) })
    }

    /// Serves a request whose status has a place.
    ///
    /// # Arguments
    ///
    /// * `from` - what the driver has filled.
    /// * `to` - what it wants to have filled, without the status.
    ///
    /// The result is the status.
    fn execute(&self, from: &mut Buffers<'_>, to: &mut Buffers<'_>) -> io::Result<u32> {
        let mut header = [0; HEADER];
        from.read(&mut header)?;
        // Kind, four bytes that mean nothing any more, sector.
        let header = u128::from_le_bytes(header);
        let sector = (header >> 64) as u64;
        match header as u32 {
            VIRTIO_BLK_T_IN => self.copy(sector, to, |place, buffer| place.copy_to_volatile_slice(buffer))?,
            VIRTIO_BLK_T_OUT => self.copy(sector, from, |place, buffer| buffer.copy_to_volatile_slice(place))?,
            VIRTIO_BLK_T_FLUSH => self.image.sync_data()?,
            VIRTIO_BLK_T_GET_ID => {
                let mut id = [0; VIRTIO_BLK_ID_BYTES as usize];
                id[..SERIAL.len()].copy_from_slice(SERIAL);
                let mut left = &id[..];
                while let Some(part) = to.next(left.len()) {
                    part.copy_from(left);
                    left = left.get(part.len()..).unwrap_or_default();
                }
            }
            _ => return Ok(VIRTIO_BLK_S_UNSUPP),
        }
        Ok(VIRTIO_BLK_S_OK)
    }

    /// Copies between the image, from a sector on, and buffers.
    fn copy(
        &self,
        sector: u64,
        buffers: &mut Buffers<'_>,
        copy: impl Fn(VolatileSlice<'_>, VolatileSlice<'_>),
    ) -> io::Result<()> {
        let len = buffers.left as u64;
        let end = sector.checked_add(len.div_ceil(SECTOR)).filter(|end| len % SECTOR == 0 && *end <= self.sectors);
        let mut at = end.map(|_| sector * SECTOR).ok_or(io::ErrorKind::InvalidInput)? as usize;
        while let Some(buffer) = buffers.next(usize::MAX) {
            let place = self.map.get_slice(at, buffer.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
            copy(place, buffer);
            at += buffer.len();
        }
        // A driver that changes its buffers meanwhile gets less.
        if buffers.left == 0 { Ok(()) } else { Err(io::ErrorKind::InvalidInput.into()) }
    }
}

/// Buffers of a request, those that the device reads or those that it writes, one after the other. To go through them
/// takes no memory of the heap.
struct Buffers<'a> {
    memory: &'a GuestMemoryMmap,
    descriptors: slice::Iter<'a, Descriptor>,
    written: bool,
    /// What is left of the part of it that was begun.
    begun: Option<VolatileSlice<'a>>,
    /// What is left behind that part: two regions of memory can be next to each other.
    behind: (GuestAddress, usize),
    /// How many bytes are left of all.
    left: usize,
}

impl<'a> Buffers<'a> {
    /// Those that the device reads, and those that it writes; `None` if any is not memory.
    fn of(memory: &'a GuestMemoryMmap, descriptors: &'a [Descriptor]) -> Option<(Self, Self)> {
        let buffers = |written| {
            let (descriptors, behind) = (descriptors.iter(), (GuestAddress(0), 0));
            Self { memory, descriptors, written, begun: None, behind, left: 0 }
        };
        let (mut from, mut to) = (buffers(false), buffers(true));
        for descriptor in descriptors {
            let len = descriptor.len() as usize;
            let buffers = if descriptor.is_write_only() { &mut to } else { &mut from };
            buffers.left += memory.check_range(descriptor.addr(), len).then_some(len)?;
        }
        Some((from, to))
    }

    /// The next part of the buffers that is not empty.
    fn part(&mut self) -> Option<VolatileSlice<'a>> {
        while self.behind.1 == 0 {
            let descriptor = self.descriptors.find(|d| d.is_write_only() == self.written)?;
            self.behind = (descriptor.addr(), descriptor.len() as usize);
        }
        let (address, len) = self.behind;
        let part = self.memory.get_slices(address, len).next()?.ok()?;
        self.behind = (address.unchecked_add(part.len() as u64), len - part.len());
        Some(part)
    }

    /// The next bytes that are in one place, `most` at most and not none.
    fn next(&mut self, most: usize) -> Option<VolatileSlice<'a>> {
        let most = most.min(self.left);
        if most == 0 {
            return None;
        }
        let buffer = match self.begun.take() {
            Some(buffer) => buffer,
            None => self.part()?,
        };
        let part = if buffer.len() > most {
            let (part, rest) = buffer.split_at(most).ok()?;
            self.begun = Some(rest);
            part
        } else {
            buffer
        };
        self.left -= part.len();
        Some(part)
    }

    /// Reads all of `to`.
    fn read(&mut self, mut to: &mut [u8]) -> io::Result<()> {
        while !to.is_empty() {
            let part = self.next(to.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
            let (now, later) = to.split_at_mut(part.len());
            part.copy_to(now);
            to = later;
        }
        Ok(())
    }
}

impl Backend for Block {
    const ID: u32 = ID;

    fn features(&self) -> u64 {
        1 << VIRTIO_BLK_F_FLUSH
    }

    fn config(&self) -> Vec<u8> {
        self.sectors.to_le_bytes().into()
    }

    fn serve(&mut self, memory: &GuestMemoryMmap, request: DescriptorChain<&GuestMemoryMmap>) -> u32 {
        let mut count = 0;
        for descriptor in request {
            // A driver makes no longer one (2.7.5.3.1).
            let Some(room) = self.descriptors.get_mut(count) else { return 0 };
            *room = descriptor;
            count += 1;
        }
        // A request without a place for its status cannot be answered: nothing is done, and nothing was written.
        let Some((mut from, mut to)) = Buffers::of(memory, &self.descriptors[..count]) else { return 0 };
        let Some(room) = to.left.checked_sub(1) else { return 0 };
        to.left = room;
        let answer = self.execute(&mut from, &mut to).unwrap_or(VIRTIO_BLK_S_IOERR);
        // The status is the last byte.
        while to.next(usize::MAX).is_some() {}
        to.left = 1;
        match to.next(1) {
            Some(status) => status.copy_from(&[answer as u8]),
            None => return 0,
        }
        // All of the buffers on success; the driver looks at the status otherwise.
        if answer == VIRTIO_BLK_S_OK { (room + 1) as u32 } else { 1 }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.image.sync_data()
    }
}

#[cfg(test)]
mod tests;
