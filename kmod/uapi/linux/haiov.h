/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * HA-IOV: notifications that a guest sends without leaving the guest, and
 * accesses of a guest to emulated devices that user space handles without KVM.
 * What a notification reaches is an eventfd, or a handler in user space that runs
 * at once.
 *
 * This header is the only definition of the user interface of the haiov
 * module. User-space bindings are generated from it.
 */
#ifndef _UAPI_LINUX_HAIOV_H
#define _UAPI_LINUX_HAIOV_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * DOC: Objects
 *
 * A file descriptor of /dev/haiov owns a set of objects. Each has a 64-bit id,
 * which is valid on that file descriptor only:
 *
 *  - A *VM* binds a KVM virtual machine to a VMID of the Virtual Event
 *    Interrupt Controller (VEIC). From then on every vCPU of that machine can
 *    send Virtual Event Interrupt Requests (VEIRQs).
 *  - A *route* connects one VEIRQ of a VM with an eventfd, by way of a CPU of
 *    the host. When the guest sends the VEIRQ, that CPU is interrupted and
 *    signals the eventfd; the guest goes on. Or it connects it with a context.
 *  - A *context* is a handler of this process for VEIRQs: code, a thread, and a
 *    CPU, which runs the code at once, on top of whatever it is running in user
 *    mode or in a guest (Hardware-assisted Context Switch, HCS).
 *  - A *listening* lets a context take the events of all routes that lead to an
 *    eventfd, also of those that another process has made.
 *  - A *vCPU* gives a vCPU of the KVM virtual machine a handler: code in the
 *    address space of the VMM, which the hardware starts when the guest
 *    accesses an MMIO range (User-level Exception Redirection, UER).
 *  - An *MMIO range* is a range of guest physical addresses whose accesses
 *    start handlers.
 *  - A *signal* gives an eventfd a small number, its index, by which the
 *    handlers of that VM, or that of a context, can signal it.
 *
 * An id carries a generation: the id of a destroyed object stays invalid also
 * when its place is taken by another one. 0 is never an id.
 *
 * Objects die by HAIOV_DESTROY, leaf first, or with the last reference to
 * their file descriptor. Routes, vCPUs, MMIO ranges and signals are leaves of
 * their VM, signals and listenings of a context are leaves of that, and a route to a
 * context is a leaf of both. Everything is undone by then: no event that the guest
 * sends later arrives anywhere, no handler starts, and nothing is left in the
 * hardware. A VM keeps its KVM virtual machine alive, a route, a signal or a
 * listening keeps its eventfd alive, and none depends on the file descriptors that
 * were passed in.
 *
 * A route does not count: sends that come before the interrupt of the first
 * one is taken are one event (they coalesce), as with an eventfd. An event
 * that was sent while its route was in place is seen at least once, also when
 * the route moves to another CPU meanwhile.
 */

/**
 * DOC: Handlers
 *
 * A load or a store of a guest in an MMIO range, on a vCPU that has a handler,
 * starts the handler instead of an exit: user mode, at the entry that was given
 * to HAIOV_VCPU_CREATE, in the address space of the VMM and on the vCPU's
 * thread, while KVM_RUN is under way. What runs until the access is done is
 * called a frame.
 *
 * At the entry the integer registers x1 to x31 hold the guest's values, and
 * these CSRs tell the rest: uscratch the data that was given to
 * HAIOV_VCPU_CREATE, which is the only way to find memory; ucause 24 for a load,
 * 25 for a store; utval the guest physical address; utinst the instruction in
 * the form of htinst, or 0; uepc its address in the guest. The handler finds out
 * from them what is to be done, does it, leaves in x1 to x31 what the guest is
 * to go on with, steps uepc over the instruction (by 2 if bit 1 of utinst is
 * clear, else by 4), puts its data back into uscratch if it has changed that, and
 * returns by URET.
 *
 * It may read and write memory. Page faults are served as the VMM's own. It
 * must not use floating-point and vector registers, which are the guest's, nor
 * make system calls but these, by ecall with a number in a7; all registers but
 * a0 are kept:
 *
 *  - HAIOV_UER_PUNT: Leave the access to the VMM. The handler has put back every
 *    register of the guest but a7, and has put the guest's a7 into uscratch. It
 *    is not returned to: KVM_RUN goes on as if there were no handler, with
 *    KVM_EXIT_MMIO or with what KVM does by itself, such as an ioeventfd.
 *    uscratch has its data again when the next frame begins.
 *  - HAIOV_UER_SIGNAL: Signal the signal of this VM whose index is in a0. If its
 *    eventfd is an irqfd of KVM, the guest is interrupted. Back in a0: 0, or
 *    -ENOENT if there is no such signal.
 *  - Any other number: -ENOSYS in a0.
 *
 * Anything else that traps ends the frame: an address that is not mapped, an
 * illegal instruction, a floating-point or vector instruction, a breakpoint;
 * and so does a frame that runs for more than about 100 ms. KVM_RUN then returns
 * 0 with KVM_EXIT_INTERNAL_ERROR and the suberror HAIOV_UER_ENDED. A signal that
 * arrives for the vCPU's thread meanwhile waits for the end of the frame. The
 * handler's code must be in memory that can be read.
 *
 * Handlers of several vCPUs may run at the same time, in the same memory.
 */

