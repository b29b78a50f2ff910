/* The management socket: one thread, requests one after another, for root and the device's own uid alone. */
#ifndef FN_DEVICE_MANAGE_H
#define FN_DEVICE_MANAGE_H

#include "device/device.h"
#include "device/json.h"

fn_err fn_manage_start(struct fn_device *d, int listener, pthread_t *thread);

/* One verb: reads members of the request's object, appends a JSON object. */
struct fn_manage_call {
    struct fn_device *device;
    uint32_t uid;
    const struct fn_djson_doc *doc;
    struct fn_buf *out;
};
typedef fn_err fn_manage_verb(struct fn_manage_call *c);

struct fn_life_head;
/* Initialisation with m-of-n shares of the root. */
fn_err fn_manage_init_shares(struct fn_manage_call *c, struct fn_life_head *head, uint8_t root[32]);

fn_err fn_hello(struct fn_device *d, const char *tenant, const char *application, uint32_t version,
                struct fn_buf *out);
fn_err fn_info(struct fn_device *d, struct fn_buf *out);
fn_err fn_capabilities(struct fn_buf *json);

#endif
