/* The bytes of a client: frames, items by their layouts, and the JSON of the management socket. */
#include "base/sys/heap.h"
#include "device/json.h"
#include "device/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void json(struct fn_bytes text)
{
    static struct fn_djson_doc doc;
    char out[256];
    int64_t number;
    if (fn_djson_read(&doc, text) != FN_OK) return;
    for (int i = 0; i < doc.count; i++) {
        fn_djson_text(&doc, i, out, sizeof out);
        fn_djson_number(&doc, i, INT64_MIN, INT64_MAX, &number);
        fn_djson_element(&doc, i, 1);
        fn_djson_member(&doc, i, "uid");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fn_bytes rest = fn_bytes(data, size);
    size_t taken, want;
    struct fn_frame f;
    while (fn_frame_read(rest, &f, &taken, &want) == FN_OK && taken) {
        const struct fn_operation *op = fn_operation(f.operation);
        if (op && f.count <= FN_DEVICE_VECTOR_MOST) {
            struct fn_item *items;
            if (fn_heap_array(&items, f.count, sizeof *items) == FN_OK) {
                if (fn_items_read(op, f.items, f.count, items) == FN_OK && op->number == FN_OP_MANAGE &&
                    f.count)
                    json(items[0].f[1].b);
                free(items);
            }
        }
        rest = fn_bytes(rest.p + taken, rest.n - taken);
    }
    json(fn_bytes(data, size));
    fn_err_clear();
    return 0;
}