/**
 * DOC: Contexts
 *
 * A context is a function that is called for each event of its routes. One thread
 * of the process lends it what a thread has: it *parks* in HAIOV_CONTEXT_WAIT.
 * While it is parked, an event that comes to the context's CPU
 *
 *  - starts the handler there and then if that CPU runs user code or a guest
 *    that the context may interrupt, or is idle. If it is in the kernel for such
 *    a thread, the handler starts when it is back in user code. What runs until
 *    the handler returns is called a frame. Nobody is woken, and the scheduler
 *    knows nothing of it;
 *  - otherwise, or if the CPU stays in the kernel for long (a doorbell), wakes
 *    the thread, which returns from HAIOV_CONTEXT_WAIT into the handler.
 *
 * A handler begins at the entry that was given to HAIOV_CONTEXT_CREATE, in the
 * address space of the thread. In a frame x1 to x31 are 0, so that it has to find
 * its stack, its thread pointer and its data. There the CSR uscratch holds the
 * address of the data that was given to HAIOV_CONTEXT_CREATE; it is not to be
 * written. Where a doorbell begins a handler, sp, gp and tp are the thread's, and a0
 * holds the data already; to read uscratch works on the thread as well, until the
 * handler has returned, but takes an exception. The stack
 * and the thread pointer may be those of the thread, which uses neither while it is
 * parked.
 *
 * The data begin with a __u64 that the kernel writes: 1 when the thread takes the
 * handler over or begins it, 0 when it parks. It tells the handler how to return.
 *
 *  - In a frame (0) it returns by URET. What was interrupted goes on.
 *  - On the thread (1) it calls HAIOV_CONTEXT_WAIT, as that was called to park,
 *    which does not return to it: the thread is parked again, where it first was.
 *    If it does return, the context is gone, and URET comes next.
 *
 * URET does the same on the thread, but by an exception that the firmware sees
 * first: it costs many times as much. No event starts the handler a second time
 * before it has returned. Events that come meanwhile are one event, which starts
 * it again then.
 *
 * A handler may do all that its thread may do. Memory is all that it has in a
 * frame, though. Whatever needs more takes it over to the thread: a page fault, a
 * system call, a floating-point or vector instruction, anything else that traps,
 * an interrupt after which the CPU has other work to do, or more time than its
 * budget. The thread then wakes with the handler's integer registers, and carries
 * on where it stood, as ordinary code that is scheduled, signaled and debugged as
 * such. Its floating-point and vector registers there are those of the thread.
 * Who was interrupted does not notice. Nor does membarrier(2), which looks for the
 * threads that run: it does not wait for a frame.
 *
 * One ecall does not take it over: HAIOV_CONTEXT_SIGNAL in a7 signals the signal of
 * the context whose index is in a0. If its eventfd is an irqfd of KVM, the guest is
 * interrupted. All registers but a0 are kept, and in that is 0, or -ENOENT if there
 * is no such signal. What has been signaled may have given the CPU something else to
 * do, and the handler goes on on the thread then. On any thread, that of the context
 * included, this is a system call that does not exist: -ENOSYS in a0 says that
 * write(2) is what does it there.
 *
 * An event may interrupt threads of the effective user that has created the
 * context, vCPUs included, or with HAIOV_CONTEXT_ANY every user thread. What one of
 * the contexts of a CPU may not interrupt none of them interrupts. A handler never
 * sees or changes a register or the memory of what it interrupts.
 */

