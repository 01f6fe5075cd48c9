// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where kernel, initrd and device tree go in the guest's memory.
//!
//! The kernel starts at the beginning of RAM plus the offset that its header asks for
//! (Documentation/arch/riscv/boot-image-header.rst); the device tree is at the end of RAM, the initrd just below it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use crate::error::{Error, Result};
use crate::layout::{MIB, RAM_BASE};

/// The kernel maps the device tree with pages of this size.
const FDT_ALIGN: u64 = 2 * MIB;
/// The largest device tree; Linux takes no larger one.
pub const FDT_MAX: u64 = 2 * MIB;
const PAGE: u64 = 4096;

/// What the header of an Image says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Offset from the beginning of RAM at which the kernel wants to be.
    pub text_offset: u64,
    /// Memory that the kernel needs there, with what the file does not hold.
    pub image_size: u64,
}

impl Header {
    /// Size of the header.
    pub const SIZE: usize = 64;
    /// `magic2`, "RSC" and 5.
    const MAGIC: u32 = 0x0543_5352;

    /// Reads a header, or gives `None` when it is not one of a riscv64 Image.
    pub fn parse(bytes: &[u8; Self::SIZE]) -> Option<Self> {
        let u64_at = |at: usize| bytes[at..].first_chunk().map(|b| u64::from_le_bytes(*b));
        let magic = bytes[56..].first_chunk().map(|b| u32::from_le_bytes(*b))?;
        let header = Self { text_offset: u64_at(8)?, image_size: u64_at(16)? };
        (magic == Self::MAGIC && header.image_size != 0).then_some(header)
    }
}

/// Where everything goes, in guest physical addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// First byte of the kernel, where the first vCPU starts.
    pub kernel: u64,
    /// First byte of the initrd.
    pub initrd: u64,
    /// First byte of the device tree.
    pub fdt: u64,
}

/// Finds places for everything.
///
/// # Arguments
///
/// * `mem` - size of the memory, in bytes.
/// * `header` - the kernel's header.
/// * `initrd_size` - size of the initrd in bytes, 0 for none.
///
/// # Errors
///
/// [`Error::TooSmall`], with what would be enough.
pub fn place(mem: u64, header: Header, initrd_size: u64) -> Result<Placement> {
    let needed = header
        .text_offset
        .saturating_add(header.image_size)
        .saturating_add(initrd_size)
        // What rounding may cost: a page for the initrd, and the device tree's place.
        .saturating_add(PAGE + FDT_ALIGN + FDT_MAX);
    if needed > mem {
        return Err(Error::TooSmall { needed_mib: needed.div_ceil(MIB) });
    }
    let fdt = (RAM_BASE + mem - FDT_MAX) & !(FDT_ALIGN - 1);
    let initrd = (fdt - initrd_size) & !(PAGE - 1);
    Ok(Placement { kernel: RAM_BASE + header.text_offset, initrd, fdt })
}

/// Gets memory for the guest.
///
/// # Arguments
///
/// * `mib` - how much.
///
/// # Errors
///
/// [`Error::Memory`] when the host does not have it.
pub fn memory(mib: u64) -> Result<GuestMemoryMmap> {
    let size = usize::try_from(mib * MIB).unwrap_or(usize::MAX);
    GuestMemoryMmap::from_ranges(&[(GuestAddress(RAM_BASE), size)]).map_err(|source| Error::Memory { mib, source })
}

/// A file to be loaded into the guest.
#[derive(Debug)]
pub struct Blob {
    file: File,
    size: u64,
}

