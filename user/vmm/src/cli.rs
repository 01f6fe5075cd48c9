// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::layout;

/// Boots Linux in a KVM guest, whose devices can be reached without exits.
///
/// The serial port is on standard input and output; on a terminal, Ctrl-A x ends the guest. The exit status is 0 when
/// the guest powers off, and 1, with one sentence that says why, otherwise.
#[derive(Clone, Debug, Parser)]
#[command(name = "haiov-vmm", version)]
pub struct Options {
    /// Kernel to boot: an uncompressed riscv64 Image
    #[arg(long, value_name = "FILE", required_unless_present = "restore")]
    pub kernel: Option<PathBuf>,

    /// Initial RAM disk
    #[arg(long, value_name = "FILE")]
    pub initrd: Option<PathBuf>,

    /// Command line of the guest's kernel
    #[arg(long, value_name = "STRING", default_value = "console=ttyS0")]
    pub cmdline: String,

    /// Memory of the guest, in MiB; 256, or what a restored guest has
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(layout::MEM_MIB))]
    pub mem: Option<u64>,

    /// Number of vCPUs; 1, or what a restored guest has
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(layout::MAX_CPUS)))]
    pub cpus: Option<u32>,

    /// Adds the doorbell device
    #[arg(long)]
    pub doorbell: bool,

    /// Whether the doorbell asks for notifications without exits; where the host has none, it warns and goes on
    #[arg(long, value_name = "WHETHER", value_enum, default_value_t = Switch::On)]
    pub vei: Switch,

    /// How the guest's accesses to the serial port reach it; where the host cannot do 'uer', it warns and goes on with
    /// 'exit'
    #[arg(long, value_name = "HOW", value_enum, default_value_t = Path::Exit)]
    pub console: Path,

    /// Adds a disk, which the guest sees as virtio-blk on virtio-mmio: a raw image, or a block device
    #[arg(long, value_name = "FILE")]
    pub disk: Option<PathBuf>,

    /// How the guest tells the disk that there is something to do, and how its accesses to the disk's registers reach
    /// it; where the host cannot do 'vei', 'hcs', 'ioregionfd' or 'uer', it warns and goes on with 'ioeventfd', or 'exit' for
    /// 'uer'
    #[arg(long, value_name = "HOW", value_enum, default_value_t = Notify::Exit, requires = "disk")]
    pub blk: Notify,

    /// Makes a Unix socket that takes commands, one on a line: pause, resume, snapshot FOLDER, quit. It answers each with
    /// "ok", or with "error: " and a sentence. A snapshot needs a paused guest and a new folder; it has all but the
    /// content of the disk, and a guest with the doorbell or the bench device cannot be saved
    #[arg(long, value_name = "SOCKET")]
    pub control: Option<PathBuf>,

    /// Continues a guest from a snapshot, on the disk as it was then; how its devices are reached is told anew
    #[arg(long, value_name = "FOLDER",
          conflicts_with_all = ["kernel", "initrd", "cmdline", "doorbell", "mmio_bench"])]
    pub restore: Option<PathBuf>,

    /// Adds the bench device, and writes one JSON object per line to the file for each of its phases
    #[arg(long, value_name = "FILE")]
    pub mmio_bench: Option<PathBuf>,

    /// Host CPU that takes the interrupts of the doorbell and the disk; its consumers, the disk's thread or handler and
    /// those of ioregionfd run there, the vCPUs elsewhere unless --cpu-of-vcpu says otherwise
    #[arg(long, value_name = "CPU")]
    pub cpu_of_route: Option<u32>,

    /// Host CPU of each vCPU, in order
    #[arg(long, value_name = "CPU,...", value_delimiter = ',')]
    pub cpu_of_vcpu: Vec<usize>,

    /// File that gets one JSON object per line for each phase of the doorbell
    #[arg(long, value_name = "FILE")]
    pub stats: Option<PathBuf>,
}

impl Options {
    /// Memory of a guest that is not told otherwise, in MiB.
    pub const MEM: u64 = 256;
    /// Its vCPUs.
    pub const CPUS: u32 = 1;
}