/**
 * DOC: General ioctl format
 *
 * Every structure begins with __u32 size, which the caller sets to the size of
 * the structure that it was compiled with:
 *
 *  - A size that is smaller than the first published version of the structure
 *    is refused.
 *  - A structure that is longer than what the module knows is accepted if
 *    everything past the known part is zero; that part is left alone.
 *  - Reserved fields and unknown flags must be zero.
 *  - Fields whose name begins with out, and those of struct haiov_info after
 *    flags, are written by the module when the call succeeds; what they hold
 *    before does not matter.
 *
 * Features are bits in the answer of HAIOV_INFO; there is no version number.
 *
 * Errors have one meaning everywhere:
 *
 *  - ENOTTY: The ioctl number is not known.
 *  - EFAULT: The structure cannot be read or written.
 *  - E2BIG: The structure is longer than known, with something other than zero
 *    in the unknown part, or it is longer than 4096 bytes.
 *  - EINVAL: size is too small, an unknown flag or a reserved field is not
 *    zero, a field is out of its range, or a file descriptor is of the wrong
 *    kind.
 *  - EBADF: A file descriptor in the structure is not open.
 *  - EOPNOTSUPP: This machine has no Xhaiov or no VEIC, or not the feature that
 *    the call is about. HAIOV_INFO alone answers, with no feature set.
 *  - ENOENT: The id does not exist on this file descriptor, or names an object
 *    of another kind.
 *  - EEXIST: The VEIRQ of that VM has a route already, or there is something at
 *    these guest physical addresses.
 *  - EBUSY: The object is in use: what has leaves cannot be destroyed, a KVM
 *    virtual machine cannot be bound twice, a vCPU cannot have two handlers, a
 *    context cannot have two threads, an eventfd cannot have two listenings.
 *  - EPERM: The KVM virtual machine or the context belongs to another process, or
 *    the caller lacks the privilege that a flag asks for.
 *  - ENODEV: The CPU is offline, or has no VEIC file.
 *  - ENOSPC: No VMID, no VEIID on that CPU, no index of that VM or context, or no
 *    address space identifier (ASID) is free.
 *  - ENOMEM: Out of memory, or out of ids of this file descriptor.
 *  - EINTR: A signal came while a thread was parked.
 *
 * The structure is checked first (EFAULT, E2BIG, EINVAL for size, flags and
 * reserved fields), then the hardware (EOPNOTSUPP), then the rest. A call that
 * fails changes nothing.
 */

/** define HAIOV_TYPE - The type of all ioctl numbers here. */
#define HAIOV_TYPE 0xB9

/* Numbers of the ioctls; groups of 16 by object. */
enum {
	HAIOV_CMD_INFO = 0x00,
	HAIOV_CMD_DESTROY = 0x01,
	HAIOV_CMD_VM_CREATE = 0x10,
	HAIOV_CMD_VM_QUERY = 0x11,
	HAIOV_CMD_ROUTE_ADD = 0x20,
	HAIOV_CMD_ROUTE_MOVE = 0x21,
	HAIOV_CMD_ROUTE_QUERY = 0x22,
	HAIOV_CMD_VCPU_CREATE = 0x30,
	HAIOV_CMD_MMIO_ADD = 0x40,
	HAIOV_CMD_SIGNAL_ADD = 0x50,
	HAIOV_CMD_CONTEXT_CREATE = 0x60,
	HAIOV_CMD_CONTEXT_WAIT = 0x61,
	HAIOV_CMD_CONTEXT_QUERY = 0x62,
	HAIOV_CMD_CONTEXT_MOVE = 0x63,
	HAIOV_CMD_CONTEXT_LISTEN = 0x64,
};

/** define HAIOV_FEATURE_VEI - Routes from VEIRQs to eventfds work. */
#define HAIOV_FEATURE_VEI (1ULL << 0)

/** define HAIOV_FEATURE_UER - vCPUs, MMIO ranges and signals work. */
#define HAIOV_FEATURE_UER (1ULL << 1)

/** define HAIOV_FEATURE_HCS - Contexts, and routes to them, work. */
#define HAIOV_FEATURE_HCS (1ULL << 2)

/**
 * struct haiov_info - ioctl(HAIOV_INFO)
 * @size: sizeof(struct haiov_info)
 * @flags: Must be 0
 * @features: HAIOV_FEATURE_* of this machine, 0 without the hardware
 * @nr_harts: Harts that the VEIC serves
 * @nr_veiids: VEIIDs of each hart; VEIID 0 is never used
 * @cache_entries: Entries of the route cache of each hart, 0 for none
 * @max_veirqs: Largest nr_veirqs that HAIOV_VM_CREATE accepts
 *
 * Tell what this machine can do. Works without the hardware; all figures are
 * then 0.
 */
