/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef IOREGIONFD_H
#define IOREGIONFD_H

#define FRAGMENT 64

#ifndef __ASSEMBLER__
#include <linux/ioctl.h>
#include <linux/kvm.h>
#include <stdint.h>

enum access { LB, LBU, LH, LHU, LW, LWU, LD, SB, SH, SW, SD, LOOP };

/* Of <linux/kvm_ioregion.h>, which the headers that programs are compiled with do not have. */
struct kvm_ioregion {
	uint64_t guest_paddr, memory_size, user_data;
	int32_t read_fd, write_fd;
	uint32_t flags;
	uint8_t pad[28];
};

#define KVM_IOREGION_PIO		1
#define KVM_IOREGION_POSTED_WRITES	2
#define KVM_IOREGION_DEASSIGN		4

struct kvm_ioregion_cmd {
	uint8_t cmd, info, pad[6];
	uint64_t user_data, offset, data;
};

#define KVM_IOREGION_CMD_READ		0
#define KVM_IOREGION_CMD_WRITE		1
#define KVM_IOREGION_INFO_RESP		0x10

struct kvm_ioregion_resp {
	uint64_t data;
	uint8_t pad[24];
};

#define KVM_SET_IOREGION _IOW(KVMIO, 0xf0, struct kvm_ioregion)
#endif
#endif
