/* The management socket: one thread, requests one after another, for root and the device's own uid alone. */
#ifndef FN_DEVICE_MANAGE_H
#define FN_DEVICE_MANAGE_H

#include "device/carrier.h"
#include "device/device.h"
#include "device/json.h"

fn_err fn_manage_start(struct fn_device *d, int listener, pthread_t *thread);

/* One verb: reads members of the request's object, appends a JSON object. */
struct fn_manage_session {
    uint32_t uid;
    int role; /* enum fn_device_role: who logged in on this connection; 0: nobody */
    char person[FN_HOLDER_MOST + 1];
    struct fn_login login; /* the challenge that waits for its answer */
    bool challenged;
};
struct fn_manage_call {
    struct fn_device *device;
    struct fn_manage_session *session;
    uint32_t uid;
    const struct fn_djson_doc *doc;
    struct fn_buf *out;
};
typedef fn_err fn_manage_verb(struct fn_manage_call *c);

fn_err fn_hello(struct fn_device *d, const char *tenant, const char *application, uint32_t version,
                struct fn_buf *out);
fn_err fn_info(struct fn_device *d, struct fn_buf *out);
fn_err fn_capabilities(struct fn_buf *json);

#endif
