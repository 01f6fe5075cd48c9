// SPDX-License-Identifier: MIT OR Apache-2.0
//! KVM's own counters, read from the file that `KVM_GET_STATS_FD` gives.
//!
//! The format is that of Documentation/virt/kvm/api.rst, "KVM_GET_STATS_FD": a header, then at offsets that it gives
//! an id, descriptors and data. All but the data stays the same while the file is open.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::FileExt;

/// Counters by name.
pub type Counters = BTreeMap<String, u64>;

const HEADER_SIZE: usize = 24;
/// A descriptor without the name that follows it.
const DESCRIPTOR_SIZE: usize = 16;
const TYPE_MASK: u32 = 0xf;
const TYPE_CUMULATIVE: u32 = 0;

/// Larger figures than any kernel has: they can only come from a file of another kind.
const NAME_MAX: usize = 1024;
const DESCRIPTORS_MAX: usize = 4096;

/// The counters of one vCPU or VM.
#[derive(Debug)]
pub struct KvmStats<F> {
    file: F,
    /// Name and offset in the file of each cumulative counter.
    counters: Vec<(String, u64)>,
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn u32_at(bytes: &[u8], at: usize) -> io::Result<u32> {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map(|b| u32::from_ne_bytes(*b)).ok_or_else(|| invalid("short field"))
}

/// Takes a name up to its NUL.
fn name_of(bytes: &[u8]) -> io::Result<String> {
    let end = bytes.iter().position(|b| *b == 0).ok_or_else(|| invalid("statistics: a name without an end"))?;
    String::from_utf8(bytes[..end].to_vec()).map_err(|_| invalid("statistics: a name that is no text"))
}

impl<F: FileExt> KvmStats<F> {
    /// Reads what does not change.
    ///
    /// # Arguments
    ///
    /// * `file` - what `KVM_GET_STATS_FD` gave.
    ///
    /// # Errors
    ///
    /// An I/O error, or [`io::ErrorKind::InvalidData`] when the file has another format.
    pub fn new(file: F) -> io::Result<Self> {
        let mut header = [0; HEADER_SIZE];
        file.read_exact_at(&mut header, 0)?;
        let name_size = u32_at(&header, 4)? as usize;
        let number = u32_at(&header, 8)? as usize;
        let descriptors_at = u64::from(u32_at(&header, 16)?);
        let data_at = u64::from(u32_at(&header, 20)?);
        if name_size == 0 || name_size > NAME_MAX || number > DESCRIPTORS_MAX {
            return Err(invalid("statistics: not a file of KVM"));
        }

        let size = DESCRIPTOR_SIZE + name_size;
        let mut descriptors = vec![0; size * number];
        file.read_exact_at(&mut descriptors, descriptors_at)?;
        let mut counters = Vec::new();
        for descriptor in descriptors.chunks_exact(size) {
            // Histograms, peaks and momentary values cannot be subtracted from one another.
            if u32_at(descriptor, 0)? & TYPE_MASK != TYPE_CUMULATIVE {
                continue;
            }
            let offset = u64::from(u32_at(descriptor, 8)?);
            counters.push((name_of(&descriptor[DESCRIPTOR_SIZE..])?, data_at + offset));
        }
        Ok(Self { file, counters })
    }

    /// Reads the counters as they are now, and adds them to others.
    ///
    /// # Arguments
    ///
    /// * `sum` - what they are added to, name by name.
    ///
    /// # Errors
    ///
    /// An I/O error.
    pub fn add_to(&self, sum: &mut Counters) -> io::Result<()> {
        for (name, at) in &self.counters {
            let mut value = [0; 8];
            self.file.read_exact_at(&mut value, *at)?;
            *sum.entry(name.clone()).or_default() += u64::from_ne_bytes(value);
        }
        Ok(())
    }
}

/// What was counted between two readings, without what did not change.
///
/// # Arguments
///
/// * `before`, `after` - the readings.
pub fn difference(before: &Counters, after: &Counters) -> Counters {
    after
        .iter()
        .map(|(name, value)| (name.clone(), value.wrapping_sub(before.get(name).copied().unwrap_or(0))))
        .filter(|(_, value)| *value != 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    /// A made-up statistics file.
    #[derive(Debug, Default)]
    struct Buffer(RefCell<Vec<u8>>);

    impl FileExt for Buffer {
        fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
            let bytes = self.0.borrow();
            let from = bytes.len().min(offset as usize);
            let len = buf.len().min(bytes.len() - from);
            buf[..len].copy_from_slice(&bytes[from..from + len]);
            Ok(len)
        }
        fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
            self.0.borrow_mut()[offset as usize..][..buf.len()].copy_from_slice(buf);
            Ok(buf.len())
        }
    }