struct haiov_info {
	__u32 size;
	__u32 flags;
	__u64 features;
	__u32 nr_harts;
	__u32 nr_veiids;
	__u32 cache_entries;
	__u32 max_veirqs;
};
#define HAIOV_INFO _IO(HAIOV_TYPE, HAIOV_CMD_INFO)

/**
 * struct haiov_destroy - ioctl(HAIOV_DESTROY)
 * @size: sizeof(struct haiov_destroy)
 * @flags: Must be 0
 * @id: An object of any kind
 *
 * Destroy an object. When this returns, the object's hardware resources are
 * free and no event of it will be delivered any more. An event that a route
 * had accepted before is signaled before this returns. The handler of a vCPU
 * does not run any more, so that its memory can be freed. No access to an MMIO
 * range starts a handler any more; one that was started before may still run. No
 * frame of a context runs or starts any more, and its thread returns from
 * HAIOV_CONTEXT_WAIT with ENOENT: at once if it is parked, else when its handler
 * has returned.
 *
 * ENOENT: no such id. EBUSY: a VM or a context that still has leaves.
 */
struct haiov_destroy {
	__u32 size;
	__u32 flags;
	__u64 id;
};
#define HAIOV_DESTROY _IO(HAIOV_TYPE, HAIOV_CMD_DESTROY)

/**
 * struct haiov_vm_create - ioctl(HAIOV_VM_CREATE)
 * @size: sizeof(struct haiov_vm_create)
 * @flags: Must be 0
 * @kvm_fd: File descriptor of a KVM virtual machine (KVM_CREATE_VM)
 * @nr_veirqs: Number of VEIRQs, 1 to max_veirqs; VEIRQs are 0 to
 *             nr_veirqs - 1
 * @out_vm_id: Id of the new VM
 * @out_vmid: VMID that the hardware knows it by; for debugging
 * @__reserved: Must be 0
 *
 * Bind a KVM virtual machine: all its vCPUs, those created later included, may
 * send VEIRQs. Until routes exist every send is refused by the hardware,
 * caught by KVM, dropped and counted.
 *
 * EBADF, EINVAL: kvm_fd is not open, or no KVM virtual machine. EINVAL:
 * nr_veirqs out of range. EBUSY: bound already, here or on another file
 * descriptor. ENOSPC: no VMID is free.
 */
struct haiov_vm_create {
	__u32 size;
	__u32 flags;
	__s32 kvm_fd;
	__u32 nr_veirqs;
	__u64 out_vm_id;
	__u32 out_vmid;
	__u32 __reserved;
};
#define HAIOV_VM_CREATE _IO(HAIOV_TYPE, HAIOV_CMD_VM_CREATE)

/**
 * struct haiov_vm_query - ioctl(HAIOV_VM_QUERY)
 * @size: sizeof(struct haiov_vm_query)
 * @flags: Must be 0
 * @vm_id: The VM
 * @out_vmid: As in struct haiov_vm_create
 * @out_nr_routes: Routes that exist now
 * @out_fallbacks: Sends that the hardware refused and that the module
 *                 delivered itself
 * @out_dropped: Sends that the hardware refused and that had no route, or were
 *               no VEIRQ of this VM
 *
 * Query a VM. ENOENT: no such id, or not a VM.
 */
struct haiov_vm_query {
	__u32 size;
	__u32 flags;
	__u64 vm_id;
	__u32 out_vmid;
	__u32 out_nr_routes;
	__u64 out_fallbacks;
	__u64 out_dropped;
};
#define HAIOV_VM_QUERY _IO(HAIOV_TYPE, HAIOV_CMD_VM_QUERY)

/**
 * define HAIOV_ROUTE_CPU - The CPU is given.
 *
 * Without it, the module takes the online CPU that has the most free VEIIDs.
 */
#define HAIOV_ROUTE_CPU (1U << 0)

/**
 * define HAIOV_ROUTE_CONTEXT - The route leads to a context.
 *
 * It then arrives at the context's CPU and VEIID, wherever that moves.
 */
#define HAIOV_ROUTE_CONTEXT (1U << 1)

