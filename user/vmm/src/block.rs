// SPDX-License-Identifier: MIT OR Apache-2.0
//! The disk: virtio-blk on a raw image (Virtual I/O Device 1.2, 5.2).

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};
use virtio_bindings::bindings::virtio_blk::{
    VIRTIO_BLK_F_FLUSH, VIRTIO_BLK_ID_BYTES, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_OK, VIRTIO_BLK_S_UNSUPP,
    VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_GET_ID, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT,
};
use virtio_queue::{DescriptorChain, Reader, Writer};
use vm_memory::GuestMemoryMmap;

use crate::error::{Error, Result};
use crate::virtio_mmio::Backend;

/// The unit of positions, whatever the size of a block.
const SECTOR: u64 = 512;
/// Bytes that are moved at once.
const BUFFER: usize = 1 << 16;
/// `VIRTIO_ID_BLOCK`, a macro that virtio-bindings does not have.
const ID: u32 = 2;
/// What the guest sees as the disk's serial number.
const SERIAL: &[u8] = b"haiov-vmm";

/// A disk.
pub struct Block {
    image: Flock<File>,
    sectors: u64,
    buffer: Box<[u8]>,
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
    /// [`Error::File`] when it is not a file that can be read and written, and [`Error::DiskInUse`].
    pub fn open(path: &Path) -> Result<Self> {
        let wrong = |source| Error::File { option: "--disk", path: path.to_owned(), source };
        let mut file = OpenOptions::new().read(true).write(true).open(path).map_err(wrong)?;
        // As the kernel knows it, for block devices too.
        let size = file.seek(SeekFrom::End(0)).map_err(wrong)?;
        let image = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|_| Error::DiskInUse { path: path.to_owned() })?;
        Ok(Self { image, sectors: size / SECTOR, buffer: vec![0; BUFFER].into() })
    }

    /// Serves a request whose status has a place; the status, and how many bytes of data were written.
    fn execute(&mut self, mut reader: Reader<'_>, mut writer: Writer<'_>) -> io::Result<u32> {
        let (mut kind, mut reserved, mut sector) = ([0; 4], [0; 4], [0; 8]);
        reader.read_exact(&mut kind)?;
        reader.read_exact(&mut reserved)?;
        reader.read_exact(&mut sector)?;
        let sector = u64::from_le_bytes(sector);
        match u32::from_le_bytes(kind) {
            VIRTIO_BLK_T_IN => self.read(sector, &mut writer)?,
            VIRTIO_BLK_T_OUT => self.write(sector, &mut reader)?,
            VIRTIO_BLK_T_FLUSH => self.sync()?,
            VIRTIO_BLK_T_GET_ID => {
                let mut id = [0; VIRTIO_BLK_ID_BYTES as usize];
                id[..SERIAL.len()].copy_from_slice(SERIAL);
                let room = writer.available_bytes().min(id.len());
                writer.write_all(&id[..room])?;
            }
            _ => return Ok(VIRTIO_BLK_S_UNSUPP),
        }
        Ok(VIRTIO_BLK_S_OK)
    }

    /// Where so many bytes from a sector on begin, if they are on the disk.
    fn position(&self, sector: u64, len: usize) -> io::Result<u64> {
        let len = len as u64;
        let end = sector.checked_add(len.div_ceil(SECTOR)).filter(|end| len % SECTOR == 0 && *end <= self.sectors);
        end.map(|_| sector * SECTOR).ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }

    fn read(&mut self, sector: u64, to: &mut Writer<'_>) -> io::Result<()> {
        let mut at = self.position(sector, to.available_bytes())?;
        while to.available_bytes() > 0 {
            let part = to.available_bytes().min(BUFFER);
            let part = &mut self.buffer[..part];
            self.image.read_exact_at(part, at)?;
            to.write_all(part)?;
            at += part.len() as u64;
        }
        Ok(())
    }

    fn write(&mut self, sector: u64, from: &mut Reader<'_>) -> io::Result<()> {
        let mut at = self.position(sector, from.available_bytes())?;
        while from.available_bytes() > 0 {
            let part = from.available_bytes().min(BUFFER);
            let part = &mut self.buffer[..part];
            from.read_exact(part)?;
            self.image.write_all_at(part, at)?;
            at += part.len() as u64;
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
        // A request without a place for its status cannot be answered: nothing is done, and nothing was written.
        let Ok(mut data) = request.clone().writer(memory) else { return 0 };
        let Some(room) = data.available_bytes().checked_sub(1) else { return 0 };
        let Ok(mut status) = data.split_at(room) else { return 0 };
        let Ok(reader) = request.reader(memory) else { return 0 };
        let answer = self.execute(reader, data).unwrap_or(VIRTIO_BLK_S_IOERR);
        if status.write_all(&[answer as u8]).is_err() {
            return 0;
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
