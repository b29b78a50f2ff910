/* Memory for secrets: pages between guard pages, locked against swap, left out of core dumps, wiped when freed; and the
 * hardening of a process that holds them. Safe for threads. */
#ifndef FN_BASE_SYS_SECRET_H
#define FN_BASE_SYS_SECRET_H

#include "base/core/err.h"
#include <stddef.h>

/* Zeroed, 32-byte aligned memory into *out (a pointer to a pointer). When the limit of locked memory is reached the pages
 * stay unlocked and are counted. FN_E_NO_MEMORY. */
fn_err fn_secret_alloc(void *out, size_t size);
/* The same on pages of its own that a forked child finds zeroed: for generator state and nonce pools. */
fn_err fn_secret_alloc_forkless(void *out, size_t size);
/* Wipes and frees; NULL is allowed. */
void fn_secret_free(void *p);

static inline void fn_scoped_secret_end(void *p) { fn_secret_free(*(void **)p); }
#define FN_SCOPED_SECRET __attribute__((cleanup(fn_scoped_secret_end)))

/* What this process holds; unlocked_bytes > 0 calls for a warning: raise RLIMIT_MEMLOCK. */
struct fn_secret_figures {
    size_t pieces, locked_bytes, unlocked_bytes;
};
void fn_secret_figures(struct fn_secret_figures *figures);

/* Not dumpable (no ptrace or /proc/PID/mem by others of the same uid), no core files, umask 077, and the limit of locked
 * memory raised as far as it goes. */
fn_err fn_process_harden(void);

#endif
