// SPDX-License-Identifier: GPL-2.0

//! How an argument gets from user space to a command, and its answer back. Nothing else in this
//! module touches user memory.

use core::mem::size_of;
use kernel::{
    prelude::*,
    transmute::{
        AsBytes,
        FromBytes, //
    },
    uaccess::{
        UserPtr,
        UserSlice, //
    },
};

/// Longest argument that is looked at.
const SIZE_MAX: usize = 4096;

/// Decides whether a structure of `size` bytes may be read, `min` being the size of its first
/// version. Returns how many of the `known` bytes it has.
fn accept_size(size: usize, min: usize, known: usize) -> Result<usize> {
    if size < min {
        return Err(EINVAL);
    }
    if size > SIZE_MAX {
        return Err(E2BIG);
    }
    Ok(size.min(known))
}

/// Where the answer goes.
pub(crate) struct Reply {
    ptr: UserPtr,
    size: usize,
}

impl Reply {
    /// Writes as much of `value` as the caller has room for.
    pub(crate) fn send<T: AsBytes>(&self, value: &T) -> Result {
        let bytes = value.as_bytes();
        let bytes = bytes.get(..self.size).unwrap_or(bytes);

        UserSlice::new(self.ptr, self.size)
            .writer()
            .write_slice(bytes)
    }
}

/// Reads a structure that begins with its size. `min` is the size of its first version; what the
/// caller's structure lacks is 0.
pub(crate) fn read<T: AsBytes + FromBytes + Default>(
    ptr: UserPtr,
    min: usize,
) -> Result<(T, Reply)> {
    let size = UserSlice::new(ptr, size_of::<u32>())
        .reader()
        .read::<u32>()? as usize;
    let known = accept_size(size, min, size_of::<T>())?;

    let mut value = T::default();
    let mut reader = UserSlice::new(ptr, size).reader();
    if let Some(bytes) = value.as_bytes_mut().get_mut(..known) {
        reader.read_slice(bytes)?;
    }

    // What we do not know must be 0.
    let mut chunk = [0; 64];
    while !reader.is_empty() {
        let len = reader.len().min(chunk.len());
        reader.read_slice(&mut chunk[..len])?;
        if chunk[..len].iter().any(|byte| *byte != 0) {
            return Err(E2BIG);
        }
    }

    Ok((value, Reply { ptr, size }))
}

#[kunit_tests(haiov_copy_in)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        // Too short, first version, between, known, longer.
        assert_eq!(accept_size(0, 16, 32), Err(EINVAL));
        assert_eq!(accept_size(15, 16, 32), Err(EINVAL));
        assert_eq!(accept_size(16, 16, 32), Ok(16));
        assert_eq!(accept_size(24, 16, 32), Ok(24));
        assert_eq!(accept_size(32, 16, 32), Ok(32));
        assert_eq!(accept_size(33, 16, 32), Ok(32));
        assert_eq!(accept_size(4096, 16, 32), Ok(32));
        assert_eq!(accept_size(4097, 16, 32), Err(E2BIG));
        assert_eq!(accept_size(u32::MAX as usize, 16, 32), Err(E2BIG));
    }

    #[test]
    fn bad_pointer() {
        // KUnit has no user memory: whatever is asked for cannot be read.
        assert_eq!(
            read::<u64>(UserPtr::from_addr(usize::MAX - 64), 8).err(),
            Some(EFAULT)
        );
    }
}
