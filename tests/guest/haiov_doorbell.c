// SPDX-License-Identifier: GPL-2.0
/*
 * Guest driver of the doorbell device of haiov-vmm: sends notifications in a tight loop, by each
 * mechanism that the device has, so that the host can count what one costs.
 *
 * /sys/kernel/debug/haiov_doorbell/run takes "MECHANISM N [EVENT]" and returns when the N
 * notifications are sent. MECHANISM is
 *   empty      nothing: the same loop without a notification, which the others are compared with
 *   ioeventfd  a store to NOTIFY
 *   vei        vei_send() of the VEIRQ base plus EVENT (default 0); ENODEV if the host gave no base
 *   exit       a store that the VMM handles
 *
 * Around the loop stand the markers of the instruction counter (tools/insn), with the number of the
 * phase as region. Interrupts of the guest are off in between: what is counted is the loop, and
 * what the host does because of it or to it.
 */
#include <linux/bits.h>
#include <linux/debugfs.h>
#include <linux/io.h>
#include <linux/irqflags.h>
#include <linux/mod_devicetable.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>
#include <linux/property.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include <asm/vei.h>

#define DOORBELL_NOTIFY	0x00
#define DOORBELL_PHASE	0x10 /* phase << 1 | end */
#define DOORBELL_SENT	0x14
#define DOORBELL_PLAIN	0x20

#define NR_EVENTS_MAX	10000000UL /* interrupts are off while they are sent */

enum phase { EMPTY, IOEVENTFD, VEI, EXIT, NR_PHASES };

static const char * const phase_names[NR_PHASES] = { "empty", "ioeventfd", "vei", "exit" };

struct doorbell {
	void __iomem *regs;
	bool has_vei;
	u32 veirq_base;
	struct mutex lock; /* one phase at a time */
	struct dentry *dir;
};

/* slti x0, x0, 0x400 | region, and 0x500 for its end: the region is part of the instruction. */
static __always_inline void insn_marker(const int imm)
{
	asm volatile("slti x0, x0, %0" : : "i" (imm) : "memory");
}

/*
 * The least that a notify store can be: writel() without its bookkeeping for spinlocks (mmiowb), so
 * that the comparison is not won by that.
 */
static __always_inline void store(void __iomem *reg)
{
	__io_bw();
	writel_relaxed(0, reg);
}

/*
 * One function per mechanism, all of the same shape, so that subtracting the empty one leaves the
 * notification. Nothing is inlined into them but the notification.
 */
#define DEFINE_LOOP(name, region, notification)						\
static noinline void loop_##name(void __iomem *reg, u16 veirq, unsigned long n)	\
{												\
	unsigned long flags;									\
												\
	local_irq_save(flags);									\
	insn_marker(0x400 | (region));								\
	do {											\
		notification;									\
		n--;										\
		/* keep the count in a register and the loop as it is written */		\
		asm volatile("" : "+r" (n) : : "memory");					\
	} while (n);										\
	insn_marker(0x500 | (region));								\
	local_irq_restore(flags);								\
}

DEFINE_LOOP(empty, EMPTY, (void)0)
DEFINE_LOOP(ioeventfd, IOEVENTFD, store(reg))
DEFINE_LOOP(vei, VEI, vei_send(veirq))
DEFINE_LOOP(exit, EXIT, store(reg))

static int send(struct doorbell *db, enum phase phase, unsigned long n, u16 event)
{
	if (phase == VEI && !db->has_vei)
		return -ENODEV;

	guard(mutex)(&db->lock);
	writel(phase << 1, db->regs + DOORBELL_PHASE);
	switch (phase) {
	case IOEVENTFD:
		loop_ioeventfd(db->regs + DOORBELL_NOTIFY, 0, n);
		break;
	case VEI:
		loop_vei(NULL, db->veirq_base + event, n);
		break;
	case EXIT:
		loop_exit(db->regs + DOORBELL_PLAIN, 0, n);
		break;
	default:
		loop_empty(NULL, 0, n);
		break;
	}
	writel(phase == EMPTY ? 0 : n, db->regs + DOORBELL_SENT);
	writel(phase << 1 | 1, db->regs + DOORBELL_PHASE);
	return 0;
}

static ssize_t run_write(struct file *file, const char __user *from, size_t len, loff_t *pos)
{
	struct doorbell *db = file->private_data;
	unsigned int event = 0;
	unsigned long n;
	char text[64], name[16];
	int phase, ret;

	if (len >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, len))
		return -EFAULT;
	text[len] = '\0';
	if (sscanf(text, "%15s %lu %u", name, &n, &event) < 2)
		return -EINVAL;
	if (!n || n > NR_EVENTS_MAX || event > U16_MAX - db->veirq_base)
		return -EINVAL;
	phase = match_string(phase_names, NR_PHASES, name);
	if (phase < 0)
		return phase;
	ret = send(db, phase, n, event);
	return ret ?: len;
}

static const struct file_operations run_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = run_write,
};

static int doorbell_probe(struct platform_device *pdev)
{
	struct device *dev = &pdev->dev;
	struct doorbell *db;
	int ret;

	db = devm_kzalloc(dev, sizeof(*db), GFP_KERNEL);
	if (!db)
		return -ENOMEM;
	db->regs = devm_platform_ioremap_resource(pdev, 0);
	if (IS_ERR(db->regs))
		return PTR_ERR(db->regs);
	ret = devm_mutex_init(dev, &db->lock);
	if (ret)
		return ret;

	/* Only where the host says so: elsewhere svei is an illegal instruction. */
	ret = device_property_read_u32(dev, "haiov,veirq-base", &db->veirq_base);
	if (!ret && db->veirq_base > U16_MAX)
		return dev_err_probe(dev, -EINVAL, "haiov,veirq-base %u\n", db->veirq_base);
	db->has_vei = !ret;

	platform_set_drvdata(pdev, db);
	db->dir = debugfs_create_dir("haiov_doorbell", NULL);
	debugfs_create_file("run", 0200, db->dir, db, &run_fops);
	return 0;
}

static void doorbell_remove(struct platform_device *pdev)
{
	struct doorbell *db = platform_get_drvdata(pdev);

	debugfs_remove_recursive(db->dir);
}

static const struct of_device_id doorbell_of_match[] = {
	{ .compatible = "haiov,doorbell" },
	{ }
};
MODULE_DEVICE_TABLE(of, doorbell_of_match);

static struct platform_driver doorbell_driver = {
	.probe = doorbell_probe,
	.remove = doorbell_remove,
	.driver = {
		.name = "haiov_doorbell",
		.of_match_table = doorbell_of_match,
	},
};
module_platform_driver(doorbell_driver);

MODULE_DESCRIPTION("Sends notifications to the doorbell device of haiov-vmm");
MODULE_LICENSE("GPL");
