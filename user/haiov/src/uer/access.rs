// SPDX-License-Identifier: MIT OR Apache-2.0
//! Decoding of utinst, and the access itself: everything between entry and exit of a handler.
//!
//! utinst follows the rules of htinst ("Transformed Instruction or Pseudoinstruction for mtinst or htinst" in the
//! privileged specification): a load or store as it is encoded, with its immediate zero, in rs1 the offset of the
//! faulting byte, bit 0 one, and bit 1 zero if the instruction had two bytes. Zcb forms arrive as their longer
//! counterparts (Documentation/isa.rst, 1). Floating-point forms, AMOs, LR and SC have other opcodes, and what cannot
//! be transformed is 0; all of these are punted.

use super::device::{Caller, Punt};
use super::table::Table;

/// Major opcodes in a transformed instruction, less bit 1, which tells the length.
const OPCODE_LOAD: u64 = 0b000_0001;
const OPCODE_STORE: u64 = 0b010_0001;
const OPCODE_MASK: u64 = 0b111_1101;
/// The offset of the faulting byte: not 0 when the access begins in another page.
const OFFSET_MASK: u64 = 0x1f << 15;
/// funct3 of stores ends at 3 on RV64.
const STORE_FUNCT3_HIGH: u64 = 1 << 14;

/// funct3 of the load that does not exist.
const FUNCT3_NONE: u64 = 7;
/// Which funct3 extend with zeros.
const FUNCT3_UNSIGNED: u64 = 4;

/// What a load ends with, in the registers a0 and a1 of the entry code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Loaded {
    /// Number of the register that is written, [`Loaded::PUNT`] for none of them.
    register: u64,
    /// What is written to it.
    value: u64,
}

impl Loaded {
    /// The entry code has this entry at the end of its table of registers.
    const PUNT: Self = Self { register: 32, value: 0 };
}

/// How far a register is shifted so that an operand of the given funct3 is at its upper end: 64 less its bits.
fn shift(funct3: u64) -> u32 {
    (8_u32 << (funct3 & 3)).wrapping_neg() & 63
}

fn size(funct3: u64) -> u8 {
    1 << (funct3 & 3)
}

/// A load: the guest's instruction `utinst` reads at guest physical address `gpa`.
pub(super) extern "C" fn load(utinst: u64, gpa: u64, table: &Table<'_>) -> Loaded {
    let funct3 = utinst >> 12 & 7;
    if utinst & (OPCODE_MASK | OFFSET_MASK) != OPCODE_LOAD || funct3 == FUNCT3_NONE {
        return Loaded::PUNT;
    }
    let size = size(funct3);
    let Some((device, offset)) = table.hot(gpa, size) else { return load_elsewhere(utinst, gpa, table) };
    match device.read(Caller::inside(), offset, size) {
        Ok(value) => Loaded { register: utinst >> 7 & 31, value: extend(value, funct3) },
        Err(Punt) => Loaded::PUNT,
    }
}

/// A load that is not from the device of the last access. This and its counterpart stand apart, so that the usual way
/// saves no registers for them.
#[cold]
#[inline(never)]
extern "C" fn load_elsewhere(utinst: u64, gpa: u64, table: &Table<'_>) -> Loaded {
    if table.search(gpa, size(utinst >> 12)) { load(utinst, gpa, table) } else { Loaded::PUNT }
}

/// Puts the operand of a load into the form in which the register gets it.
fn extend(value: u64, funct3: u64) -> u64 {
    let shift = shift(funct3);
    let high = value << shift;
    if funct3 & FUNCT3_UNSIGNED != 0 { high >> shift } else { (high as i64 >> shift) as u64 }
}

/// A store: the guest's instruction `utinst` writes the register value `value` at guest physical address `gpa`. Gives
/// whether it is punted.
pub(super) extern "C" fn store(utinst: u64, gpa: u64, value: u64, table: &Table<'_>) -> bool {
    if utinst & (OPCODE_MASK | OFFSET_MASK | STORE_FUNCT3_HIGH) != OPCODE_STORE {
        return true;
    }
    let funct3 = utinst >> 12;
    let size = size(funct3);
    let Some((device, offset)) = table.hot(gpa, size) else { return store_elsewhere(utinst, gpa, value, table) };
    let shift = shift(funct3);
    device.write(Caller::inside(), offset, value << shift >> shift, size).is_err()
}