/**
 * struct haiov_route_add - ioctl(HAIOV_ROUTE_ADD)
 * @size: sizeof(struct haiov_route_add)
 * @flags: HAIOV_ROUTE_CPU, HAIOV_ROUTE_CONTEXT or 0
 * @vm_id: The VM
 * @veirq: The VEIRQ, less than the VM's nr_veirqs
 * @eventfd: File descriptor of an eventfd, signaled for each event; with
 *           HAIOV_ROUTE_CONTEXT 0
 * @cpu: With HAIOV_ROUTE_CPU the CPU that takes the interrupt, else 0
 * @__reserved: Must be 0
 * @out_route_id: Id of the new route
 * @out_veiid: VEIID that the route occupies on that CPU; for debugging
 * @out_cpu: The CPU
 * @context_id: With HAIOV_ROUTE_CONTEXT the context, else 0
 *
 * Connect a VEIRQ with an eventfd or a context. Several routes, also of several
 * VMs, may share either.
 *
 * ENOENT: no such id, or not a VM or a context. EBADF, EINVAL: eventfd is not
 * open, or not an eventfd. EINVAL: veirq or cpu out of range, cpu without
 * HAIOV_ROUTE_CPU, both flags, eventfd with HAIOV_ROUTE_CONTEXT or context_id
 * without it. EEXIST: the VEIRQ has a route. ENODEV: the CPU is offline or has no
 * VEIC file. ENOSPC: no VEIID is free there, or anywhere.
 */
struct haiov_route_add {
	__u32 size;
	__u32 flags;
	__u64 vm_id;
	__u32 veirq;
	__s32 eventfd;
	__u32 cpu;
	__u32 __reserved;
	__u64 out_route_id;
	__u32 out_veiid;
	__u32 out_cpu;
	__u64 context_id;
};
#define HAIOV_ROUTE_ADD _IO(HAIOV_TYPE, HAIOV_CMD_ROUTE_ADD)

/**
 * struct haiov_route_move - ioctl(HAIOV_ROUTE_MOVE)
 * @size: sizeof(struct haiov_route_move)
 * @flags: Must be 0
 * @route_id: The route
 * @cpu: The CPU that is to take the interrupt from now on
 * @out_veiid: VEIID that the route occupies there; for debugging
 *
 * Move a route to another CPU. No event is lost; one that is under way may be
 * signaled twice. To move it where it is already is fine.
 *
 * A route whose eventfd a context listens for goes there when that has ended.
 *
 * ENOENT: no such id, or not a route. EINVAL: cpu out of range, or the route
 * leads to a context, and moves with that. ENODEV: the CPU is offline or has no
 * VEIC file. ENOSPC: no VEIID is free there. The route stays as it was then.
 *
 * A CPU that goes offline has its routes and its contexts moved the same way, to
 * the CPUs that have the most free VEIIDs; when there is no room for them it stays
 * online (EBUSY). They do not come back with the CPU.
 */
struct haiov_route_move {
	__u32 size;
	__u32 flags;
	__u64 route_id;
	__u32 cpu;
	__u32 out_veiid;
};
#define HAIOV_ROUTE_MOVE _IO(HAIOV_TYPE, HAIOV_CMD_ROUTE_MOVE)

/**
 * struct haiov_route_query - ioctl(HAIOV_ROUTE_QUERY)
 * @size: sizeof(struct haiov_route_query)
 * @flags: Must be 0
 * @route_id: The route
 * @out_veirq: Its VEIRQ
 * @out_veiid: VEIID that it occupies now
 * @out_cpu: CPU that takes its interrupt now
 * @out_pending: 1 if an event is under way: the hardware accepted it, and the
 *               eventfd has not been signaled yet. 0 if every event that was
 *               accepted before this call is in the counters below
 * @out_delivered: Signals of the eventfd that came from an interrupt; 0 for a
 *                 route to a context, whose events nobody counts
 * @out_fallbacks: Signals of the eventfd, or events of the context, that came
 *                 from a send which the hardware refused
 * @out_throttled: Times that the route went over the rate limit; its events
 *                 were then delayed, and coalesced, but not lost
 *
 * Query a route. While a context listens for its eventfd the route keeps its CPU
 * and VEIID, but events do not come there, and nobody counts them.
 *
 * ENOENT: no such id, or not a route.
 */
struct haiov_route_query {
	__u32 size;
	__u32 flags;
	__u64 route_id;
	__u32 out_veirq;
	__u32 out_veiid;
	__u32 out_cpu;
	__u32 out_pending;
	__u64 out_delivered;
	__u64 out_fallbacks;
	__u64 out_throttled;
};
#define HAIOV_ROUTE_QUERY _IO(HAIOV_TYPE, HAIOV_CMD_ROUTE_QUERY)

