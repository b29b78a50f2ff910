/* What the server's threads offer to the acts that are answered later. */
#ifndef FN_DEVICE_SERVER_H
#define FN_DEVICE_SERVER_H

#include "device/device.h"

/* Marks the request's session busy and holds its connection until the completion. */
void fn_work_wait(struct fn_request *rq, struct fn_pending *p);
void fn_work_unwait(struct fn_request *rq, struct fn_pending *p);
/* From any thread: hands a completion to the worker that owns the request. */
void fn_work_complete(struct fn_work *w, struct fn_pending *p);

/* Reads the items of a request by its layout letters. FN_E_DEVICE_FRAME names item and field. */
fn_err fn_items_read(const struct fn_operation *op, struct fn_bytes body, size_t count,
                     struct fn_item *items);

struct fn_frame {
    uint16_t operation, count;
    uint32_t session;
    const uint8_t *id;
    struct fn_bytes items;
};
/* One frame at the front of `data`: *size is what it takes, 0 when more bytes must come (*want: how many in
 * all). FN_E_DEVICE_FRAME for a length that cannot be. */
fn_err fn_frame_read(struct fn_bytes data, struct fn_frame *frame, size_t *size, size_t *want);

#endif