#[cold]
#[inline(never)]
extern "C" fn store_elsewhere(utinst: u64, gpa: u64, value: u64, table: &Table<'_>) -> bool {
    if table.search(gpa, size(utinst >> 12)) { store(utinst, gpa, value, table) } else { true }
}

#[cfg(test)]
mod tests {
    use super::super::table::Region;
    use super::*;
    use crate::uer::{Device, TryLock};

    /// Answers every load with one value, and records stores.
    #[derive(Default)]
    struct Recorder {
        answer: u64,
        punts: bool,
        reads: TryLock<Vec<(u64, u8)>>,
        writes: TryLock<Vec<(u64, u64, u8)>>,
    }

    impl Device for Recorder {
        fn read(&self, caller: Caller<'_>, offset: u64, size: u8) -> Result<u64, Punt> {
            assert!(caller.is_handler());
            self.reads.lock().unwrap().push((offset, size));
            if self.punts { Err(Punt) } else { Ok(self.answer) }
        }

        fn write(&self, caller: Caller<'_>, offset: u64, value: u64, size: u8) -> Result<(), Punt> {
            assert!(caller.is_handler());
            self.writes.lock().unwrap().push((offset, value, size));
            if self.punts { Err(Punt) } else { Ok(()) }
        }
    }

    const BASE: u64 = 0x1000_0000;

