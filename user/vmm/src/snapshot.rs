// SPDX-License-Identifier: MIT OR Apache-2.0
//! A guest on disk: a folder with two files.
//!
//! | file | |
//! |---|---|
//! | `memory` | the guest's memory as it is; pages of zeros are holes |
//! | `state` | everything else: [`MAGIC`], [`VERSION`], length and CRC-32 of what follows, and a [`State`] as postcard |
//!
//! Numbers are little-endian. `state` is written last, under another name first, so that a folder that has it is
//! complete; it holds the CRC-32 of `memory`. Each change of a type in it is a new version. The disk is not in it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use crate::layout::{MIB, RAM_BASE};
use crate::{uart, virtio_mmio};

/// How a state begins.
pub const MAGIC: [u8; 8] = *b"haiovsnp";
/// Version of the format.
pub const VERSION: u32 = 2;

const HEADER: usize = 24;
/// A state with 512 vCPUs is of some MiB.
const LARGEST: u64 = 1 << 30;
/// Bytes of memory that are moved at once.
const CHUNK: usize = 1 << 16;

/// A guest, without its memory and its disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Size of the memory, in MiB.
    pub mem: u64,
    /// CRC-32 of the memory.
    pub mem_crc: u32,
    /// The guest's time, in cycles of its time base.
    pub time: u64,
    /// The vCPUs, by index.
    pub vcpus: Vec<Vcpu>,
    /// The interrupt controllers.
    pub aia: Aia,
    /// The serial port.
    pub serial: uart::State,
    /// The disk's device, if there is one.
    pub disk: Option<virtio_mmio::State>,
    /// Whether the guest was told that it may notify its disk by VEI: it remembers that.
    pub disk_vei: bool,
}

/// A vCPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vcpu {
    /// Whether it runs: a value of `KVM_GET_MP_STATE`.
    pub mp_state: u32,
    /// The registers of `KVM_GET_REG_LIST`, in its order.
    pub registers: Vec<(u64, Vec<u8>)>,
}

/// The interrupt controllers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aia {
    /// Registers of the APLIC by offset, in the order in which they are set.
    pub aplic: Vec<(u64, u32)>,
    /// Registers of each hart's IMSIC by number, in the order in which they are set.
    pub imsics: Vec<Vec<(u64, u64)>>,
}

/// Why a snapshot is not to be used, as the end of a sentence.
pub type Wrong = String;

/// Writes a state as the file `state` holds it.
///
/// # Arguments
///
/// * `state` - the state.
///
/// # Errors
///
/// What cannot be written.
pub fn encode(state: &State) -> Result<Vec<u8>, Wrong> {
    let payload = postcard::to_stdvec(state).map_err(|e| format!("its state cannot be written: {e}"))?;
    let mut bytes = MAGIC.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend((payload.len() as u64).to_le_bytes());
    bytes.extend(crc32fast::hash(&payload).to_le_bytes());
    bytes.extend(payload);
    Ok(bytes)
}

/// Reads a state.
///
/// # Arguments
///
/// * `bytes` - the file `state`.
///
/// # Errors
///
/// What is wrong with it.
pub fn decode(bytes: &[u8]) -> Result<State, Wrong> {
    let damaged = || "its state is damaged".to_owned();
    let (header, payload) = bytes.split_first_chunk::<HEADER>().ok_or_else(damaged)?;
    let field = |at: usize| header[at..].first_chunk().map_or(0, |b| u32::from_le_bytes(*b));
    if header[..8] != MAGIC {
        return Err("its state is that of another program".into());
    }
    if field(8) != VERSION {
        return Err(format!("its state is of version {}, and this program knows version {VERSION}", field(8)));
    }
    let len = u64::from(field(12)) | u64::from(field(16)) << 32;
    if len != payload.len() as u64 || field(20) != crc32fast::hash(payload) {
        return Err(damaged());
    }
    let (state, rest) = postcard::take_from_bytes(payload).map_err(|_| damaged())?;
    if rest.is_empty() { Ok(state) } else { Err(damaged()) }
}

/// Saves a guest's memory in a new folder.
///
/// # Arguments
///
/// * `folder` - the folder: new, or empty.
/// * `memory` - the memory.
/// * `mib` - its size.
///
/// The result is its CRC-32.
///
/// # Errors
///
/// What is wrong.
pub fn save_memory(folder: &Path, memory: &GuestMemoryMmap, mib: u64) -> Result<u32, Wrong> {
    let write = || -> io::Result<u32> {
        fs::create_dir_all(folder)?;
        if fs::read_dir(folder)?.next().is_some() {
            return Err(io::Error::other("it is not empty"));
        }
        let file = OpenOptions::new().write(true).create_new(true).open(folder.join("memory"))?;
        file.set_len(mib * MIB)?;
        let (mut crc, mut chunk, zeros) = (crc32fast::Hasher::new(), vec![0; CHUNK], vec![0; CHUNK]);
        for at in (0..mib * MIB).step_by(CHUNK) {
            memory.read_slice(&mut chunk, GuestAddress(RAM_BASE + at)).map_err(io::Error::other)?;
            crc.update(&chunk);
            if chunk != zeros {
                file.write_all_at(&chunk, at)?;
            }
        }
        file.sync_all()?;
        Ok(crc.finalize())
    };
    write().map_err(|e| format!("the memory cannot be written: {e}"))
}

