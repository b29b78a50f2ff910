#include "device/client/client_private.h"

fn_err fn_client_item_status(struct fn_cur *items)
{
    uint32_t status;
    FN_TRY(fn_cur_u32(items, &status));
    if (status == FN_OK) return FN_OK;
    if (status > INT32_MAX) return FN_FAIL(FN_E_FORMAT, "status 0x%x", status);
    return FN_FAIL((fn_err)status, "answered by the device");
}

fn_err fn_client_put_uuid(struct fn_buf *b, const struct fn_uuid *uuid, uint32_t version)
{
    FN_TRY(fn_buf_u32(b, 21));
    FN_TRY(fn_buf_u8(b, FN_KEY_UUID));
    FN_TRY(fn_buf_add(b, uuid->b, sizeof uuid->b));
    return fn_buf_u32(b, version);
}

fn_err fn_client_put_index(struct fn_buf *b, uint32_t index, enum fn_key_half half)
{
    FN_TRY(fn_buf_u32(b, 6));
    FN_TRY(fn_buf_u8(b, FN_KEY_INDEX));
    FN_TRY(fn_buf_u32(b, index));
    return fn_buf_u8(b, (uint8_t)half);
}

fn_err fn_client_put_handle(struct fn_buf *b, uint64_t handle)
{
    FN_TRY(fn_buf_u32(b, 9));
    FN_TRY(fn_buf_u8(b, FN_KEY_HANDLE));
    return fn_buf_u64(b, handle);
}

fn_err fn_client_put_external(struct fn_buf *b, uint32_t algorithm, struct fn_bytes key)
{
    if (key.n > FN_DEVICE_FRAME_MOST) return FN_FAIL(FN_E_TOO_LARGE, "public key of %zu bytes", key.n);
    FN_TRY(fn_buf_u32(b, (uint32_t)(5 + key.n)));
    FN_TRY(fn_buf_u8(b, FN_KEY_EXTERNAL));
    FN_TRY(fn_buf_u32(b, algorithm));
    return fn_buf_add(b, key.p, key.n);
}

static const char *request_layout(uint16_t operation)
{
    switch (operation) {
#define FN_OP(number, name, request, response, usage, policy, flags)                                         \
    case (number):                                                                                           \
        return (request);
        FN_DEVICE_OPERATIONS
#undef FN_OP
    default:
        return "";
    }
}

static size_t letter_size(char letter)
{
    switch (letter) {
    case 'B':
        return 1;
    case 'H':
        return 2;
    case 'W':
        return 4;
    case 'Q':
        return 8;
    case 'U':
        return 16;
    case 'D':
        return 32;
    default:
        return 0;
    }
}

fn_err fn_items_outlive(uint16_t operation, uint16_t count, struct fn_bytes items)
{
    switch (operation) {
    case FN_OP_PART_UPDATE:
    case FN_OP_PART_FINISH:
        return FN_E_DEVICE_STEP;
    case FN_OP_SESSION_KEY_DESTROY:
    case FN_OP_AGREE_FINISH:
        return FN_E_KEY_HANDLE;
    default:
        break;
    }
    const char *layout = request_layout(operation);
    struct fn_cur c = fn_cur(items);
    for (uint16_t i = 0; i < count; i++) {
        for (const char *l = layout; *l; l++) {
            struct fn_bytes v;
            if (*l == 'v' || *l == 'k') {
                if (fn_cur_var(&c, FN_DEVICE_FRAME_MOST, &v) != FN_OK)
                    return FN_OK; /* the device will say what is wrong */
                if (*l == 'k' && v.n > 0 && v.p[0] == FN_KEY_HANDLE) return FN_E_KEY_HANDLE;
            } else if (fn_cur_take(&c, letter_size(*l), &v) != FN_OK) {
                return FN_OK;
            }
        }
    }
    return FN_OK;
}