    fn with<T>(device: &Recorder, body: impl FnOnce(&Table<'_>) -> T) -> T {
        let regions = [Region::new(BASE, 0x1000, device)];
        body(&Table::new(&regions))
    }

    /// utinst of a load or store of four bytes.
    fn load_insn(funct3: u64, rd: u64) -> u64 {
        0x03 | rd << 7 | funct3 << 12
    }

    fn store_insn(funct3: u64, rs2: u64) -> u64 {
        0x23 | funct3 << 12 | rs2 << 20
    }

    /// What the instruction had been when it had two bytes.
    fn compressed(utinst: u64) -> u64 {
        utinst & !2
    }

    const ANSWER: u64 = 0xfedc_ba98_f6e5_d4c3;

    #[test]
    fn every_load() {
        let forms = [
            (0, 1, 0xffff_ffff_ffff_ffc3), // lb
            (1, 2, 0xffff_ffff_ffff_d4c3), // lh
            (2, 4, 0xffff_ffff_f6e5_d4c3), // lw
            (3, 8, ANSWER),                // ld
            (4, 1, 0xc3),                  // lbu
            (5, 2, 0xd4c3),                // lhu
            (6, 4, 0xf6e5_d4c3),           // lwu
        ];
        for (funct3, size, value) in forms {
            for register in 0..32 {
                for insn in [load_insn(funct3, register), compressed(load_insn(funct3, register))] {
                    let device = Recorder { answer: ANSWER, ..Recorder::default() };
                    let loaded = with(&device, |table| load(insn, BASE + 0x120, table));
                    assert_eq!(loaded, Loaded { register, value }, "{insn:#x}");
                    assert_eq!(*device.reads.lock().unwrap(), [(0x120, size)]);
                }
            }
        }
    }

    #[test]
    fn positive_values_stay_positive() {
        let device = Recorder { answer: 0xffff_ffff_7f6e_5d4c, ..Recorder::default() };
        for (funct3, value) in [(0, 0x4c), (1, 0x5d4c), (2, 0x7f6e_5d4c), (4, 0x4c), (6, 0x7f6e_5d4c)] {
            let loaded = with(&device, |table| load(load_insn(funct3, 9), BASE, table));
            assert_eq!(loaded, Loaded { register: 9, value });
        }
    }

    #[test]
    fn every_store() {
        for (funct3, size, value) in [(0, 1, 0xc3), (1, 2, 0xd4c3), (2, 4, 0xf6e5_d4c3), (3, 8, ANSWER)] {
            for insn in [store_insn(funct3, 31), compressed(store_insn(funct3, 31))] {
                let device = Recorder::default();
                assert!(!with(&device, |table| store(insn, BASE + 0xff0, ANSWER, table)), "{insn:#x}");
                assert_eq!(*device.writes.lock().unwrap(), [(0xff0, value, size)]);
            }
        }
    }

    /// Everything that the model can put into utinst and that is no integer load or store, as it is and with two bytes.
    #[test]
    fn everything_else_is_punted() {
        let funct3 = |n: u64| n << 12;
        let mut others = vec![
            0,                             // not transformed
            0x0000_3000,                   // pseudoinstructions: a VS-stage walk reads or writes
            0x0000_3020,                   //
            load_insn(7, 5),               // no such load
            0x07 | funct3(2) | 5 << 7,     // flw
            0x07 | funct3(3) | 5 << 7,     // fld
            0x07 | funct3(1) | 5 << 7,     // flh
            0x07 | funct3(6) | 5 << 7,     // a vector load
            0x27 | funct3(2) | 5 << 20,    // fsw
            0x27 | funct3(3) | 5 << 20,    // fsd
            0x0f | funct3(2),              // cbo.zero and its like
            0x2f | funct3(2) | 0x02 << 27, // lr.w
            0x2f | funct3(3) | 0x03 << 27, // sc.d
            0x73 | funct3(4) | 0x30 << 25, // hlv.b
            0x73 | funct3(4) | 0x31 << 25, // hsv.b
            u64::from(u32::MAX),           //
            u64::MAX,                      //
        ];
        others.extend((4..8).map(|n| store_insn(n, 5))); // no such stores
        others.extend((0..32).map(|amo| 0x2f | funct3(2) | amo << 27));
        // An access that begins in the page before.
        others.extend((1..8).flat_map(|offset| [load_insn(3, 5) | offset << 15, store_insn(3, 5) | offset << 15]));
        let device = Recorder::default();
        for insn in others.iter().flat_map(|insn| [*insn, compressed(*insn)]) {
            with(&device, |table| {
                assert_eq!(load(insn, BASE, table), Loaded::PUNT, "{insn:#x} as a load");
                assert!(store(insn, BASE, 0, table), "{insn:#x} as a store");
            });
        }
        // The entry code asks for the right one of the two, and the wrong one punts too.
        with(&device, |table| {
            assert_eq!(load(store_insn(2, 5), BASE, table), Loaded::PUNT);
            assert!(store(load_insn(2, 5), BASE, 0, table));
        });
        assert!(device.reads.lock().unwrap().is_empty() && device.writes.lock().unwrap().is_empty());
    }

    #[test]
    fn what_is_not_wholly_in_a_device_is_punted() {
        let device = Recorder::default();
        for (gpa, funct3, punted) in [
            (BASE + 0xff8, 3, false),
            (BASE + 0xff9, 3, true),
            (BASE + 0xffe, 1, false),
            (BASE + 0xfff, 1, true),
            (BASE + 0xfff, 0, false),
            (BASE + 0x1000, 0, true),
            (BASE - 1, 0, true),
            (u64::MAX, 3, true),
            (0, 3, true),
        ] {
            with(&device, |table| {
                assert_eq!(load(load_insn(funct3, 1), gpa, table) == Loaded::PUNT, punted, "load at {gpa:#x}");
                assert_eq!(store(store_insn(funct3, 1), gpa, 0, table), punted, "store at {gpa:#x}");
            });
        }
    }

    #[test]
    fn a_device_that_punts_is_heard() {
        let device = Recorder { punts: true, ..Recorder::default() };
        with(&device, |table| {
            assert_eq!(load(load_insn(2, 5), BASE, table), Loaded::PUNT);
            assert!(store(store_insn(2, 5), BASE, 1, table));
        });
        assert_eq!((device.reads.lock().unwrap().len(), device.writes.lock().unwrap().len()), (1, 1));
    }
}
