// SPDX-License-Identifier: MIT OR Apache-2.0
//! What ends the VMM, said in one sentence: what failed, and what to do about it.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Result of the operations of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a guest cannot start or go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The host is not a riscv64 machine.
    #[error("this host is {host}; KVM guests of this program need a riscv64 host")]
    WrongHost {
        /// What the host is.
        host: &'static str,
    },

    /// A file that the user named cannot be used.
    #[error("cannot use {option} {}: {source}; check the path and that you may access it", path.display())]
    File {
        /// The option that named it.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },

    /// Another VMM has the disk.
    #[error("cannot use --disk {}: another program has locked it; end that one, or give a copy", path.display())]
    DiskInUse {
        /// The file.
        path: PathBuf,
    },

    /// The kernel is not one that can be booted here.
    #[error("{} is no riscv64 Linux kernel; give --kernel an uncompressed arch/riscv/boot/Image", path.display())]
    NotAKernel {
        /// The file.
        path: PathBuf,
    },

    /// Kernel, initrd and device tree do not fit.
    #[error("the guest's memory is too small for its kernel and initrd; give at least --mem {needed_mib}")]
    TooSmall {
        /// What would be enough.
        needed_mib: u64,
    },

    /// The host has too little memory.
    #[error("cannot get {mib} MiB for the guest: {source}; give less with --mem")]
    Memory {
        /// How much was asked for.
        mib: u64,
        /// Why.
        source: vm_memory::mmap::FromRangesError,
    },

    /// The guest's memory cannot be written.
    #[error("cannot write {what} to the guest's memory: {source}; give more with --mem")]
    Load {
        /// What.
        what: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// The device tree cannot be made.
    #[error("cannot make the device tree: {0}; check that --cmdline has no NUL byte")]
    DeviceTree(#[from] vm_fdt::Error),

    /// KVM is not there or refuses.
    #[error("cannot {action}: {source}; {hint}")]
    Kvm {
        /// What was to be done.
        action: &'static str,
        /// Why.
        source: io::Error,
        /// What to do.
        hint: &'static str,
    },

    /// More vCPUs than the host allows.
    #[error("--cpus {asked} is more than this host's KVM allows; give at most {most}")]
    TooManyCpus {
        /// How many were asked for.
        asked: u32,
        /// How many there can be.
        most: usize,
    },

    /// A thread cannot run where the user wants it.
    #[error("cannot run {who} on CPU {cpu}: {source}; name a CPU that is online and allowed")]
    Affinity {
        /// Which thread.
        who: &'static str,
        /// The CPU.
        cpu: usize,
        /// Why.
        source: io::Error,
    },

    /// A resource of the host is not to be had.
    #[error("cannot {action}: {source}; check the limits of this process")]
    Host {
        /// What was to be done.
        action: &'static str,
        /// Why.
        source: io::Error,
    },

    /// The guest asked for VEI in a way that is a mistake, not a lack of hardware.
    #[error("VEI: {0}")]
    Vei(#[from] haiov::Error),

    /// UER is there and does not do what was asked for.
    #[error("UER: {0}")]
    Uer(#[source] haiov::Error),

    /// Two devices are in one place.
    #[error("the machine is laid out wrongly: {0}; report this")]
    Layout(#[from] haiov::uer::RangeError),

    /// The guest restarted.
    #[error("the guest asked for a restart, which this VMM does not do; see the guest's console for why")]
    Restart,

    /// The guest reported a crash.
    #[error("the guest says that it crashed; see its console for why")]
    Crash,

    /// A snapshot cannot be continued.
    #[error("cannot restore {}: {what}", path.display())]
    Restore {
        /// The folder.
        path: PathBuf,
        /// Why.
        what: String,
    },

    /// A guest cannot be saved.
    #[error("cannot save the guest to {}: {what}", path.display())]
    Save {
        /// The folder.
        path: PathBuf,
        /// Why.
        what: String,
    },

    /// A register of a vCPU cannot be set.
    #[error(
        "this host's KVM does not take register {register:#x} of a vCPU: {source}; restore on a host like the first"
    )]
    Register {
        /// Its number in KVM.
        register: u64,
        /// Why.
        source: io::Error,
    },

    /// A command that does not fit the state of the guest.
    #[error("{0}")]
    NotNow(&'static str),

    /// The user ended the guest.
    #[error("ended by the user")]
    Quit,

    /// The vCPU did something that this VMM or KVM cannot go on from.
    #[error("vCPU {cpu} cannot go on: {what}; see the guest's console and the host's kernel log")]
    Vcpu {
        /// Which vCPU.
        cpu: u32,
        /// What happened.
        what: String,
    },
}

impl Error {
    /// Makes a KVM error of what kvm-ioctls returns; for use with `map_err`.
    pub(crate) fn kvm<E: Into<io::Error>>(action: &'static str, hint: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::Kvm { action, source: source.into(), hint }
    }

    /// Makes a host error of an I/O or system call error; for use with `map_err`.
    pub(crate) fn host<E: Into<io::Error>>(action: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::Host { action, source: source.into() }
    }
}
