/* The parser of protected fields, binary and text: what it accepts it writes back byte for byte. */
#include "base/sys/heap.h"
#include "data/field.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same(struct fn_bytes a, struct fn_bytes b)
{
    if (!fn_bytes_equal(a, b)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fn_field field;
    FN_SCOPED_BUF struct fn_buf out = fn_buf_heap(), storage = fn_buf_heap();
    if (fn_field_read(&field, fn_bytes(data, size)) == FN_OK) {
        if (fn_field_write(&out, &field) != FN_OK) abort();
        same(fn_buf_view(&out), fn_bytes(data, size));
    }
    out.n = 0;
    if (fn_field_read_text(&field, fn_bytes(data, size), &storage) == FN_OK) {
        if (fn_field_write_text(&out, &field) != FN_OK || !fn_field_like(fn_bytes(data, size))) abort();
        same(fn_buf_view(&out), fn_bytes(data, size));
    }
    struct fn_bytes clear;
    out.n = 0;
    if (fn_field_pad(&out, fn_bytes(data, size)) != FN_OK ||
        fn_field_unpad(fn_buf_view(&out), &clear) != FN_OK)
        abort();
    same(clear, fn_bytes(data, size));
    fn_field_unpad(fn_bytes(data, size), &clear);
    return 0;
}
