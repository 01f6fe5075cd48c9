// SPDX-License-Identifier: GPL-2.0
/*
 * Guest driver of the bench device of haiov-vmm: loads and stores of one register in a tight loop, in
 * each way that leads to it, so that the host can count what one costs.
 *
 * /sys/kernel/debug/haiov_mmio/run takes "WAY N" and returns when the N accesses are made. WAY is
 *   empty            nothing: the same loop without an access, which the others are compared with
 *   exit-write       a store that the VMM handles after an exit; exit-read: a load
 *   coalesced-write  a store that KVM keeps for the VMM
 *   ioeventfd-write  a store that KVM turns into an eventfd signal; anylen-write: one of any length does
 *   uer-write        a store that a handler of the VMM takes, where the host has UER; uer-read: a load
 *   ioregion-write   a store that KVM sends to a thread of the VMM, where the host has ioregionfd, and waits;
 *                    ioregion-read: a load; ioregion-posted: a store that KVM does not wait for. A load follows
 *                    the last of these, so that all of them have been made
 *
 * /sys/kernel/debug/haiov_mmio/ns tells how long the last of them took, by the guest's clock.
 *
 * /sys/kernel/debug/haiov_mmio/mark takes "begin" or "end": a region for whatever the writer does in
 * between.
 *
 * Around what is counted stand the markers of the instruction counter (tools/insn), with the number of
 * the way, plus REGION, as region. Interrupts of the guest are off in the loops.
 */
#include <linux/debugfs.h>
#include <linux/io.h>
#include <linux/irqflags.h>
#include <linux/ktime.h>
#include <linux/mod_devicetable.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#define BENCH_VALUE	0x0000
#define BENCH_PHASE	0x0010 /* phase << 1 | end */
#define BENCH_COALESCED	0x0800
#define BENCH_NOTIFY	0x0810
#define BENCH_ANYLEN	0x0820
#define BENCH_HANDLED	0x1000
#define BENCH_MESSAGED	0x2000
#define BENCH_POSTED	0x2800

#define REGION		16
#define REGION_MARK	32
#define N_MAX		10000000UL /* interrupts are off meanwhile */
#define PATTERN		0x5a3cc3a5U

enum way { EMPTY, EXIT_WRITE, EXIT_READ, COALESCED_WRITE, IOEVENTFD_WRITE, UER_WRITE, UER_READ,
	   ANYLEN_WRITE, IOREGION_WRITE, IOREGION_READ, IOREGION_POSTED, NR_WAYS };

static const char * const way_names[NR_WAYS] = {
	"empty", "exit-write", "exit-read", "coalesced-write", "ioeventfd-write", "uer-write", "uer-read",
	"anylen-write", "ioregion-write", "ioregion-read", "ioregion-posted",
};

struct bench {
	void __iomem *regs;
	struct mutex lock; /* one phase at a time */
	u64 ns;
	struct dentry *dir;
};

/* slti x0, x0, 0x400 | region, and 0x500 for its end: the region is part of the instruction. */
static __always_inline void insn_marker(const int imm)
{
	asm volatile("slti x0, x0, %0" : : "i" (imm) : "memory");
}

/* The accesses themselves, without the fences of writel() and readl(): a fence costs the same everywhere. */
static __always_inline u32 store(void __iomem *reg, u32 value)
{
	writel_relaxed(value, reg);
	return value;
}

static __always_inline u32 load(void __iomem *reg, u32 value)
{
	return readl_relaxed(reg);
}

static __always_inline u32 nothing(void __iomem *reg, u32 value)
{
	return value;
}

/* What comes after the last access and belongs to them: nothing, but where they are still under way. */
static __always_inline void finished(void __iomem *reg)
{
}

static __always_inline void wait_for_posted(void __iomem *reg)
{
	readl_relaxed(reg - BENCH_POSTED + BENCH_MESSAGED);
}

/* One function per way, all of the same shape, so that subtracting the empty one leaves the access. */
#define DEFINE_LOOP_UNTIL(name, region, access, done)					\
static noinline u32 loop_##name(void __iomem *reg, u32 value, unsigned long n)		\
{											\
	unsigned long flags;								\
											\
	local_irq_save(flags);								\
	insn_marker(0x400 | (REGION + (region)));					\
	do {										\
		value = access(reg, value);						\
		n--;									\
		/* keep both in registers and the loop as it is written */		\
		asm volatile("" : "+r" (n), "+r" (value) : : "memory");			\
	} while (n);									\
	done(reg);									\
	insn_marker(0x500 | (REGION + (region)));					\
	local_irq_restore(flags);							\
	return value;									\
}

#define DEFINE_LOOP(name, region, access) DEFINE_LOOP_UNTIL(name, region, access, finished)

DEFINE_LOOP(empty, EMPTY, nothing)
DEFINE_LOOP(exit_write, EXIT_WRITE, store)
DEFINE_LOOP(exit_read, EXIT_READ, load)
DEFINE_LOOP(coalesced_write, COALESCED_WRITE, store)
DEFINE_LOOP(ioeventfd_write, IOEVENTFD_WRITE, store)
DEFINE_LOOP(uer_write, UER_WRITE, store)
DEFINE_LOOP(uer_read, UER_READ, load)
DEFINE_LOOP(anylen_write, ANYLEN_WRITE, store)
DEFINE_LOOP(ioregion_write, IOREGION_WRITE, store)
DEFINE_LOOP(ioregion_read, IOREGION_READ, load)
DEFINE_LOOP_UNTIL(ioregion_posted, IOREGION_POSTED, store, wait_for_posted)