impl Blob {
    /// Opens a file.
    ///
    /// # Arguments
    ///
    /// * `option` - the option that named it, for the error message.
    /// * `path` - the file.
    ///
    /// # Errors
    ///
    /// [`Error::File`] when it is not a file that can be read.
    pub fn open(option: &'static str, path: &Path) -> Result<Self> {
        let wrong = |source| Error::File { option, path: path.to_owned(), source };
        let file = File::open(path).map_err(wrong)?;
        let meta = file.metadata().map_err(wrong)?;
        if !meta.is_file() {
            return Err(wrong(std::io::Error::other("not a regular file")));
        }
        Ok(Self { file, size: meta.len() })
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Reads the header of a kernel.
    ///
    /// # Arguments
    ///
    /// * `path` - the file's name, for the error message.
    ///
    /// # Errors
    ///
    /// [`Error::NotAKernel`] when it is too short or has another format.
    pub fn header(&self, path: &Path) -> Result<Header> {
        let mut bytes = [0; Header::SIZE];
        std::os::unix::fs::FileExt::read_exact_at(&self.file, &mut bytes, 0)
            .ok()
            .and_then(|()| Header::parse(&bytes))
            .filter(|header| header.image_size >= self.size)
            .ok_or_else(|| Error::NotAKernel { path: path.to_owned() })
    }

    /// Loads the kernel.
    ///
    /// # Arguments
    ///
    /// * `memory` - the guest's memory.
    ///
    /// # Errors
    ///
    /// [`Error::Load`] when it does not fit.
    #[cfg(target_arch = "riscv64")]
    pub fn load_kernel(&mut self, memory: &GuestMemoryMmap) -> Result<()> {
        use linux_loader::loader::{KernelLoader, PE};
        PE::load(memory, Some(GuestAddress(RAM_BASE)), &mut self.file, None)
            .map(|_| ())
            .map_err(|source| Error::Load { what: "the kernel", source: Box::new(source) })
    }

    /// Loads the file as it is.
    ///
    /// # Arguments
    ///
    /// * `memory` - the guest's memory.
    /// * `at` - where it goes.
    ///
    /// # Errors
    ///
    /// [`Error::Load`] when it does not fit, or has become shorter.
    pub fn load(&mut self, memory: &GuestMemoryMmap, at: u64) -> Result<()> {
        let failed = |source| Error::Load { what: "the initrd", source };
        let size = usize::try_from(self.size).map_err(|e| failed(Box::new(e)))?;
        memory
            .read_exact_volatile_from(GuestAddress(at), &mut self.file.by_ref(), size)
            .map_err(|e| failed(Box::new(e)))
    }
}

/// Writes the device tree.
///
/// # Arguments
///
/// * `memory` - the guest's memory.
/// * `at` - where it goes.
/// * `blob` - the device tree.
///
/// # Errors
///
/// [`Error::Load`] when it is larger than Linux takes.
pub fn load_fdt(memory: &GuestMemoryMmap, at: u64, blob: &[u8]) -> Result<()> {
    if blob.len() as u64 > FDT_MAX {
        return Err(Error::Load { what: "the device tree", source: "it is larger than 2 MiB".into() });
    }
    memory
        .write_slice(blob, GuestAddress(at))
        .map_err(|source| Error::Load { what: "the device tree", source: Box::new(source) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn image(text_offset: u64, image_size: u64) -> [u8; Header::SIZE] {
        let mut bytes = [0; Header::SIZE];
        bytes[8..16].copy_from_slice(&text_offset.to_le_bytes());
        bytes[16..24].copy_from_slice(&image_size.to_le_bytes());
        bytes[56..60].copy_from_slice(b"RSC\x05");
        bytes
    }

    #[test]
    fn header_of_an_image() {
        let header = Header::parse(&image(0x20_0000, 0x100_0000)).unwrap();
        assert_eq!(header, Header { text_offset: 0x20_0000, image_size: 0x100_0000 });
        let mut other = image(0, 1);
        other[56] = b'X';
        assert_eq!(Header::parse(&other), None);
        assert_eq!(Header::parse(&image(0x20_0000, 0)), None, "a header without a size");
    }

    #[test]
    fn parts_do_not_overlap_and_are_aligned() {
        let header = Header { text_offset: 2 * MIB, image_size: 20 * MIB + 5 };
        for (mem, initrd_size) in [(256 * MIB, 0), (256 * MIB, 12_345_678), (31 * MIB + 4096, 1), (4096 * MIB, 1 << 30)]
        {
            let p = place(mem, header, initrd_size).unwrap();
            assert_eq!(p.kernel, RAM_BASE + 2 * MIB);
            assert!(p.initrd >= p.kernel + header.image_size);
            assert!(p.initrd + initrd_size <= p.fdt);
            assert!(p.fdt + FDT_MAX <= RAM_BASE + mem);
            assert_eq!((p.initrd % PAGE, p.fdt % FDT_ALIGN), (0, 0));
        }
    }

    #[test]
    fn what_does_not_fit_says_what_would() {
        let header = Header { text_offset: 2 * MIB, image_size: 20 * MIB };
        let Err(Error::TooSmall { needed_mib }) = place(24 * MIB, header, 10 * MIB) else { panic!() };
        assert!(place(needed_mib * MIB, header, 10 * MIB).is_ok());
        assert!(place(u64::MAX / 2, Header { text_offset: u64::MAX, image_size: 1 }, 0).is_err());
    }

    #[test]
    fn files_are_checked() {
        let missing = Blob::open("--kernel", Path::new("/nonexistent/Image")).unwrap_err();
        assert!(missing.to_string().starts_with("cannot use --kernel /nonexistent/Image: "), "{missing}");
        assert!(Blob::open("--initrd", Path::new("/")).is_err(), "a directory");

        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"short").unwrap();
        let blob = Blob::open("--kernel", file.path()).unwrap();
        assert!(matches!(blob.header(file.path()), Err(Error::NotAKernel { .. })));

        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&image(0, 63)).unwrap();
        let blob = Blob::open("--kernel", file.path()).unwrap();
        assert!(blob.header(file.path()).is_err(), "a file that is larger than its header says");
    }

    #[test]
    fn initrd_and_device_tree_arrive() {
        let memory = memory(16).unwrap();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"initrd").unwrap();
        let mut blob = Blob::open("--initrd", file.path()).unwrap();
        blob.load(&memory, RAM_BASE + PAGE).unwrap();
        let mut got = [0; 6];
        memory.read_slice(&mut got, GuestAddress(RAM_BASE + PAGE)).unwrap();
        assert_eq!(&got, b"initrd");
        load_fdt(&memory, RAM_BASE, b"tree").unwrap();
        assert!(load_fdt(&memory, RAM_BASE + 16 * MIB - 2, b"tree").is_err());
        assert!(load_fdt(&memory, RAM_BASE, &vec![0; FDT_MAX as usize + 1]).is_err());
    }
}