/**
 * struct haiov_vcpu_create - ioctl(HAIOV_VCPU_CREATE)
 * @size: sizeof(struct haiov_vcpu_create)
 * @flags: Must be 0
 * @vm_id: The VM
 * @vcpu_fd: File descriptor of a vCPU of that VM's KVM virtual machine
 *           (KVM_CREATE_VCPU)
 * @__reserved: Must be 0
 * @entry: Address at which the vCPU's handler begins, a multiple of 4, not 0
 * @data: What the handler finds in uscratch
 * @out_vcpu_id: Id of the new vCPU
 *
 * Give a vCPU a handler, also while it runs. From then on its accesses to the
 * VM's MMIO ranges start the handler. How often that took the kernel's help is
 * in the vCPU's statistics (KVM_GET_STATS_FD): uer_punts, uer_ecalls,
 * uer_faults, uer_tur, uer_ended.
 *
 * ENOENT: no such id, or not a VM. EBADF, EINVAL: vcpu_fd is not open, or not a
 * vCPU of that virtual machine. EINVAL: entry is 0, not a multiple of 4, or not
 * an address of user space. EPERM: the calling process is not the one that the
 * virtual machine belongs to. EBUSY: the vCPU has a handler.
 */
struct haiov_vcpu_create {
	__u32 size;
	__u32 flags;
	__u64 vm_id;
	__s32 vcpu_fd;
	__u32 __reserved;
	__u64 entry;
	__u64 data;
	__u64 out_vcpu_id;
};
#define HAIOV_VCPU_CREATE _IO(HAIOV_TYPE, HAIOV_CMD_VCPU_CREATE)

/**
 * struct haiov_mmio_add - ioctl(HAIOV_MMIO_ADD)
 * @size: sizeof(struct haiov_mmio_add)
 * @flags: Must be 0
 * @vm_id: The VM
 * @gpa: First guest physical address, a multiple of 4096
 * @length: Bytes, a multiple of 4096, not 0
 * @out_mmio_id: Id of the new MMIO range
 *
 * Let accesses to a range of guest physical addresses start handlers. On a vCPU
 * that has none they exit as ever. A memory slot of KVM that is made later and
 * overlaps the range takes its place there, for as long as the slot exists.
 *
 * ENOENT: no such id, or not a VM. EINVAL: gpa or length is not a multiple of
 * 4096, length is 0, or the range ends past what the guest can address. EEXIST:
 * it overlaps a memory slot of KVM, or another MMIO range.
 */
struct haiov_mmio_add {
	__u32 size;
	__u32 flags;
	__u64 vm_id;
	__u64 gpa;
	__u64 length;
	__u64 out_mmio_id;
};
#define HAIOV_MMIO_ADD _IO(HAIOV_TYPE, HAIOV_CMD_MMIO_ADD)

/** define HAIOV_MAX_SIGNALS - Signals of a VM or a context; indices are less than this. */
#define HAIOV_MAX_SIGNALS 256

/** define HAIOV_SIGNAL_CONTEXT - It is the handler of a context that signals. */
#define HAIOV_SIGNAL_CONTEXT (1U << 0)

/**
 * struct haiov_signal_add - ioctl(HAIOV_SIGNAL_ADD)
 * @size: sizeof(struct haiov_signal_add)
 * @flags: HAIOV_SIGNAL_CONTEXT or 0
 * @vm_id: The VM; with HAIOV_SIGNAL_CONTEXT 0
 * @eventfd: File descriptor of an eventfd
 * @out_index: What handlers pass to HAIOV_UER_SIGNAL, or with HAIOV_SIGNAL_CONTEXT
 *             to HAIOV_CONTEXT_SIGNAL: the lowest free index
 * @out_signal_id: Id of the new signal
 * @context_id: With HAIOV_SIGNAL_CONTEXT the context, else 0
 *
 * Let the handlers of a VM, or the handler of a context, signal an eventfd. It may
 * be an irqfd of KVM as well (KVM_IRQFD). Several signals may share an eventfd.
 *
 * ENOENT: no such id, or not a VM or a context. EBADF, EINVAL: eventfd is not open,
 * or not an eventfd. EINVAL: vm_id with HAIOV_SIGNAL_CONTEXT, or context_id without
 * it. ENOSPC: the VM or the context has HAIOV_MAX_SIGNALS signals.
 */
struct haiov_signal_add {
	__u32 size;
	__u32 flags;
	__u64 vm_id;
	__s32 eventfd;
	__u32 out_index;
	__u64 out_signal_id;
	__u64 context_id;
};
#define HAIOV_SIGNAL_ADD _IO(HAIOV_TYPE, HAIOV_CMD_SIGNAL_ADD)

/** define HAIOV_CONTEXT_CPU - The CPU is given. */
#define HAIOV_CONTEXT_CPU (1U << 0)

