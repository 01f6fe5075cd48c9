// SPDX-License-Identifier: MIT OR Apache-2.0
//! The device tree of the guest.

use vm_fdt::{FdtWriter, FdtWriterResult};

use crate::isa::Isa;
use crate::layout;

/// Phandle of hart 0's interrupt controller; those of the others follow.
const PHANDLE_CPU0: u32 = 16;
const PHANDLE_IMSIC: u32 = 1;
const PHANDLE_APLIC: u32 = 2;

/// S-mode external interrupt, to which an IMSIC is wired.
const IRQ_S_EXT: u32 = 9;
/// An edge-triggered interrupt: the devices raise and lower their lines at once.
const EDGE_RISING: u32 = 1;
/// Clock of a PC's serial port; the guest only divides by it.
const SERIAL_CLOCK_HZ: u32 = 1_843_200;

/// What the device tree says.
#[derive(Clone, Debug, Default)]
pub struct Description<'a> {
    /// Size of the memory, in bytes.
    pub memory: u64,
    /// Number of harts.
    pub cpus: u32,
    /// What they can do.
    pub isa: Isa,
    /// Command line of the kernel.
    pub cmdline: &'a str,
    /// Begin and end of the initrd.
    pub initrd: Option<(u64, u64)>,
    /// Entropy for the kernel's start.
    pub rng_seed: &'a [u8],
    /// Interrupt identities of each IMSIC.
    pub imsic_ids: u32,
    /// The doorbell, if there is one.
    pub doorbell: Option<Doorbell>,
    /// Whether there is a bench device.
    pub bench: bool,
    /// The disk, if there is one.
    pub disk: Option<Disk>,
}

/// The doorbell's node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doorbell {
    /// First VEIRQ, where the host granted them.
    pub veirq_base: Option<u32>,
}

/// The disk's node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    /// VEIRQ of its queue, where the host granted one.
    pub veirq_base: Option<u32>,
}

/// A 64-bit number as two cells.
fn cells(value: u64) -> [u32; 2] {
    [(value >> 32) as u32, value as u32]
}

fn reg(base: u64, size: u64) -> [u32; 4] {
    let ([a, b], [c, d]) = (cells(base), cells(size));
    [a, b, c, d]
}

/// Makes the device tree.
///
/// # Arguments
///
/// * `d` - what it says.
///
/// # Errors
///
/// When a string has a NUL byte, or something else that a device tree cannot hold.
pub fn build(d: &Description<'_>) -> FdtWriterResult<Vec<u8>> {
    let mut fdt = FdtWriter::new()?;
    let root = fdt.begin_node("")?;
    fdt.property_u32("#address-cells", 2)?;
    fdt.property_u32("#size-cells", 2)?;
    fdt.property_string("compatible", "haiov,vmm")?;
    fdt.property_string("model", "haiov-vmm")?;
    chosen(&mut fdt, d)?;
    memory(&mut fdt, d)?;
    cpus(&mut fdt, d)?;
    let soc = fdt.begin_node("soc")?;
    fdt.property_u32("#address-cells", 2)?;
    fdt.property_u32("#size-cells", 2)?;
    fdt.property_string("compatible", "simple-bus")?;
    fdt.property_null("ranges")?;
    imsics(&mut fdt, d)?;
    aplic(&mut fdt)?;
    serial(&mut fdt)?;
    if let Some(node) = d.doorbell {
        doorbell(&mut fdt, node)?;
    }
    if d.bench {
        bench(&mut fdt)?;
    }
    if let Some(node) = d.disk {
        disk(&mut fdt, node)?;
    }
    fdt.end_node(soc)?;
    fdt.end_node(root)?;
    fdt.finish()
}

fn chosen(fdt: &mut FdtWriter, d: &Description<'_>) -> FdtWriterResult<()> {
    let node = fdt.begin_node("chosen")?;
    fdt.property_string("bootargs", d.cmdline)?;
    fdt.property_string("stdout-path", &format!("/soc/serial@{:x}", layout::SERIAL_BASE))?;
    if !d.rng_seed.is_empty() {
        fdt.property("rng-seed", d.rng_seed)?;
    }
    if let Some((start, end)) = d.initrd {
        fdt.property_u64("linux,initrd-start", start)?;
        fdt.property_u64("linux,initrd-end", end)?;
    }
    fdt.end_node(node)
}