    const NAME_SIZE: usize = 48;
    /// Flags, number of values, name; the last is what the tests read back.
    const DESCRIPTORS: [(u32, u16, &str); 4] =
        [(0, 1, "exits"), (3, 4, "halt_hist"), (1, 1, "blocking"), (0, 1, "mmio_exit_user")];

    /// The blocks in another order than the kernel's, with gaps, as the format allows.
    fn file(values: &[u64]) -> Buffer {
        let (id_at, data_at) = (200_usize, 32_usize);
        let descriptors_at = 256_usize;
        let mut bytes = vec![0xaa; descriptors_at + DESCRIPTORS.len() * (DESCRIPTOR_SIZE + NAME_SIZE)];
        let header = [0, NAME_SIZE, DESCRIPTORS.len(), id_at, descriptors_at, data_at];
        for (i, field) in header.iter().enumerate() {
            bytes[i * 4..][..4].copy_from_slice(&(*field as u32).to_ne_bytes());
        }
        for (i, value) in values.iter().enumerate() {
            bytes[data_at + i * 8..][..8].copy_from_slice(&value.to_ne_bytes());
        }
        let mut offset = 0_u32;
        for (i, (flags, size, name)) in DESCRIPTORS.iter().enumerate() {
            let d = &mut bytes[descriptors_at + i * (DESCRIPTOR_SIZE + NAME_SIZE)..];
            d[0..4].copy_from_slice(&flags.to_ne_bytes());
            d[6..8].copy_from_slice(&size.to_ne_bytes());
            d[8..12].copy_from_slice(&offset.to_ne_bytes());
            d[16..16 + name.len()].copy_from_slice(name.as_bytes());
            d[16 + name.len()] = 0;
            offset += u32::from(*size) * 8;
        }
        Buffer(RefCell::new(bytes))
    }

    fn read<F: FileExt>(stats: &KvmStats<F>) -> Counters {
        let mut counters = Counters::new();
        stats.add_to(&mut counters).unwrap();
        counters
    }

    #[test]
    fn cumulative_counters_by_name() {
        let stats = KvmStats::new(file(&[100, 1, 2, 3, 4, 5, 7])).unwrap();
        assert_eq!(read(&stats), Counters::from([("exits".into(), 100), ("mmio_exit_user".into(), 7)]));
    }

    #[test]
    fn values_are_read_anew_and_summed() {
        let stats = KvmStats::new(file(&[1, 0, 0, 0, 0, 0, 1 << 40])).unwrap();
        let mut counters = read(&stats);
        stats.file.write_at(&5_u64.to_ne_bytes(), 32).unwrap();
        stats.add_to(&mut counters).unwrap();
        assert_eq!(counters["exits"], 6);
        assert_eq!(counters["mmio_exit_user"], 2 << 40);
    }

    #[test]
    fn other_files_are_refused() {
        let short = Buffer(RefCell::new(vec![0; 10]));
        assert_eq!(KvmStats::new(short).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let zeros = Buffer(RefCell::new(vec![0; 4096]));
        assert_eq!(KvmStats::new(zeros).unwrap_err().kind(), io::ErrorKind::InvalidData);
        let ones = Buffer(RefCell::new(vec![0xff; 4096]));
        assert_eq!(KvmStats::new(ones).unwrap_err().kind(), io::ErrorKind::InvalidData);
        let cut = file(&[]);
        cut.0.borrow_mut().truncate(300);
        assert_eq!(KvmStats::new(cut).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let endless = file(&[]);
        endless.0.borrow_mut()[256 + 16..256 + 16 + NAME_SIZE].fill(b'x');
        assert_eq!(KvmStats::new(endless).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn difference_leaves_out_what_stayed() {
        let before = Counters::from([("a".into(), 1), ("b".into(), 2)]);
        let after = Counters::from([("a".into(), 1), ("b".into(), 5), ("c".into(), 4)]);
        assert_eq!(difference(&before, &after), Counters::from([("b".into(), 3), ("c".into(), 4)]));
    }
}
