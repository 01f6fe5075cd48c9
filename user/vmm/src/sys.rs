// SPDX-License-Identifier: MIT OR Apache-2.0
//! System calls and unions that no crate makes safe; the only unsafe code of this crate.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd};

use kvm_bindings::KVMIO;
use nix::errno::Errno;

use crate::ioregion::Region;

/// `_IO(KVMIO, number)`.
const fn io(number: u32) -> u32 {
    (KVMIO << 8) | number
}

/// `_IOW(KVMIO, number, size)`, in the encoding that x86 and RISC-V share.
const fn iow(number: u32, size: usize) -> u32 {
    (1 << 30) | ((size as u32) << 16) | io(number)
}

/// `_IOWR(KVMIO, number, size)`.
const fn iowr(number: u32, size: usize) -> u32 {
    (1 << 31) | iow(number, size)
}

const KVM_GET_STATS_FD: u32 = io(0xce);
/// The size in the number is that of the struct without its flexible member.
const KVM_GET_REG_LIST: u32 = iowr(0xb0, size_of::<u64>());
const KVM_IOEVENTFD: u32 = iow(0x79, size_of::<kvm_bindings::kvm_ioeventfd>());
/// The size in the number is that of the struct without its flexible member.
const KVM_SET_SIGNAL_MASK: u32 = iow(0x8b, size_of::<u32>());
const KVM_SET_IOREGION: u32 = iow(0xf0, size_of::<kvm_ioregion>());

/// Of <linux/kvm_ioregion.h>, which only a kernel of this project has.
#[repr(C)]
#[derive(Default)]
#[allow(non_camel_case_types)]
struct kvm_ioregion {
    guest_paddr: u64,
    memory_size: u64,
    user_data: u64,
    read_fd: i32,
    write_fd: i32,
    flags: u32,
    pad: [u8; 28],
}

const KVM_IOREGION_POSTED_WRITES: u32 = 1 << 1;
const KVM_IOREGION_DEASSIGN: u32 = 1 << 2;