fn memory(fdt: &mut FdtWriter, d: &Description<'_>) -> FdtWriterResult<()> {
    let node = fdt.begin_node(&format!("memory@{:x}", layout::RAM_BASE))?;
    fdt.property_string("device_type", "memory")?;
    fdt.property_array_u32("reg", &reg(layout::RAM_BASE, d.memory))?;
    fdt.end_node(node)
}

fn cpus(fdt: &mut FdtWriter, d: &Description<'_>) -> FdtWriterResult<()> {
    let node = fdt.begin_node("cpus")?;
    fdt.property_u32("#address-cells", 1)?;
    fdt.property_u32("#size-cells", 0)?;
    fdt.property_u32("timebase-frequency", d.isa.timebase_hz)?;
    for hart in 0..d.cpus {
        cpu(fdt, hart, &d.isa)?;
    }
    fdt.end_node(node)
}

fn cpu(fdt: &mut FdtWriter, hart: u32, isa: &Isa) -> FdtWriterResult<()> {
    let node = fdt.begin_node(&format!("cpu@{hart:x}"))?;
    fdt.property_string("device_type", "cpu")?;
    fdt.property_string("compatible", "riscv")?;
    fdt.property_string("status", "okay")?;
    fdt.property_u32("reg", hart)?;
    fdt.property_string("riscv,isa", &isa.string())?;
    fdt.property_string("riscv,isa-base", "rv64i")?;
    fdt.property_string_list("riscv,isa-extensions", isa.extensions().iter().map(|s| (*s).to_owned()).collect())?;
    if let Some(mmu) = isa.mmu_type() {
        fdt.property_string("mmu-type", mmu)?;
    }
    for (extension, name, size) in [
        ("zicbom", "riscv,cbom-block-size", isa.cbom_block_size),
        ("zicboz", "riscv,cboz-block-size", isa.cboz_block_size),
        ("zicbop", "riscv,cbop-block-size", isa.cbop_block_size),
    ] {
        if isa.has(extension) && size != 0 {
            fdt.property_u32(name, size)?;
        }
    }
    let intc = fdt.begin_node("interrupt-controller")?;
    fdt.property_string("compatible", "riscv,cpu-intc")?;
    fdt.property_u32("#interrupt-cells", 1)?;
    fdt.property_null("interrupt-controller")?;
    fdt.property_phandle(PHANDLE_CPU0 + hart)?;
    fdt.end_node(intc)?;
    fdt.end_node(node)
}

fn imsics(fdt: &mut FdtWriter, d: &Description<'_>) -> FdtWriterResult<()> {
    let node = fdt.begin_node(&format!("imsics@{:x}", layout::IMSIC_BASE))?;
    fdt.property_string("compatible", "riscv,imsics")?;
    fdt.property_array_u32("reg", &reg(layout::IMSIC_BASE, layout::IMSIC_SIZE * u64::from(d.cpus)))?;
    let wires: Vec<u32> = (0..d.cpus).flat_map(|hart| [PHANDLE_CPU0 + hart, IRQ_S_EXT]).collect();
    fdt.property_array_u32("interrupts-extended", &wires)?;
    fdt.property_null("interrupt-controller")?;
    fdt.property_u32("#interrupt-cells", 0)?;
    fdt.property_null("msi-controller")?;
    fdt.property_u32("#msi-cells", 0)?;
    fdt.property_u32("riscv,num-ids", d.imsic_ids)?;
    fdt.property_phandle(PHANDLE_IMSIC)?;
    fdt.end_node(node)
}

fn aplic(fdt: &mut FdtWriter) -> FdtWriterResult<()> {
    let node = fdt.begin_node(&format!("aplic@{:x}", layout::APLIC_BASE))?;
    fdt.property_string("compatible", "riscv,aplic")?;
    fdt.property_array_u32("reg", &reg(layout::APLIC_BASE, layout::APLIC_SIZE))?;
    fdt.property_u32("msi-parent", PHANDLE_IMSIC)?;
    fdt.property_null("interrupt-controller")?;
    fdt.property_u32("#interrupt-cells", 2)?;
    fdt.property_u32("riscv,num-sources", layout::APLIC_SOURCES)?;
    fdt.property_phandle(PHANDLE_APLIC)?;
    fdt.end_node(node)
}