/**
 * define HAIOV_CONTEXT_ANY - The context may interrupt threads of every user.
 *
 * It needs CAP_SYS_NICE.
 */
#define HAIOV_CONTEXT_ANY (1U << 1)

/** define HAIOV_BUDGET_MAX_US - Largest budget of a context, in microseconds. */
#define HAIOV_BUDGET_MAX_US 100000

/**
 * struct haiov_context_create - ioctl(HAIOV_CONTEXT_CREATE)
 * @size: sizeof(struct haiov_context_create)
 * @flags: HAIOV_CONTEXT_CPU and HAIOV_CONTEXT_ANY
 * @entry: Address at which the handler begins, a multiple of 4, not 0
 * @data: Address of the handler's data, which it finds in uscratch and a0: a
 *        multiple of 8, not 0
 * @cpu: With HAIOV_CONTEXT_CPU the CPU, else 0: the online one that has the most
 *       free VEIIDs
 * @budget_us: For how long a frame may go on once an interrupt, such as the
 *             timer's, has found it, in microseconds, up to HAIOV_BUDGET_MAX_US. At
 *             the first interrupt after that it goes over to the thread
 * @out_context_id: Id of the new context
 * @out_veiid: VEIID that it occupies on that CPU; for debugging
 * @out_cpu: The CPU
 *
 * Create a context of the calling process. Nothing happens before a thread parks.
 * A child process does not inherit it, and execve ends its use.
 *
 * EINVAL: entry is 0, not a multiple of 4, or not an address of user space, data is
 * no such address or not a multiple of 8, cpu is out of range or without
 * HAIOV_CONTEXT_CPU, or budget_us is out of range. EPERM: HAIOV_CONTEXT_ANY
 * without CAP_SYS_NICE. ENODEV: the CPU is offline or has no VEIC file. ENOSPC: no VEIID is free there, or no ASID. EOPNOTSUPP: also
 * where the kernel does not use ASIDs.
 */
struct haiov_context_create {
	__u32 size;
	__u32 flags;
	__u64 entry;
	__u64 data;
	__u32 cpu;
	__u32 budget_us;
	__u64 out_context_id;
	__u32 out_veiid;
	__u32 out_cpu;
};
#define HAIOV_CONTEXT_CREATE _IO(HAIOV_TYPE, HAIOV_CMD_CONTEXT_CREATE)

/**
 * struct haiov_context_wait - ioctl(HAIOV_CONTEXT_WAIT)
 * @size: sizeof(struct haiov_context_wait)
 * @flags: Must be 0
 * @context_id: The context
 *
 * Park the calling thread, for as long as the context lives. The handler runs
 * meanwhile, in frames or on this thread; the call goes on when it has returned. It
 * only ever returns with an error. A signal is handled when it comes, whether the
 * thread is parked or runs the handler.
 *
 * ENOENT: no such id, or not a context, or it has been destroyed meanwhile. EPERM:
 * another process has made it. EBUSY: another thread is parked there, or runs its
 * handler. EINTR: a signal came, whose action does not ask for system calls to be
 * restarted.
 */
struct haiov_context_wait {
	__u32 size;
	__u32 flags;
	__u64 context_id;
};
#define HAIOV_CONTEXT_WAIT _IO(HAIOV_TYPE, HAIOV_CMD_CONTEXT_WAIT)

/**
 * struct haiov_context_query - ioctl(HAIOV_CONTEXT_QUERY)
 * @size: sizeof(struct haiov_context_query)
 * @flags: Must be 0
 * @context_id: The context
 * @out_cpu: Its CPU
 * @out_veiid: Its VEIID there
 * @out_nr_routes: Routes that lead to it, those included whose eventfd it listens
 *                 for
 * @out_parked: 1 if its thread is parked
 * @out_pending: 1 if an event waits for it
 * @__reserved: 0
 * @out_doorbells: Handlers that began on the thread
 * @out_faults: Frames that went on on the thread: they trapped
 * @out_preempted: The same: who was interrupted had something else to do
 * @out_expired: The same: their budget was used up
 * @out_interrupted: Times that an interrupt found a frame, which went on after it
 * @out_signaled: Times that a frame asked for HAIOV_CONTEXT_SIGNAL, and went on
 *
 * Query a context. Its thread has woken out_doorbells + out_faults +
 * out_preempted + out_expired times. Frames that end by themselves are not
 * counted: no code of the kernel runs for them. ENOENT: no such id, or not a
 * context.
 */