/// Opens the statistics of a vCPU or VM.
pub(crate) fn kvm_stats_fd(kvm: BorrowedFd<'_>) -> io::Result<File> {
    // SAFETY: `kvm` is open; the call takes no argument and accesses no memory of ours.
    let fd = Errno::result(unsafe { libc::ioctl(kvm.as_raw_fd(), KVM_GET_STATS_FD as _) })?;
    // SAFETY: the call succeeded, so that `fd` is open, new, and nobody else's.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// Makes stores of any value to an address signal an eventfd: those of `len` bytes, or with 0 those of any length.
///
/// kvm-ioctls offers any size with any value, or one size with one value.
pub(crate) fn kvm_ioeventfd(vm: BorrowedFd<'_>, address: u64, len: u32, eventfd: BorrowedFd<'_>) -> io::Result<()> {
    let ioeventfd = kvm_bindings::kvm_ioeventfd { addr: address, len, fd: eventfd.as_raw_fd(), ..Default::default() };
    // SAFETY: both files are open; the kernel only reads the struct, which outlives the call and is the one that the
    // number belongs to.
    Errno::result(unsafe { libc::ioctl(vm.as_raw_fd(), KVM_IOEVENTFD as _, std::ptr::from_ref(&ioeventfd)) })?;
    Ok(())
}

/// Lets KVM write the accesses to a region to a file, and read responses from another one; `None` ends that.
///
/// KVM holds its own references to the files.
pub(crate) fn kvm_set_ioregion(
    vm: BorrowedFd<'_>,
    region: &Region,
    files: Option<(BorrowedFd<'_>, BorrowedFd<'_>)>,
) -> io::Result<()> {
    let (read_fd, write_fd) = files.map_or((-1, -1), |(read, write)| (read.as_raw_fd(), write.as_raw_fd()));
    let flags = if files.is_none() {
        KVM_IOREGION_DEASSIGN
    } else if region.posted {
        KVM_IOREGION_POSTED_WRITES
    } else {
        0
    };
    let ioregion = kvm_ioregion {
        guest_paddr: region.base,
        memory_size: region.size,
        user_data: region.offset,
        read_fd,
        write_fd,
        flags,
        ..kvm_ioregion::default()
    };
    // SAFETY: all files are open; the kernel only reads the struct, which outlives the call and is the one that the
    // number belongs to.
    Errno::result(unsafe { libc::ioctl(vm.as_raw_fd(), KVM_SET_IOREGION as _, std::ptr::from_ref(&ioregion)) })?;
    Ok(())
}

/// Lets every signal interrupt `KVM_RUN`, those that the thread blocks included.
///
/// A signal that the thread blocks otherwise then ends `KVM_RUN` whether it comes before or during the call, and
/// needs no handler.
#[cfg_attr(not(target_arch = "riscv64"), allow(dead_code))]
pub(crate) fn kvm_unblock_signals_in_run(vcpu: BorrowedFd<'_>) -> io::Result<()> {
    /// `struct kvm_signal_mask` with the kernel's own `sigset_t`.
    #[repr(C, packed)]
    struct SignalMask {
        len: u32,
        blocked: [u8; 8],
    }
    let mask = SignalMask { len: 8, blocked: [0; 8] };
    // SAFETY: `vcpu` is open; the kernel only reads `len` and as many bytes after it, all of which `mask` holds.
    Errno::result(unsafe { libc::ioctl(vcpu.as_raw_fd(), KVM_SET_SIGNAL_MASK as _, std::ptr::from_ref(&mask)) })?;
    Ok(())
}

/// The registers of a vCPU, by number.
///
/// The list of kvm-ioctls holds 200, which is fewer than a vCPU with many extensions has.
#[cfg_attr(not(target_arch = "riscv64"), allow(dead_code))]
pub(crate) fn kvm_registers(vcpu: BorrowedFd<'_>) -> io::Result<Vec<u64>> {
    const MOST: usize = 4096;
    // `struct kvm_reg_list`: how many there is room for, and the room.
    let mut list = vec![0_u64; 1 + MOST];
    list[0] = MOST as u64;
    // SAFETY: `vcpu` is open; the kernel writes no more numbers than the first one says, for which there is room, and
    // the list outlives the call.
    Errno::result(unsafe { libc::ioctl(vcpu.as_raw_fd(), KVM_GET_REG_LIST as _, list.as_mut_ptr()) })?;
    let count = list[0] as usize;
    Ok(list.get(1..1 + count).unwrap_or_default().to_vec())
}

#[cfg(target_arch = "riscv64")]
pub(crate) use riscv::*;

#[cfg(target_arch = "riscv64")]
mod riscv {
    use std::io;

    use kvm_bindings::{
        KVM_EXIT_INTERNAL_ERROR, KVM_EXIT_RISCV_CSR, KVM_EXIT_RISCV_SBI, kvm_device_attr, kvm_run,
        kvm_userspace_memory_region,
    };
    use kvm_ioctls::{DeviceFd, VmFd};
    use std::os::fd::{AsRawFd, BorrowedFd};

    use vm_memory::{Address, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion, MmapRegion};

    /// Borrows the file of an object that only knows its number.
    pub(crate) fn borrow(object: &impl AsRawFd) -> BorrowedFd<'_> {
        // SAFETY: the objects of kvm-ioctls and vmm-sys-util, which are all that this crate passes, own the file whose
        // number they give, so that it stays open while `object` is borrowed.
        unsafe { BorrowedFd::borrow_raw(object.as_raw_fd()) }
    }

    /// Gives a VM its memory.
    ///
    /// The caller keeps `memory` as long as the VM: a vCPU that runs without it faults, and harms nobody else.
    pub(crate) fn set_memory(vm: &VmFd, memory: &GuestMemoryMmap) -> io::Result<()> {
        for (slot, region) in memory.iter().enumerate() {
            let mapping: &MmapRegion = region;
            let region = kvm_userspace_memory_region {
                slot: slot as u32,
                flags: 0,
                guest_phys_addr: region.start_addr().raw_value(),
                memory_size: region.len(),
                userspace_addr: mapping.as_ptr() as u64,
            };
            // SAFETY: the region is a mapping that vm-memory owns and that is accessed only by its volatile methods,
            // so that the guest may change it at any time. KVM follows the process' page tables: when the mapping
            // goes, the guest loses the memory, and no other memory can be reached.
            unsafe { vm.set_user_memory_region(region) }?;
        }
        Ok(())
    }

    /// Reads an attribute of a KVM device, of 32 or 64 bits.
    pub(crate) fn device_attr(device: &DeviceFd, group: u32, attr: u64) -> io::Result<u64> {
        let mut value = 0_u64;
        let mut request =
            kvm_device_attr { group, attr, addr: std::ptr::from_mut(&mut value) as u64, ..kvm_device_attr::default() };
        // SAFETY: the attributes that this crate reads are of 64 bits at most (arch/riscv/kvm/aia_device.c), which is
        // what `value` holds; it outlives the call. Those of 32 bits fill the lower half, the host being little-endian.
        unsafe { device.get_device_attr(&mut request) }?;
        Ok(value)
    }

    /// Why KVM cannot go on: the kind of the error, and what KVM tells beside it.
    pub(crate) fn internal_error(run: &kvm_run) -> Option<(u32, Vec<u64>)> {
        if run.exit_reason != KVM_EXIT_INTERNAL_ERROR {
            return None;
        }
        // SAFETY: the kernel filled in this member of the union: it says so by the exit reason.
        let error = unsafe { run.__bindgen_anon_1.internal };
        Some((error.suberror, error.data.iter().take(error.ndata as usize).copied().collect()))
    }

    /// An SBI call that KVM leaves to the VMM.
    pub(crate) struct SbiCall {
        pub extension: u64,
        pub args: [u64; 6],
    }

    /// The call by which the guest left, or `None` when it left for another reason.
    pub(crate) fn sbi_call(run: &kvm_run) -> Option<SbiCall> {
        if run.exit_reason != KVM_EXIT_RISCV_SBI {
            return None;
        }
        // SAFETY: the kernel filled in this member of the union: it says so by the exit reason.
        let call = unsafe { run.__bindgen_anon_1.riscv_sbi };
        Some(SbiCall { extension: call.extension_id, args: call.args })
    }

    /// Answers the call of [`sbi_call`]: error and value, for a0 and a1.
    pub(crate) fn answer_sbi_call(run: &mut kvm_run, ret: [u64; 2]) {
        run.__bindgen_anon_1.riscv_sbi.ret = ret;
    }

    /// The number of the CSR for which the guest left, or `None` when it left for another reason.
    pub(crate) fn csr_access(run: &kvm_run) -> Option<u64> {
        if run.exit_reason != KVM_EXIT_RISCV_CSR {
            return None;
        }
        // SAFETY: the kernel filled in this member of the union: it says so by the exit reason.
        Some(unsafe { run.__bindgen_anon_1.riscv_csr.csr_num })
    }

    /// Answers the access of [`csr_access`] with what the CSR held.
    pub(crate) fn answer_csr_access(run: &mut kvm_run, value: u64) {
        run.__bindgen_anon_1.riscv_csr.ret_value = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    /// Numbers as a C compiler makes them of <linux/kvm.h>.
    #[test]
    fn numbers() {
        assert_eq!(KVM_GET_STATS_FD, 0xaece);
        assert_eq!(KVM_GET_REG_LIST, 0xc008_aeb0);
        assert_eq!(KVM_IOEVENTFD, 0x4040_ae79);
        assert_eq!(KVM_SET_SIGNAL_MASK, 0x4004_ae8b);
        assert_eq!(KVM_SET_IOREGION, 0x4040_aef0);
    }

    #[test]
    fn other_files_are_refused() {
        let null = File::open("/dev/null").unwrap();
        let null = null.as_fd();
        for error in [
            kvm_stats_fd(null).unwrap_err(),
            kvm_ioeventfd(null, 0, 4, null).unwrap_err(),
            kvm_set_ioregion(null, &Region { base: 0, size: 8, offset: 0, posted: true }, None).unwrap_err(),
            kvm_unblock_signals_in_run(null).unwrap_err(),
            kvm_registers(null).unwrap_err(),
        ] {
            assert_eq!(error.raw_os_error(), Some(libc::ENOTTY));
        }
    }
}