fn serial(fdt: &mut FdtWriter) -> FdtWriterResult<()> {
    let node = fdt.begin_node(&format!("serial@{:x}", layout::SERIAL_BASE))?;
    fdt.property_string("compatible", "ns16550a")?;
    fdt.property_array_u32("reg", &reg(layout::SERIAL_BASE, layout::SERIAL_SIZE))?;
    fdt.property_u32("clock-frequency", SERIAL_CLOCK_HZ)?;
    fdt.property_u32("interrupt-parent", PHANDLE_APLIC)?;
    fdt.property_array_u32("interrupts", &[layout::SERIAL_IRQ, EDGE_RISING])?;
    fdt.end_node(node)
}

fn doorbell(fdt: &mut FdtWriter, doorbell: Doorbell) -> FdtWriterResult<()> {
    let node = fdt.begin_node(&format!("doorbell@{:x}", layout::DOORBELL_BASE))?;
    fdt.property_string("compatible", "haiov,doorbell")?;
    fdt.property_array_u32("reg", &reg(layout::DOORBELL_BASE, layout::DOORBELL_SIZE))?;
    veirq_base(fdt, doorbell.veirq_base)?;
    fdt.end_node(node)
}

/// Says by which VEIRQs the guest notifies a device, if it may.
fn veirq_base(fdt: &mut FdtWriter, base: Option<u32>) -> FdtWriterResult<()> {
    base.map_or(Ok(()), |base| fdt.property_u32("haiov,veirq-base", base))
}

fn disk(fdt: &mut FdtWriter, disk: Disk) -> FdtWriterResult<()> {
    let node = fdt.begin_node(&format!("virtio_mmio@{:x}", layout::DISK_BASE))?;
    fdt.property_string("compatible", "virtio,mmio")?;
    fdt.property_array_u32("reg", &reg(layout::DISK_BASE, layout::DISK_SIZE))?;
    fdt.property_u32("interrupt-parent", PHANDLE_APLIC)?;
    fdt.property_array_u32("interrupts", &[layout::DISK_IRQ, EDGE_RISING])?;
    veirq_base(fdt, disk.veirq_base)?;
    fdt.end_node(node)
}