/* What is in a register of the device before and after the loop must be what was stored there. */
static int measure(struct bench *bench, enum way way, unsigned long n)
{
	void __iomem *value = bench->regs + BENCH_VALUE, *handled = bench->regs + BENCH_HANDLED;
	void __iomem *messaged = bench->regs + BENCH_MESSAGED;
	u32 last = PATTERN + way, wanted = PATTERN + way;
	u64 began;

	guard(mutex)(&bench->lock);
	writel(wanted, way == UER_READ ? handled : way == IOREGION_READ ? messaged : value);
	/* the first access of a page installs it */
	readl(handled);
	writel(way << 1, bench->regs + BENCH_PHASE);
	began = ktime_get_ns();
	switch (way) {
	case EXIT_WRITE:
		loop_exit_write(value, wanted, n);
		break;
	case EXIT_READ:
		last = loop_exit_read(value, 0, n);
		break;
	case COALESCED_WRITE:
		loop_coalesced_write(bench->regs + BENCH_COALESCED, wanted, n);
		break;
	case IOEVENTFD_WRITE:
		loop_ioeventfd_write(bench->regs + BENCH_NOTIFY, wanted, n);
		break;
	case ANYLEN_WRITE:
		loop_anylen_write(bench->regs + BENCH_ANYLEN, wanted, n);
		break;
	case UER_WRITE:
		loop_uer_write(handled, wanted, n);
		break;
	case UER_READ:
		last = loop_uer_read(handled, 0, n);
		break;
	case IOREGION_WRITE:
		loop_ioregion_write(messaged, wanted, n);
		break;
	case IOREGION_READ:
		last = loop_ioregion_read(messaged, 0, n);
		break;
	case IOREGION_POSTED:
		loop_ioregion_posted(bench->regs + BENCH_POSTED, wanted, n);
		break;
	default:
		loop_empty(value, wanted, n);
		break;
	}
	bench->ns = ktime_get_ns() - began;
	writel(way << 1 | 1, bench->regs + BENCH_PHASE);
	if (way == EXIT_WRITE)
		last = readl(value);
	else if (way == UER_WRITE)
		last = readl(handled);
	else if (way == IOREGION_WRITE || way == IOREGION_POSTED)
		last = readl(messaged);
	return last == wanted ? 0 : -EIO;
}

static ssize_t run_write(struct file *file, const char __user *from, size_t len, loff_t *pos)
{
	char text[64], name[20];
	unsigned long n;
	int way, ret;

	if (len >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, len))
		return -EFAULT;
	text[len] = '\0';
	if (sscanf(text, "%19s %lu", name, &n) != 2 || !n || n > N_MAX)
		return -EINVAL;
	way = match_string(way_names, NR_WAYS, name);
	if (way < 0)
		return way;
	ret = measure(file->private_data, way, n);
	return ret ?: len;
}

static const struct file_operations run_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = run_write,
};

static ssize_t mark_write(struct file *file, const char __user *from, size_t len, loff_t *pos)
{
	char text[8];

	if (len >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, len))
		return -EFAULT;
	text[len] = '\0';
	if (sysfs_streq(text, "begin"))
		insn_marker(0x400 | REGION_MARK);
	else if (sysfs_streq(text, "end"))
		insn_marker(0x500 | REGION_MARK);
	else
		return -EINVAL;
	return len;
}

static const struct file_operations mark_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = mark_write,
};

static int bench_probe(struct platform_device *pdev)
{
	struct device *dev = &pdev->dev;
	struct bench *bench;
	int ret;

	bench = devm_kzalloc(dev, sizeof(*bench), GFP_KERNEL);
	if (!bench)
		return -ENOMEM;
	bench->regs = devm_platform_ioremap_resource(pdev, 0);
	if (IS_ERR(bench->regs))
		return PTR_ERR(bench->regs);
	ret = devm_mutex_init(dev, &bench->lock);
	if (ret)
		return ret;

	platform_set_drvdata(pdev, bench);
	bench->dir = debugfs_create_dir("haiov_mmio", NULL);
	debugfs_create_file("run", 0200, bench->dir, bench, &run_fops);
	debugfs_create_u64("ns", 0400, bench->dir, &bench->ns);
	debugfs_create_file("mark", 0200, bench->dir, bench, &mark_fops);
	return 0;
}

static void bench_remove(struct platform_device *pdev)
{
	struct bench *bench = platform_get_drvdata(pdev);

	debugfs_remove_recursive(bench->dir);
}

static const struct of_device_id bench_of_match[] = {
	{ .compatible = "haiov,mmio-bench" },
	{ }
};
MODULE_DEVICE_TABLE(of, bench_of_match);

static struct platform_driver bench_driver = {
	.probe = bench_probe,
	.remove = bench_remove,
	.driver = {
		.name = "haiov_mmio",
		.of_match_table = bench_of_match,
	},
};
module_platform_driver(bench_driver);

MODULE_DESCRIPTION("Loads and stores of the bench device of haiov-vmm");
MODULE_LICENSE("GPL");