/// Saves a guest's state, after its memory.
///
/// # Arguments
///
/// * `folder` - the folder.
/// * `state` - the state.
///
/// # Errors
///
/// What is wrong.
pub fn save_state(folder: &Path, state: &State) -> Result<(), Wrong> {
    let bytes = encode(state)?;
    let (new, path) = (folder.join("state.new"), folder.join("state"));
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).open(&new)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|e| format!("the state cannot be written: {e}"))
}

/// Reads a guest's state.
///
/// # Arguments
///
/// * `folder` - the folder.
///
/// # Errors
///
/// What is wrong.
pub fn load_state(folder: &Path) -> Result<State, Wrong> {
    let mut bytes = Vec::new();
    File::open(folder.join("state"))
        .and_then(|file| file.take(LARGEST).read_to_end(&mut bytes))
        .map_err(|e| format!("its state cannot be read: {e}"))?;
    decode(&bytes)
}

/// Reads a guest's memory into one that is new.
///
/// # Arguments
///
/// * `folder` - the folder.
/// * `memory` - where it goes: all zeros.
/// * `state` - the guest's state.
///
/// # Errors
///
/// What is wrong; the memory then holds a part.
pub fn load_memory(folder: &Path, memory: &GuestMemoryMmap, state: &State) -> Result<(), Wrong> {
    let read = || -> io::Result<bool> {
        let file = File::open(folder.join("memory"))?;
        if file.metadata()?.len() != state.mem * MIB {
            return Ok(false);
        }
        let (mut crc, mut chunk, zeros) = (crc32fast::Hasher::new(), vec![0; CHUNK], vec![0; CHUNK]);
        for at in (0..state.mem * MIB).step_by(CHUNK) {
            file.read_exact_at(&mut chunk, at)?;
            crc.update(&chunk);
            if chunk != zeros {
                memory.write_slice(&chunk, GuestAddress(RAM_BASE + at)).map_err(io::Error::other)?;
            }
        }
        Ok(crc.finalize() == state.mem_crc)
    };
    match read() {
        Ok(true) => Ok(()),
        Ok(false) => Err("its memory is damaged".into()),
        Err(e) => Err(format!("its memory cannot be read: {e}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot;

    fn state() -> State {
        State {
            mem: 16,
            mem_crc: 0,
            time: u64::MAX,
            vcpus: vec![
                Vcpu { mp_state: 0, registers: vec![(0x8030_0000_0200_0000, vec![1; 8]), (7, vec![9; 32])] },
                Vcpu { mp_state: 5, registers: Vec::new() },
            ],
            aia: Aia { aplic: vec![(0x3004, 7)], imsics: vec![vec![(0x80, u64::MAX)], Vec::new()] },
            serial: uart::State::default(),
            disk: None,
            disk_vei: false,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = encode(&state()).unwrap();
        assert_eq!(decode(&bytes).unwrap(), state());
        assert_eq!(bytes[..12], *b"haiovsnp\x02\0\0\0");
    }

    #[test]
    fn no_damage_goes_unnoticed() {
        let good = encode(&state()).unwrap();
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                assert!(decode(&bad).is_err(), "byte {at}, bit {bit}");
            }
            assert!(decode(&good[..at]).is_err(), "cut off at {at}");
        }
        assert!(decode(&[&good[..], &[0]].concat()).is_err(), "longer");
    }

    #[test]
    fn other_programs_and_versions_are_named() {
        let good = encode(&state()).unwrap();
        let mut other = good.clone();
        other[8] += 1;
        let (later, known) = (VERSION + 1, VERSION);
        let wanted = format!("its state is of version {later}, and this program knows version {known}");
        assert_eq!(decode(&other).unwrap_err(), wanted);
        let mut other = good;
        other[0] = b'x';
        assert_eq!(decode(&other).unwrap_err(), "its state is that of another program");
    }

    #[test]
    fn memory_comes_back_and_damage_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("new");
        let memory = boot::memory(16).unwrap();
        memory.write_slice(&[7; 5000], GuestAddress(RAM_BASE + 0x12_3456)).unwrap();
        memory.write_obj(9_u8, GuestAddress(RAM_BASE + 16 * MIB - 1)).unwrap();
        let state = State { mem_crc: save_memory(&folder, &memory, 16).unwrap(), ..state() };
        assert!(load_state(&folder).unwrap_err().starts_with("its state cannot be read: "), "not complete yet");
        save_state(&folder, &state).unwrap();
        assert!(save_memory(&folder, &memory, 16).unwrap_err().ends_with("it is not empty"));

        assert_eq!(load_state(&folder).unwrap(), state);
        let other = boot::memory(16).unwrap();
        load_memory(&folder, &other, &state).unwrap();
        let (mut a, mut b) = (vec![0; 16 << 20], vec![0; 16 << 20]);
        memory.read_slice(&mut a, GuestAddress(RAM_BASE)).unwrap();
        other.read_slice(&mut b, GuestAddress(RAM_BASE)).unwrap();
        assert!(a == b);

        let file = OpenOptions::new().write(true).open(folder.join("memory")).unwrap();
        file.write_all_at(&[1], 0x50_0000).unwrap();
        let load = || load_memory(&folder, &boot::memory(16).unwrap(), &state);
        assert_eq!(load().unwrap_err(), "its memory is damaged");
        file.write_all_at(&[0], 0x50_0000).unwrap();
        load().unwrap();
        file.set_len((16 << 20) - 1).unwrap();
        assert_eq!(load().unwrap_err(), "its memory is damaged");
    }
}
