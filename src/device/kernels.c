/* Which kernel an operation has: by name, from the one table. */
#include "device/device.h"

static fn_run *const kernels[] = {
#define FN_OP(number, name, request, response, usage, policy, flags) fn_run_##name,
    FN_DEVICE_OPERATIONS
#undef FN_OP
};

fn_run *fn_kernel(uint16_t operation)
{
    return kernels[fn_operation(operation) - fn_operation_at(0)];
}

void fn_run_MANAGE(struct fn_work *w, struct fn_item **items, size_t n)
{
    (void)w;
    for (size_t i = 0; i < n; i++)
        fn_item_fail(items[i], FN_FAIL(FN_E_DEVICE_OPERATION, "on the management socket only"));
}