/// How accesses to a device reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Path {
    /// The guest exits to KVM, and KVM to the VMM.
    Exit,
    /// User-level exception redirection: a handler of the VMM serves the guest, and KVM takes no part.
    Uer,
}

/// How a virtio device hears of what is in its queue, and how its other registers are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Notify {
    /// The guest exits to KVM, and KVM to the VMM.
    Exit,
    /// As exit, but the notification signals an eventfd in KVM.
    Ioeventfd,
    /// As ioeventfd, but the accesses to the other registers are messages of KVM to a thread.
    Ioregionfd,
    /// There is no notification: a thread looks at the queue all the time.
    Poll,
    /// The notification is a virtual event interrupt, which signals the eventfd without an exit.
    Vei,
    /// The notification is a virtual event interrupt, which starts a handler that serves the queue.
    Hcs,
    /// A handler of the VMM serves the registers, and signals the eventfd.
    Uer,
    /// The notification is as with hcs, and a handler of the VMM serves the registers: nothing exits.
    Haiov,
}

impl Notify {
    /// Whether the guest is told of a VEIRQ.
    pub fn by_vei(self) -> bool {
        matches!(self, Self::Vei | Self::Hcs | Self::Haiov)
    }

    /// Whether handlers of UER serve the registers.
    pub fn by_uer(self) -> bool {
        matches!(self, Self::Uer | Self::Haiov)
    }
}

/// A choice of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// Yes.
    On,
    /// No.
    Off,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(words: &str) -> Result<Options, clap::Error> {
        Options::try_parse_from(std::iter::once("haiov-vmm").chain(words.split_whitespace()))
    }

    #[test]
    fn command_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn defaults() {
        let options = parse("--kernel Image").unwrap();
        assert_eq!((options.mem, options.cpus, options.vei), (None, None, Switch::On));
        assert_eq!((options.console, &options.mmio_bench), (Path::Exit, &None));
        assert!(!options.doorbell && options.initrd.is_none() && options.cpu_of_vcpu.is_empty());
    }

    #[test]
    fn everything() {
        let options = parse(
            "--kernel Image --initrd guest.cpio --mem 512 --cpus 2 --doorbell --vei off --cpu-of-route 3 \
             --cpu-of-vcpu 1,2 --stats out.json --cmdline quiet --console uer --mmio-bench bench.json",
        )
        .unwrap();
        assert_eq!((options.vei, options.cpu_of_route, options.cpu_of_vcpu), (Switch::Off, Some(3), vec![1, 2]));
        assert_eq!(options.cmdline, "quiet");
        assert_eq!((options.console, options.mmio_bench), (Path::Uer, Some("bench.json".into())));
    }

    #[test]
    fn a_guest_is_booted_or_restored() {
        let options = parse("--restore saved --disk a.img --blk uer --control socket").unwrap();
        assert_eq!((options.kernel, options.restore), (None, Some("saved".into())));
        assert_eq!((options.blk, options.control), (Notify::Uer, Some("socket".into())));
        for bad in ["--kernel Image", "--initrd a.cpio", "--cmdline quiet", "--doorbell", "--mmio-bench a.json"] {
            assert!(parse(&format!("--restore saved {bad}")).is_err(), "{bad}");
        }
        assert_eq!(parse("--kernel Image --disk a.img --blk hcs").unwrap().blk, Notify::Hcs);
        assert_eq!(parse("--kernel Image --disk a.img --blk haiov").unwrap().blk, Notify::Haiov);
        assert_eq!(parse("--kernel Image --disk a.img --blk ioregionfd").unwrap().blk, Notify::Ioregionfd);
        assert!(parse("--kernel Image --blk uer").is_err(), "no disk");
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        for bad in ["--cpus 0", "--cpus 513", "--mem 0", "--mem x", "--vei maybe", "--console vei", "--cpu-of-vcpu a"] {
            assert!(parse(&format!("--kernel Image {bad}")).is_err(), "{bad}");
        }
        assert!(parse("").is_err(), "no kernel");
    }
}
