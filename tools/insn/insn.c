/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * insn: a QEMU TCG plugin that counts retired instructions per hart and mode.
 *
 *   -plugin insn.so,out=FILE
 *
 * Modes: vu, vs, u, hs, m. A region is opened and closed by hint instructions of the program under
 * test, in any mode, on the same hart or on different ones:
 *
 *   slti x0, x0, 0x400|R    region R begins     (R = 0..255)
 *   slti x0, x0, 0x500|R    region R ends
 *
 * At each end one JSON line is written and flushed:
 *
 *   {"region":R,"hart":H,"insn":{"0":{"vu":n,"vs":n,"u":n,"hs":n,"m":n},"1":{...}},
 *    "traps":{"0":{...},"1":{...}},"unresolved":n}
 *
 * H is the hart that ended the region, the counts are what each hart retired between the two
 * markers, and the traps that it took, by the mode that they led to. Regions may nest and overlap; a second begin starts the region again; an end without a
 * begin is reported as {"region":R,"hart":H,"error":"..."}. Marker instructions are never counted.
 *
 * What is counted. Retired instructions, exactly, on the hart that executes the markers:
 * - an instruction that takes an exception does not retire and is not counted (ecall and ebreak
 *   never retire); when it is run again after a page fault, the run that completes counts;
 * - sret, mret and wfi retire; so does an instruction after which an interrupt is taken;
 * - sret and mret are counted in the mode that they leave, as is a CSR write that changes things.
 * Other harts are read while they run: their figures are exact if they wait (wfi) or are halted
 * when both markers execute, otherwise good to one translation block at each end.
 *
 * How. A translation block (TB) is made for one privilege and one virtualization mode: both are in
 * the key that QEMU looks TBs up by (TB_FLAGS.PRIV and TB_FLAGS.VIRT_ENABLED; MPRV and SUM change
 * only TB_FLAGS.MEM_IDX), so the mode is read once, when the TB is translated. Markers cut a TB
 * into segments. A segment adds its length to the hart's counter when it starts, and notes which
 * segment the hart is in. Whoever runs next on that hart, in a TB start or a marker, sees from the
 * note whether the segment ran to its end; only if that is in doubt, a callback finds from the trap
 * registers how many of its instructions retired, and takes the rest back. That covers exceptions,
 * QEMU's own restarts of an instruction (device access inside a TB, an atomic that needs the other
 * harts stopped) and interrupts that follow either.
 *
 * A trap is a TB that starts where the vector of its mode points: of exceptions, interrupts, and what
 * Xhaiov starts in U. Nothing else leads there in any program that is measured.
 *
 * "unresolved" counts the segments of which the plugin could not tell where they stopped (a reset,
 * a debugger); a figure from a run where it grows is not exact.
 *
 * Limits. Round-robin TCG (-icount, thread=single) with several harts: QEMU 10.0 as released bakes
 * the hart that translates into a block that all harts run, so that counts would go to the wrong
 * hart (or QEMU crashes). The plugin finds out and writes errors instead of counts; index=exact says
 * that this QEMU has the mending patch (the project's own has). With misa.C clear, a branch to a misaligned
 * address is counted although it traps. All harts must exist at the start (no CPU hotplug of QEMU's).
 * A trap vector that is the next instruction, reached without a trap, with the trap pc still naming
 * the instruction before it, looks like a trap.
 */
#include <glib.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <qemu-plugin.h>

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

enum mode { VU, VS, U, HS, M, NR_MODES };

static const char *const mode_name[NR_MODES] = { "vu", "vs", "u", "hs", "m" };

/* What a hart did, by mode. */
struct counts {
    uint64_t insn[NR_MODES];
    uint64_t traps[NR_MODES];
};

/* One per vCPU; the size keeps harts out of each other's cache lines. */
struct hart {
    struct counts counts;
    /*
     * 0: all that was added has retired. Else the address of the segment that the hart is in, with
     * bit 0 set once its last instruction has started.
     */
    uint64_t note;
    uint64_t pad[5];
};

/* Straight-line code of one TB between markers. Interned, so that translating again costs nothing. */
struct segment {
    uint64_t pc;
    uint32_t bytes;
    uint16_t nr_insns;
    uint8_t mode;
    uint8_t last_is_xret;
    uint8_t len[]; /* of each instruction, in bytes */
};

#define LAST_STARTED 1ULL

/* What a hart's registers are called for the plugin. */
struct regs {
    struct qemu_plugin_register *pc, *priv, *mhartid;
    struct qemu_plugin_register *mepc, *mtvec, *sepc, *stvec, *vsepc, *vstvec, *uepc, *utvec;
};

#define NR_REGIONS 256

struct region {
    bool open;
    uint64_t unresolved;
    struct counts *begin; /* one per hart */
};

static struct qemu_plugin_scoreboard *score;
static struct regs *regs;
static pthread_t *threads;
static unsigned int nr_threads;
static unsigned int max_harts;
static bool index_exact;
static bool shared_blocks; /* see "Limits" above */
static uint64_t unresolved;

static GMutex segments_lock;
static GHashTable *segments;

static GMutex regions_lock;
static GCond regions_cond;
static struct region regions[NR_REGIONS];
static FILE *out;

static void G_GNUC_PRINTF(1, 2) G_GNUC_NORETURN die(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fputs("insn plugin: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    exit(1);
}

/* ---- registers ---- */

static void find_registers(struct regs *r)
{
    const struct {
        const char *name;
        struct qemu_plugin_register **where;
    } wanted[] = {
        { "pc", &r->pc },       { "priv", &r->priv },   { "mhartid", &r->mhartid }, { "mepc", &r->mepc },
        { "mtvec", &r->mtvec }, { "sepc", &r->sepc },       { "stvec", &r->stvec },
        { "vsepc", &r->vsepc }, { "vstvec", &r->vstvec },
        { "uepc", &r->uepc },   { "utvec", &r->utvec },
    };
    g_autoptr(GArray) list = qemu_plugin_get_registers();

    for (guint i = 0; i < list->len; i++) {
        const qemu_plugin_reg_descriptor *d =
            &g_array_index(list, qemu_plugin_reg_descriptor, i);

        for (size_t j = 0; j < G_N_ELEMENTS(wanted); j++) {
            if (!strcmp(d->name, wanted[j].name)) {
                *wanted[j].where = d->handle;
            }
        }
    }
    if (!r->pc || !r->priv || !r->mhartid || !r->mepc || !r->mtvec) {
        die("this CPU does not show pc, priv, mhartid, mepc and mtvec");
    }
}

static uint64_t read_register(struct qemu_plugin_register *reg)
{
    static __thread GByteArray *buf;
    uint64_t value = 0;
    int size;

    if (!buf) {
        buf = g_byte_array_new();
    }
    g_byte_array_set_size(buf, 0);
    size = qemu_plugin_read_register(reg, buf);
    if (size <= 0 || size > (int)sizeof(value)) {
        die("cannot read a register");
    }
    memcpy(&value, buf->data, size);
    return GUINT64_FROM_LE(value);
}

static enum mode current_mode(const struct regs *r)
{
    uint64_t priv = read_register(r->priv);

    switch (priv & 7) {
    case 0:
        return U;
    case 1:
        return HS;
    case 3:
        return M;
    case 4:
        return VU;
    case 5:
        return VS;
    default:
        die("unknown privilege %#" PRIx64, priv);
    }
}

/* ---- segments ---- */

static guint segment_hash(gconstpointer p)
{
    const struct segment *s = p;
    uint64_t h = s->pc * 0x9e3779b97f4a7c15ULL;

    h ^= ((uint64_t)s->bytes << 24) ^ ((uint64_t)s->nr_insns << 8) ^ s->mode;
    return h ^ (h >> 32);
}

static gboolean segment_equal(gconstpointer p, gconstpointer q)
{
    const struct segment *a = p, *b = q;

    return a->pc == b->pc && a->bytes == b->bytes && a->nr_insns == b->nr_insns &&
           a->mode == b->mode && a->last_is_xret == b->last_is_xret &&
           !memcmp(a->len, b->len, a->nr_insns);
}

/* Takes the segment. Interned segments live as long as QEMU: a hart's note may name one at any time. */
static const struct segment *intern(struct segment *s)
{
    struct segment *old;

    g_mutex_lock(&segments_lock);
    old = g_hash_table_lookup(segments, s);
    if (old) {
        g_free(s);
        s = old;
    } else {
        g_hash_table_add(segments, s);
    }
    g_mutex_unlock(&segments_lock);
    return s;
}

/*
 * QEMU uses a TB again wherever the same physical page is mapped (CF_PCREL), as a program's text is
 * in another process. So what a segment knows of its address are the bits within the page.
 */
static bool same_place(uint64_t a, uint64_t b)
{
    return !((a ^ b) & 0xfff);
}

/* Number of the segment's instructions before @pc: -1 if @pc is not a boundary, nr_insns at its end. */
static int index_of(const struct segment *s, uint64_t pc)
{
    uint64_t at = s->pc;
    int i;

    pc = at + ((pc - at) & 0xfff);
    for (i = 0; i < s->nr_insns && at < pc; i++) {
        at += s->len[i];
    }
    return at == pc ? i : -1;
}

/* ---- a segment that may not have run to its end ---- */

static bool is_vector(uint64_t tvec, uint64_t pc)
{
    uint64_t base = tvec & ~3ULL;

    if (pc == base) {
        return true;
    }
    return (tvec & 3) == 1 && pc > base && pc < base + 4 * 64 && !(pc & 3);
}

/*
 * A hart came to @pc in mode @mode by something that is not the segment's own flow. If it was a trap,
 * the register that holds the interrupted pc says how far the segment got. A trap taken before the
 * first instruction of another trap's handler hides that one's pc one level further down.
 */
static int stopped_at_by_trap(const struct regs *r, const struct segment *s, enum mode mode,
                              uint64_t pc)
{
    struct {
        struct qemu_plugin_register *tvec, *epc;
    } chain[4];
    int n = 0;

    if (mode == M) {
        chain[n].tvec = r->mtvec;
        chain[n++].epc = r->mepc;
    }
    if ((mode == M || mode == HS || mode == VS) && r->sepc && r->stvec) {
        /* with V=1 these two names mean the guest's */
        chain[n].tvec = r->stvec;
        chain[n++].epc = r->sepc;
    }
    if ((mode == M || mode == HS) && r->vsepc && r->vstvec) {
        chain[n].tvec = r->vstvec;
        chain[n++].epc = r->vsepc;
    }
    if ((mode == M || mode == HS || mode == U) && r->uepc && r->utvec) {
        /* Xhaiov: a guest's access that a handler in U takes */
        chain[n].tvec = r->utvec;
        chain[n++].epc = r->uepc;
    }
    for (int i = 0; i < n; i++) {
        uint64_t epc;
        int index;

        if (!is_vector(read_register(chain[i].tvec), pc)) {
            if (i == 0) {
                return -1;
            }
            continue;
        }
        epc = read_register(chain[i].epc);
        index = index_of(s, epc);
        if (index >= 0) {
            return index;
        }
        pc = epc;
    }
    return -1;
}

/*
 * The hart begins a TB in @mode, and its note is set: settle what the noted segment retired.
 */
static void settle(unsigned int cpu, struct hart *hart, enum mode mode)
{
    const struct segment *s = (void *)(uintptr_t)(hart->note & ~LAST_STARTED);
    bool last_started = hart->note & LAST_STARTED;
    const struct regs *r = &regs[cpu];
    uint64_t pc = read_register(r->pc);
    uint64_t end = s->pc + s->bytes;
    int retired;

    hart->note = 0;

    if (last_started) {
        /*
         * The usual case first: fell through to the next instruction. A trap vector is 4-aligned, so
         * only there the next instruction can be a handler.
         */
        if (same_place(pc, end) && mode == s->mode && (pc & 3)) {
            return;
        }
        retired = stopped_at_by_trap(r, s, mode, pc);
        if (retired < 0 && same_place(pc, end - s->len[s->nr_insns - 1]) && mode == s->mode &&
            !s->last_is_xret) {
            retired = s->nr_insns - 1; /* QEMU runs it again */
        }
        if (retired != s->nr_insns - 1) {
            retired = s->nr_insns;
        }
    } else {
        retired = stopped_at_by_trap(r, s, mode, pc);
        if (retired < 0 && mode == s->mode) {
            retired = index_of(s, pc); /* QEMU runs it again, or ran it apart */
        }
        if (retired < 0) {
            __atomic_add_fetch(&unresolved, 1, __ATOMIC_RELAXED);
            return;
        }
    }
    hart->counts.insn[s->mode] -= s->nr_insns - retired;
}

/* ---- callbacks at run time ---- */

/* Round-robin TCG may run a hart before it announces it; there nothing is reported anyway. */
static bool announced(unsigned int cpu)
{
    return cpu < (unsigned int)qemu_plugin_num_vcpus();
}

static void on_doubt(unsigned int cpu, void *userdata)
{
    const struct segment *next = userdata;

    if (!announced(cpu)) {
        return;
    }
    settle(cpu, qemu_plugin_scoreboard_find(score, cpu), next->mode);
}

struct marker {
    uint8_t region;
    bool end;
    bool first; /* of its TB: nobody has looked at the note yet */
    uint8_t mode;
};

static void snapshot(struct counts *to)
{
    unsigned int n = qemu_plugin_num_vcpus();

    for (unsigned int i = 0; i < n && i < max_harts; i++) {
        const struct hart *h = qemu_plugin_scoreboard_find(score, i);

        for (int m = 0; m < NR_MODES; m++) {
            to[i].insn[m] = __atomic_load_n(&h->counts.insn[m], __ATOMIC_RELAXED);
            to[i].traps[m] = __atomic_load_n(&h->counts.traps[m], __ATOMIC_RELAXED);
        }
    }
}

/*
 * Until every hart has announced its thread, nobody knows whether they share one. With a thread each
 * they do so at once; if it takes this long, then because this very thread would have to.
 */
static void wait_for_harts(void)
{
    gint64 until = g_get_monotonic_time() + 2 * G_TIME_SPAN_SECOND;

    while (!index_exact && !shared_blocks && nr_threads < max_harts) {
        if (!g_cond_wait_until(&regions_cond, &regions_lock, until)) {
            shared_blocks = true;
        }
    }
}

/* What each hart did since @from, of the kind at offset @kind. */
static void print(const char *name, size_t kind, const struct counts *from, const struct counts *to)
{
    fprintf(out, "\"%s\":{", name);
    for (unsigned int i = 0; i < max_harts; i++) {
        const uint64_t *before = (const void *)((const char *)&from[i] + kind);
        const uint64_t *after = (const void *)((const char *)&to[i] + kind);

        fprintf(out, "%s\"%u\":{", i ? "," : "", i);
        for (int m = 0; m < NR_MODES; m++) {
            fprintf(out, "%s\"%s\":%" PRIu64, m ? "," : "", mode_name[m], after[m] - before[m]);
        }
        fputc('}', out);
    }
    fputs("},", out);
}

static void report(unsigned int hart, const struct marker *k)
{
    struct region *reg = &regions[k->region];
    struct counts now[max_harts];

    if (shared_blocks) {
        fprintf(out,
                "{\"region\":%u,\"hart\":%u,\"error\":\"harts share one thread (round-robin): counts "
                "would go to the wrong hart\"}\n",
                k->region, hart);
    } else if (!reg->open) {
        fprintf(out, "{\"region\":%u,\"hart\":%u,\"error\":\"end without begin\"}\n", k->region, hart);
    } else {
        memset(now, 0, sizeof(now));
        snapshot(now);
        fprintf(out, "{\"region\":%u,\"hart\":%u,", k->region, hart);
        print("insn", offsetof(struct counts, insn), reg->begin, now);
        print("traps", offsetof(struct counts, traps), reg->begin, now);
        fprintf(out, "\"unresolved\":%" PRIu64 "}\n",
                __atomic_load_n(&unresolved, __ATOMIC_RELAXED) - reg->unresolved);
        reg->open = false;
    }
    if (fflush(out)) {
        die("cannot write the output file");
    }
}

static void on_marker(unsigned int cpu, void *userdata)
{
    const struct marker *k = userdata;
    struct hart *hart;

    if (!announced(cpu)) {
        return;
    }
    hart = qemu_plugin_scoreboard_find(score, cpu);
    if (hart->note) {
        if (k->first) {
            settle(cpu, hart, k->mode);
        } else {
            hart->note = 0; /* the segment before the marker, which we have reached */
        }
    }

    g_mutex_lock(&regions_lock);
    wait_for_harts();
    if (k->end) {
        report(cpu, k);
    } else {
        struct region *reg = &regions[k->region];

        snapshot(reg->begin);
        reg->unresolved = __atomic_load_n(&unresolved, __ATOMIC_RELAXED);
        reg->open = true;
    }
    g_mutex_unlock(&regions_lock);
}

/* ---- translation ---- */

static uint32_t fetch(const struct qemu_plugin_insn *insn)
{
    uint32_t code = 0;

    qemu_plugin_insn_data(insn, &code, sizeof(code));
    return GUINT32_FROM_LE(code);
}

/* slti x0, x0, 0x400|R or 0x500|R */
static bool is_marker(const struct qemu_plugin_insn *insn)
{
    return qemu_plugin_insn_size(insn) == 4 && (fetch(insn) & 0xe00fffff) == 0x40002013;
}

/* Instructions that end a TB and cannot trap, so that no note is needed after them. */
static bool cannot_trap(const struct qemu_plugin_insn *insn)
{
    uint32_t code = fetch(insn);

    if (qemu_plugin_insn_size(insn) == 4) {
        uint32_t funct3 = (code >> 12) & 7;

        switch (code & 0x7f) {
        case 0x6f: /* jal */
        case 0x37: /* lui */
        case 0x17: /* auipc */
            return true;
        case 0x67: /* jalr */
            return funct3 == 0;
        case 0x63: /* branches */
            return funct3 != 2 && funct3 != 3;
        case 0x13: /* addi, slti, sltiu, xori, ori, andi */
            return funct3 != 1 && funct3 != 5;
        default:
            return false;
        }
    }
    switch (code & 0xe003) {
    case 0xa001: /* c.j */
    case 0xc001: /* c.beqz */
    case 0xe001: /* c.bnez */
        return true;
    case 0x8002: /* c.jr, c.jalr; not c.ebreak, c.mv, c.add */
        return (code & 0x7c) == 0 && (code & 0xf80) != 0;
    default:
        return false;
    }
}

static bool is_xret(const struct qemu_plugin_insn *insn)
{
    uint32_t code = fetch(insn);

    return qemu_plugin_insn_size(insn) == 4 &&
           (code == 0x00200073 || code == 0x10200073 || code == 0x30200073 || code == 0x70200073);
}

static const struct segment *make_segment(const struct qemu_plugin_tb *tb, size_t first, size_t n,
                                          enum mode mode)
{
    struct segment *s = g_malloc0(sizeof(*s) + n);
    struct qemu_plugin_insn *insn = NULL;

    s->mode = mode;
    s->nr_insns = n;
    for (size_t i = 0; i < n; i++) {
        insn = qemu_plugin_tb_get_insn(tb, first + i);
        if (i == 0) {
            s->pc = qemu_plugin_insn_vaddr(insn);
        }
        s->len[i] = qemu_plugin_insn_size(insn);
        s->bytes += s->len[i];
    }
    s->last_is_xret = is_xret(insn);
    return intern(s);
}

static qemu_plugin_u64 counter(size_t kind, enum mode mode)
{
    return (qemu_plugin_u64){ score, offsetof(struct hart, counts) + kind + mode * sizeof(uint64_t) };
}

static void instrument_segment(struct qemu_plugin_tb *tb, size_t first, size_t n, enum mode mode)
{
    const struct segment *s = make_segment(tb, first, n, mode);
    qemu_plugin_u64 note = qemu_plugin_scoreboard_u64_in_struct(score, struct hart, note);
    struct qemu_plugin_insn *head = qemu_plugin_tb_get_insn(tb, first);
    struct qemu_plugin_insn *last = qemu_plugin_tb_get_insn(tb, first + n - 1);
    bool ends_tb = first + n == qemu_plugin_tb_n_insns(tb);
    bool last_is_safe = ends_tb && cannot_trap(last);
    uint64_t here = (uintptr_t)s;

    if (first == 0) {
        qemu_plugin_register_vcpu_tb_exec_cond_cb(tb, on_doubt, QEMU_PLUGIN_CB_R_REGS,
                                                  QEMU_PLUGIN_COND_NE, note, 0, (void *)s);
    }
    qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(head, QEMU_PLUGIN_INLINE_ADD_U64,
                                                        counter(offsetof(struct counts, insn), mode), n);
    if (n == 1) {
        if (!last_is_safe) {
            qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(head, QEMU_PLUGIN_INLINE_STORE_U64,
                                                                note, here | LAST_STARTED);
        }
        return;
    }
    qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(head, QEMU_PLUGIN_INLINE_STORE_U64, note,
                                                        here);
    qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(last, QEMU_PLUGIN_INLINE_STORE_U64, note,
                                                        last_is_safe ? 0 : here | LAST_STARTED);
}

static void instrument_marker(struct qemu_plugin_insn *insn, bool first, enum mode mode)
{
    uint32_t imm = fetch(insn) >> 20;
    struct marker *k = g_new0(struct marker, 1);

    k->region = imm & 0xff;
    k->end = imm & 0x100;
    k->first = first;
    k->mode = mode;
    qemu_plugin_register_vcpu_insn_exec_cb(insn, on_marker, QEMU_PLUGIN_CB_R_REGS, k);
}

/* Whether a TB is where traps into its mode lead, when it is made. */
static bool starts_trap(const struct regs *r, const struct qemu_plugin_tb *tb, enum mode mode)
{
    /* With V=1 stvec means the guest's. */
    struct qemu_plugin_register *const tvec[NR_MODES] = { [VS] = r->stvec, [U] = r->utvec, [HS] = r->stvec,
                                                          [M] = r->mtvec };

    return tvec[mode] && is_vector(read_register(tvec[mode]), qemu_plugin_tb_vaddr(tb));
}

static void on_translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    size_t n = qemu_plugin_tb_n_insns(tb);
    /* All harts of a machine are of one kind, so the handles of hart 0 serve for all. */
    enum mode mode = current_mode(&regs[0]);
    size_t start = 0;

    if (starts_trap(&regs[0], tb, mode)) {
        qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(tb, QEMU_PLUGIN_INLINE_ADD_U64,
                                                          counter(offsetof(struct counts, traps), mode), 1);
    }

    for (size_t i = 0; i < n; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);

        if (!is_marker(insn)) {
            continue;
        }
        if (i > start) {
            instrument_segment(tb, start, i - start, mode);
        }
        instrument_marker(insn, i == 0, mode);
        start = i + 1;
    }
    if (n > start) {
        instrument_segment(tb, start, n - start, mode);
    }
}

/* ---- start and end ---- */

static void on_vcpu_init(qemu_plugin_id_t id, unsigned int cpu)
{
    if (cpu >= max_harts) {
        die("more harts than the machine announced");
    }
    find_registers(&regs[cpu]);
    if (read_register(regs[cpu].mhartid) != cpu) {
        die("hart %u is not vCPU %u", (unsigned int)read_register(regs[cpu].mhartid), cpu);
    }
    g_mutex_lock(&regions_lock);
    threads[cpu] = pthread_self();
    nr_threads++;
    for (unsigned int i = 0; i < max_harts; i++) {
        if (i != cpu && threads[i] && pthread_equal(threads[i], threads[cpu]) && !index_exact) {
            shared_blocks = true;
        }
    }
    g_cond_broadcast(&regions_cond);
    g_mutex_unlock(&regions_lock);
}

static void on_quit(qemu_plugin_id_t id, void *userdata)
{
    if (out && fclose(out)) {
        fprintf(stderr, "insn plugin: cannot write the output file\n");
    }
    out = NULL;
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc,
                                           char **argv)
{
    const char *path = NULL;

    if (strcmp(info->target_name, "riscv64") || !info->system_emulation) {
        fprintf(stderr, "insn plugin: for qemu-system-riscv64 only\n");
        return -1;
    }
    for (int i = 0; i < argc; i++) {
        if (g_str_has_prefix(argv[i], "out=")) {
            path = argv[i] + strlen("out=");
        } else if (!strcmp(argv[i], "index=exact")) {
            index_exact = true;
        } else {
            fprintf(stderr, "insn plugin: unknown argument '%s' (out=FILE, index=exact)\n", argv[i]);
            return -1;
        }
    }
    if (!path || !*path) {
        fprintf(stderr, "insn plugin: out=FILE is missing\n");
        return -1;
    }
    out = fopen(path, "w");
    if (!out) {
        fprintf(stderr, "insn plugin: cannot open %s\n", path);
        return -1;
    }

    max_harts = info->system.max_vcpus;
    regs = g_new0(struct regs, max_harts);
    threads = g_new0(pthread_t, max_harts);
    for (int i = 0; i < NR_REGIONS; i++) {
        regions[i].begin = g_malloc0_n(max_harts, sizeof(*regions[i].begin));
    }
    segments = g_hash_table_new(segment_hash, segment_equal);
    score = qemu_plugin_scoreboard_new(sizeof(struct hart));

    qemu_plugin_register_vcpu_init_cb(id, on_vcpu_init);
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
    qemu_plugin_register_atexit_cb(id, on_quit, NULL);
    return 0;
}
