#include "base/sys/secret.h"

#include "base/core/mem.h"
#include "base/sys/os_err.h"
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A slab begins at a multiple of SLAB: a page of bookkeeping (no secrets), a guard page, the data, a guard
 * page. A piece larger than a class gets a slab of its own that extends past SLAB; its data still begin
 * within the first SLAB bytes, so that the head of any piece is found by clearing the low bits of its
 * address. */
#define PAGE       4096
#define SLAB       ((size_t)65536)
#define DATA_START (2 * (size_t)PAGE)
#define DATA_SIZE  (SLAB - 3 * (size_t)PAGE)
#define SMALLEST   32
#define CLASSES    8 /* 32 … 4096 */
#define SLOTS_MOST (DATA_SIZE / SMALLEST)
#define MAGIC      0x5ea11e75c1a7f00dULL

struct slab {
    uint64_t magic;
    struct slab *next, *previous;
    size_t size;        /* bytes of a slot */
    size_t slots, used; /* slots == 1: a piece on its own */
    size_t data, whole; /* bytes of data and of the whole mapping */
    bool locked, single;
    uint64_t taken[(SLOTS_MOST + 63) / 64];
};
_Static_assert(sizeof(struct slab) <= PAGE, "bookkeeping fits its page");

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct slab *classes[CLASSES];
static struct fn_secret_figures figures_now;

