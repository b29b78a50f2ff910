#include "crypto/cpu.h"
#include "crypto/sm4/sm4_impl.h"

/* Slowest first: "auto" takes the last that this machine can run. */
static const struct variant {
    const char *name;
    const struct fn_sm4_ops *sm4;
} variants[] = {
    {"portable", &fn_sm4_portable},
};

static const struct variant *selected = &variants[0];
const struct fn_sm4_ops *fn_sm4_ops = &fn_sm4_portable;

static bool same_name(const char *a, const char *b)
{
    while (*a && *a == *b) a++, b++;
    return *a == *b;
}

fn_err fn_cpu_select(const char *name)
{
    const struct variant *found = NULL;
    bool any = !name || same_name(name, "auto");
    for (size_t i = 0; i < FN_COUNT(variants); i++)
        if (any || same_name(name, variants[i].name)) found = &variants[i];
    if (!found) return FN_FAIL(FN_E_ARGUMENT, "no variant is called \"%s\": portable or auto", name);
    selected = found;
    fn_sm4_ops = found->sm4;
    return FN_OK;
}

const char *fn_cpu_selected(void)
{
    return selected->name;
}