struct haiov_context_query {
	__u32 size;
	__u32 flags;
	__u64 context_id;
	__u32 out_cpu;
	__u32 out_veiid;
	__u32 out_nr_routes;
	__u32 out_parked;
	__u32 out_pending;
	__u32 __reserved;
	__u64 out_doorbells;
	__u64 out_faults;
	__u64 out_preempted;
	__u64 out_expired;
	__u64 out_interrupted;
	__u64 out_signaled;
};
#define HAIOV_CONTEXT_QUERY _IO(HAIOV_TYPE, HAIOV_CMD_CONTEXT_QUERY)

/**
 * struct haiov_context_move - ioctl(HAIOV_CONTEXT_MOVE)
 * @size: sizeof(struct haiov_context_move)
 * @flags: Must be 0
 * @context_id: The context
 * @cpu: The CPU that is to take its events from now on
 * @out_veiid: VEIID that it occupies there; for debugging
 *
 * Move a context to another CPU, with all routes that lead to it. Its thread may be
 * parked or not, and notices nothing; it may run anywhere in any case. A frame
 * that runs on the former CPU goes on on the thread. No event is lost: what comes
 * meanwhile, or waits already, starts the handler from the new CPU, or as soon as
 * the thread parks. To move it where it is already is fine.
 *
 * ENOENT: no such id, or not a context. EINVAL: cpu out of range. ENODEV: the CPU
 * is offline or has no VEIC file. ENOSPC: no VEIID is free there. The context stays
 * as it was then.
 *
 * See HAIOV_ROUTE_MOVE for a CPU that goes offline.
 */
struct haiov_context_move {
	__u32 size;
	__u32 flags;
	__u64 context_id;
	__u32 cpu;
	__u32 out_veiid;
};
#define HAIOV_CONTEXT_MOVE _IO(HAIOV_TYPE, HAIOV_CMD_CONTEXT_MOVE)

/**
 * struct haiov_context_listen - ioctl(HAIOV_CONTEXT_LISTEN)
 * @size: sizeof(struct haiov_context_listen)
 * @flags: Must be 0
 * @context_id: The context
 * @eventfd: File descriptor of an eventfd
 * @__reserved: Must be 0
 * @out_listening_id: Id of the new listening
 *
 * Let a context take the events of all routes that lead to an eventfd: those of
 * any process and any file descriptor of /dev/haiov, those that are there and those
 * that are added later. They lead to the context for as long as the listening
 * exists, and to the eventfd again when it is destroyed. So a device in a process of
 * its own, which shares an eventfd with the VMM and knows nothing of VMs and
 * routes, has its handler started by the guest.
 *
 * It is about events of VEIRQs alone. Whatever else adds to the eventfd, such as
 * write(2) and an ioeventfd of KVM, does not start the handler; who listens reads
 * the eventfd as well.
 *
 * No event is lost on the way to the context or back: the handler is started once as
 * a listening begins and as a route comes to it, and the eventfd is signaled as a
 * route goes back to it. Either may be for nothing.
 *
 * ENOENT: no such id, or not a context. EBADF, EINVAL: eventfd is not open, or not an
 * eventfd. EPERM: another process has made the context. EBUSY: a context listens for
 * that eventfd already, this one or another.
 */
struct haiov_context_listen {
	__u32 size;
	__u32 flags;
	__u64 context_id;
	__s32 eventfd;
	__u32 __reserved;
	__u64 out_listening_id;
};
#define HAIOV_CONTEXT_LISTEN _IO(HAIOV_TYPE, HAIOV_CMD_CONTEXT_LISTEN)

/* What a handler asks for by ecall, in a7; see "Handlers" above. */
enum {
	HAIOV_UER_PUNT = 0,
	HAIOV_UER_SIGNAL = 1,
};

/**
 * define HAIOV_CONTEXT_SIGNAL - What the handler of a context asks for by ecall, in
 * a7; see "Contexts" above. It is no system call of Linux.
 */
#define HAIOV_CONTEXT_SIGNAL 0x48410002

/**
 * define HAIOV_UER_ENDED - Suberror of KVM_EXIT_INTERNAL_ERROR: the kernel ended
 * a frame.
 *
 * The data are the cause (as in scause), the handler's pc, stval, and 1 if the
 * frame took too long. The guest's integer registers, which the handler had,
 * are lost and read 0; the vCPU's pc is that of the access. KVM_RUN says so again
 * until the vCPU is reset or its pc is set.
 */
#define HAIOV_UER_ENDED 0x48410001

#endif /* _UAPI_LINUX_HAIOV_H */
