// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the vCPUs can do, in the words of a device tree.
//!
//! KVM tells each extension by a number. Xhaiov is not among them: the guest's part of it is one CSR write, which a
//! device offers, and no extension of the guest's CPU.

/// Names of KVM's extensions, in the order of `enum KVM_RISCV_ISA_EXT_ID` (arch/riscv/include/uapi/asm/kvm.h).
pub const EXTENSIONS: [&str; 80] = [
    "a",
    "c",
    "d",
    "f",
    "h",
    "i",
    "m",
    "svpbmt",
    "sstc",
    "svinval",
    "zihintpause",
    "zicbom",
    "zicboz",
    "zbb",
    "ssaia",
    "v",
    "svnapot",
    "zba",
    "zbs",
    "zicntr",
    "zicsr",
    "zifencei",
    "zihpm",
    "smstateen",
    "zicond",
    "zbc",
    "zbkb",
    "zbkc",
    "zbkx",
    "zknd",
    "zkne",
    "zknh",
    "zkr",
    "zksed",
    "zksh",
    "zkt",
    "zvbb",
    "zvbc",
    "zvkb",
    "zvkg",
    "zvkned",
    "zvknha",
    "zvknhb",
    "zvksed",
    "zvksh",
    "zvkt",
    "zfh",
    "zfhmin",
    "zihintntl",
    "zvfh",
    "zvfhmin",
    "zfa",
    "ztso",
    "zacas",
    "sscofpmf",
    "zimop",
    "zca",
    "zcb",
    "zcd",
    "zcf",
    "zcmop",
    "zawrs",
    "smnpm",
    "ssnpm",
    "svade",
    "svadu",
    "svvptc",
    "zabha",
    "ziccrse",
    "zaamo",
    "zalrsc",
    "zicbop",
    "zfbfmin",
    "zvfbfmin",
    "zvfbfwma",
    "zclsd",
    "zilsd",
    "zalasr",
    "zicfilp",
    "zicfiss",
];

/// Order of the single letters in an ISA string.
const LETTERS: &str = "imafdqcbvh";

/// The CPU of the guest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Isa {
    extensions: Vec<&'static str>,
    /// Block size of cbo.clean, flush and inval, 0 without Zicbom.
    pub cbom_block_size: u32,
    /// Block size of cbo.zero, 0 without Zicboz.
    pub cboz_block_size: u32,
    /// Block size of prefetches, 0 without Zicbop.
    pub cbop_block_size: u32,
    /// Mode field of satp for the largest address space.
    pub satp_mode: u64,
    /// Frequency of the time CSR, in Hz.
    pub timebase_hz: u32,
}

impl Isa {
    /// A CPU with the given extensions.
    ///
    /// # Arguments
    ///
    /// * `extensions` - numbers of KVM; one that this program does not know is left out.
    pub fn new(extensions: impl IntoIterator<Item = usize>) -> Self {
        let mut extensions: Vec<&str> = extensions.into_iter().filter_map(|id| EXTENSIONS.get(id).copied()).collect();
        extensions.sort_by_key(|name| (rank(name), *name));
        extensions.dedup();
        Self { extensions, ..Self::default() }
    }

    /// The extensions, single letters first, as `riscv,isa-extensions` lists them.
    pub fn extensions(&self) -> &[&'static str] {
        &self.extensions
    }

    /// Whether an extension is there.
    ///
    /// # Arguments
    ///
    /// * `name` - its name in lower case.
    pub fn has(&self, name: &str) -> bool {
        self.extensions.contains(&name)
    }

    /// The ISA string, as `riscv,isa` has it.
    pub fn string(&self) -> String {
        let mut string = String::from("rv64");
        for name in &self.extensions {
            if name.len() > 1 {
                string.push('_');
            }
            string.push_str(name);
        }
        string
    }

    /// The value of `mmu-type`, or `None` for a CPU without address translation.
    pub fn mmu_type(&self) -> Option<&'static str> {
        match self.satp_mode {
            8 => Some("riscv,sv39"),
            9 => Some("riscv,sv48"),
            10 => Some("riscv,sv57"),
            _ => None,
        }
    }
}

/// Where a name stands: single letters in their own order, then Z-extensions, then those of S-mode.
fn rank(name: &str) -> usize {
    match name.len() {
        1 => LETTERS.find(name).unwrap_or(LETTERS.len()),
        _ if name.starts_with('z') => LETTERS.len() + 1,
        _ => LETTERS.len() + 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> usize {
        EXTENSIONS.iter().position(|n| *n == name).unwrap()
    }

    #[test]
    fn string_is_in_canonical_order() {
        let isa = Isa::new(["sstc", "v", "zba", "c", "ssaia", "d", "f", "a", "m", "i", "zicsr", "zba"].map(id));
        assert_eq!(isa.string(), "rv64imafdcv_zba_zicsr_ssaia_sstc");
        assert_eq!(isa.extensions()[..2], ["i", "m"]);
        assert!(isa.has("sstc") && !isa.has("svinval"));
    }

    #[test]
    fn unknown_numbers_are_left_out_and_xhaiov_is_none() {
        assert_eq!(Isa::new([id("i"), 4096]).string(), "rv64i");
        let all = Isa::new(0..EXTENSIONS.len());
        assert_eq!(all.extensions().len(), EXTENSIONS.len(), "a name occurs twice");
        assert!(!all.string().contains("haiov"));
    }

    #[test]
    fn modes_of_translation() {
        let with = |satp_mode| Isa { satp_mode, ..Isa::default() }.mmu_type();
        assert_eq!([0, 8, 9, 10].map(with), [None, Some("riscv,sv39"), Some("riscv,sv48"), Some("riscv,sv57")]);
    }
}
