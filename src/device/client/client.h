/* The one client of the device protocol. Asynchronous at heart: submit a vector with a token, poll, one
 * descriptor that becomes readable; the synchronous call is a wrapper. Reconnects by itself (after kill -9 of
 * the device as well); requests that were sent and not answered are repeated with the same id, so a
 * state-changing one happens once. A client may be used from many threads; a session runs its requests in
 * order. */
#ifndef FN_DEVICE_CLIENT_CLIENT_H
#define FN_DEVICE_CLIENT_CLIENT_H

#include "base/core/bytes.h"
#include "base/core/text.h"
#include "device/protocol.h"

struct fn_client;

/* What the device announced. */
struct fn_client_hello {
    uint32_t version, frame_most, vector_most, outstanding_most, device_state;
    struct fn_uuid boot;
    char tenant[65], application[65];
};

struct fn_client_options {
    const char *socket;  /* NULL: environment FENGNI_DEVICE_SOCKET, else /run/fengni/device.sock */
    uint32_t timeout_ms; /* of one synchronous call, reconnecting included; 0: 10,000 */
};

fn_err fn_client_open(struct fn_client **client, const struct fn_client_options *options);
void fn_client_close(struct fn_client *client);
fn_err fn_client_hello(struct fn_client *client, struct fn_client_hello *hello);
/* Changes with every new connection: session keys, agreements, calculations and access rights of the former
 * one are dead. Requests in flight that name such a thing are not repeated but answered with FN_E_KEY_HANDLE
 * or FN_E_DEVICE_STEP. */
uint64_t fn_client_epoch(struct fn_client *client);

fn_err fn_client_session_open(struct fn_client *client, uint32_t *session);
void fn_client_session_close(struct fn_client *client, uint32_t session);

/* Response to one request. Owned by the caller of fn_client_poll / fn_client_call; freed with
 * fn_client_response_free. */
struct fn_client_response {
    uint64_t token;
    uint16_t operation, count;
    fn_err status;         /* of the whole request; FN_E_DEVICE_LOST when repeating was not possible */
    uint32_t retry_ms; /* with FN_E_DEVICE_BUSY */
    uint64_t epoch;    /* of the connection that answered: of handles made by this request */
    struct fn_bytes items; /* count items, or the detail text */
    void *storage;
};
/* `items` are count items laid out as the operation table says. The request id is made here. Session 0 is the
 * connection's. */
fn_err fn_client_submit(struct fn_client *client, uint32_t session, uint16_t operation, uint16_t count,
                        struct fn_bytes items, uint64_t token);
/* The same for requests that name handles: they are sent only on the connection with this epoch, and answered with
 * FN_E_KEY_HANDLE or FN_E_DEVICE_STEP when it is gone. epoch 0: any. */
fn_err fn_client_submit_in(struct fn_client *client, uint64_t epoch, uint32_t session, uint16_t operation, uint16_t count,
                           struct fn_bytes items, uint64_t token);
fn_err fn_client_call_in(struct fn_client *client, uint64_t epoch, uint32_t session, uint16_t operation, uint16_t count,
                         struct fn_bytes items, struct fn_client_response *response);
/* Readable when a response may wait or the link wants attention: call fn_client_poll with time-out 0 until
 * FN_E_TIMEOUT. */
int fn_client_descriptor(struct fn_client *client);
/* timeout_ms 0: do not wait; FN_E_TIMEOUT when nothing came. */
fn_err fn_client_poll(struct fn_client *client, uint32_t timeout_ms, struct fn_client_response *response);
/* Waits out FN_E_DEVICE_BUSY with the stated pauses until the time-out. A status other than 0 is returned as
 * the error, with the device's detail in the chain. */
fn_err fn_client_call(struct fn_client *client, uint32_t session, uint16_t operation, uint16_t count,
                      struct fn_bytes items, struct fn_client_response *response);
void fn_client_response_free(struct fn_client_response *response);

/* Reads the status that begins an item; the device's number is returned as the error. */
fn_err fn_client_item_status(struct fn_cur *items);

/* Key references as vars, for building items. */
fn_err fn_client_put_uuid(struct fn_buf *b, const struct fn_uuid *uuid, uint32_t version);
fn_err fn_client_put_index(struct fn_buf *b, uint32_t index, enum fn_key_half half);
fn_err fn_client_put_handle(struct fn_buf *b, uint64_t handle);
fn_err fn_client_put_external(struct fn_buf *b, uint32_t algorithm, struct fn_bytes key);

#endif
