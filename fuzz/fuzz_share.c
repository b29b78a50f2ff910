/* Readers of key shares, clear and sealed. */
#include "device/share.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fn_share share;
    struct fn_share_label label;
    (void)fn_share_decode(&share, fn_bytes(data, size));
    (void)fn_share_label_read(&label, fn_bytes(data, size));
    return 0;
}
