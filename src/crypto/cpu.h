/* Which variant of the algorithms runs. The portable one runs everywhere and is chosen until fn_cpu_select is
 * called. */
#ifndef FN_CRYPTO_CPU_H
#define FN_CRYPTO_CPU_H

#include "base/core/err.h"

/* Chooses the variant once, at start, before any other thread uses the algorithms. `name` is "portable", or
 * "auto" for the fastest that this machine can run; NULL means "auto". FN_E_ARGUMENT for any other name, and
 * nothing changes. */
fn_err fn_cpu_select(const char *name);
/* Name of the variant in use, never "auto". */
const char *fn_cpu_selected(void);

#endif
