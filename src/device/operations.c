#include "device/protocol.h"
#include "policy/policy.h"

static const struct fn_operation operations[] = {
#define FN_OP(number, name, request, response, usage, policy, flags)                                                     \
    {(number), #name, request, response, (usage), FN_POLICY_##policy, (flags)},
    FN_DEVICE_OPERATIONS
#undef FN_OP
};

const struct fn_operation *fn_operation(uint16_t number)
{
    size_t low = 0, high = FN_COUNT(operations);
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (operations[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < FN_COUNT(operations) && operations[low].number == number ? &operations[low] : NULL;
}

const struct fn_operation *fn_operation_at(size_t position)
{
    return position < FN_COUNT(operations) ? &operations[position] : NULL;
}
