/* Frames and items: the only code that touches bytes from a socket before they are checked. */
#include "device/server.h"

fn_err fn_frame_read(struct fn_bytes data, struct fn_frame *frame, size_t *size, size_t *want)
{
    *size = 0;
    *want = FN_DEVICE_REQUEST_HEADER;
    if (data.n < 4) return FN_OK;
    uint32_t length = fn_get_be32(data.p);
    if (length < FN_DEVICE_REQUEST_HEADER - 4 || length > FN_DEVICE_FRAME_MOST)
        return FN_FAIL(FN_E_DEVICE_FRAME, "length %u, %u to %u", length, FN_DEVICE_REQUEST_HEADER - 4,
                       FN_DEVICE_FRAME_MOST);
    *want = 4 + (size_t)length;
    if (data.n < *want) return FN_OK;
    *size = *want;
    frame->operation = fn_get_be16(data.p + 4);
    frame->count = fn_get_be16(data.p + 6);
    frame->session = fn_get_be32(data.p + 8);
    frame->id = data.p + 12;
    frame->items = fn_bytes(data.p + FN_DEVICE_REQUEST_HEADER, *size - FN_DEVICE_REQUEST_HEADER);
    return FN_OK;
}

static fn_err field_read(struct fn_cur *c, char letter, struct fn_wire *f)
{
    uint8_t b;
    uint16_t h;
    uint32_t w;
    switch (letter) {
    case 'B':
        FN_TRY(fn_cur_u8(c, &b));
        f->n = b;
        return FN_OK;
    case 'H':
        FN_TRY(fn_cur_u16(c, &h));
        f->n = h;
        return FN_OK;
    case 'W':
        FN_TRY(fn_cur_u32(c, &w));
        f->n = w;
        return FN_OK;
    case 'Q':
        return fn_cur_u64(c, &f->n);
    case 'U':
        return fn_cur_take(c, 16, &f->b);
    case 'D':
        return fn_cur_take(c, 32, &f->b);
    default:
        return fn_cur_var(c, FN_DEVICE_FRAME_MOST, &f->b);
    }
}

fn_err fn_items_read(const struct fn_operation *op, struct fn_bytes body, size_t count, struct fn_item *items)
{
    struct fn_cur c = fn_cur(body);
    for (size_t i = 0; i < count; i++)
        for (size_t f = 0; op->request[f]; f++)
            if (field_read(&c, op->request[f], &items[i].f[f]) != FN_OK)
                return FN_FAIL(FN_E_DEVICE_FRAME, "%s: item %zu, field %zu at offset %zu", op->name, i, f,
                               fn_cur_offset(&c));
    if (fn_cur_end(&c) != FN_OK)
        return FN_FAIL(FN_E_DEVICE_FRAME, "%s: %zu bytes after the last item", op->name, fn_cur_left(&c));
    return FN_OK;
}