/* Maps `whole` bytes at a multiple of SLAB. */
static void *map_aligned(size_t whole)
{
    if (whole > SIZE_MAX - SLAB) return NULL;
    uint8_t *raw = mmap(NULL, whole + SLAB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (raw == MAP_FAILED) return NULL;
    uint8_t *base = (uint8_t *)(((uintptr_t)raw + SLAB - 1) & ~(SLAB - 1));
    size_t before = (size_t)(base - raw);
    if (before) munmap(raw, before);
    if (SLAB - before) munmap(base + whole, SLAB - before);
    return base;
}

static fn_err slab_new(struct slab **out, size_t size, size_t slots, size_t data, bool forkless)
{
    size_t whole = DATA_START + data + PAGE;
    uint8_t *base = map_aligned(whole);
    if (!base) return FN_FAIL(FN_E_NO_MEMORY, "%zu bytes for secrets", data);
    if (mprotect(base, PAGE, PROT_READ | PROT_WRITE) ||
        mprotect(base + DATA_START, data, PROT_READ | PROT_WRITE)) {
        munmap(base, whole);
        return FN_FAIL(FN_E_NO_MEMORY, "%zu bytes for secrets", data);
    }
    madvise(base + DATA_START, data, MADV_DONTDUMP);
    if (forkless && madvise(base + DATA_START, data, MADV_WIPEONFORK)) {
        fn_err err = FN_FAIL_OS("memory wiped on fork");
        munmap(base, whole);
        return err;
    }
    struct slab *s = (struct slab *)base;
    *s = (struct slab){.magic = MAGIC, .size = size, .slots = slots, .data = data, .whole = whole};
    /* Not mlock(): AddressSanitizer turns that into nothing, and the tests shall see the real limit. */
    s->locked = syscall(SYS_mlock, base + DATA_START, data) == 0;
    *(s->locked ? &figures_now.locked_bytes : &figures_now.unlocked_bytes) += data;
    *out = s;
    return FN_OK;
}

static void slab_free(struct slab *s)
{
    *(s->locked ? &figures_now.locked_bytes : &figures_now.unlocked_bytes) -= s->data;
    s->magic = 0;
    munmap(s, s->whole);
}

static int class_of(size_t size)
{
    int index = 0;
    for (size_t room = SMALLEST; room < size; room *= 2) index++;
    return index;
}

static void link_slab(struct slab **head, struct slab *s)
{
    s->previous = NULL;
    s->next = *head;
    if (*head) (*head)->previous = s;
    *head = s;
}

static void unlink_slab(struct slab **head, struct slab *s)
{
    if (s->previous)
        s->previous->next = s->next;
    else
        *head = s->next;
    if (s->next) s->next->previous = s->previous;
    s->next = s->previous = NULL;
}

/* Lists hold slabs with a free slot only; a full one is found again by the address of its pieces. */
static void *take_slot(struct slab **head, struct slab *s)
{
    size_t word = 0;
    while (s->taken[word] == UINT64_MAX) word++;
    size_t slot = word * 64 + (size_t)__builtin_ctzll(~s->taken[word]);
    s->taken[word] |= 1ULL << (slot % 64);
    if (++s->used == s->slots) unlink_slab(head, s);
    figures_now.pieces++;
    return (uint8_t *)s + DATA_START + slot * s->size;
}

static fn_err alloc_small(void **out, size_t size)
{
    struct slab **head = &classes[class_of(size)];
    if (!*head) {
        struct slab *s;
        size_t room = (size_t)SMALLEST << class_of(size), slots = DATA_SIZE / room;
        FN_TRY(slab_new(&s, room, slots, DATA_SIZE, false));
        /* Slots past the last one count as taken. */
        for (size_t i = slots; i < FN_COUNT(s->taken) * 64; i++) s->taken[i / 64] |= 1ULL << (i % 64);
        link_slab(head, s);
    }
    *out = take_slot(head, *head);
    return FN_OK;
}

static fn_err alloc_single(void **out, size_t size, bool forkless)
{
    struct slab *s;
    if (size > SIZE_MAX / 2) return FN_FAIL(FN_E_NO_MEMORY, "%zu bytes for secrets", size);
    FN_TRY(slab_new(&s, size, 1, (size + PAGE - 1) / PAGE * PAGE, forkless));
    s->single = true;
    figures_now.pieces++;
    *out = (uint8_t *)s + DATA_START;
    return FN_OK;
}

static fn_err alloc(void **out, size_t size, bool forkless)
{
    if (!size) size = 1;
    pthread_mutex_lock(&mutex);
    fn_err err = forkless || size > (SMALLEST << (CLASSES - 1)) ? alloc_single(out, size, forkless)
                                                                : alloc_small(out, size);
    pthread_mutex_unlock(&mutex);
    return err;
}

fn_err fn_secret_alloc(void *out, size_t size)
{
    return alloc(out, size, false);
}
fn_err fn_secret_alloc_forkless(void *out, size_t size)
{
    return alloc(out, size, true);
}

void fn_secret_free(void *p)
{
    if (!p) return;
    struct slab *s = (struct slab *)((uintptr_t)p & ~(SLAB - 1));
    pthread_mutex_lock(&mutex);
    size_t at = (size_t)((uint8_t *)p - (uint8_t *)s) - DATA_START;
    size_t slot = at / s->size;
    bool known = s->magic == MAGIC && at % s->size == 0 &&
                 (s->single ? slot == 0 : slot < s->slots && (s->taken[slot / 64] >> (slot % 64) & 1));
    /* Freeing what was not handed out is a fault of the program that would hide a secret; better to end here.
     */
    if (!known) abort();
    fn_wipe(p, s->size);
    figures_now.pieces--;
    if (s->single) {
        slab_free(s);
    } else {
        struct slab **head = &classes[class_of(s->size)];
        s->taken[slot / 64] &= ~(1ULL << (slot % 64));
        if (s->used-- == s->slots) link_slab(head, s);
        /* One empty slab of each class is kept. */
        if (s->used == 0 && (s->next || s->previous)) {
            unlink_slab(head, s);
            slab_free(s);
        }
    }
    pthread_mutex_unlock(&mutex);
}

void fn_secret_figures(struct fn_secret_figures *figures)
{
    pthread_mutex_lock(&mutex);
    *figures = figures_now;
    pthread_mutex_unlock(&mutex);
}

fn_err fn_process_harden(void)
{
    umask(077);
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)) return FN_FAIL_OS("PR_SET_DUMPABLE");
    struct rlimit none = {0, 0}, locked;
    if (setrlimit(RLIMIT_CORE, &none)) return FN_FAIL_OS("RLIMIT_CORE");
    if (getrlimit(RLIMIT_MEMLOCK, &locked) == 0 && locked.rlim_cur != locked.rlim_max) {
        locked.rlim_cur = locked.rlim_max;
        if (setrlimit(RLIMIT_MEMLOCK, &locked)) return FN_FAIL_OS("RLIMIT_MEMLOCK");
    }
    return FN_OK;
}