fn bench(fdt: &mut FdtWriter) -> FdtWriterResult<()> {
    let node = fdt.begin_node(&format!("bench@{:x}", layout::BENCH_BASE))?;
    fdt.property_string("compatible", "haiov,mmio-bench")?;
    fdt.property_array_u32("reg", &reg(layout::BENCH_BASE, layout::BENCH_SIZE))?;
    fdt.end_node(node)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fdt::Fdt;

    fn description() -> Description<'static> {
        let mut isa = Isa::new(0..13);
        isa.satp_mode = 9;
        isa.timebase_hz = 10_000_000;
        isa.cboz_block_size = 64;
        Description {
            memory: 256 << 20,
            cpus: 2,
            isa,
            cmdline: "console=ttyS0",
            initrd: Some((0x8400_0000, 0x8401_2345)),
            rng_seed: &[7; 32],
            imsic_ids: 255,
            doorbell: None,
            bench: false,
            disk: None,
        }
    }

    fn u32_of(fdt: &Fdt<'_>, path: &str, name: &str) -> Option<u32> {
        fdt.find_node(path)?.property(name)?.as_usize().map(|v| v as u32)
    }

    #[test]
    fn memory_command_line_and_initrd() {
        let blob = build(&description()).unwrap();
        let tree = Fdt::new(&blob).unwrap();
        let region = tree.memory().regions().next().unwrap();
        assert_eq!(region.starting_address as u64, layout::RAM_BASE);
        assert_eq!(region.size, Some(256 << 20));
        assert_eq!(tree.chosen().bootargs(), Some("console=ttyS0"));
        let chosen = tree.find_node("/chosen").unwrap();
        assert_eq!(chosen.property("linux,initrd-end").unwrap().as_usize(), Some(0x8401_2345));
        assert_eq!(chosen.property("rng-seed").unwrap().value, [7; 32]);
        let out = chosen.property("stdout-path").unwrap().as_str().unwrap();
        assert!(tree.find_node(out).is_some(), "{out}");
    }

    #[test]
    fn every_hart_and_its_interrupts() {
        let blob = build(&description()).unwrap();
        let tree = Fdt::new(&blob).unwrap();
        assert_eq!(tree.cpus().count(), 2);
        for (hart, cpu) in tree.cpus().enumerate() {
            assert_eq!(cpu.ids().first(), hart);
            assert_eq!(cpu.timebase_frequency(), 10_000_000);
            assert_eq!(cpu.property("mmu-type").unwrap().as_str(), Some("riscv,sv48"));
            assert_eq!(cpu.property("riscv,cboz-block-size").unwrap().as_usize(), Some(64));
            assert!(cpu.property("riscv,cbom-block-size").is_none(), "its size is 0");
            assert!(!cpu.property("riscv,isa").unwrap().as_str().unwrap().contains("haiov"));
            let extensions = cpu.property("riscv,isa-extensions").unwrap().value;
            assert!(extensions.starts_with(b"i\0m\0a\0f\0d\0c\0"));
            let intc = tree.find_phandle(PHANDLE_CPU0 + hart as u32).unwrap();
            assert_eq!(intc.name, "interrupt-controller");
        }
        let imsic = tree.find_node("/soc/imsics@28000000").unwrap();
        let wires: Vec<u8> = [PHANDLE_CPU0, 9, PHANDLE_CPU0 + 1, 9].iter().flat_map(|w| w.to_be_bytes()).collect();
        assert_eq!(imsic.property("interrupts-extended").unwrap().value, wires);
        assert_eq!(imsic.reg().unwrap().next().unwrap().size, Some(0x2000));
        assert_eq!(u32_of(&tree, "/soc/imsics@28000000", "riscv,num-ids"), Some(255));
        assert_eq!(u32_of(&tree, "/soc/aplic@d000000", "msi-parent"), Some(PHANDLE_IMSIC));
        assert_eq!(u32_of(&tree, "/soc/serial@10000000", "interrupt-parent"), Some(PHANDLE_APLIC));
    }

    #[test]
    fn devices_say_vei_only_where_it_was_granted() {
        const DOORBELL: &str = "/soc/doorbell@10001000";
        const DISK: &str = "/soc/virtio_mmio@10004000";
        let d = description();
        let blob = build(&d).unwrap();
        let tree = Fdt::new(&blob).unwrap();
        assert!([DOORBELL, DISK].iter().all(|path| tree.find_node(path).is_none()));
        for veirq_base in [None, Some(0), Some(5)] {
            let (doorbell, disk) = (Some(Doorbell { veirq_base }), Some(Disk { veirq_base }));
            let blob = build(&Description { doorbell, disk, ..d.clone() }).unwrap();
            let tree = Fdt::new(&blob).unwrap();
            for path in [DOORBELL, DISK] {
                assert_eq!(u32_of(&tree, path, "haiov,veirq-base"), veirq_base, "{path}");
                assert_eq!(tree.find_node(path).unwrap().reg().unwrap().next().unwrap().size, Some(0x1000));
            }
        }
    }

    #[test]
    fn bench_device_has_three_pages() {
        const PATH: &str = "/soc/bench@10008000";
        let blob = build(&description()).unwrap();
        assert!(Fdt::new(&blob).unwrap().find_node(PATH).is_none());
        let blob = build(&Description { bench: true, ..description() }).unwrap();
        let tree = Fdt::new(&blob).unwrap();
        assert_eq!(tree.find_node(PATH).unwrap().reg().unwrap().next().unwrap().size, Some(0x3000));
    }

    #[test]
    fn disk_has_its_page_and_an_edge() {
        const PATH: &str = "/soc/virtio_mmio@10004000";
        let blob = build(&description()).unwrap();
        assert!(Fdt::new(&blob).unwrap().find_node(PATH).is_none());
        let blob = build(&Description { disk: Some(Disk::default()), ..description() }).unwrap();
        let tree = Fdt::new(&blob).unwrap();
        let node = tree.find_node(PATH).unwrap();
        assert_eq!(node.property("compatible").unwrap().as_str(), Some("virtio,mmio"));
        assert_eq!(node.property("interrupts").unwrap().value, [0, 0, 0, 2, 0, 0, 0, 1]);
    }

    #[test]
    fn command_line_with_nul_is_refused() {
        assert!(build(&Description { cmdline: "a\0b", ..description() }).is_err());
    }
}
